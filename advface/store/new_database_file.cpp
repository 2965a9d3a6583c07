#include "advface/store/new_database_file.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "tensor/check.h"
#include "tensor/io/atomic_file.h"

namespace advf {

NewDatabaseFile::NewDatabaseFile(std::string path)
    : path_(std::move(path)), temporary_(temporary_name(path_)) {
  std::error_code none;
  check(!std::filesystem::exists(std::filesystem::symlink_status(path_, none)), path_,
        " is there already; take a new name");
  remove_stale_temporaries(path_);
  remove();
  // SQLite would take them for the new file's, and bring back what the old one held.
  for (const char* end : {"-wal", "-journal"})
    check(!std::filesystem::exists(std::filesystem::symlink_status(path_ + end, none)), path_ + end,
          ": is of a file ", path_,
          " that is not there any more, and may hold what was written last; put that "
          "file back beside it, or remove it");
}

NewDatabaseFile::~NewDatabaseFile() { remove(); }

void NewDatabaseFile::remove() const {
  for (const char* end : {"", "-wal", "-shm", "-journal"}) std::remove((temporary_ + end).c_str());
}

void NewDatabaseFile::make(const std::function<void(const std::string& path)>& fill) {
  try {
    fill(temporary_);
  } catch (const Error& e) {
    const std::string text = e.what();  // says the name that was asked for
    fail(text.starts_with(temporary_) ? path_ + text.substr(temporary_.size()) : text);
  }
  // What somebody else has put there meanwhile stays, where the file system can promise that.
  int failed = ::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE);
  if (failed != 0 && (errno == EINVAL || errno == ENOSYS))
    failed = ::rename(temporary_.c_str(), path_.c_str());
  check(failed == 0, path_, ": ", std::strerror(errno));
}

}  // namespace advf
