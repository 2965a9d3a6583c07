// What every fuzz target shares: bytes in, and Error is the only way out that is not a find.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "tensor/check.h"

namespace advf {

template <class Parse>
int fuzz(const uint8_t* data, size_t size, Parse parse) {
  try {
    parse(std::as_bytes(std::span(data, size)));
  } catch (const Error&) {
  }
  return 0;
}

}  // namespace advf
