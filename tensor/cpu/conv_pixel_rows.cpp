// conv2d and its adjoint with rows = output pixels and columns = output channels: conv.cpp turned round. A
// small plane (3x3, one image) fills vectors of channels, not of pixels, and its pixels are gathered
// once instead of once per tile of channels; weights, the larger operand then, are packed as panels and read
// once each. Products and sums are those of conv.cpp in the same order.
#include "tensor/cpu/conv_pixel_rows.h"

#include <algorithm>
#include <cstring>

#include "tensor/cpu/packed_conv.h"
#include "tensor/cpu/store.h"

namespace advf::cpu {
namespace {

struct Phase : ConvPhase {
  Gemm gemm;
  int64_t weights = 0, pixels = 0;          // where the phase's packed operands start, floats
  int64_t first_block = 0, first_tile = 0;  // of pixels to pack; to multiply
};

class PixelRowsConv : public PackedConv {
 public:
  PixelRowsConv(const BindArgs& args, const ConvWeights& weights, const std::vector<ConvPhase>& parts)
      : kernels_(args.kernels),
        weights_(weights),
        epilogue_(args.call),
        plane_out_(args.call.out[0].shape.numel(2, 4)) {
    int64_t weight_floats = 0, pixel_floats = 0;
    for (const ConvPhase& part : parts) {
      Phase p{part,
              Gemm(kernels_, part.pixels, weights.out, weights.in_elements * part.source.taps(),
                   int64_t(parts.size())),
              weight_floats,
              pixel_floats,
              blocks_,
              tiles_};
      p.source.finish();
      p.target.finish();
      weight_floats += p.gemm.packed_b();
      pixel_floats += p.gemm.packed_a();
      blocks_ += p.gemm.a_blocks();
      tiles_ += p.gemm.tiles();
      gemm_floats_ = std::max(gemm_floats_, p.gemm.lane_floats());
      max_taps_ = std::max<int64_t>(max_taps_, p.source.taps());
      max_depth_ = std::max(max_depth_, p.gemm.largest_depth());
      max_width_ = std::max(max_width_, p.gemm.width());
      phases_.push_back(std::move(p));
    }
    Arena lane(nullptr);
    take_lane(lane);
    round_source(args, weights);
    finish(args, weight_floats, lane.used(), pixel_floats);
  }

 private:
  // A lane packs pixels, then multiplies: the areas are told apart for simplicity, not because both are in
  // use.
  struct Lane {
    float *gemm, *turned;  // turned: a piece of a tile, rows = channels
    PixelChunk* chunks;
    StoreRun* runs;
  };
  Lane take_lane(Arena& arena) const {
    return {arena.take<float>(std::max(gemm_floats_, max_depth_ * kernels_.lanes)),
            arena.take<float>(max_width_ * kernels_.lanes),
            arena.take<PixelChunk>(max_taps_ * kernels_.lanes), arena.take<StoreRun>(kernels_.lanes)};
  }

  const Phase& phase_of(int64_t Phase::*first, int64_t i) const {
    size_t p = phases_.size() - 1;
    while (phases_[p].*first > i) --p;
    return phases_[p];
  }

  void multiply(std::span<const View> in, std::span<const View> out, const float* weights, float* pixels,
                const Lanes& lanes) const override {
    lanes.for_each(blocks_, [&](int64_t block, Arena area) {
      const Phase& p = phase_of(&Phase::first_block, block);
      pack_pixels(p, block - p.first_block, in[0].as<const float>(), pixels + p.pixels, take_lane(area));
    });
    lanes.for_each(tiles_, [&](int64_t tile, Arena area) {
      const Phase& p = phase_of(&Phase::first_tile, tile);
      const Lane lane = take_lane(area);
      p.gemm.run_tile(
          tile - p.first_tile, pixels + p.pixels, lane.gemm,
          [&](float*, int64_t column, int64_t k_begin, int64_t k_end) -> const float* {
            return weights + p.weights + p.gemm.packed_b_at(column, k_begin, k_end);
          },
          [&](const float* c, int64_t row, int64_t rows, int64_t column) {
            for (int64_t r = 0; r < rows; r += kernels_.lanes)
              store(p, in, out, c + r * p.gemm.width(), row + r, std::min<int64_t>(kernels_.lanes, rows - r),
                    column, lane);
          });
    });
  }

