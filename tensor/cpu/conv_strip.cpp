// conv2d and its adjoint without packing a panel per tap. A tile is a block of output rows of one image. Its
// source rows are copied once, with their margins of zeros, into a strip that stays in the second-level
// cache; columns and rows are split by their remainder modulo the stride. There every tap of every phase is
// the same data at another offset, which the GEMM tile reads as it stands. Output pixels are numbered with
// the pitch of the strip, so a run of them crosses row ends; the few that lie in a margin are computed and
// not stored.
//
// Against packed panels this saves the packing, which costs as much as the products of a few output channels,
// and lets two neighbouring phases of a transposed convolution be stored together, in whole vectors. It pays
// where there are few output channels and rows are long.
#include "tensor/cpu/conv_strip.h"

#include <algorithm>
#include <cstring>

#include "tensor/cpu/packed_conv.h"
#include "tensor/cpu/store.h"

namespace advf::cpu {
namespace {

constexpr int64_t kStripFloats = 96 * 1024;  // 384 KiB, well inside a second-level cache of 1 MiB
constexpr int64_t kWantedTiles = 16;         // enough for a few threads; never depends on their number

// Where the pixels of a block of output rows stand in a strip.
struct StripLayout {
  int64_t stride_y = 1, stride_x = 1, min_y = 0, min_x = 0;  // source = grid * stride + min + tap
  int64_t source_h = 0, source_w = 0, grid_h = 0, grid_w = 0;
  int64_t tap_rows = 0, tap_cols = 0;  // how far taps reach, in rows and columns of the grid
  int64_t pitch = 0, shared = 0;       // columns of zeros that end one row and begin the next
  Split blocks;                        // of grid rows
  int64_t rows = 0, part = 0,
          channel = 0;  // of the strip; floats of one (row, column) remainder; of a channel

  // Null phases have no strip: they must differ in their taps alone.
  static bool make(const std::vector<ConvPhase>& phases, int64_t channels, int64_t images, StripLayout* out);

  int64_t parts() const { return stride_y * stride_x; }
  int64_t offset(int64_t tap_y, int64_t tap_x) const {
    const int64_t y = tap_y - min_y, x = tap_x - min_x;
    return (y % stride_y * stride_x + x % stride_x) * part + y / stride_y * pitch + x / stride_x;
  }
  int64_t first_row(int64_t block) const { return blocks.begin(block); }
  int64_t positions(int64_t block) const { return (blocks.size(block) - 1) * pitch + grid_w; }
  // Vectors that a block computes, over the fewest that its pixels would take.
  double waste(int lanes) const {
    const int64_t largest = (blocks.largest() - 1) * pitch + grid_w;
    return double(ceil_div(largest, lanes) * lanes) / double(blocks.largest() * grid_w);
  }
};

bool StripLayout::make(const std::vector<ConvPhase>& phases, int64_t channels, int64_t images,
                       StripLayout* out) {
  StripLayout s;
  const PixelSource& first = phases[0].source;
  s.stride_y = first.stride_y, s.stride_x = first.stride_x;
  s.source_h = first.height, s.source_w = first.width;
  s.grid_h = first.grid_h, s.grid_w = first.grid_w;
  int64_t max_y = INT32_MIN, max_x = INT32_MIN;
  s.min_y = s.min_x = INT32_MAX;
  for (const ConvPhase& p : phases) {
    if (p.source.grid_h != s.grid_h || p.source.grid_w != s.grid_w || p.source.taps() == 0) return false;
    for (int64_t y : p.source.tap_y) s.min_y = std::min(s.min_y, y), max_y = std::max(max_y, y);
    for (int64_t x : p.source.tap_x) s.min_x = std::min(s.min_x, x), max_x = std::max(max_x, x);
  }
  s.tap_rows = (max_y - s.min_y) / s.stride_y;
  s.tap_cols = (max_x - s.min_x) / s.stride_x;
  // Columns that are zero for every remainder at a row's begin and at its end.
  const int64_t columns = s.grid_w + s.tap_cols;
  const int64_t left = std::max<int64_t>(0, -(s.stride_x - 1 + s.min_x) + s.stride_x - 1) / s.stride_x;
  const int64_t right = columns - std::min(columns, ceil_div(s.source_w - s.min_x, s.stride_x));
  s.shared = std::clamp<int64_t>(std::min(left, right), 0, s.tap_cols);
  s.pitch = columns - s.shared;
  const int64_t row_floats = channels * s.parts() * s.pitch;
  const int64_t rows = kStripFloats / row_floats - s.tap_rows;
  if (rows < 1) return false;
  const int64_t wanted = std::min(s.grid_h, ceil_div(kWantedTiles, images));
  s.blocks = {s.grid_h, std::max(ceil_div(s.grid_h, rows), wanted)};
  s.rows = s.blocks.largest() + s.tap_rows;
  s.part = s.rows * s.pitch + s.shared;
  // An odd number of cache lines, or all channels would compete for the same places of the cache.
  s.channel = (ceil_div(s.parts() * s.part, 16) | 1) * 16;
  *out = s;
  return true;
}

class StripConvOp : public PackedConv {
 public:
  StripConvOp(const BindArgs& args, const ConvWeights& weights, int64_t groups,
              const std::vector<ConvPhase>& phases, const StripLayout& layout)
      : kernels_(args.kernels), weights_(weights), epilogue_(args.call), layout_(layout), groups_(groups) {
    const Shape &x = args.call.in[0].shape, &y = args.call.out[0].shape;
    images_ = x[0];
    out_plane_ = y[2] * y[3];
    wide_ = weights.out <= kernels_.max_rows_wide;
    rows_ = Split::at_most(weights.out, wide_ ? kernels_.max_rows_wide : kernels_.max_rows);
    row_stride_ = phases[0].target.row_stride;
    element_stride_ = phases[0].target.element_stride;
    for (const ConvPhase& p : phases) {
      phases_.push_back({{}, p.kernel_tap, p.target.base, per_group_, 1});
      per_group_ += weights.in_elements * weights.out * p.source.taps();
      for (int64_t c = 0; c < weights.in_elements; ++c)
        for (int t = 0; t < p.source.taps(); ++t)
          phases_.back().k_offset.push_back(int32_t(
              c * layout.channel + layout.offset(p.source.tap_y[size_t(t)], p.source.tap_x[size_t(t)])));
    }
    for (size_t i = 0; i + 1 < phases.size(); ++i)
      if (alternate(phases[i], phases[i + 1], y[3])) phases_[i++].together = 2;
    for (int v = 0; v < kMaxVectors; ++v) v_offset_[v] = v * kernels_.lanes;
    Arena lane(nullptr);
    take_lane(lane);
    round_source(args, weights);
    finish(args, per_group_ * groups_, lane.used());
  }

