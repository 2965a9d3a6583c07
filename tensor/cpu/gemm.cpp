#include "tensor/cpu/gemm.h"

#include <thread>

namespace advf::cpu {
namespace {
// A panel of b (32 KiB: depth x two AVX-512 vectors) stays in the first-level cache while the row panels of a
// stream past it from the second; the accumulators of a tile stay in the second.
constexpr int64_t kPanelFloats = 8192;
constexpr int64_t kTileFloats = 48 * 1024;
// All panels of a tile of little depth: in the second-level cache.
constexpr int64_t kShortTileFloats = 32 * 1024;
constexpr int64_t kWantedTiles =
    32;  // enough for a few threads to share evenly; never depends on their number
}  // namespace

int lane_count() { return std::max({1, int(std::thread::hardware_concurrency()), num_threads()}); }

Gemm::Gemm(const KernelTable& kernels, int64_t m, int64_t n, int64_t k, int64_t siblings, bool keep)
    : kernels_(&kernels), n_(n) {
  const bool wide = m <= kernels.max_rows_wide;
  vectors_ = n <= kernels.lanes ? 1 : wide ? 4 : 2;
  width_ = int64_t(vectors_) * kernels.lanes;
  rows_ = Split::at_most(m, kernels.max_rows);
  depth_ = Split::at_most(k, kPanelFloats / width_);
  const int64_t panels = ceil_div(n, width_);
  const int64_t row_parts =
      std::clamp<int64_t>(kWantedTiles / 2 / std::max<int64_t>(1, panels * siblings), 1, rows_.parts);
  row_tiles_ = {rows_.parts, row_parts};
  for (int64_t i = 0; i < row_parts; ++i)
    most_rows_ =
        std::max(most_rows_, rows_.begin(row_tiles_.begin(i + 1)) - rows_.begin(row_tiles_.begin(i)));
  int64_t per_tile = std::max<int64_t>(1, panels * siblings * row_parts / kWantedTiles);
  const bool whole = keep || depth_.parts > 1;
  if (whole)
    per_tile = std::min(per_tile, std::max<int64_t>(1, kTileFloats / (most_rows_ * width_)));
  else
    per_tile = std::min(
        per_tile, std::clamp<int64_t>(kShortTileFloats / std::max<int64_t>(1, k * width_), 1, kMostPanels));
  column_tiles_ = Split::at_most(panels, per_tile);
  (whole ? c_columns_ : panels_) = column_tiles_.largest();
  for (int v = 0; v < kMaxVectors; ++v) v_offset_[v] = v * kernels.lanes;
  k_offset_.resize(size_t(depth_.largest()));
  for (size_t i = 0; i < k_offset_.size(); ++i) k_offset_[i] = int32_t(int64_t(i) * width_);
}

}  // namespace advf::cpu
