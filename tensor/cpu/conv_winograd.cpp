// Convolutions of 3x3 or 2x2 taps by Winograd's minimal filtering on the points 0, 1, -1 and infinity: a tile
// of m x m outputs, m = 5 - taps, takes 16 products per pair of channels in place of 36. A 3x3 convolution is
// one such; a transposed convolution with kernel 4 and stride 2 is four of 2x2 taps, one per output phase,
// which read the same tiles; kernel 4 with stride 2 is one over four times the channels, one part per
// remainder of row and column.
//
// A task is a run of tile rows and a run of output channels. It splits the source rows by column modulo
// (stride m), so that the pixels of neighbouring tiles lie side by side, transforms them, multiplies with the
// GEMM tile, once for each of the 16 points (rows = output channels, columns = tiles, depth = input channels
// x parts), transforms back and stores with the epilogue of every product. Whole numbers stay exact: the
// weights' transform divides by 2 and 4 alone.
#include "tensor/cpu/conv_winograd.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "tensor/cpu/packed_conv.h"
#include "tensor/cpu/store.h"

namespace advf::cpu {
namespace {

constexpr int64_t kPoints = 16;
constexpr int64_t kInputFloats = 128 * 1024;  // of transformed tiles: half of a second-level cache of 1 MiB
constexpr int64_t kSumFloats = 64 * 1024;     // of products before they are transformed back
constexpr int64_t kWantedTasks = 16;          // enough for a few threads; never depends on their number
constexpr int64_t kLeastTasks = 4;
constexpr double kCheapGroups =
    0.03;                          // so many per output channel: their transforms are a sixth of the products
constexpr int64_t kMostRows = 12;  // of a GEMM tile
constexpr int kMaxPhases = 2;      // of an axis, in or out

// One axis. Tile t holds the source pixels stride (m t + i) + part_at[p], i < 4, for each part p, and makes
// the outputs m t + o + shift[q], o < m, of each output phase q.
struct Axis {
  int64_t taps = 0, m = 0, stride = 1, source = 0, tiles = 0;
  int parts = 1, phases = 1;
  int64_t part_at[kMaxPhases] = {}, shift[kMaxPhases] = {}, first_tap[kMaxPhases] = {}, grid[kMaxPhases] = {};

