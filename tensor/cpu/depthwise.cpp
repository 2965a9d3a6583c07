// Each plane is copied once into scratch with its zero margins, split by column modulo the stride, so that
// every tap reads contiguous vectors; the GEMM tile with one row then sums the taps: its "columns" are pieces
// of output rows.
#include "tensor/cpu/depthwise.h"

#include <algorithm>
#include <cstring>

#include "tensor/cpu/gemm.h"
#include "tensor/cpu/store.h"

namespace advf::cpu {
namespace {

constexpr int64_t kPlanesPerTask = 4;

// A plane with margins that cover every tap, in stride_x parts of the columns that are equal modulo stride_x.
struct PaddedPlane {
  int64_t height, width;  // of the image
  int64_t top, left;      // margins
  int64_t rows, part_w;   // with margins; columns of one part
  int64_t stride_x;
  int64_t floats() const {
    return rows * part_w * stride_x + kMaxVectors * 16;
  }  // vectors may read past the end

  PaddedPlane(const std::vector<ConvPhase>& phases, int lanes) {
    const PixelSource& first = phases[0].source;
    height = first.height;
    width = first.width;
    stride_x = first.stride_x;
    int64_t low_y = 0, low_x = 0, high_y = height, high_x = width;
    for (const ConvPhase& p : phases)
      for (size_t t = 0; t < p.source.tap_y.size(); ++t) {
        low_y = std::min(low_y, p.source.tap_y[t]);
        low_x = std::min(low_x, p.source.tap_x[t]);
        high_y = std::max(high_y, (p.source.grid_h - 1) * p.source.stride_y + p.source.tap_y[t] + 1);
        high_x =
            std::max(high_x, (ceil_div(p.source.grid_w, lanes) * lanes) * stride_x + p.source.tap_x[t] + 1);
      }
    top = -low_y;
    left = ceil_div(-low_x, stride_x) * stride_x;
    rows = high_y - low_y;
    part_w = ceil_div(left + high_x, stride_x);
  }
  int64_t offset(int64_t y, int64_t x) const {  // of image position (y, x), in the margins too
    const int64_t column = x + left;
    return (column % stride_x * rows + y + top) * part_w + column / stride_x;
  }
  // Margins must be zero already.
  void fill(const KernelTable& kernels, const float* image, float* plane) const {
    for (int64_t y = 0; y < height; ++y, image += width) {
      if (stride_x == 1) {
        std::memcpy(plane + offset(y, 0), image, size_t(width) * sizeof(float));
        continue;
      }
      for (int64_t part = 0; part < std::min(stride_x, width); ++part)
        kernels.copy_strided(plane + offset(y, part), image + part, ceil_div(width - part, stride_x),
                             int(stride_x));
    }
  }
};

// The output pixels of one phase in vectors: where each starts in the padded plane and in the output plane.
struct Positions {
  std::vector<int32_t> tap_offset, v_offset;  // v_offset is filled up to whole tiles
  std::vector<StoreRun> runs;                 // begin = vector * lanes
  std::vector<int> kernel_tap;
  int element_stride = 1;

