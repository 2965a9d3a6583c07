#include "tensor/io/path_reason.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace advf {

std::string path_reason(int error, const std::string& path) {
  namespace fs = std::filesystem;
  const std::string said = std::strerror(error);
  if (error != ENOTDIR) return said;
  fs::path part;
  for (const fs::path& step : fs::path(path)) {
    part /= step;
    std::error_code none;
    if (fs::exists(part, none) && !fs::is_directory(part, none))
      return said + ": " + part.string() + " is a file; name a path whose folders are folders";
  }
  return said;
}

}  // namespace advf