  int64_t ways() const { return stride * m; }  // neighbouring tiles are this far apart
  // The place of pixel i of part p in tile 0, from that of part 0 on.
  int64_t rel(int p, int64_t i) const { return stride * i + part_at[p] - part_at[0]; }
  // Of phase q and part p: where tap i looks, as the phases name it.
  int64_t tap(int q, int p, int64_t i) const {
    return phases > 1 ? first_tap[q] + i : part_at[p] + stride * i;
  }
};

// The axis of the phases' taps (of each phase, in the order of phases), or nothing.
std::optional<Axis> make_axis(const std::vector<std::vector<int64_t>>& taps, const std::vector<int64_t>& grid,
                              int64_t stride, int64_t source) {
  Axis a;
  a.stride = stride, a.source = source;
  a.phases = int(taps.size());
  if (a.phases > kMaxPhases || stride > kMaxPhases || (a.phases > 1 && stride > 1)) return {};
  int64_t lowest = INT32_MAX;
  for (int q = 0; q < a.phases; ++q) {
    std::vector<int64_t> sorted = taps[size_t(q)];
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    const int64_t n = int64_t(sorted.size());
    if (n == 0 || n % stride != 0 || sorted.back() - sorted.front() != n - 1) return {};
    if (q > 0 && n / stride != a.taps) return {};
    a.taps = n / stride;
    a.first_tap[q] = sorted.front();
    a.grid[q] = grid[size_t(q)];
    lowest = std::min(lowest, sorted.front());
  }
  if (a.taps != 2 && a.taps != 3) return {};
  a.m = 5 - a.taps;
  a.parts = int(stride);
  for (int p = 0; p < a.parts; ++p) a.part_at[p] = lowest + p;
  for (int q = 0; q < a.phases; ++q) {
    a.shift[q] = lowest - a.first_tap[q];
    a.tiles = std::max(a.tiles, ceil_div(a.grid[q] - a.shift[q], a.m));
  }
  return a;
}

// How full the vectors of the input's transform are.
double lane_use(const Axis& x, int lanes) {
  return double(x.tiles) / double(ceil_div(x.tiles, lanes) * lanes);
}

struct Geometry {
  Axis y, x;
  int parts() const { return y.parts * x.parts; }
  int phases() const { return y.phases * x.phases; }
};

std::optional<Geometry> make_geometry(const std::vector<ConvPhase>& phases) {
  const ConvPhase& first = phases[0];
  // The phases are all pairs of a row phase and a column phase, columns first.
  size_t columns = 1;
  while (columns < phases.size() && phases[columns].target.base == phases[0].target.base + int64_t(columns))
    ++columns;
  if (phases.size() % columns != 0) return {};
  std::vector<std::vector<int64_t>> taps_y, taps_x;
  std::vector<int64_t> grid_y, grid_x;
  for (size_t i = 0; i < phases.size(); ++i) {
    const PixelSource& s = phases[i].source;
    if (i % columns == 0) taps_y.push_back(s.tap_y), grid_y.push_back(s.grid_h);
    if (i < columns) taps_x.push_back(s.tap_x), grid_x.push_back(s.grid_w);
  }
  if (columns > 1 && (columns != 2 || first.target.element_stride != 2 || grid_x[0] != grid_x[1])) return {};
  if (columns == 1 && first.target.element_stride != 1) return {};
  const auto y = make_axis(taps_y, grid_y, first.source.stride_y, first.source.height);
  const auto x = make_axis(taps_x, grid_x, first.source.stride_x, first.source.width);
  if (!y || !x || y->taps != x->taps) return {};
  for (const ConvPhase& p : phases)
    if (p.source.taps() != y->taps * x->taps * y->parts * x->parts) return {};
  return Geometry{*y, *x};
}

class WinogradConvOp : public PackedConv {
 public:
  WinogradConvOp(const BindArgs& args, const ConvWeights& weights, const Geometry& geometry,
                 const std::vector<ConvPhase>& phases)
      : kernels_(args.kernels),
        weights_(weights),
        epilogue_(args.call),
        y_(geometry.y),
        x_(geometry.x),
        m_(geometry.y.m),
        parts_(geometry.parts()),
        out_phases_(geometry.phases()),
        depth_(weights.in_elements * parts_),
        images_(args.call.in[0].shape[0]),
        out_w_(args.call.out[0].shape[3]),
        out_plane_(args.call.out[0].shape.numel(2, 4)) {
    find_taps(phases);
    // Rows of tiles to a task: as many as the cache holds and still leave tasks for all, without a last panel
    // that is nearly empty.
    const int64_t width = 2 * kernels_.lanes, all_rows = images_ * y_.tiles;
    const int64_t in_cache = std::max(width, kInputFloats / (kPoints * depth_)) / x_.tiles;
    const int64_t shared = std::max(all_rows / kWantedTasks, width / x_.tiles);
    const int64_t most = std::clamp<int64_t>(std::min(in_cache, shared), 1, all_rows);
    double least = 0;
    for (int64_t rows = 1; rows <= most; ++rows) {
      // A vector by itself takes somewhat more than half of the time of two.
      const Split parts = Split::at_most(all_rows, rows);
      double time = 0;
      for (int64_t i = 0; i < parts.parts; ++i) {
        const int64_t vectors = ceil_div(parts.size(i) * x_.tiles, kernels_.lanes);
        time += double(vectors) + 0.15 * double(vectors % 2);
      }
      if (rows == 1 || time <= least * 1.02) {
        least = rows == 1 ? time : std::min(time, least);
        task_rows_ = rows;
      }
    }
    tile_rows_ = Split::at_most(all_rows, task_rows_);
    columns_ = ceil_div(tile_rows_.largest() * x_.tiles, kernels_.lanes) * kernels_.lanes;
    pitch_ =
        (columns_ / kernels_.lanes | 1) * kernels_.lanes;  // not a power of two, or rows share cache sets
    rows_ = Split::at_most(weights.out, kernels_.max_rows);
    // Another group of rows transforms the tiles once more.
    const int64_t cheap =
        int64_t(kCheapGroups * lane_use(x_, kernels_.lanes) * double(weights.out * out_phases_));
    const int64_t groups = std::min(ceil_div(kWantedTasks, tile_rows_.parts),
                                    std::max(cheap, ceil_div(kLeastTasks, tile_rows_.parts)));
    row_groups_ = {rows_.parts, std::clamp<int64_t>(groups, 1, rows_.parts)};
    for (int64_t k = 0; k < depth_; ++k) k_offset_.push_back(int32_t(k * pitch_));
    for (int v = 0; v < kMaxVectors; ++v) v_offset_[v] = v * kernels_.lanes;
    const int64_t of_panel = kPoints * rows_.largest() * columns_;
    panels_ = std::clamp<int64_t>(kSumFloats / of_panel, 1, row_groups_.largest());
    part_pitch_ = ceil_div(x_.tiles + 4, kernels_.lanes) * kernels_.lanes + kernels_.lanes;
    Arena lane(nullptr);
    take_lane(lane);
    finish(args, packed_floats(), lane.used());
  }