  Positions(const ConvPhase& p, const PaddedPlane& plane, int lanes)
      : kernel_tap(p.kernel_tap), element_stride(p.target.element_stride) {
    const int64_t origin = plane.offset(0, 0);
    for (size_t t = 0; t < p.source.tap_y.size(); ++t)
      tap_offset.push_back(int32_t(plane.offset(p.source.tap_y[t], p.source.tap_x[t]) - origin));
    for (int64_t y = 0; y < p.source.grid_h; ++y)
      for (int64_t x = 0; x < p.source.grid_w; x += lanes) {
        runs.push_back({p.target.base + y * p.target.row_stride + x * element_stride,
                        int32_t(v_offset.size()) * lanes,
                        int32_t(std::min<int64_t>(lanes, p.source.grid_w - x))});
        v_offset.push_back(int32_t(origin + y * p.source.stride_y * plane.part_w + x));
      }
    while (v_offset.size() % kMaxVectors) v_offset.push_back(v_offset.back());
  }
};

std::vector<Positions> all_positions(const std::vector<ConvPhase>& phases, const PaddedPlane& plane,
                                     int lanes) {
  std::vector<Positions> list;
  for (const ConvPhase& p : phases) list.emplace_back(p, plane, lanes);
  return list;
}

bool fits(const PaddedPlane& plane) { return plane.floats() < (int64_t(1) << 24); }

class DepthwiseOp : public BoundOp {
 public:
  DepthwiseOp(const BindArgs& args, const std::vector<ConvPhase>& phases)
      : kernels_(args.kernels),
        epilogue_(args.call),
        plane_(phases, kernels_.lanes),
        positions_(all_positions(phases, plane_, kernels_.lanes)),
        lanes_(lane_count()) {
    const Shape &x = args.call.in[0].shape, &y = args.call.out[0].shape, &w = args.call.in[1].shape;
    planes_ = x[0] * x[1];
    channels_ = x[1];
    in_plane_ = x[2] * x[3];
    out_plane_ = y[2] * y[3];
    taps_ = w[2] * w[3];
    for (const Positions& p : positions_) most_ = std::max<int64_t>(most_, int64_t(p.v_offset.size()));
    Arena arena(nullptr);
    take_lane(arena);
    lane_bytes_ = arena.used();
  }
  size_t scratch_bytes() const override { return lane_bytes_ * size_t(lanes_); }

  void run(std::span<const View> in, std::span<const View> out, void* scratch) const override {
    const float *x = in[0].as<const float>(), *w = in[1].as<const float>();
    for_each_tile(lanes_, ceil_div(planes_, kPlanesPerTask), [&](int64_t task, int64_t lane) {
      Arena arena(static_cast<std::byte*>(scratch) + lane * int64_t(lane_bytes_));
      const Lane l = take_lane(arena);
      std::memset(l.plane, 0, size_t(plane_.floats()) * sizeof(float));
      for (int64_t p = task * kPlanesPerTask; p < std::min(planes_, (task + 1) * kPlanesPerTask); ++p) {
        const int64_t c = p % channels_;
        plane_.fill(kernels_, x + p * in_plane_, l.plane);
        for (const Positions& phase : positions_) run_phase(phase, in, out, p, w + c * taps_, l);
      }
    });
  }

 private:
  struct Lane {
    float *plane, *sums, *taps;
  };
  Lane take_lane(Arena& arena) const {
    return {arena.take<float>(plane_.floats()), arena.take<float>(most_ * kernels_.lanes),
            arena.take<float>(taps_)};
  }

  void run_phase(const Positions& p, std::span<const View> in, std::span<const View> out, int64_t plane,
                 const float* w, const Lane& l) const {
    const int taps = int(p.tap_offset.size());
    for (int t = 0; t < taps; ++t) l.taps[t] = w[p.kernel_tap[size_t(t)]];
    for (size_t v = 0; v < p.v_offset.size(); v += kMaxVectors)
      kernels_.gemm_tile(1, kMaxVectors, taps, l.taps, l.plane, p.tap_offset.data(), p.v_offset.data() + v,
                         l.sums + int64_t(v) * kernels_.lanes, false);
    StoreArgs args;
    args.src = l.sums, args.rows = 1, args.element_stride = p.element_stride;
    args.runs = p.runs.data(), args.num_runs = int(p.runs.size());
    epilogue_.point(args, in, out, plane * out_plane_, plane % channels_);
    kernels_.store_rows(args);
  }

