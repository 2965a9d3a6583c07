// Arithmetic on few numbers that lie on the host: the shapes, sizes and factors that exporters compute in the
// graph. It runs through the same emit functions as tensors do, but always at once, off the tape and also
// while tensors have no storage, so that what depends on shapes alone is known wherever shapes are.
#pragma once
#include "nn/onnx/value.h"

namespace advf::onnx {

// What a shape computation may make, in elements.
constexpr int64_t kMaxHostNumbers = 1 << 16;

// An emit function for a node whose first `data` inputs may be host numbers: where all of them are, it runs
// on them in f64, and its outputs are whole numbers (rounded towards zero) where all inputs were. Otherwise
// it is `emit`; for `only_host` that is an error, for ops that tensors do not have.
Emit on_host_numbers(Emit emit, size_t data, bool only_host, DType dtype);

// Towards zero, as whole numbers divide; saturated. Throws for what is not a number.
int64_t whole(double x);
// Whole numbers as a value.
Value whole_numbers(std::vector<int64_t> numbers, const Shape& shape);

}  // namespace advf::onnx
