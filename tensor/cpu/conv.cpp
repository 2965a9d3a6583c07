// conv2d, x (N,C,H,W), weight (O,C/g,kh,kw), and its adjoint in x, conv_transpose2d, on the GEMM driver:
// rows = output channels, columns = output pixels, depth = input channels x taps. The adjoint is one GEMM per
// output phase (y mod stride, x mod stride), each with the taps that meet this phase, so no zero is
// multiplied.
#include "tensor/cpu/bind.h"
#include "tensor/cpu/conv_phases.h"
#include "tensor/cpu/depthwise.h"
#include "tensor/cpu/gemm.h"

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
  // in: channels per group of the input, out: of the output; forward: whether the weight's rows are the
  // output.
  ConvOp(const KernelTable& kernels, bool forward, int64_t groups, int64_t in, int64_t out,
         int64_t kernel_size, int64_t plane_out, std::vector<Phase> phases)
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

  void run_tile(const Phase& p, int64_t tile, const float* x, const float* packed, const float* bias,
                float* y, Arena& area) const {
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
    p.gemm.run_tile(tile % p.gemm.tiles(), packed + group * packed_per_group_ + p.packed, lane.gemm, pack_b,
                    store);
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

namespace {

// in, out: channels of a group.
std::unique_ptr<BoundOp> make_conv(const BindArgs& args, bool forward, int64_t in, int64_t out,
                                   std::vector<ConvPhase> parts) {
  const ConvAttrs& a = args.call.attr<ConvAttrs>();
  const Shape &w = args.call.in[1].shape, &y = args.call.out[0].shape;
  std::vector<Phase> phases;
  for (ConvPhase& p : parts) {
    Gemm gemm(args.kernels, out, p.pixels, in * p.source.taps(), a.groups * int64_t(parts.size()));
    p.source.finish();
    p.target.finish();
    phases.push_back({std::move(p.source), p.target, std::move(p.kernel_tap), std::move(gemm)});
  }
  auto op = std::make_unique<ConvOp>(args.kernels, forward, a.groups, in, out, w[2] * w[3], y[2] * y[3],
                                     std::move(phases));
  if (const float* weight = args.constant(1)) op->pack_constant(weight);
  return op;
}

bool any_empty(const OpCall& call) {
  return call.in[0].shape.numel() == 0 || call.in[1].shape.numel() == 0 || call.out[0].shape.numel() == 0;
}

}  // namespace

std::unique_ptr<BoundOp> bind_conv2d(const BindArgs& args) {
  if (any_empty(args.call)) return nullptr;
  const ConvAttrs& a = args.call.attr<ConvAttrs>();
  const Shape& w = args.call.in[1].shape;
  if (is_depthwise(a, w[1] * a.groups, w[0])) return make_depthwise(args, conv2d_phases(args.call));
  return make_conv(args, true, w[1], w[0] / a.groups, conv2d_phases(args.call));
}

std::unique_ptr<BoundOp> bind_conv_transpose2d(const BindArgs& args) {
  if (any_empty(args.call)) return nullptr;
  const ConvAttrs& a = args.call.attr<ConvAttrs>();
  const Shape& w = args.call.in[1].shape;
  if (is_depthwise(a, w[1] * a.groups, w[0])) return make_depthwise(args, conv_transpose2d_phases(args.call));
  return make_conv(args, false, w[0] / a.groups, w[1], conv_transpose2d_phases(args.call));
}

}  // namespace advf::cpu