  const KernelTable& kernels_;
  StoreEpilogue epilogue_;
  PaddedPlane plane_;
  std::vector<Positions> positions_;
  int lanes_;
  int64_t planes_ = 0, channels_ = 0, in_plane_ = 0, out_plane_ = 0, taps_ = 0, most_ = 0;
  size_t lane_bytes_ = 0;
};

// 3x3 with stride 1, straight from the image.
class Depthwise3x3Op : public BoundOp {
 public:
  Depthwise3x3Op(const BindArgs& args, const ConvPhase& phase)
      : kernels_(args.kernels), epilogue_(args.call) {
    const PixelSource& s = phase.source;
    planes_ = args.call.in[0].shape.numel(0, 2);
    channels_ = args.call.in[0].shape[1];
    frame_.height = s.height, frame_.width = s.width;
    frame_.out_height = s.grid_h, frame_.out_width = s.grid_w;
    frame_.top = -*std::min_element(s.tap_y.begin(), s.tap_y.end());
    frame_.left = -*std::min_element(s.tap_x.begin(), s.tap_x.end());
    for (size_t t = 0; t < 9; ++t)
      place_[size_t(phase.kernel_tap[t])] = int(3 * (s.tap_y[t] + frame_.top) + s.tap_x[t] + frame_.left);
  }

  static bool serves(const std::vector<ConvPhase>& phases) {
    const PixelSource& s = phases[0].source;
    const auto span = [](const std::vector<int64_t>& taps) {
      const auto [low, high] = std::minmax_element(taps.begin(), taps.end());
      return *high - *low;
    };
    return phases.size() == 1 && phases[0].target.element_stride == 1 && s.taps() == 9 && s.stride_y == 1 &&
           s.stride_x == 1 && span(s.tap_y) == 2 && span(s.tap_x) == 2;
  }

  void run(std::span<const View> in, std::span<const View> out, void*) const override {
    parallel_for(ceil_div(planes_, kPlanesPerTask), [&](int64_t task) {
      Depthwise3x3 a = frame_;
      for (int64_t p = task * kPlanesPerTask; p < std::min(planes_, (task + 1) * kPlanesPerTask); ++p) {
        const int64_t c = p % channels_;
        a.source = in[0].as<const float>() + p * a.height * a.width;
        for (size_t t = 0; t < 9; ++t) a.weight[place_[t]] = in[1].as<const float>()[9 * c + int64_t(t)];
        epilogue_.point(a.store, in, out, p * a.out_height * a.out_width, c);
        kernels_.depthwise3x3(a);
      }
    });
  }

 private:
  const KernelTable& kernels_;
  StoreEpilogue epilogue_;
  int64_t planes_ = 0, channels_ = 0;
  Depthwise3x3 frame_;
  int place_[9] = {};  // of each element of the kernel, in the order of the source
};

// A kernel as large as the image: one sum per plane.
class DepthwiseDotOp : public BoundOp {
 public:
  explicit DepthwiseDotOp(const BindArgs& args)
      : kernels_(args.kernels), epilogue_(args.call), x_(args.call.in[0].shape) {}
  static bool serves(const OpCall& call, const std::vector<ConvPhase>& phases) {
    const PixelSource& s = phases[0].source;
    return call.out[0].shape.numel(2, 4) == 1 && s.taps() == s.plane() && s.tap_y[0] == 0 &&
           s.tap_x[0] == 0 && s.tap_y.back() == s.height - 1 && s.tap_x.back() == s.width - 1;
  }
  size_t scratch_bytes() const override { return size_t(x_.numel(0, 2)) * sizeof(float); }

  void run(std::span<const View> in, std::span<const View> out, void* scratch) const override {
    constexpr int64_t kRows = 32;
    const int64_t plane = x_[2] * x_[3], blocks = ceil_div(x_[1], kRows);
    parallel_for(x_[0] * blocks, [&](int64_t task) {
      const int64_t image = task / blocks, c = task % blocks * kRows, rows = std::min(kRows, x_[1] - c);
      float* sums = static_cast<float*>(scratch) + image * x_[1] + c;
      for (int64_t r = 0; r < rows; ++r)
        sums[r] = float(kernels_.dot(in[0].as<const float>() + (image * x_[1] + c + r) * plane, 0,
                                     in[1].as<const float>() + (c + r) * plane, 0, plane));
      const StoreRun run{0, 0, 1};
      StoreArgs args;
      args.src = sums, args.src_stride = args.dst_stride = 1, args.rows = int(rows);
      args.runs = &run, args.num_runs = 1;
      epilogue_.point(args, in, out, image * x_[1] + c, c);
      kernels_.store_rows(args);
    });
  }

