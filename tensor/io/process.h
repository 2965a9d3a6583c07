// Processes, as files tell of them: who writes one, and whether he still does.
#pragma once
#include <sys/types.h>

#include <string>

namespace advf {

std::string host_name();         // of this machine; "" where nobody knows
bool is_running(pid_t process);  // on this machine, by whomever

}  // namespace advf
