// conv2d, x (N,C,H,W), weight (O,C/g,kh,kw), and its adjoint in x, conv_transpose2d, on the GEMM driver:
// rows = output channels, columns = output pixels, depth = input channels x taps. The adjoint is one GEMM per
// output phase (y mod stride, x mod stride), each with the taps that meet this phase, so no zero is multiplied.
#include "tensor/cpu/bind.h"
#include "tensor/cpu/gemm.h"
#include "tensor/cpu/pixels.h"

namespace advf::cpu {
namespace {

struct Phase {
  PixelSource source;
  PixelTarget target;
  std::vector<int> kernel_tap;  // of each tap of the source, its index ky * kw + kx in the weight
  Gemm gemm;
  int64_t packed = 0;      // where this phase's weights start in the packed weights of a group
  int64_t first_tile = 0;  // over all groups
};

class ConvOp : public BoundOp {
 public:
  // in: channels per group of the input, out: of the output; forward: whether the weight's rows are the output.
  ConvOp(const KernelTable& kernels, bool forward, int64_t groups, int64_t in, int64_t out, int64_t kernel_size,
         int64_t plane_out, std::vector<Phase> phases)
      : kernels_(&kernels),
        forward_(forward),
        groups_(groups),
        in_(in),
        out_(out),
        kernel_size_(kernel_size),
        plane_out_(plane_out),
        phases_(std::move(phases)),
        lanes_(lane_count()) {
    for (Phase& p : phases_) {
      p.packed = packed_per_group_;
      packed_per_group_ += p.gemm.packed_a();
      p.first_tile = tiles_;
      tiles_ += p.gemm.tiles() * groups_;
      a_blocks_ += p.gemm.a_blocks() * groups_;
      lane_floats_ = std::max(lane_floats_, p.gemm.lane_floats());
      max_width_ = std::max(max_width_, p.gemm.width());
      max_taps_ = std::max<int64_t>(max_taps_, p.source.taps());
    }
    Arena lane(nullptr);
    take_lane(lane);
    lane_bytes_ = lane.used();
  }

  void pack_constant(const float* weight) {
    constant_weights_.resize(size_t(packed_per_group_ * groups_));
    pack(weight, constant_weights_.data());
  }

  size_t scratch_bytes() const override {
    Arena arena(nullptr);
    if (constant_weights_.empty()) arena.take<float>(packed_per_group_ * groups_);
    arena.take<std::byte>(int64_t(lane_bytes_) * lanes_);
    return arena.used();
  }

  void run(std::span<const View> in, std::span<const View> out, void* scratch) const override {
    Arena arena(scratch);
    const float* packed = constant_weights_.data();
    if (constant_weights_.empty()) {
      float* fresh = arena.take<float>(packed_per_group_ * groups_);
      pack(in[1].as<const float>(), fresh);
      packed = fresh;
    }
    std::byte* lanes = arena.take<std::byte>(int64_t(lane_bytes_) * lanes_);
    const float* x = in[0].as<const float>();
    const float* bias = in.size() > 2 ? in[2].as<const float>() : nullptr;
    float* y = out[0].as<float>();
    for_each_tile(lanes_, tiles_, [&](int64_t tile, int64_t lane) {
      size_t p = phases_.size() - 1;
      while (phases_[p].first_tile > tile) --p;
      Arena area(lanes + lane * int64_t(lane_bytes_));
      run_tile(phases_[p], tile - phases_[p].first_tile, x, packed, bias, y, area);
    });
  }

 private:
  struct Lane {
    float* gemm;
    PixelChunk* chunks;
    StoreRun* runs;
  };
  Lane take_lane(Arena& arena) const {
    return {arena.take<float>(lane_floats_), arena.take<PixelChunk>(max_taps_ * max_width_),
            arena.take<StoreRun>(max_width_)};
  }

  void run_tile(const Phase& p, int64_t tile, const float* x, const float* packed, const float* bias, float* y,
                Arena& area) const {
    const Lane lane = take_lane(area);
    const int64_t group = tile / p.gemm.tiles(), pixels = p.gemm.n();
    const float* source = x + group * in_ * p.source.plane();
    float* target = y + group * out_ * plane_out_;
    const auto pack_b = [&](float* dst, int64_t pixel, int64_t k_begin, int64_t k_end) {
      if (k_end == k_begin) return;
      const int pieces = p.source.make_chunks(pixel, pixels, p.gemm.vectors(), kernels_->lanes, lane.chunks);
      kernels_->pack_pixels(dst, p.gemm.vectors(), source, p.source.plane(), k_begin, k_end, p.source.taps(),
                            lane.chunks, pieces, int(p.source.stride_x));
    };
    const auto store = [&](const float* c, int64_t row, int64_t rows, int64_t pixel) {
      const int runs = p.target.make_runs(pixel, pixels, p.gemm.width(), lane.runs);
      kernels_->store_rows(target + row * plane_out_, plane_out_, p.target.element_stride, c, p.gemm.width(),
                           int(rows), lane.runs, runs, bias ? bias + group * out_ + row : nullptr, nullptr);
    };
    p.gemm.run_tile(tile % p.gemm.tiles(), packed + group * packed_per_group_ + p.packed, lane.gemm, pack_b, store);
  }