 private:
  const KernelTable& kernels_;
  StoreEpilogue epilogue_;
  Shape x_;
};

// One sum of products per plane and tap, then the planes of a channel in order.
class DepthwiseGradWeightOp : public BoundOp {
 public:
  DepthwiseGradWeightOp(const BindArgs& args, const std::vector<ConvPhase>& phases)
      : kernels_(args.kernels),
        plane_(phases, kernels_.lanes),
        positions_(phases[0], plane_, kernels_.lanes),
        lanes_(lane_count()) {
    const Shape &x = args.call.in[0].shape, &g = args.call.in[1].shape;
    planes_ = x[0] * x[1];
    channels_ = x[1];
    in_plane_ = x[2] * x[3];
    out_plane_ = g[2] * g[3];
    taps_ = int64_t(positions_.tap_offset.size());
    Arena arena(nullptr);
    arena.take<float>(plane_.floats());
    lane_bytes_ = arena.used();
  }
  size_t scratch_bytes() const override {
    Arena arena(nullptr);
    arena.take<double>(planes_ * taps_);
    return arena.used() + lane_bytes_ * size_t(lanes_);
  }

  void run(std::span<const View> in, std::span<const View> out, void* scratch) const override {
    Arena arena(scratch);
    double* sums = arena.take<double>(planes_ * taps_);
    std::byte* lanes = arena.take<std::byte>(int64_t(lane_bytes_) * lanes_);
    for_each_tile(lanes_, ceil_div(planes_, kPlanesPerTask), [&](int64_t task, int64_t lane) {
      float* plane = reinterpret_cast<float*>(lanes + lane * int64_t(lane_bytes_));
      std::memset(plane, 0, size_t(plane_.floats()) * sizeof(float));
      for (int64_t p = task * kPlanesPerTask; p < std::min(planes_, (task + 1) * kPlanesPerTask); ++p) {
        plane_.fill(kernels_, in[0].as<const float>() + p * in_plane_, plane);
        kernels_.correlate(sums + p * taps_, in[1].as<const float>() + p * out_plane_, positions_.runs.data(),
                           positions_.v_offset.data(), int(positions_.runs.size()), plane,
                           positions_.tap_offset.data(), int(taps_));
      }
    });
    for (int64_t i = 0; i < channels_ * taps_; ++i) {
      double sum = 0;
      for (int64_t n = 0; n < planes_ / channels_; ++n) sum += sums[n * channels_ * taps_ + i];
      out[0].as<float>()[i] = float(sum);
    }
  }

 private:
  const KernelTable& kernels_;
  PaddedPlane plane_;
  Positions positions_;
  int lanes_;
  int64_t planes_ = 0, channels_ = 0, in_plane_ = 0, out_plane_ = 0, taps_ = 0;
  size_t lane_bytes_ = 0;
};

}  // namespace

std::unique_ptr<BoundOp> make_depthwise(const BindArgs& args, std::vector<ConvPhase> phases) {
  if (Depthwise3x3Op::serves(phases)) return std::make_unique<Depthwise3x3Op>(args, phases[0]);
  if (DepthwiseDotOp::serves(args.call, phases)) return std::make_unique<DepthwiseDotOp>(args);
  if (!fits(PaddedPlane(phases, args.kernels.lanes))) return nullptr;
  return std::make_unique<DepthwiseOp>(args, phases);
}

std::unique_ptr<BoundOp> make_depthwise_grad_weight(const BindArgs& args) {
  const OpCall& call = args.call;
  const std::vector<ConvPhase> phases = {
      conv2d_phase(call.in[0].shape, call.out[0].shape, call.in[1].shape, call.attr<ConvAttrs>())};
  if (!fits(PaddedPlane(phases, args.kernels.lanes))) return nullptr;
  return std::make_unique<DepthwiseGradWeightOp>(args, phases);
}

}  // namespace advf::cpu
