// A disk that runs full while a program writes: a clear failure, and the disk is as it was. Needs the right
// to mount a small tmpfs.
#define BOOST_TEST_MODULE cli_full_disk
#include <sys/mount.h>

#include <cstring>
#include <iostream>

#include "cli_test_util.h"

using namespace advf::test;

namespace {

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

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_stays_on_a_full_disk) {
  const SmallDisk disk;
  if (!disk.mounted()) return;
  const ToyWorld& world = toy_world();
  // All but 4 KiB is taken.
  write_bytes(disk.path() + "/ballast", std::string(60 << 10, 'x'));
  const std::string out = disk.path() + "/out";
  const std::vector<std::string> words{out, "No space left on device"};
  refuse(disk.path(), "protect",
         Args{"--out", out, "--in", world.at("z.npy"), "--steps", "1"} + world.shadow(), 1, words, Late::yes);
  refuse(disk.path(), "extract", Args{"--out", out} + world.images() + world.recogniser(), 1, words,
         Late::yes);
  refuse(disk.path(), "train",
         Args{"shadow", "--out", out} + world.images() + world.recogniser() + ToyWorld::tiny_training(), 1,
         words, Late::yes);
}

// A set that grows keeps its rows, and its index.
BOOST_AUTO_TEST_CASE(a_set_on_a_full_disk_stays_as_it_was) {
  const SmallDisk disk;
  if (!disk.mounted()) return;
  const ToyWorld& world = toy_world();
  const std::string set = disk.path() + "/set.npy";
  const Args enrol = Args{"--append", set, "--in", world.at("z.npy"), "--steps", "1"} + world.shadow();
  succeed("protect", enrol);
  write_bytes(disk.path() + "/ballast", std::string(64 << 10, 'x'));  // what there is room for
  const std::string array = read_bytes(set), index = read_bytes(set + ".index");
  refuse(disk.path(), "protect", enrol, 1, {set, "No space left on device"}, Late::yes);
  BOOST_TEST((read_bytes(set) == array && read_bytes(set + ".index") == index));
  std::filesystem::remove(disk.path() + "/ballast");
  succeed("inspect", {set + ".index"});
}
