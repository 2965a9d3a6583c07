#include "tensor/io/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tensor/check.h"

namespace advf {

FileLock::FileLock(const std::string& path) : file_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
  check(file_ >= 0, path, ": ", std::strerror(errno));
  held_ = flock(file_, LOCK_EX | LOCK_NB) == 0;
}
FileLock::~FileLock() { close(file_); }

}  // namespace advf