  void pack(const float* weight, float* packed) const {
    parallel_for(a_blocks_, [&](int64_t block) {
      for (const Phase& p : phases_) {
        const int64_t blocks = p.gemm.a_blocks() * groups_;
        if (block >= blocks) {
          block -= blocks;
          continue;
        }
        const int64_t group = block / p.gemm.a_blocks();
        const float* w = weight + group * in_ * out_ * kernel_size_;
        const auto pack_a = [&](float* dst, int64_t row, int64_t rows, int64_t k_begin, int64_t k_end) {
          if (forward_) {
            const int64_t depth = in_ * kernel_size_;
            kernels_->transpose(dst, rows, w + row * depth + k_begin, depth, rows, k_end - k_begin);
          } else {
            pack_adjoint(p, w, dst, row, rows, k_begin, k_end);
          }
        };
        p.gemm.pack_a_block(block % p.gemm.a_blocks(), packed + group * packed_per_group_ + p.packed, pack_a);
        return;
      }
    });
  }

  // The weight's first dimension is the depth here, its second the rows.
  void pack_adjoint(const Phase& p, const float* w, float* dst, int64_t row, int64_t rows, int64_t k_begin,
                    int64_t k_end) const {
    const int64_t taps = p.source.taps();
    for (int64_t k = k_begin; k < k_end; ++k, dst += rows) {
      const float* from = w + (k / taps * out_ + row) * kernel_size_ + p.kernel_tap[size_t(k % taps)];
      for (int64_t r = 0; r < rows; ++r) dst[r] = from[r * kernel_size_];
    }
  }

  const KernelTable* kernels_;
  bool forward_;
  int64_t groups_, in_, out_, kernel_size_, plane_out_;
  std::vector<Phase> phases_;
  int lanes_;
  int64_t packed_per_group_ = 0, tiles_ = 0, a_blocks_ = 0, lane_floats_ = 0, max_width_ = 0, max_taps_ = 0;
  size_t lane_bytes_ = 0;
  std::vector<float> constant_weights_;
};

}  // namespace

std::unique_ptr<BoundOp> bind_conv2d(const BindArgs& args) {
  const ConvAttrs& a = args.call.attr<ConvAttrs>();
  const Shape &x = args.call.in[0].shape, &w = args.call.in[1].shape, &y = args.call.out[0].shape;
  if (x.numel() == 0 || w.numel() == 0 || y.numel() == 0) return nullptr;
  PixelSource source{x[1] * x[2] * x[3], x[2], x[3], y[2], y[3], a.stride[0], a.stride[1], {}, {}};
  for (int64_t ky = 0; ky < w[2]; ++ky)
    for (int64_t kx = 0; kx < w[3]; ++kx) {
      source.tap_y.push_back(ky * a.dilation[0] - a.pad[0]);
      source.tap_x.push_back(kx * a.dilation[1] - a.pad[1]);
    }
  source.finish();
  PixelTarget target{0, y[1] * y[2] * y[3], y[3], y[2], y[3], 1};
  target.finish();
  const int64_t out = w[0] / a.groups, taps = w[2] * w[3];
  std::vector<Phase> phases;
  phases.push_back({std::move(source), target, {}, Gemm(args.kernels, out, y[0] * y[2] * y[3], w[1] * taps, a.groups)});
  auto op = std::make_unique<ConvOp>(args.kernels, true, a.groups, w[1], out, taps, y[2] * y[3], std::move(phases));
  if (const float* weight = args.constant(1)) op->pack_constant(weight);
  return op;
}

std::unique_ptr<BoundOp> bind_conv_transpose2d(const BindArgs& args) {
  const ConvAttrs& a = args.call.attr<ConvAttrs>();
  const Shape &x = args.call.in[0].shape, &w = args.call.in[1].shape, &y = args.call.out[0].shape;
  if (x.numel() == 0 || w.numel() == 0 || y.numel() == 0) return nullptr;
  const int64_t in = w[0] / a.groups, sy = a.stride[0], sx = a.stride[1];
  std::vector<Phase> phases;
  for (int64_t py = 0; py < std::min(sy, y[2]); ++py)
    for (int64_t px = 0; px < std::min(sx, y[3]); ++px) {
      const int64_t grid_h = ceil_div(y[2] - py, sy), grid_w = ceil_div(y[3] - px, sx);
      PixelSource source{x[1] * x[2] * x[3], x[2], x[3], grid_h, grid_w, 1, 1, {}, {}};
      std::vector<int> kernel_tap;
      for (int64_t ky = 0; ky < w[2]; ++ky)
        for (int64_t kx = 0; kx < w[3]; ++kx) {
          // Output y meets input (y + pad - ky * dilation) / stride, where that is whole.
          const int64_t ty = py + a.pad[0] - ky * a.dilation[0], tx = px + a.pad[1] - kx * a.dilation[1];
          if (ty % sy != 0 || tx % sx != 0) continue;
          source.tap_y.push_back(ty / sy);
          source.tap_x.push_back(tx / sx);
          kernel_tap.push_back(int(ky * w[3] + kx));
        }
      source.finish();
      PixelTarget target{py * y[3] + px, y[1] * y[2] * y[3], sy * y[3], grid_h, grid_w, int(sx)};
      target.finish();
      Gemm gemm(args.kernels, w[1], y[0] * grid_h * grid_w, in * source.taps(), a.groups * sy * sx);
      phases.push_back({std::move(source), target, std::move(kernel_tap), std::move(gemm)});
    }
  auto op = std::make_unique<ConvOp>(args.kernels, false, a.groups, in, w[1], w[2] * w[3], y[2] * y[3],
                                     std::move(phases));
  if (const float* weight = args.constant(1)) op->pack_constant(weight);
  return op;
}

}  // namespace advf::cpu
