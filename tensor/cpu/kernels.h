// The vector kernels of one instruction set, as a table of plain functions. Each set is compiled in a
// translation unit of its own (kernels_<isa>.cpp), which may include nothing that has inline functions of
// external linkage: the linker would be free to keep the copy that only some machines can run.
#pragma once
#include <cstddef>
#include <cstdint>

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

constexpr int kMaxVectors = 4;  // vectors side by side in one GEMM tile

struct KernelTable {
  const char* name;
  int lanes;          // floats in a vector
  int max_rows;       // of a GEMM tile two vectors wide
  int max_rows_wide;  // of a GEMM tile four vectors wide

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
  // Rows of a tile (each src_stride long) to dst + r * dst_stride, plus row_bias[r] and col_bias[j], where
  // given.
  void (*store_rows)(float* dst, ptrdiff_t dst_stride, int element_stride, const float* src,
                     ptrdiff_t src_stride, int rows, const StoreRun* runs, int num_runs,
                     const float* row_bias, const float* col_bias);
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
  // Multiply-adds in registers only, to measure what the machine can do; returns the floating point
  // operations.
  double (*fma_peak)(int64_t rounds, float* sink);
};

extern const KernelTable kernels_avx2, kernels_avx512;

// The best table that this machine runs, or null: the reference backend's kernels then serve. The environment
// variable ADVF_CPU_ISA (avx512, avx2 or reference) lowers the choice; asking for more than there is throws.
const KernelTable* kernels();
// A table by name, null where the machine cannot run it or there is none; for tests.
const KernelTable* kernels_named(const char* name);
// Makes kernels() return this table from now on (null: the reference). Ops that are bound already keep
// theirs.
void set_kernels(const KernelTable* table);

}  // namespace advf::cpu
