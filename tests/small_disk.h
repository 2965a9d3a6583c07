// A disk that soon is full: a small tmpfs, where we have the right to mount one.
#pragma once
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <iostream>

#include "file_test_util.h"

namespace advf::test {

// A disk of 64 KiB.
class SmallDisk {
 public:
  SmallDisk() {
    if (::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, "size=64k") == 0)
      mounted_ = true;
    else
      std::cout << "SKIPPED: a tmpfs cannot be mounted: " << std::strerror(errno) << "\n";
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  std::string path() const { return dir_.path().string(); }

 private:
  TempDir dir_;
  bool mounted_ = false;
};

}  // namespace advf::test