 private:
  void multiply(std::span<const View> in, std::span<const View> out, const float* packed, float*,
                const Lanes& lanes) const override {
    lanes.for_each(tile_rows_.parts * row_groups_.parts, [&](int64_t task, Arena area) {
      const Lane l = take_lane(area);
      const int64_t block = task / row_groups_.parts, group = task % row_groups_.parts;
      const int64_t first = tile_rows_.begin(block), rows = tile_rows_.size(block);
      transform_input(in[0].as<const float>(), first, rows, l);
      for (int64_t i = row_groups_.begin(group); i < row_groups_.begin(group + 1); i += panels_)
        multiply(in, out, packed, first, rows, i, std::min(i + panels_, row_groups_.begin(group + 1)), l);
    });
  }

  struct Lane {
    float *row, *split, *second, *input, *sums, *outputs;
    StoreRun* runs;
  };
  int64_t split_rows() const { return y_.ways() * (tile_rows_.largest() - 1) + y_.rel(y_.parts - 1, 3) + 1; }
  int64_t split_floats() const { return split_rows() * x_.ways() * part_pitch_; }
  int64_t row_floats() const { return x_.ways() * (part_pitch_ + 2 * kernels_.lanes); }
  int64_t z_line() const { return columns_ * m_; }
  int64_t z_row() const { return z_line() * m_; }
  int64_t z_floats() const { return rows_.largest() * z_row() * panels_; }
  Lane take_lane(Arena& arena) const {
    Lane l;
    l.row = arena.take<float>(row_floats());
    l.split = arena.take<float>(split_floats());
    l.second = arena.take<float>(weights_.pairs() ? split_floats() : 0);
    l.input = arena.take<float>(kPoints * depth_ * pitch_);
    l.sums = arena.take<float>(kPoints * panels_ * rows_.largest() * columns_);
    l.outputs = arena.take<float>(x_.phases * z_floats() + kernels_.lanes);
    l.runs = arena.take<StoreRun>(tile_rows_.largest() * m_);
    return l;
  }

  void find_taps(const std::vector<ConvPhase>& phases) {
    for (int q = 0; q < out_phases_; ++q)
      for (int p = 0; p < parts_; ++p)
        for (int64_t i = 0; i < y_.taps; ++i)
          for (int64_t j = 0; j < x_.taps; ++j) {
            const ConvPhase& phase = phases[size_t(q)];
            const int64_t ty = y_.tap(q / x_.phases, p / x_.parts, i),
                          tx = x_.tap(q % x_.phases, p % x_.parts, j);
            for (size_t t = 0; t < phase.kernel_tap.size(); ++t)
              if (phase.source.tap_y[t] == ty && phase.source.tap_x[t] == tx)
                kernel_tap_.push_back(phase.kernel_tap[t]);
          }
  }

