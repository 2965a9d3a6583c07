// The one GEMM driver: c(M,N) = a(M,K) b(K,N). `a` is packed whole, in row panels, before the tiles start (or
// at bind, for constants); panels of `b` are made where they are needed, in cache, by whatever packer the op
// brings, so convolutions need no im2col buffer. Blocks depend on the shape alone: same bits at any thread
// count.
#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "tensor/cpu/kernels.h"
#include "tensor/parallel.h"

namespace advf::cpu {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// [0, total) in `parts` pieces whose sizes differ by at most one.
struct Split {
  int64_t total = 0, parts = 1;
  static Split at_most(int64_t total, int64_t piece) {
    return {total, std::max<int64_t>(1, ceil_div(total, piece))};
  }
  int64_t begin(int64_t i) const { return total * i / parts; }
  int64_t size(int64_t i) const { return begin(i + 1) - begin(i); }
  int64_t largest() const { return ceil_div(total, parts); }
};

// How many scratch areas a bound op brings: one for each thread that may work on it at a time.
int lane_count();

// Calls body(tile, lane) for every tile once; no two calls with one lane run at the same time.
template <class Body>
void for_each_tile(int lanes, int64_t tiles, const Body& body) {
  std::atomic<int64_t> next{0};
  parallel_for(std::min<int64_t>(lanes, tiles), [&](int64_t lane) {
    for (int64_t t; (t = next.fetch_add(1, std::memory_order_relaxed)) < tiles;) body(t, lane);
  });
}

// Hands out 64-byte aligned parts of a scratch area; with a null base it only measures.
class Arena {
 public:
  explicit Arena(void* base) : base_(static_cast<std::byte*>(base)) {}
  template <class T>
  T* take(int64_t count) {
    T* p = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += (size_t(count) * sizeof(T) + 63) / 64 * 64;
    return p;
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

class Gemm {
 public:
  // `siblings`: how many GEMMs of this shape run side by side (groups, phases), which the tiles take into
  // account.
  Gemm(const KernelTable& kernels, int64_t m, int64_t n, int64_t k, int64_t siblings);

  int64_t m() const { return rows_.total; }
  int64_t n() const { return n_; }
  int64_t k() const { return depth_.total; }
  int vectors() const { return vectors_; }
  int64_t width() const { return width_; }  // columns of a panel of b
  int64_t tiles() const { return row_tiles_.parts * column_tiles_.parts; }
  int64_t column_panels() const { return ceil_div(n_, width_); }
  int64_t packed_a() const { return m() * k(); }  // floats
  int64_t lane_floats() const { return depth_.largest() * width_ + c_floats_; }

  // b packed whole, for constants: panels of a depth block side by side.
  int64_t packed_b() const { return column_panels() * width_ * k(); }  // floats
  int64_t b_blocks() const { return column_panels() * depth_.parts; }
  int64_t packed_b_at(int64_t column, int64_t k_begin, int64_t k_end) const {
    return k_begin * column_panels() * width_ + column / width_ * width_ * (k_end - k_begin);
  }
  template <class PackB>
  void pack_b_block(int64_t block, float* packed, const PackB& pack) const {
    const int64_t column = block % column_panels() * width_, kb = block / column_panels();
    const int64_t k0 = depth_.begin(kb), k1 = depth_.begin(kb + 1);
    pack(packed + packed_b_at(column, k0, k1), column, k0, k1);
  }

  // Packs a: pack(dst, row, rows, k_begin, k_end) writes dst[(k - k_begin) * rows + r].
  int64_t a_blocks() const { return rows_.parts * depth_.parts; }
  template <class PackA>
  void pack_a_block(int64_t block, float* packed, const PackA& pack) const {
    const int64_t i = block % rows_.parts, kb = block / rows_.parts, k0 = depth_.begin(kb);
    pack(packed + m() * k0 + rows_.begin(i) * depth_.size(kb), rows_.begin(i), rows_.size(i), k0,
         depth_.begin(kb + 1));
  }

  // One tile: panel_of(dst, column, k_begin, k_end) returns a panel of b, rows of width() floats (columns
  // past n() too, any value), which it may write to dst; store(c, row, rows, column) takes a dense rows x
  // width() block.
  template <class PanelOf, class Store>
  void run_tile(int64_t tile, const float* packed_a, float* lane, const PanelOf& panel_of,
                const Store& store) const {
    const int64_t rt = tile % row_tiles_.parts, ct = tile / row_tiles_.parts;
    const int64_t i_begin = row_tiles_.begin(rt), i_end = row_tiles_.begin(rt + 1);
    const int64_t row0 = rows_.begin(i_begin), rows = rows_.begin(i_end) - row0;
    float* c_block = lane + depth_.largest() * width_;
    for (int64_t kb = 0; kb < depth_.parts; ++kb) {
      const int64_t k0 = depth_.begin(kb), k1 = depth_.begin(kb + 1);
      for (int64_t j = column_tiles_.begin(ct); j < column_tiles_.begin(ct + 1); ++j) {
        float* c = depth_.parts == 1 ? c_block : c_block + (j - column_tiles_.begin(ct)) * rows * width_;
        const float* panel = panel_of(lane, j * width_, k0, k1);
        for (int64_t i = i_begin; i < i_end; ++i)
          kernels_->gemm_tile(int(rows_.size(i)), vectors_, int(k1 - k0),
                              packed_a + m() * k0 + rows_.begin(i) * (k1 - k0), panel, k_offset_.data(),
                              v_offset_, c + (rows_.begin(i) - row0) * width_, kb > 0);
        if (kb + 1 == depth_.parts) store(c, row0, rows, j * width_);
      }
    }
  }

 private:
  const KernelTable* kernels_;
  int64_t n_;
  int vectors_;
  int64_t width_;
  Split rows_, depth_;              // row panels, depth blocks
  Split row_tiles_, column_tiles_;  // of row panels, of column panels
  int64_t c_floats_;
  int32_t v_offset_[kMaxVectors];
  std::vector<int32_t> k_offset_;
};

}  // namespace advf::cpu
