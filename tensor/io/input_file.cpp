#include "tensor/io/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "tensor/check.h"
#include "tensor/io/path_reason.h"

namespace advf {

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not wait; regular files do not care.
  fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) fail(path_, ": cannot be opened: ", path_reason(errno, path_));
  struct stat info {};
  const bool known = ::fstat(fd_, &info) == 0;
  if (!known || !S_ISREG(info.st_mode)) {
    ::close(fd_);
    fail(path_, ": is not a regular file");
  }
  size_ = uint64_t(info.st_size);
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read_at(uint64_t offset, void* out, size_t bytes) const {
  char* to = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(fd_, to, bytes, off_t(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, ": reading failed: ", std::strerror(errno));
    if (got == 0) fail(path_, ": ends at byte ", offset, " where ", bytes, " more are needed");
    to += got;
    offset += uint64_t(got);
    bytes -= size_t(got);
  }
}

std::vector<std::byte> read_file(const std::string& path, uint64_t max_bytes) {
  const InputFile file(path);
  check(file.size() <= max_bytes, path, ": has ", file.size(), " bytes; at most ", max_bytes, " are read");
  std::vector<std::byte> bytes(size_t(file.size()));
  file.read_at(0, bytes.data(), bytes.size());
  return bytes;
}

}  // namespace advf