  // ---- the source

  // Transformed tiles of the rows [first, first + rows) of tiles, counted over all images: point, depth,
  // tile.
  void transform_input(const float* x, int64_t first, int64_t rows, const Lane& l) const {
    std::memset(l.row, 0, size_t(row_floats()) * sizeof(float));
    const int64_t plane = y_.source * x_.source;
    for (int64_t done = 0; done < rows;) {
      const int64_t image = (first + done) / y_.tiles, ty = (first + done) % y_.tiles;
      const int64_t here = std::min(rows - done, y_.tiles - ty);
      for (int64_t c = 0; c < weights_.in_elements; ++c) {
        const int64_t channel = weights_.pairs() ? 2 * c : c;
        const bool both = weights_.pairs() && channel + 1 < weights_.in;
        const float* from = x + (image * weights_.in + channel) * plane;
        split(from, ty, here, l.row, l.split);
        if (both) split(from + plane, ty, here, l.row, l.second);
        for (int p = 0; p < parts_; ++p) {
          ptrdiff_t row[4], column[4];
          for (int64_t i = 0; i < 4; ++i) {
            const int64_t at = x_.rel(p % x_.parts, i);
            row[i] = y_.rel(p / x_.parts, i) * x_.ways() * part_pitch_;
            column[i] = at % x_.ways() * part_pitch_ + at / x_.ways();
          }
          float* to = l.input + (c * parts_ + p) * pitch_ + done * x_.tiles;
          const int64_t step = y_.ways() * x_.ways() * part_pitch_;
          for (int64_t r = 0; r < here; ++r)
            kernels_.winograd_input(to + r * x_.tiles, depth_ * pitch_, l.split + r * step,
                                    both ? l.second + r * step : nullptr, row, column, x_.tiles);
        }
      }
      done += here;
    }
  }

  // The source rows of `rows` rows of tiles, split by column; outside of the image is zero.
  void split(const float* plane, int64_t ty, int64_t rows, float* line, float* to) const {
    const int64_t top = y_.ways() * ty + y_.part_at[0], left = x_.part_at[0];
    const int64_t n = y_.ways() * (rows - 1) + y_.rel(y_.parts - 1, 3) + 1;
    const int64_t width = x_.ways() * (x_.tiles + 4);  // what the tiles may read
    const int64_t skip = std::max<int64_t>(0, left), margin = std::max<int64_t>(0, -left);
    const int64_t count = std::clamp<int64_t>(std::min(x_.source - skip, width - margin), 0, width);
    for (int64_t r = 0; r < n; ++r, to += x_.ways() * part_pitch_) {
      const int64_t y = top + r;
      if (y < 0 || y >= y_.source) {
        std::memset(to, 0, size_t(x_.ways() * part_pitch_) * sizeof(float));
        continue;
      }
      std::memcpy(line + margin, plane + y * x_.source + skip, size_t(count) * sizeof(float));
      kernels_.split_columns(to, part_pitch_, line, x_.tiles + 4, int(x_.ways()));
    }
  }

  // ---- the products

  // Row panels [begin, end) of every output phase.
  void multiply(std::span<const View> in, std::span<const View> out, const float* packed, int64_t first,
                int64_t rows, int64_t begin, int64_t end, const Lane& l) const {
    const int64_t vectors = ceil_div(rows * x_.tiles, kernels_.lanes);
    const int64_t channel = rows_.begin(begin), channels = rows_.begin(end) - channel;
    for (int qy = 0; qy < y_.phases; ++qy) {
      for (int qx = 0; qx < x_.phases; ++qx) {
        const float* a = packed + (qy * x_.phases + qx) * kPoints * weights_.out * depth_;
        float* z = l.outputs + qx * z_floats();
        for (int64_t point = 0; point < kPoints; ++point) {
          const float* b = l.input + point * depth_ * pitch_;
          float* c = l.sums + point * channels * columns_;
          for (int64_t v = 0; v < vectors; v += 2) {
            const int width = int(std::min<int64_t>(2, vectors - v));
            for (int64_t i = begin; i < end; ++i, c += rows_.size(i - 1) * width * kernels_.lanes)
              kernels_.gemm_tile(int(rows_.size(i)), width, int(depth_),
                                 a + (point * weights_.out + rows_.begin(i)) * depth_, b + v * kernels_.lanes,
                                 k_offset_.data(), v_offset_, c, false);
          }
        }
        const float* c = l.sums;
        for (int64_t v = 0; v < vectors; v += 2) {
          const int width = int(std::min<int64_t>(2, vectors - v));
          kernels_.winograd_output(int(m_), z + v * kernels_.lanes * m_, z_row(), z_line(), c,
                                   channels * columns_, int(channels), width);
          c += channels * width * kernels_.lanes;
        }
      }
      store(in, out, qy, first, rows, channel, channels, l);
    }
  }

