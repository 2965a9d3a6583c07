#include "tensor/io/process.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace advf {

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

bool is_running(pid_t process) { return ::kill(process, 0) == 0 || errno != ESRCH; }

}  // namespace advf