 private:
  void multiply(std::span<const View> in, std::span<const View> out, const float* packed, float*,
                const Lanes& lanes) const override {
    lanes.for_each(images_ * groups_ * layout_.blocks.parts, [&](int64_t tile, Arena area) {
      const Lane l = take_lane(area);
      const int64_t block = tile % layout_.blocks.parts, plane = tile / layout_.blocks.parts;
      const int64_t group = plane % groups_;
      fill(in[0].as<const float>() + plane * weights_.in_elements * layout_.source_h * layout_.source_w,
           block, l.strip);
      for (int64_t p = 0; p < layout_.positions(block);)
        p += run_panel(in, out, packed + group * per_group_, plane, block, p, l);
    });
  }

  struct Phase {
    std::vector<int32_t> k_offset;
    std::vector<int> kernel_tap;
    int64_t base, packed;
    int together;  // with the next phase, or alone
  };
  struct Lane {
    float *strip, *even, *odd;
    StoreRun* runs;
  };
  int64_t max_width() const { return kMaxVectors * kernels_.lanes; }
  Lane take_lane(Arena& arena) const {
    // A panel at the end of the last channel reads past its last position.
    return {arena.take<float>(weights_.in_elements * layout_.channel + max_width()),
            arena.take<float>(rows_.largest() * max_width()),
            arena.take<float>(rows_.largest() * max_width()), arena.take<StoreRun>(max_width())};
  }

  // The source rows of a block, all channels of a group; outside of the image is zero.
  void fill(const float* x, int64_t block, float* strip) const {
    const StripLayout& s = layout_;
    const int64_t top = s.first_row(block) * s.stride_y + s.min_y;
    for (int64_t c = 0; c < weights_.in_elements; ++c, x += s.source_h * s.source_w) {
      float* channel = strip + c * s.channel;
      for (int64_t py = 0; py < s.stride_y; ++py)
        for (int64_t px = 0; px < s.stride_x; ++px) {
          float* part = channel + (py * s.stride_x + px) * s.part;
          // Columns [low, high) of a row come from the image.
          const int64_t left = px + s.min_x;
          const int64_t low = std::clamp<int64_t>(left < 0 ? ceil_div(-left, s.stride_x) : 0, 0, s.pitch);
          const int64_t high = std::clamp<int64_t>(
              left < s.source_w ? ceil_div(s.source_w - left, s.stride_x) : 0, low, s.pitch);
          for (int64_t q = 0; q < s.rows; ++q, part += s.pitch) {
            const int64_t y = top + q * s.stride_y + py;
            if (y < 0 || y >= s.source_h) {
              std::memset(part, 0, size_t(s.pitch) * sizeof(float));
              continue;
            }
            std::fill(part, part + low, 0.0f);
            kernels_.copy_strided(part + low, x + y * s.source_w + left + low * s.stride_x, high - low,
                                  int(s.stride_x));
            std::fill(part + high, part + s.pitch, 0.0f);
          }
          std::fill(part, part + s.shared, 0.0f);
        }
      std::fill(channel + s.parts() * s.part, channel + s.channel, 0.0f);
    }
    std::fill(strip + weights_.in_elements * s.channel,
              strip + weights_.in_elements * s.channel + max_width(), 0.0f);
  }

