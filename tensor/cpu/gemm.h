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
  // account; keep: compute_tile will be used.
  Gemm(const KernelTable& kernels, int64_t m, int64_t n, int64_t k, int64_t siblings, bool keep = false);

  // Panels of b are not packed: their rows lie `stride` floats apart.
  void set_panel_stride(int64_t stride) {
    for (size_t i = 0; i < k_offset_.size(); ++i) k_offset_[i] = int32_t(int64_t(i) * stride);
  }

  int64_t m() const { return rows_.total; }
  int64_t n() const { return n_; }
  int64_t k() const { return depth_.total; }
  int64_t largest_depth() const { return depth_.largest(); }  // of a panel
  int vectors() const { return vectors_; }
  int64_t width() const { return width_; }  // columns of a panel of b
  int64_t tiles() const { return row_tiles_.parts * column_tiles_.parts; }
  struct Rows {
    int64_t first, count;
  };
  Rows rows_of(int64_t tile) const {
    const Block t = block_of(tile);
    return {t.row, t.rows};
  }
  int64_t column_panels() const { return ceil_div(n_, width_); }
  int64_t packed_a() const { return m() * k(); }  // floats
  int64_t panel_floats() const { return panels_ * depth_.largest() * width_; }
  int64_t lane_floats() const { return panel_floats() + c_floats(); }
  int64_t c_floats() const { return most_rows_ * width_ * c_columns_; }

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
    if (panels_ > 1) return run_short_tile(tile, packed_a, lane, panel_of, store);
    const Block t = block_of(tile);
    float* c = lane + panel_floats();
    compute_tile(tile, packed_a, lane, c, panel_of,
                 [&](int64_t j, const float* c_of_column) { store(c_of_column, t.row, t.rows, j * width_); });
  }

  // The same, but every column's block stays in c, c_floats() floats: rows x width() of each column of the
  // tile, one after the other; done(column panel, its block) is called when it is complete. For ops that
  // store two tiles together.
  template <class PanelOf, class Done>
  void compute_tile(int64_t tile, const float* packed_a, float* panel_area, float* c, const PanelOf& panel_of,
                    const Done& done) const {
    const Block t = block_of(tile);
    for (int64_t kb = 0; kb < depth_.parts; ++kb) {
      const int64_t k0 = depth_.begin(kb), k1 = depth_.begin(kb + 1);
      for (int64_t j = t.j_begin; j < t.j_end; ++j) {
        float* block = c + (c_columns_ > 1 ? j - t.j_begin : 0) * t.rows * width_;
        const float* panel = panel_of(panel_area, j * width_, k0, k1);
        for (int64_t i = t.i_begin; i < t.i_end; ++i)
          multiply(i, k0, k1, packed_a, panel, block + (rows_.begin(i) - t.row) * width_, kb > 0);
        if (kb + 1 == depth_.parts) done(j, block);
      }
    }
  }

 private:
  struct Block {
    int64_t i_begin, i_end, row, rows, j_begin, j_end;
  };
  Block block_of(int64_t tile) const {
    const int64_t rt = tile % row_tiles_.parts, ct = tile / row_tiles_.parts;
    const int64_t i_begin = row_tiles_.begin(rt), i_end = row_tiles_.begin(rt + 1);
    return {i_begin,
            i_end,
            rows_.begin(i_begin),
            rows_.begin(i_end) - rows_.begin(i_begin),
            column_tiles_.begin(ct),
            column_tiles_.begin(ct + 1)};
  }
  void multiply(int64_t i, int64_t k0, int64_t k1, const float* packed_a, const float* panel, float* c,
                bool accumulate) const {
    kernels_->gemm_tile(int(rows_.size(i)), vectors_, int(k1 - k0),
                        packed_a + m() * k0 + rows_.begin(i) * (k1 - k0), panel, k_offset_.data(), v_offset_,
                        c, accumulate);
  }

  // Little depth: all panels of the tile are packed first, then each panel of a meets them one after the
  // other, so that a row of c is written in one long piece.
  template <class PanelOf, class Store>
  void run_short_tile(int64_t tile, const float* packed_a, float* lane, const PanelOf& panel_of,
                      const Store& store) const {
    const Block t = block_of(tile);
    const float* panels[kMostPanels];
    for (int64_t j = t.j_begin; j < t.j_end; ++j)
      panels[j - t.j_begin] = panel_of(lane + (j - t.j_begin) * k() * width_, j * width_, 0, k());
    float* c = lane + panel_floats();
    for (int64_t i = t.i_begin; i < t.i_end; ++i)
      for (int64_t j = t.j_begin; j < t.j_end; ++j) {
        multiply(i, 0, k(), packed_a, panels[j - t.j_begin], c, false);
        store(c, rows_.begin(i), rows_.size(i), j * width_);
      }
  }
  static constexpr int64_t kMostPanels = 16;

  const KernelTable* kernels_;
  int64_t n_;
  int vectors_;
  int64_t width_;
  Split rows_, depth_;              // row panels, depth blocks
  Split row_tiles_, column_tiles_;  // of row panels, of column panels
  int64_t most_rows_ = 0, c_columns_ = 1,
          panels_ = 1;  // of a tile: rows, blocks of c and panels of b at a time
  int32_t v_offset_[kMaxVectors];
  std::vector<int32_t> k_offset_;
};

}  // namespace advf::cpu
