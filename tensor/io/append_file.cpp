#include "tensor/io/append_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "tensor/check.h"

namespace advf {

AppendFile::AppendFile(std::string path) : path_(std::move(path)) {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_CREAT, 0666);
  if (fd_ < 0) fail(path_, ": cannot be written: ", std::strerror(errno));
  struct stat info {};
  const bool known = ::fstat(fd_, &info) == 0;
  if (!known || !S_ISREG(info.st_mode)) {
    ::close(fd_);
    fail(path_, ": is not a regular file");
  }
}

AppendFile::~AppendFile() { ::close(fd_); }

void AppendFile::fail_errno(const char* what) const { fail(path_, ": ", what, ": ", std::strerror(errno)); }

uint64_t AppendFile::size() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) fail_errno("its size cannot be read");
  return uint64_t(info.st_size);
}

void AppendFile::read_at(uint64_t offset, void* out, size_t bytes) const {
  char* to = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(fd_, to, bytes, off_t(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("reading failed");
    if (got == 0) fail(path_, ": ends at byte ", offset, " where ", bytes, " more are needed");
    to += got;
    offset += uint64_t(got);
    bytes -= size_t(got);
  }
}

void AppendFile::write_at(uint64_t offset, const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t put = ::pwrite(fd_, from, bytes, off_t(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) fail_errno("writing failed");
    from += put;
    offset += uint64_t(put);
    bytes -= size_t(put);
  }
}

void AppendFile::truncate(uint64_t size) {
  while (::ftruncate(fd_, off_t(size)) != 0)
    if (errno != EINTR) fail_errno("it cannot be cut back");
}

void AppendFile::sync() {
  if (::fsync(fd_) != 0) fail_errno("writing failed");
}

bool AppendFile::try_lock() {
  while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) fail_errno("cannot be locked");
  }
  return true;
}

bool AppendFile::is_at_path() const {
  struct stat mine {
  }, there{};
  return ::fstat(fd_, &mine) == 0 && ::stat(path_.c_str(), &there) == 0 && mine.st_dev == there.st_dev &&
         mine.st_ino == there.st_ino;
}

}  // namespace advf
