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
  int64_t in_elements = 0;                   // the channels as the product has them: in, or pairs of them

  static ConvWeights make(bool forward, int64_t in, int64_t out, int64_t kernel_size, bool pairs) {
    return {forward, in, out, kernel_size, pairs ? (in + 1) / 2 : in};
  }
  bool pairs() const { return in_elements != in; }
  int64_t floats() const { return in * out * kernel_size; }  // of a group
  // The weight of row `row` + r at channel c is from(c, row, tap)[r * row_step()].
  int64_t row_step() const { return forward ? in * kernel_size : kernel_size; }
  const float* from(const float* weight, int64_t c, int64_t row, int64_t tap) const {
    return weight + (forward ? row * in + c : c * out + row) * kernel_size + tap;
  }
  // dst[(k - k_begin) * stride + r] = the weight of row `row` + r at depth k, of channel (or pair of
  // channels) k / taps; taps[k % taps] is its place in the kernel.
  void pack(const KernelTable& kernels, float* dst, int64_t stride, const float* weight,
            const std::vector<int>& taps, int64_t row, int64_t rows, int64_t k_begin, int64_t k_end) const {
    if (pairs()) return pack_pairs(kernels, dst, stride, weight, taps, row, rows, k_begin, k_end);
    if (forward) {  // all taps, in order
      const int64_t depth = in * kernel_size;
      kernels.transpose(dst, stride, weight + row * depth + k_begin, depth, rows, k_end - k_begin);
      return;
    }
    const int64_t n = int64_t(taps.size());
    for (int64_t k = k_begin; k < k_end; ++k, dst += stride) {
      const float* w = from(weight, k / n, row, taps[size_t(k % n)]);
      for (int64_t r = 0; r < rows; ++r) dst[r] = w[r * kernel_size];
    }
  }

 private:
  void pack_pairs(const KernelTable& kernels, float* dst, int64_t stride, const float* weight,
                  const std::vector<int>& taps, int64_t row, int64_t rows, int64_t k_begin,
                  int64_t k_end) const {
    constexpr int64_t kMost = 16 * kMaxVectors;  // rows
    const int64_t n = int64_t(taps.size());
    float of[2][kMost];
    for (int64_t k = k_begin; k < k_end; ++k, dst += stride) {
      const int64_t c = k / n * 2;
      const bool both = c + 1 < in;
      for (int64_t i = 0; i < (both ? 2 : 1); ++i) {
        const float* w = from(weight, c + i, row, taps[size_t(k % n)]);
        for (int64_t r = 0; r < rows; ++r) of[i][r] = w[r * row_step()];
      }
      kernels.round_pairs_of(dst, of[0], both ? of[1] : nullptr, rows);
    }
  }
};

}  // namespace advf::cpu
