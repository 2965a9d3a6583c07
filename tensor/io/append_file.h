// A file that grows in place: writes at a place, truncation, sync, and a lock among processes. A whole new
// file is an AtomicFile.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace advf {

class AppendFile {
 public:
  // Made where it does not exist. Throws Error naming the path and the reason.
  explicit AppendFile(std::string path);
  ~AppendFile();  // closes it, which ends the lock
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const;  // now
  void read_at(uint64_t offset, void* out, size_t bytes) const;
  // Throws Error, e.g. when the disk is full; some of the bytes may have been written then.
  void write_at(uint64_t offset, const void* data, size_t bytes);
  void truncate(uint64_t size);
  void sync();  // to the disk
  // For this process alone, among those that ask; false where another has it.
  bool try_lock();
  // Whether the path still names this file: it may have been removed or replaced since it was opened.
  bool is_at_path() const;

 private:
  [[noreturn]] void fail_errno(const char* what) const;
  std::string path_;
  int fd_ = -1;
};

}  // namespace advf
