// The kernels for x86-64-v3: AVX2 and FMA, 16 registers of 8 floats.
#include <immintrin.h>

#include "tensor/cpu/kernels.h"
#include "tensor/scalar_math.h"

namespace advf::cpu {
namespace {

constexpr int kLanes = 8, kMaxRows = 6, kMaxRowsWide = 3;
typedef float Vec __attribute__((vector_size(32)));
typedef float VecU __attribute__((vector_size(32), aligned(4), may_alias));

inline __m256i lane_mask(uint32_t mask) {
  const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(int(mask)), bits), bits);
}
inline Vec load_masked(const float* p, uint32_t mask) { return (Vec)_mm256_maskload_ps(p, lane_mask(mask)); }
inline void store_masked(float* p, uint32_t mask, Vec v) {
  _mm256_maskstore_ps(p, lane_mask(mask), (__m256)v);
}
inline Vec keep_lanes(Vec v, uint32_t mask) { return (Vec)_mm256_and_ps((__m256)v, (__m256)lane_mask(mask)); }
inline Vec either(Vec a, Vec b) { return (Vec)_mm256_or_ps((__m256)a, (__m256)b); }
inline Vec even_lanes(Vec a, Vec b) { return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14); }
inline Vec interleave_low(Vec a, Vec b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11); }
inline Vec interleave_high(Vec a, Vec b) { return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15); }
inline Vec odd_lanes(Vec a, Vec b) { return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15); }
// x[q] holds every third element of (a, b, c), from q on.
inline void split3(Vec a, Vec b, Vec c, Vec (&x)[3]) {
  x[0] = __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 3, 6, 9, 12, 15, -1, -1), c, 0, 1, 2, 3, 4,
                                 5, 10, 13);
  x[1] = __builtin_shufflevector(__builtin_shufflevector(a, b, 1, 4, 7, 10, 13, -1, -1, -1), c, 0, 1, 2, 3, 4,
                                 8, 11, 14);
  x[2] = __builtin_shufflevector(__builtin_shufflevector(a, b, 2, 5, 8, 11, 14, -1, -1, -1), c, 0, 1, 2, 3, 4,
                                 9, 12, 15);
}
// (x[0], x[1], x[2]) holds a0 b0 c0 a1 b1 ...
inline void join3(Vec a, Vec b, Vec c, Vec (&x)[3]) {
  x[0] = __builtin_shufflevector(__builtin_shufflevector(a, b, 0, 8, -1, 1, 9, -1, 2, 10), c, 0, 1, 8, 3, 4,
                                 9, 6, 7);
  x[1] = __builtin_shufflevector(__builtin_shufflevector(a, b, -1, 3, 11, -1, 4, 12, -1, 5), c, 10, 1, 2, 11,
                                 4, 5, 12, 7);
  x[2] = __builtin_shufflevector(__builtin_shufflevector(a, b, 13, -1, 6, 14, -1, 7, 15, -1), c, 0, 13, 2, 3,
                                 14, 5, 6, 15);
}

// A step of the GEMM tile.
inline void multiply_add(Vec& sum, float a, Vec b) { sum += a * b; }

#include "tensor/cpu/kernel_body.inc"

}  // namespace

const KernelTable kernels_avx2 = make_table("avx2");

}  // namespace advf::cpu
