// conv2d, x (N,C,H,W), weight (O,C/g,kh,kw), and its adjoint in x, conv_transpose2d, on the GEMM driver:
// rows = output channels, columns = output pixels, depth = input channels x taps. The adjoint is one GEMM per
// output phase (y mod stride, x mod stride), each with the taps that meet this phase, so no zero is
// multiplied.
#include "tensor/cpu/bind.h"
#include "tensor/cpu/conv_phases.h"
#include "tensor/cpu/conv_pixel_rows.h"
#include "tensor/cpu/conv_strip.h"
#include "tensor/cpu/conv_weights.h"
#include "tensor/cpu/conv_winograd.h"
#include "tensor/cpu/depthwise.h"
#include "tensor/cpu/packed_conv.h"
#include "tensor/cpu/store.h"

namespace advf::cpu {
namespace {

struct Phase : ConvPhase {
  Gemm gemm;
  int64_t packed = 0;      // where this phase's weights start in the packed weights of a group
  int64_t first_tile = 0;  // over all groups; of the pair, where `paired`
  // The next phase's pixels lie between this one's: both are computed, then stored together.
  bool paired = false;
  // One tap, and pixels as they lie in the image: its planes are the rows of b, and each image is a product
  // of its own.
  bool in_place = false;
};

class ConvOp : public PackedConv {
 public:
  ConvOp(const BindArgs& args, const ConvWeights& weights, int64_t groups, std::vector<Phase> phases)
      : kernels_(&args.kernels),
        weights_(weights),
        epilogue_(args.call),
        groups_(groups),
        units_(groups * (phases[0].in_place ? args.call.in[0].shape[0] : 1)),
        plane_out_(args.call.out[0].shape.numel(2, 4)),
        phases_(std::move(phases)) {
    for (Phase& p : phases_) {
      p.packed = packed_per_group_;
      packed_per_group_ += p.gemm.packed_a();
      const bool second = &p != phases_.data() && (&p)[-1].paired;
      p.first_tile = second ? (&p)[-1].first_tile : tiles_;
      if (!second) tiles_ += p.gemm.tiles() * units_;
      if (p.paired) pair_floats_ = std::max(pair_floats_, (p.gemm.c_floats() + 15) / 16 * 16);
      a_blocks_ += p.gemm.a_blocks() * groups_;
      lane_floats_ = std::max(lane_floats_, p.gemm.lane_floats());
      max_width_ = std::max(max_width_, p.gemm.width());
      max_taps_ = std::max<int64_t>(max_taps_, p.source.taps());
    }
    Arena lane(nullptr);
    take_lane(lane);
    round_source(args, weights);
    finish(args, packed_per_group_ * groups_, lane.used());
  }

 private:
  void multiply(std::span<const View> in, std::span<const View> out, const float* packed, float*,
                const Lanes& lanes) const override {
    lanes.for_each(tiles_, [&](int64_t tile, Arena area) {
      size_t p = phases_.size() - 1;
      while (phases_[p].first_tile > tile || (p > 0 && phases_[p - 1].paired)) --p;
      run_tile(&phases_[p], tile - phases_[p].first_tile, in, out, packed, area);
    });
  }

  struct Lane {
    float *gemm, *even;
    PixelChunk* chunks;
    StoreRun* runs;
  };
  Lane take_lane(Arena& arena) const {
    return {arena.take<float>(lane_floats_), arena.take<float>(pair_floats_),
            arena.take<PixelChunk>(max_taps_ * max_width_), arena.take<StoreRun>(max_width_)};
  }

  // A last panel that is not full begins before its first pixel, and computes some pixels again.
  static int64_t first_of_panel(const Gemm& gemm, int64_t pixel) {
    return std::min(pixel, gemm.n() - gemm.width());
  }

  // A tile of one phase, or of a pair.
  void run_tile(const Phase* phase, int64_t tile, std::span<const View> in, std::span<const View> out,
                const float* packed, Arena& area) const {
    const Lane lane = take_lane(area);
    const Gemm& gemm = phase->gemm;
    const int64_t unit = tile / gemm.tiles(), image = unit / groups_, group = unit % groups_;
    const float* weights = packed + group * packed_per_group_;
    tile %= gemm.tiles();
    const auto panels_of = [&](const Phase& p) {
      return [&, source = in[0].as<const float>() + image * p.source.image_stride +
                          group * weights_.in_elements * p.source.plane()](
                 float* dst, int64_t pixel, int64_t k_begin, int64_t k_end) -> const float* {
        if (p.in_place) return source + k_begin * p.source.plane() + first_of_panel(gemm, pixel);
        if (k_end == k_begin) return dst;
        const int pieces =
            p.source.make_chunks(pixel, gemm.n(), gemm.vectors(), kernels_->lanes, lane.chunks);
        kernels_->pack_pixels(dst, gemm.vectors(), source, p.source.plane(), k_begin, k_end, p.source.taps(),
                              lane.chunks, pieces, int(p.source.stride_x));
        return dst;
      };
    };
    const auto store = [&](const float* c, const float* odd, int64_t row, int64_t rows, int64_t pixel) {
      StoreArgs args;
      args.dst_stride = plane_out_, args.element_stride = phase->target.element_stride;
      args.src = c, args.odd = odd, args.src_stride = gemm.width(), args.rows = int(rows);
      args.runs = lane.runs;
      args.num_runs = phase->target.make_runs(pixel, gemm.n(), gemm.width(), lane.runs);
      if (phase->in_place) lane.runs->begin = int32_t(pixel - first_of_panel(gemm, pixel));
      const int64_t channel = group * weights_.out + row;
      epilogue_.point(args, in, out, channel * plane_out_ + image * phase->target.image_stride, channel);
      kernels_->store_rows(args);
    };
    if (!phase->paired) {
      gemm.run_tile(tile, weights + phase->packed, lane.gemm, panels_of(*phase),
                    [&](const float* c, int64_t row, int64_t rows, int64_t pixel) {
                      store(c, nullptr, row, rows, pixel);
                    });
      return;
    }
    gemm.compute_tile(tile, weights + phase->packed, lane.gemm, lane.even, panels_of(*phase),
                      [](int64_t, const float*) {});
    float* odd = lane.gemm + gemm.panel_floats();
    const auto [row, rows] = gemm.rows_of(tile);
    gemm.compute_tile(tile, weights + phase[1].packed, lane.gemm, odd, panels_of(phase[1]),
                      [&, row = row, rows = rows](int64_t column, const float* c) {
                        store(lane.even + (c - odd), c, row, rows, column * gemm.width());
                      });
  }

