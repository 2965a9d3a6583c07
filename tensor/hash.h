// FNV-1a, 64 bits (Fowler, Noll, Vo): the same everywhere, which std::hash is not. To tell things apart, not
// to resist anybody.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace advf {

constexpr uint64_t kFnvStart = 0xCBF29CE484222325u;

inline uint64_t fnv1a(std::span<const std::byte> bytes, uint64_t start = kFnvStart) {
  uint64_t h = start;
  for (std::byte b : bytes) h = (h ^ uint64_t(b)) * 0x100000001B3u;
  return h;
}
inline uint64_t fnv1a(std::string_view text, uint64_t start = kFnvStart) {
  return fnv1a(std::as_bytes(std::span(text)), start);
}

// 16 hexadecimal digits.
inline std::string hex(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace advf
