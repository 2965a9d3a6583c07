// The bytes that a shape read from a file takes.
#pragma once
#include <cstddef>
#include <string>

#include "tensor/shape.h"

namespace advf {

// Throws Error, naming `where`, on overflow; also for [huge, huge, 0], since later code multiplies any
// dimensions.
inline int64_t byte_size(const Shape& shape, size_t element_bytes, const std::string& where) {
  int64_t product = int64_t(element_bytes);
  bool empty = false;
  for (int64_t d : shape) {
    empty = empty || d == 0;
    check(d == 0 || !__builtin_mul_overflow(product, d, &product), where, ": the shape ", shape,
          " has too many elements");
  }
  return empty ? 0 : product;
}

}  // namespace advf
