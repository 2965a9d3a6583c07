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
inline Vec odd_lanes(Vec a, Vec b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
// x[q] holds every third element of (a, b, c), from q on.
inline void split3(Vec a, Vec b, Vec c, Vec (&x)[3]) {
  x[0] = __builtin_shufflevector(
      __builtin_shufflevector(a, b, 0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, -1, -1, -1, -1, -1), c, 0, 1, 2,
      3, 4, 5, 6, 7, 8, 9, 10, 17, 20, 23, 26, 29);
  x[1] = __builtin_shufflevector(
      __builtin_shufflevector(a, b, 1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, -1, -1, -1, -1, -1), c, 0, 1, 2,
      3, 4, 5, 6, 7, 8, 9, 10, 18, 21, 24, 27, 30);
  x[2] = __builtin_shufflevector(
      __builtin_shufflevector(a, b, 2, 5, 8, 11, 14, 17, 20, 23, 26, 29, -1, -1, -1, -1, -1, -1), c, 0, 1, 2,
      3, 4, 5, 6, 7, 8, 9, 16, 19, 22, 25, 28, 31);
}
// (x[0], x[1], x[2]) holds a0 b0 c0 a1 b1 ...
inline void join3(Vec a, Vec b, Vec c, Vec (&x)[3]) {
  x[0] = __builtin_shufflevector(
      __builtin_shufflevector(a, b, 0, 16, -1, 1, 17, -1, 2, 18, -1, 3, 19, -1, 4, 20, -1, 5), c, 0, 1, 16, 3,
      4, 17, 6, 7, 18, 9, 10, 19, 12, 13, 20, 15);
  x[1] = __builtin_shufflevector(
      __builtin_shufflevector(a, b, 21, -1, 6, 22, -1, 7, 23, -1, 8, 24, -1, 9, 25, -1, 10, 26), c, 0, 21, 2,
      3, 22, 5, 6, 23, 8, 9, 24, 11, 12, 25, 14, 15);
  x[2] = __builtin_shufflevector(
      __builtin_shufflevector(a, b, -1, 11, 27, -1, 12, 28, -1, 13, 29, -1, 14, 30, -1, 15, 31, -1), c, 26, 1,
      2, 27, 4, 5, 28, 7, 8, 29, 10, 11, 30, 13, 14, 31);
}

#include "tensor/cpu/kernel_body.inc"

}  // namespace

const KernelTable kernels_avx512 = make_table("avx512");

}  // namespace advf::cpu
