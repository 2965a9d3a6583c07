// The vector kernels of one instruction set, as a table of plain functions. Each set is compiled in a
// translation unit of its own (kernels_<isa>.cpp), which may include nothing that has inline functions of
// external linkage: the linker would be free to keep the copy that only some machines can run.
#pragma once
#include <cstddef>
#include <cstdint>

#include "tensor/activation.h"

namespace advf::cpu {

// One masked load of a packed vector: lanes of `mask` come from plane[offset + lane * x_stride].
struct PixelChunk {
  int64_t offset;
  uint32_t mask;
};

// Where a run of a computed row goes: elements [begin, begin + count) to dst[offset + i * stride].
struct StoreRun {
  int64_t offset;
  int32_t begin, count;
};

// A computed tile on its way to memory. Element j of row r is src[r * src_stride + j]; it becomes
//   activation(src + row_bias[r] + col_bias[j] + residual)
// and goes to dst + r * dst_stride + (the run's offset) + (j - begin) * element_stride; residual and kept are
// laid out as dst. With `odd`, a second tile of the same shape whose elements go between those of the first
// (element_stride 2), runs become contiguous.
struct StoreArgs {
  float* dst = nullptr;
  ptrdiff_t dst_stride = 0;
  int element_stride = 1;
  const float *src = nullptr, *odd = nullptr;
  ptrdiff_t src_stride = 0;
  int rows = 0;
  const StoreRun* runs = nullptr;
  int num_runs = 0;
  const float *row_bias = nullptr, *col_bias = nullptr, *residual = nullptr;
  Activation activation = Activation::none;
  float slope = 0;                   // leaky_relu, leaky_relu_grad
  const float* row_slope = nullptr;  // prelu: of row r at r * row_slope_step
  int row_slope_step = 1;
  const float* kept = nullptr;  // the gradients: the element counts where this is positive
};

// A plane of a depthwise 3x3 convolution with stride 1: output (y, x) sums weight[3 i + j] times source (y -
// top + i, x - left + j); outside of the source is zero. `store` is told where the output's plane lies and
// what happens to its values.
struct Depthwise3x3 {
  const float* source = nullptr;
  int64_t height = 0, width = 0, out_height = 0, out_width = 0, top = 0, left = 0;
  float weight[9] = {};
  StoreArgs store;
};

constexpr int kMaxVectors = 4;  // vectors side by side in one GEMM tile

// Element-wise loops over n elements; the output may be an input, element for element. a and b are the op's
// two numbers. In Map2, an input that does not move is one value, used for all elements.
using Map1 = void (*)(float* y, const float* x, int64_t n, double a, double b);
using Map2 = void (*)(float* y, const float* x, bool x_moves, const float* z, bool z_moves, int64_t n,
                      double a, double b);

// The ops that are such a loop and the formula (scalar_math.h) of each; those without are written by hand.
// clang-format off
#define ADVF_CPU_FORMULAS1(op)                                                                              \
  op(affine, (scalar::Affine{a, b})) op(abs, scalar::Abs{}) op(sign, scalar::Sign{}) \
  op(clamp, (scalar::Clamp{a, b})) op(relu, scalar::Relu{}) op(leaky_relu, scalar::LeakyRelu{a})
#define ADVF_CPU_HAND_WRITTEN1(op) op(power) op(exp) op(log) op(sigmoid) op(tanh) op(erf)
#define ADVF_CPU_FORMULAS2(op)                                                                              \
  op(add, scalar::Add{}) op(sub, scalar::Sub{}) op(mul, scalar::Mul{}) op(div, scalar::Div{})               \
  op(clamp_grad, (scalar::ClampGrad{a, b})) op(relu_grad, scalar::ReluGrad{})                               \
  op(leaky_relu_grad, scalar::LeakyReluGrad{a}) op(sigmoid_grad, scalar::SigmoidGrad{})                     \
  op(tanh_grad, scalar::TanhGrad{}) op(pgd_step, (scalar::PgdStep{a, b})) op(prelu, scalar::Prelu{})
// clang-format on

struct ElementwiseTable {
#define ADVF_MAP1(name, ...) Map1 name;
#define ADVF_MAP2(name, ...) Map2 name;
  ADVF_CPU_FORMULAS1(ADVF_MAP1)
  ADVF_CPU_HAND_WRITTEN1(ADVF_MAP1)
  ADVF_CPU_FORMULAS2(ADVF_MAP2)
#undef ADVF_MAP1
#undef ADVF_MAP2
  // Steps (tensor/ops/steps.cpp has the formulas and the fields of `hyper`).
  void (*sgd)(float* new_p, float* new_buffer, const float* p, const float* g, const float* buffer,
              const float* hyper, int64_t n);
  void (*adam)(float* new_p, float* new_m, float* new_v, const float* p, const float* g, const float* m,
               const float* v, const float* hyper, int64_t n);
  // The sum of x g where x is not positive; as `sum` below.
  double (*dot_not_positive)(const float* x, const float* g, int64_t n);
  // y[i] = w0[i] x[first[i]] + w1[i] x[second[i]]
  void (*mix_columns)(float* y, const float* x, const int32_t* first, const int32_t* second, const float* w0,
                      const float* w1, int64_t n);
  // Of n numbers; what is no number is passed over, and of none it is -infinity.
  float (*largest)(const float* x, int64_t n);
  // For i in [begin, end): y[i] = the largest of x[i * stride + offset[t]] over t < taps, place[i] the index
  // in x of the first that is this large.
  void (*max_pool)(float* y, int32_t* place, const float* x, int64_t begin, int64_t end,
                   const int32_t* offset, int taps, int stride);
};

struct KernelTable {
  const char* name;
  int lanes;          // floats in a vector
  int max_rows;       // of a GEMM tile two vectors wide
  int max_rows_wide;  // of a GEMM tile four vectors wide