  void pack_pixels(const Phase& p, int64_t block, const float* source, float* packed,
                   const Lane& lane) const {
    p.gemm.pack_a_block(
        block, packed, [&](float* dst, int64_t row, int64_t rows, int64_t k_begin, int64_t k_end) {
          const int pieces = p.source.make_chunks(row, row + rows, 1, kernels_.lanes, lane.chunks);
          kernels_.pack_pixels(lane.gemm, 1, source, p.source.plane(), k_begin, k_end, p.source.taps(),
                               lane.chunks, pieces, int(p.source.stride_x));
          for (int64_t k = 0; k < k_end - k_begin; ++k)
            std::memcpy(dst + k * rows, lane.gemm + k * kernels_.lanes, size_t(rows) * sizeof(float));
        });
  }

  // At most a vector of pixels of a tile, all its channels.
  void store(const Phase& p, std::span<const View> in, std::span<const View> out, const float* c,
             int64_t pixel, int64_t pixels, int64_t channel, const Lane& lane) const {
    const int64_t channels = std::min(p.gemm.width(), weights_.out - channel);
    kernels_.transpose(lane.turned, kernels_.lanes, c, p.gemm.width(), pixels, channels);
    StoreArgs args;
    args.dst_stride = plane_out_, args.element_stride = p.target.element_stride;
    args.src = lane.turned, args.src_stride = kernels_.lanes, args.rows = int(channels);
    args.runs = lane.runs;
    args.num_runs = p.target.make_runs(pixel, pixel + pixels, pixels, lane.runs);
    epilogue_.point(args, in, out, channel * plane_out_, channel);
    kernels_.store_rows(args);
  }

  void pack(const float* weight, float* packed) const override {
    for (const Phase& p : phases_)
      parallel_for(p.gemm.b_blocks(), [&](int64_t block) {
        p.gemm.pack_b_block(block, packed + p.weights,
                            [&](float* dst, int64_t column, int64_t k_begin, int64_t k_end) {
                              weights_.pack(kernels_, dst, p.gemm.width(), weight, p.kernel_tap, column,
                                            std::min(p.gemm.width(), weights_.out - column), k_begin, k_end);
                            });
      });
  }

  const KernelTable& kernels_;
  ConvWeights weights_;
  StoreEpilogue epilogue_;
  int64_t plane_out_;
  std::vector<Phase> phases_;
  int64_t blocks_ = 0, tiles_ = 0, gemm_floats_ = 0, max_taps_ = 0, max_depth_ = 0, max_width_ = 0;
};

}  // namespace

std::unique_ptr<BoundOp> make_pixel_rows_conv(const BindArgs& args, const ConvWeights& weights,
                                              const std::vector<ConvPhase>& phases) {
  if (args.call.attr<ConvAttrs>().groups != 1) return nullptr;
  // Measured on AVX-512: more pixels than channels, or a number of pixels that fills vectors, are faster as
  // columns.
  constexpr int64_t kMostPixels = 160;
  const int64_t lanes = args.kernels.lanes;
  int64_t pixels = 0;
  for (const ConvPhase& p : phases) {
    if (p.source.taps() == 0) return nullptr;
    pixels = std::max(pixels, p.pixels);
  }
  const int64_t width = pixels <= lanes ? lanes : 2 * lanes;
  const bool fills_columns = 20 * pixels >= 19 * ceil_div(pixels, width) * width;
  if (pixels > std::min(kMostPixels, weights.out) || weights.out < 2 * lanes || fills_columns) return nullptr;
  return std::make_unique<PixelRowsConv>(args, weights, phases);
}

}  // namespace advf::cpu
