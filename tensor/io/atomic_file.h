// A file that appears whole or not at all: written beside its destination under a temporary name, renamed by
// commit(). Without a commit the temporary file is removed and an older file of that name stays as it was.
// A pipe or a device is written directly: a rename would put a file in its place. A link stays a link.
#pragma once
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace advf {

// Removes what writers of this file that were killed have left beside it: temporary files of processes that
// are no more.
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
  void commit();                                        // flush, sync, rename

 private:
  [[noreturn]] void fail_errno(const char* what);
  std::string path_, target_, temporary_;  // no temporary: written directly
  std::FILE* file_ = nullptr;
};

}  // namespace advf
