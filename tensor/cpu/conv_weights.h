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
  // dst[(k - k_begin) * rows + r] = the weight of row `row` + r at depth k; taps[k % taps] is its place in
  // the kernel.
  void pack(const KernelTable& kernels, float* dst, const float* weight, const std::vector<int>& taps,
            int64_t row, int64_t rows, int64_t k_begin, int64_t k_end) const {
    if (forward) {  // all taps, in order
      const int64_t depth = in * kernel_size;
      kernels.transpose(dst, rows, weight + row * depth + k_begin, depth, rows, k_end - k_begin);
      return;
    }
    const int64_t n = int64_t(taps.size());
    for (int64_t k = k_begin; k < k_end; ++k, dst += rows) {
      const float* from = weight + (k / n * out + row) * kernel_size + taps[size_t(k % n)];
      for (int64_t r = 0; r < rows; ++r) dst[r] = from[r * kernel_size];
    }
  }
};

// Packed weights: made when the op is bound, where the weight is constant, else in scratch at each run.
class PackedWeights {
 public:
  PackedWeights() = default;
  // pack(weight, to) writes `floats` floats; constant: the weight, or null.
  template <class Pack>
  PackedWeights(int64_t floats, const float* constant, const Pack& pack) : floats_(floats) {
    if (!constant) return;
    kept_.resize(size_t(floats));
    pack(constant, kept_.data());
  }
  void take(Arena& scratch) const {  // its part of the scratch area
    if (kept_.empty()) scratch.take<float>(floats_);
  }
  // pack(to) packs the weight of this run.
  template <class Pack>
  const float* take(Arena& scratch, const Pack& pack) const {
    if (!kept_.empty()) return kept_.data();
    float* fresh = scratch.take<float>(floats_);
    pack(fresh);
    return fresh;
  }

 private:
  int64_t floats_ = 0;
  std::vector<float> kept_;
};

}  // namespace advf::cpu