  // The outputs of one row phase, both column phases together.
  void store(std::span<const View> in, std::span<const View> out, int qy, int64_t first, int64_t rows,
             int64_t channel, int64_t channels, const Lane& l) const {
    StoreArgs args;
    args.src = l.outputs, args.src_stride = z_row(), args.rows = int(channels);
    args.odd = x_.phases > 1 ? l.outputs + z_floats() + x_.shift[0] - x_.shift[1] : nullptr;
    args.element_stride = x_.phases, args.dst_stride = out_plane_;
    args.runs = l.runs;
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t image = (first + r) / y_.tiles, ty = (first + r) % y_.tiles;
      for (int64_t o = 0; o < m_; ++o) {
        const int64_t gy = m_ * ty + o + y_.shift[qy];
        if (gy < 0 || gy >= y_.grid[qy]) continue;
        const int64_t y = gy * y_.phases + qy;
        l.runs[args.num_runs++] = {image * weights_.out * out_plane_ + y * out_w_,
                                   int32_t(o * z_line() + r * x_.tiles * m_ - x_.shift[0]),
                                   int32_t(x_.grid[0])};
      }
    }
    epilogue_.point(args, in, out, channel * out_plane_, channel);
    kernels_.store_rows(args);
  }

  // ---- the weights: phase, point, row panel, depth, row

  int64_t packed_floats() const { return out_phases_ * kPoints * weights_.out * depth_; }

  void pack(const float* weight, float* packed) const override {
    constexpr int64_t kChannels = 32;  // of a task
    const int64_t blocks = ceil_div(weights_.in_elements, kChannels);
    parallel_for(out_phases_ * rows_.parts * blocks, [&](int64_t task) {
      const int64_t block = task % blocks, panel = task / blocks % rows_.parts,
                    q = task / blocks / rows_.parts;
      const int64_t end = std::min(weights_.in_elements, (block + 1) * kChannels);
      for (int64_t c = block * kChannels; c < end; ++c)
        for (int p = 0; p < parts_; ++p) pack_rows(weight, packed, q, p, panel, c);
    });
  }

  // Of a panel of rows, one element of depth.
  void pack_rows(const float* weight, float* packed, int64_t q, int64_t p, int64_t panel, int64_t c) const {
    const int64_t rows = rows_.size(panel), point = weights_.out * depth_;
    float first[kPoints][kMostRows], second[kPoints][kMostRows];
    const int64_t channel = weights_.pairs() ? 2 * c : c;
    const bool both = weights_.pairs() && channel + 1 < weights_.in;
    transform_weights(weight, q, p, panel, channel, first);
    if (both) transform_weights(weight, q, p, panel, channel + 1, second);
    float* at = packed + q * kPoints * point + rows_.begin(panel) * depth_ + (c * parts_ + p) * rows;
    for (int64_t i = 0; i < kPoints; ++i, at += point)
      if (weights_.pairs())
        kernels_.round_pairs_of(at, first[i], both ? second[i] : nullptr, rows);
      else
        std::copy_n(first[i], rows, at);
  }