  // All phases and rows of the panel at position p; returns how wide it was.
  int64_t run_panel(std::span<const View> in, std::span<const View> out, const float* packed, int64_t plane,
                    int64_t block, int64_t p, const Lane& l) const {
    const StripLayout& s = layout_;
    const int64_t left = s.positions(block) - p;
    const int vectors = left <= kernels_.lanes ? 1 : left <= 2 * kernels_.lanes || !wide_ ? 2 : 4;
    const int64_t width = vectors * kernels_.lanes, rest = std::min(width, left);
    // The pieces of rows in the panel, without the margins between them.
    int runs = 0;
    for (int64_t at = p; at < p + rest;) {
      const int64_t y = at / s.pitch, x = at % s.pitch;
      const int64_t count = std::min(s.grid_w - x, p + rest - at);
      if (count > 0)
        l.runs[runs++] = {(s.first_row(block) + y) * row_stride_ + x * element_stride_, int32_t(at - p),
                          int32_t(count)};
      at += std::min(s.pitch - x, p + rest - at);
    }
    StoreArgs store;
    store.src = l.even, store.src_stride = width;
    store.runs = l.runs, store.num_runs = runs;
    store.dst_stride = out_plane_, store.element_stride = element_stride_;
    const int64_t first_channel = plane % groups_ * weights_.out;
    for (size_t i = 0; i < phases_.size(); i += size_t(phases_[i].together))
      for (int64_t r = 0; r < rows_.parts; ++r) {
        const int64_t row = rows_.begin(r), rows = rows_.size(r);
        for (int t = 0; t < phases_[i].together; ++t) {
          const Phase& phase = phases_[i + size_t(t)];
          const int depth = int(phase.k_offset.size());
          kernels_.gemm_tile(int(rows), vectors, depth, packed + phase.packed + row * depth, l.strip + p,
                             phase.k_offset.data(), v_offset_, t == 0 ? l.even : l.odd, false);
        }
        store.odd = phases_[i].together == 2 ? l.odd : nullptr;
        store.rows = int(rows);
        epilogue_.point(store, in, out, (plane * weights_.out + row) * out_plane_ + phases_[i].base,
                        first_channel + row);
        kernels_.store_rows(store);
      }
    return width;
  }

  void pack(const float* weight, float* packed) const override {
    parallel_for(groups_ * rows_.parts, [&](int64_t task) {
      const int64_t group = task / rows_.parts, r = task % rows_.parts;
      for (const Phase& p : phases_) {
        const int64_t depth = int64_t(p.k_offset.size());
        weights_.pack(kernels_, packed + group * per_group_ + p.packed + rows_.begin(r) * depth,
                      rows_.size(r), weight + group * weights_.floats(), p.kernel_tap, rows_.begin(r),
                      rows_.size(r), 0, depth);
      }
    });
  }

  const KernelTable& kernels_;
  ConvWeights weights_;
  StoreEpilogue epilogue_;
  StripLayout layout_;
  int64_t groups_, images_ = 0, out_plane_ = 0, row_stride_ = 0;
  int element_stride_ = 1;
  int32_t v_offset_[kMaxVectors];
  bool wide_ = false;
  Split rows_;
  std::vector<Phase> phases_;
  int64_t per_group_ = 0;  // floats of a group's packed weights
};

// What both ways cost beside the products, per step of depth and vector of output pixels, in products of one
// output channel. Measured on AVX-512; it only has to find the better of two.
bool strip_pays(const ConvWeights& weights, const std::vector<ConvPhase>& phases, const StripLayout& s,
                int lanes) {
  int64_t taps = 0;
  for (const ConvPhase& p : phases) taps += p.source.taps();
  if (taps == int64_t(phases.size()) * s.parts()) return false;  // nothing is read twice
  const double out = double(weights.out);
  const double depth = double(weights.in_elements * taps) / double(phases.size());
  const double packing = s.stride_x == 1 ? 6 : 12;
  const double apart = phases[0].target.element_stride > 1 ? 40 * out / depth : 0;
  const double copying = 4.0 * double(s.parts()) * double(s.rows) / double(s.blocks.largest()) / double(taps);
  return out * s.waste(lanes) + copying < out + packing + apart;
}

}  // namespace

std::unique_ptr<BoundOp> make_strip_conv(const BindArgs& args, const ConvWeights& weights, int64_t groups,
                                         const std::vector<ConvPhase>& phases) {
  StripLayout layout;
  if (!StripLayout::make(phases, weights.in_elements, args.call.in[0].shape[0], &layout)) return nullptr;
  if (!strip_pays(weights, phases, layout, args.kernels.lanes)) return nullptr;
  return std::make_unique<StripConvOp>(args, weights, groups, phases, layout);
}

}  // namespace advf::cpu
