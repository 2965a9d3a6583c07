// A file that appears whole or not at all: written beside its destination under a temporary name, renamed by
// commit(). Without a commit the temporary file is removed and an older file of that name stays as it was.
// A pipe or a device is written directly: a rename would put a file in its place. A link stays a link.
#pragma once
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace advf {

// The name under which this process writes what will be `path`.
std::string temporary_name(const std::string& path);
// Removes what writers of this file that were killed have left beside it: temporary files of processes that
// are no more, and what lies beside them (with "-..." behind their names).
void remove_stale_temporaries(const std::string& path);

class AtomicFile {
 public:
  explicit AtomicFile(std::string path);  // throws Error naming the path and the reason; a folder is one
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes) { write(bytes.data(), bytes.size()); }
  void write(const void* data, size_t bytes);           // throws Error, e.g. when the disk is full
  void rewrite(size_t offset, std::string_view bytes);  // over bytes already written (a header)
  // All bytes are on the disk, under the temporary name: of several files each is finished before the first
  // appears, so that a full disk leaves all as they were. Nothing is written afterwards.
  void finish();
  void commit();  // finish(), and the rename

  bool can_rewrite() const;  // false for a pipe
  // Where the bytes lie before commit().
  const std::string& written_at() const { return temporary_.empty() ? target_ : temporary_; }

 private:
  [[noreturn]] void fail_errno(const char* what);
  std::string path_, target_, temporary_;  // no temporary: written directly
  std::FILE* file_ = nullptr;
  bool committed_ = false;
};

}  // namespace advf