  // G g G^T for the rows of a panel, one input channel.
  void transform_weights(const float* weight, int64_t q, int64_t p, int64_t panel, int64_t c,
                         float (&points)[kPoints][kMostRows]) const {
    const int64_t rows = rows_.size(panel), row = rows_.begin(panel), taps = y_.taps;
    const int* kernel_tap = kernel_tap_.data() + (q * parts_ + p) * taps * taps;
    float g[3][3][kMostRows] = {}, half[4][3][kMostRows] = {};
    for (int64_t i = 0; i < taps; ++i)
      for (int64_t j = 0; j < taps; ++j) {
        const float* from = weights_.from(weight, c, row, kernel_tap[i * taps + j]);
        for (int64_t r = 0; r < rows; ++r) g[i][j][r] = from[r * weights_.row_step()];
      }
    const auto lift = [taps](const float* a, const float* b, const float* c, int64_t r, float*(&to)[4]) {
      const float middle = taps == 3 ? b[r] : 0.0f, last = taps == 3 ? c[r] : b[r];
      const float outer = taps == 3 ? a[r] + c[r] : a[r], inner = taps == 3 ? middle : b[r];
      to[0][r] = a[r];
      to[1][r] = 0.5f * (outer + inner);
      to[2][r] = 0.5f * (outer - inner);
      to[3][r] = last;
    };
    for (int64_t j = 0; j < taps; ++j) {
      float* to[4] = {half[0][j], half[1][j], half[2][j], half[3][j]};
      for (int64_t r = 0; r < rows; ++r) lift(g[0][j], g[1][j], g[2][j], r, to);
    }
    for (int64_t i = 0; i < 4; ++i) {
      float* to[4] = {points[4 * i], points[4 * i + 1], points[4 * i + 2], points[4 * i + 3]};
      for (int64_t r = 0; r < rows; ++r) lift(half[i][0], half[i][1], half[i][2], r, to);
    }
  }

  const KernelTable& kernels_;
  ConvWeights weights_;
  StoreEpilogue epilogue_;
  Axis y_, x_;
  int64_t m_;
  int parts_, out_phases_;
  int64_t depth_, images_, out_w_, out_plane_;
  std::vector<int> kernel_tap_;  // of phase, part, row and column of taps
  int64_t task_rows_ = 1;
  Split tile_rows_, rows_, row_groups_;  // rows of tiles of all images; row panels; of row panels
  int64_t columns_ = 0, pitch_ = 0, panels_ = 1, part_pitch_ = 0;
  std::vector<int32_t> k_offset_;
  int32_t v_offset_[kMaxVectors];
};

// Products of an image, and the transforms in products of one output channel, measured on AVX-512.
bool winograd_pays(const ConvWeights& weights, const Geometry& g, const std::vector<ConvPhase>& phases,
                   int lanes) {
  // The transformed weights are larger than the kernels; a single image should not wait for them.
  if (g.y.tiles * g.x.tiles < 16) return false;
  double direct = 0;
  for (const ConvPhase& p : phases) direct += double(p.source.grid_h * p.source.grid_w * p.source.taps());
  const double depth = double(weights.in_elements), in = double(weights.in), out = double(weights.out),
               tiles = double(g.y.tiles * g.x.tiles);
  const double transforms = 80 * in * g.parts() / lane_use(g.x, lanes) + 80 * out * g.phases();
  return direct * depth * out >
         1.25 * tiles * (double(kPoints * g.parts() * g.phases()) * depth * out + transforms);
}

}  // namespace

std::unique_ptr<BoundOp> make_winograd_conv(const BindArgs& args, const ConvWeights& weights,
                                            const std::vector<ConvPhase>& phases) {
  if (args.call.attr<ConvAttrs>().groups != 1) return nullptr;
  const auto geometry = make_geometry(phases);
  if (!geometry || !winograd_pays(weights, *geometry, phases, args.kernels.lanes)) return nullptr;
  if (kPoints * geometry->parts() * weights.in_elements * (geometry->x.tiles + 64) > (int64_t(1) << 22))
    return nullptr;
  return std::make_unique<WinogradConvOp>(args, weights, *geometry, phases);
}

}  // namespace advf::cpu
