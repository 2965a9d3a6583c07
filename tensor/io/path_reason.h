// Why a path cannot be used, in words that say what to do.
#pragma once
#include <string>

namespace advf {

// What the system says of `error`, an errno; where a file stands where a folder is needed, which one it is.
std::string path_reason(int error, const std::string& path);

}  // namespace advf
