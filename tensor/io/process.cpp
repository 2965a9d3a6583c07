#include "tensor/io/process.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <string>

namespace advf {

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

bool is_running(pid_t process) {
  if (::kill(process, 0) != 0 && errno == ESRCH) return false;
  // One that has ended stays in the list for as long as its parent does not ask for it. Its state is behind
  // the name, in which any character may stand.
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return true;
  const size_t name = line.rfind(") ");
  return name == std::string::npos || name + 2 >= line.size() ||
         (line[name + 2] != 'Z' && line[name + 2] != 'X');
}

}  // namespace advf
