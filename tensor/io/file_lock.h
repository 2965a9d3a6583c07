// A file that one process at a time holds, which is given up when it ends, however it ends (flock).
#pragma once
#include <string>

namespace advf {

class FileLock {
 public:
  // Makes the file where there is none; it stays. Throws Error naming it where it cannot be written.
  explicit FileLock(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  bool held() const { return held_; }  // false: by another process

 private:
  int file_;
  bool held_ = false;
};

}  // namespace advf