  // Whether an element of the GEMM tile's a and b is a word of two bf16, numbers 2k (the lower half) and 2k +
  // 1 of the depth, in place of a float. What only moves elements moves words as well.
  bool pairs() const { return round_pairs != nullptr; }

  // The GEMM tile. c[r][j] (+)= sum_k a[k * rows + r] * b[k_offset[k] + v_offset[j / lanes] + j % lanes] for
  // j < vectors * lanes; vectors is 1, 2 or 4. c is dense, rows x (vectors * lanes).
  void (*gemm_tile)(int rows, int vectors, int depth, const float* a, const float* b, const int32_t* k_offset,
                    const int32_t* v_offset, float* c, bool accumulate);
  // dst[j * dst_stride + i] = src[i * src_stride + j] for i < rows, j < cols.
  void (*transpose)(float* dst, ptrdiff_t dst_stride, const float* src, ptrdiff_t src_stride, int64_t rows,
                    int64_t cols);
  // Rows [k_begin, k_end) of a pixel panel, `vectors` wide: row k is channel k / taps shifted by tap k %
  // taps. Vector v of tap t is the union of the chunks [t][v][0..pieces).
  void (*pack_pixels)(float* dst, int vectors, const float* src, int64_t plane, int64_t k_begin,
                      int64_t k_end, int taps, const PixelChunk* chunks, int pieces, int x_stride);
  void (*store_rows)(const StoreArgs& args);
  // dst[i] = src[i * stride]
  void (*copy_strided)(float* dst, const float* src, int64_t n, int stride);
  // dst[q * part + u] = src[u * ways + q] for u < n, whole vectors at a time; ways is 1, 2, 3, 4 or 6.
  void (*split_columns)(float* dst, ptrdiff_t part, const float* src, int64_t n, int ways);
  // Floats to words, rounded to nearest even: word i is (x[2i], x[2i + 1]), of n floats, or (x[i], y[i]) for
  // i < n. A number that is not there (the last of an odd n, all of a null y) is 0. Null where the tile takes
  // floats.
  void (*round_pairs)(float* words, const float* x, int64_t n);
  void (*round_pairs_of)(float* words, const float* x, const float* y, int64_t n);
  // The transforms of conv_winograd.cpp; see winograd_body.inc. Where the tile takes words, y is the second
  // of their channels, or null, else it is not looked at.
  void (*winograd_input)(float* v, ptrdiff_t point, const float* x, const float* y, const ptrdiff_t* row,
                         const ptrdiff_t* column, int64_t n);
  void (*winograd_output)(int m, float* z, ptrdiff_t z_row, ptrdiff_t z_line, const float* r, ptrdiff_t point,
                          int rows, int vectors);
  void (*depthwise3x3)(const Depthwise3x3& args);
  // Sums: f32 over short blocks, f64 over the blocks. dot is the sum of (a - a_shift)(b - b_shift).
  double (*sum)(const float* x, int64_t n);
  double (*dot)(const float* a, float a_shift, const float* b, float b_shift, int64_t n);
  // y = (x - shift) scale + offset;  y = a_scale a + b_scale (b - b_shift) + offset. y may be an input.
  void (*scale_shift)(float* y, const float* x, float shift, float scale, float offset, int64_t n);
  void (*combine)(float* y, const float* a, float a_scale, const float* b, float b_shift, float b_scale,
                  float offset, int64_t n);
  // out[t] = sum over positions i and lanes j < g_runs[i].count of
  // g[g_runs[i].offset + j] * plane[position[i] + tap_offset[t] + j].
  void (*correlate)(double* out, const float* g, const StoreRun* g_runs, const int32_t* position,
                    int positions, const float* plane, const int32_t* tap_offset, int taps);
  ElementwiseTable maps;
  // Multiply-adds in registers only, to measure what the machine can do; returns the floating point
  // operations.
  double (*fma_peak)(int64_t rounds, float* sink);
};

extern const KernelTable kernels_avx2, kernels_avx512, kernels_avx512_bf16;

// The best table that this machine runs, or null: the reference backend's kernels then serve. The environment
// variable ADVF_CPU_ISA (avx512, avx2 or reference) lowers the choice; asking for more than there is throws.
const KernelTable* kernels();
// The table for products of bf16 beside kernels(), which has the rest; null where the machine lacks
// AVX512_BF16 or kernels() are not those of AVX-512.
const KernelTable* bf16_kernels();
// A table by name, null where the machine cannot run it or there is none; for tests.
const KernelTable* kernels_named(const char* name);
// Makes kernels() return this table from now on (null: the reference). Ops that are bound already keep
// theirs.
void set_kernels(const KernelTable* table);

}  // namespace advf::cpu
