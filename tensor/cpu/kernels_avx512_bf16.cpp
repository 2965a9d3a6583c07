// Products of bf16 for x86-64-v4 with AVX512_BF16: the kernels of AVX-512, whose GEMM tile takes words of two
// bf16. The instruction adds both products of a word, which are exact in f32, to a float; it rounds to
// nearest even whatever the thread's mode, and takes denormal operands and results for 0.
#include <immintrin.h>

#include "tensor/cpu/kernels.h"
#include "tensor/scalar_math.h"

namespace advf::cpu {
namespace {

#include "tensor/cpu/vector_avx512.inc"

// A step of the GEMM tile: two numbers of the depth.
inline void multiply_add(Vec& sum, float a, Vec b) {
  sum = (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)b, (__m512bh)_mm512_set1_ps(a));
}

#include "tensor/cpu/kernel_body.inc"

// Words (x[i], y[i]).
inline Vec words_of(Vec x, Vec y) {
  alignas(64) static constexpr uint16_t kInterleaved[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                            21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                            11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)y, (__m512)x);
  return (Vec)_mm512_permutexvar_epi16(_mm512_load_si512(kInterleaved), halves);
}

void round_pairs(float* words, const float* x, int64_t n) {
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes)
    store(words + i / 2, (Vec)_mm512_cvtne2ps_pbh((__m512)load(x + i + kLanes), (__m512)load(x + i)));
  if (i < n) {
    const Vec low = load_masked(x + i, first_lanes(n - i));
    const Vec high = n - i > kLanes ? load_masked(x + i + kLanes, first_lanes(n - i - kLanes)) : Vec{};
    store_masked(words + i / 2, first_lanes((n - i + 1) / 2),
                 (Vec)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low));
  }
}

void round_pairs_of(float* words, const float* x, const float* y, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(words + i, words_of(load(x + i), y ? load(y + i) : Vec{}));
  if (i < n) {
    const uint32_t mask = first_lanes(n - i);
    store_masked(words + i, mask, words_of(load_masked(x + i, mask), y ? load_masked(y + i, mask) : Vec{}));
  }
}

// As winograd_input, of two channels: the transforms are f32, and what they give is rounded.
void winograd_input_of_pairs(float* v, ptrdiff_t point, const float* x, const float* y, const ptrdiff_t* row,
                             const ptrdiff_t* column, int64_t n) {
  for (int64_t t = 0; t < n; t += kLanes) {
    const uint32_t mask = first_lanes(n - t);
    float* to = v + t;
    Vec second[16] = {};
    if (y) winograd_points(y + t, row, column, [&](int p, Vec value) { second[p] = value; });
    winograd_points(x + t, row, column, [&](int p, Vec value) {
      const Vec words = words_of(value, second[p]);
      if (n - t >= kLanes)
        store(to + p * point, words);
      else
        store_masked(to + p * point, mask, words);
    });
  }
}

// As fma_peak, of products of words.
double word_peak(int64_t rounds, float* sink) {
  constexpr int kChains = 12;
  Vec sum[kChains] = {};
  const Vec one = (Vec)_mm512_set1_epi32(0x3f803f80);  // words of two ones
  for (int64_t n = 0; n < rounds; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) {
      multiply_add(sum[i], one[0], one);
      asm volatile("" : "+v"(sum[i]));  // the loop must run as written
    }
  }
#pragma GCC unroll 12
  for (int i = 1; i < kChains; ++i) sum[0] += sum[i];
  *sink = sum[0][0];
  return double(rounds) * kChains * kLanes * 4;
}

constexpr KernelTable make_table_of_pairs(const char* name) {
  KernelTable table = make_table(name);
  table.round_pairs = round_pairs;
  table.round_pairs_of = round_pairs_of;
  table.winograd_input = winograd_input_of_pairs;
  table.fma_peak = word_peak;
  return table;
}

}  // namespace

const KernelTable kernels_avx512_bf16 = make_table_of_pairs("avx512_bf16");

}  // namespace advf::cpu
