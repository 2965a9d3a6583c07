// The copies of kernels/shape_ops.cu, for ops that pad or cut what they work on.
#pragma once
#include <cuda_runtime.h>

#include <span>

#include "cuda/kernels/strides.h"

namespace advf::cuda {

// Elements of four bytes; array 0 is written, array 1 read.
void launch_copy(const void* from, void* to, const Strides<2>& s, cudaStream_t stream);
// The box of shape `box` at `begin` of a tensor of shape `whole`.
Strides<2> slice_strides(const char* op, const Shape& box, const Shape& whole,
                         std::span<const int64_t> begin);

// A tensor of shape `from` inside one of shape `to`, `border` elements from its start; `fill` around it.
struct PadBox {
  int rank;
  uint32_t n, out[Shape::kMaxRank] = {}, before[Shape::kMaxRank] = {}, in[Shape::kMaxRank] = {};
  float value;
  PadBox(const char* op, const Shape& from, const Shape& to, std::span<const int64_t> border, double fill);
};
void launch_pad(const float* x, float* y, const PadBox& box, cudaStream_t stream);

}  // namespace advf::cuda