  void pack(const float* weight, float* packed) const override {
    parallel_for(a_blocks_, [&](int64_t block) {
      for (const Phase& p : phases_) {
        const int64_t blocks = p.gemm.a_blocks() * groups_;
        if (block >= blocks) {
          block -= blocks;
          continue;
        }
        const int64_t group = block / p.gemm.a_blocks();
        const float* w = weight + group * weights_.floats();
        const auto pack_a = [&](float* dst, int64_t row, int64_t rows, int64_t k_begin, int64_t k_end) {
          weights_.pack(*kernels_, dst, rows, w, p.kernel_tap, row, rows, k_begin, k_end);
        };
        p.gemm.pack_a_block(block % p.gemm.a_blocks(), packed + group * packed_per_group_ + p.packed, pack_a);
        return;
      }
    });
  }

  const KernelTable* kernels_;
  ConvWeights weights_;
  StoreEpilogue epilogue_;
  int64_t groups_, units_, plane_out_;  // units: products of one phase
  std::vector<Phase> phases_;
  int64_t packed_per_group_ = 0, tiles_ = 0, a_blocks_ = 0, lane_floats_ = 0, pair_floats_ = 0;
  int64_t max_width_ = 0, max_taps_ = 0;
};

// Packing costs as much as the products of a few output channels; panels of one image may not come out even.
bool lies_in_place(const BindArgs& args, const ConvWeights& weights, const ConvPhase& p) {
  constexpr double kPacking = 6;
  const PixelSource& s = p.source;
  const int64_t width = 2 * args.kernels.lanes, computed = ceil_div(s.plane(), width) * width;
  const double out = double(weights.out);
  return s.taps() == 1 && s.tap_y[0] == 0 && s.tap_x[0] == 0 && s.stride_y == 1 && s.stride_x == 1 &&
         s.grid_h == s.height && s.grid_w == s.width && p.target.element_stride == 1 &&
         p.target.row_stride == s.width && s.plane() >= width && weights.out > args.kernels.max_rows_wide &&
         out * double(computed) / double(s.plane()) < out + kPacking;
}

std::unique_ptr<BoundOp> make_conv(const BindArgs& args, const ConvWeights& weights,
                                   std::vector<ConvPhase> parts) {
  const ConvAttrs& a = args.call.attr<ConvAttrs>();
  // Where the product takes pairs, the source is an image of half as many channels (packed_conv.h).
  for (ConvPhase& p : parts) p.source.image_stride = a.groups * weights.in_elements * p.source.plane();
  if (auto winograd = make_winograd_conv(args, weights, parts)) return winograd;
  if (auto rows = make_pixel_rows_conv(args, weights, parts)) return rows;
  if (auto strip = make_strip_conv(args, weights, a.groups, parts)) return strip;
  std::vector<Phase> phases;
  for (size_t i = 0; i < parts.size(); ++i) {
    ConvPhase& p = parts[i];
    const bool second = i > 0 && phases[i - 1].paired;
    const bool paired =
        !second && i + 1 < parts.size() && alternate(p, parts[i + 1], args.call.out[0].shape[3]);
    const bool in_place = parts.size() == 1 && lies_in_place(args, weights, p);
    const int64_t images = in_place ? args.call.in[0].shape[0] : 1;
    Gemm gemm(args.kernels, weights.out, p.pixels / images, weights.in_elements * p.source.taps(),
              a.groups * int64_t(parts.size()) * images, paired || second);
    if (in_place) gemm.set_panel_stride(p.source.plane());
    p.source.finish();
    p.target.finish();
    phases.push_back({std::move(p), std::move(gemm), 0, 0, paired, in_place});
  }
  return std::make_unique<ConvOp>(args, weights, a.groups, std::move(phases));
}

// Of groups with `in` channels of the source and `out` of the output.
std::unique_ptr<BoundOp> make_conv(const BindArgs& args, bool forward, int64_t in, int64_t out,
                                   std::vector<ConvPhase> parts) {
  const BindArgs chosen = args.for_product(in);
  const Shape& w = args.call.in[1].shape;
  return make_conv(chosen, ConvWeights::make(forward, in, out, w[2] * w[3], chosen.kernels.pairs()),
                   std::move(parts));
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

std::unique_ptr<BoundOp> bind_conv2d_fused(const BindArgs& args) { return bind_conv2d(args); }
std::unique_ptr<BoundOp> bind_conv_transpose2d_fused(const BindArgs& args) {
  return bind_conv_transpose2d(args);
}

}  // namespace advf::cpu
