// What every fuzz target shares: bytes in, and Error is the only way out that is not a find.
#pragma once
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

#include "tensor/check.h"

namespace advf {

// A folder of this process, in memory where the system has that, gone when it ends.
inline const std::filesystem::path& scratch_folder() {
  namespace fs = std::filesystem;
  static const fs::path* const folder = [] {  // lives to the end: atexit needs it
    std::error_code none;
    const fs::path memory = "/dev/shm";
    auto* path = new fs::path((fs::is_directory(memory, none) ? memory : fs::temp_directory_path()) /
                              ("advf-fuzz-" + std::to_string(::getpid())));
    fs::create_directories(*path);
    return path;
  }();
  static const int registered = std::atexit([] {
    std::error_code ignored;
    fs::remove_all(scratch_folder(), ignored);
  });
  (void)registered;
  return *folder;
}

template <class Parse>
int fuzz(const uint8_t* data, size_t size, Parse parse) {
  try {
    parse(std::as_bytes(std::span(data, size)));
  } catch (const Error&) {
  }
  return 0;
}

}  // namespace advf
