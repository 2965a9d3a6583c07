// The kernels for x86-64-v4: AVX-512 F, BW, DQ, VL, 32 registers of 16 floats.
#include <immintrin.h>

#include "tensor/cpu/kernels.h"
#include "tensor/scalar_math.h"

namespace advf::cpu {
namespace {

constexpr int kLanes = 16, kMaxRows = 12, kMaxRowsWide = 6;
typedef float Vec __attribute__((vector_size(64)));
typedef float VecU __attribute__((vector_size(64), aligned(4), may_alias));

inline Vec load_masked(const float* p, uint32_t mask) {
  return (Vec)_mm512_maskz_loadu_ps(__mmask16(mask), p);
}
inline void store_masked(float* p, uint32_t mask, Vec v) {
  _mm512_mask_storeu_ps(p, __mmask16(mask), (__m512)v);
}
inline Vec keep_lanes(Vec v, uint32_t mask) { return (Vec)_mm512_maskz_mov_ps(__mmask16(mask), (__m512)v); }
inline Vec either(Vec a, Vec b) { return (Vec)_mm512_or_ps((__m512)a, (__m512)b); }
inline Vec even_lanes(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
inline Vec interleave_low(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
inline Vec interleave_high(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

#include "tensor/cpu/kernel_body.inc"

}  // namespace

const KernelTable kernels_avx512 = make_table("avx512");

}  // namespace advf::cpu
