// The weights of a convolution as the left operand of a GEMM: row = output channel of a group, depth = input
// channel of the group x tap.
#pragma once
#include <cstdint>
#include <vector>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/kernels.h"

namespace advf::cpu {

struct ConvWeights {
  bool forward = true;  // (out, in, kh, kw) as conv2d has it, or (in, out, kh, kw): the adjoint
  int64_t in = 0, out = 0, kernel_size = 0;  // channels of a group; kh kw

  int64_t floats() const { return in * out * kernel_size; }  // of a group
  // dst[(k - k_begin) * stride + r] = the weight of row `row` + r at depth k; taps[k % taps] is its place in
  // the kernel.
  void pack(const KernelTable& kernels, float* dst, int64_t stride, const float* weight,
            const std::vector<int>& taps, int64_t row, int64_t rows, int64_t k_begin, int64_t k_end) const {
    if (forward) {  // all taps, in order
      const int64_t depth = in * kernel_size;
      kernels.transpose(dst, stride, weight + row * depth + k_begin, depth, rows, k_end - k_begin);
      return;
    }
    const int64_t n = int64_t(taps.size());
    for (int64_t k = k_begin; k < k_end; ++k, dst += stride) {
      const float* from = weight + (k / n * out + row) * kernel_size + taps[size_t(k % n)];
      for (int64_t r = 0; r < rows; ++r) dst[r] = from[r * kernel_size];
    }
  }
};

}  // namespace advf::cpu
