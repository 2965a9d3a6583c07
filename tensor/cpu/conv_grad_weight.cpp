// conv2d_grad_weight: x (N,C,H,W), g (N,O,h,w) -> (O,C/g,kh,kw). A GEMM with rows = output channels, columns
// = input channels x taps and the output pixels of all images as depth. x is laid channels-last in padded
// strips, so that a row of b (one pixel, one tap, all channels) is contiguous where it lies: the GEMM tile
// reads the taps out of the strip by offsets, and every element of x is transposed once, not once per tap.
#include <cstring>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/depthwise.h"
#include "tensor/cpu/gemm.h"

namespace advf::cpu {
namespace {

constexpr int64_t kBlockPixels = 256;  // depth of a block, at most (a row of pixels at least)
constexpr int64_t kStripFloats =
    48 * 1024;  // of a block, at most (a row of pixels and one vector of channels at least)
constexpr int64_t kTileRows = 256;
constexpr int64_t kWantedTasks = 16;
constexpr int64_t kPartialFloats = 4 << 20;  // of all partial sums

class GradWeightOp : public BoundOp {
 public:
  GradWeightOp(const KernelTable& kernels, const OpCall& call)
      : kernels_(kernels),
        a_(call.attr<ConvAttrs>()),
        x_(call.in[0].shape),
        g_(call.in[1].shape),
        w_(call.out[0].shape),
        lanes_(lane_count()) {
    const int64_t out = g_[1] / a_.groups, taps = w_[2] * w_[3];
    channel_tiles_ = Split{ceil_div(w_[1], kernels.lanes), 1};
    strip_w_ = (g_[3] - 1) * a_.stride[1] + (w_[3] - 1) * a_.dilation[1] + 1;
    choose_blocks();
    rows_ = Split::at_most(out, kernels.max_rows);
    row_tiles_ = Split::at_most(rows_.parts, std::max<int64_t>(1, kTileRows / kernels.max_rows));
    tiles_ = a_.groups * row_tiles_.parts * channel_tiles_.parts;
    const int64_t tile_floats = largest_rows() * channel_tiles_.largest() * taps * kernels.lanes;
    const int64_t splits = std::min({ceil_div(kWantedTasks, tiles_), num_blocks_,
                                     std::max<int64_t>(1, kPartialFloats / (tile_floats * tiles_))});
    block_splits_ = Split{num_blocks_, splits};
    partial_floats_ = tile_floats;
    make_offsets();
    Arena lane(nullptr);
    take_lane(lane);
    lane_bytes_ = lane.used();
  }

  // Whether the strips can be indexed; absurdly wide images with huge kernels are left to the reference.
  bool fits() const { return block_images_ * strip_h_ * strip_w_ * strip_channels() < (int64_t(1) << 30); }

  size_t scratch_bytes() const override {
    Arena arena(nullptr);
    arena.take<float>(partial_floats_ * tiles_ * block_splits_.parts);
    arena.take<std::byte>(int64_t(lane_bytes_) * lanes_);
    return arena.used();
  }

  void run(std::span<const View> in, std::span<const View> out, void* scratch) const override {
    Arena arena(scratch);
    float* partial = arena.take<float>(partial_floats_ * tiles_ * block_splits_.parts);
    std::byte* lanes = arena.take<std::byte>(int64_t(lane_bytes_) * lanes_);
    const float *x = in[0].as<const float>(), *g = in[1].as<const float>();
    for_each_tile(lanes_, tiles_ * block_splits_.parts, [&](int64_t task, int64_t lane) {
      Arena area(lanes + lane * int64_t(lane_bytes_));
      accumulate(task, x, g, take_lane(area), partial + task * partial_floats_);
    });
    for_each_tile(lanes_, tiles_, [&](int64_t tile, int64_t lane) {
      Arena area(lanes + lane * int64_t(lane_bytes_));
      reduce(tile, partial, take_lane(area).row, out[0].as<float>());
    });
  }

 private:
  struct Tile {
    int64_t group, panel_begin, panel_end, row, rows;  // row panels and rows
    int64_t channel, channels, vectors;                // of a group
  };
  struct Block {
    int64_t image, images, row, rows;  // output rows
  };
  struct Lane {
    float *strip, *a, *row;
  };

  int64_t strip_channels() const { return channel_tiles_.largest() * kernels_.lanes; }
  int64_t largest_rows() const {
    return std::min<int64_t>(rows_.total, row_tiles_.largest() * rows_.largest());
  }
  Lane take_lane(Arena& arena) const {
    return {arena.take<float>(block_images_ * strip_h_ * strip_w_ * strip_channels()),
            arena.take<float>(largest_rows() * block_images_ * block_rows_ * g_[3]),
            arena.take<float>(channel_tiles_.largest() * w_[2] * w_[3] * kernels_.lanes)};
  }

  int64_t strip_rows(int64_t rows) const {
    return (rows - 1) * a_.stride[0] + (w_[2] - 1) * a_.dilation[0] + 1;
  }

  // Whole images while they are small, else rows of one image; then as many channels as the strip has room
  // for.
  void choose_blocks() {
    const int64_t pixels = g_[2] * g_[3];
    block_images_ = std::clamp<int64_t>(kBlockPixels / pixels, 1, g_[0]);
    block_rows_ = std::clamp<int64_t>(kBlockPixels / g_[3], 1, g_[2]);
    const auto strip = [&] { return block_images_ * strip_rows(block_rows_) * strip_w_ * kernels_.lanes; };
    const int64_t vectors = channel_tiles_.total;
    const int64_t wanted = std::min<int64_t>(vectors, 2);
    while (strip() * wanted > kStripFloats && block_images_ > 1) block_images_ = (block_images_ + 1) / 2;
    channel_tiles_ = Split::at_most(vectors, std::clamp<int64_t>(kStripFloats / strip(), 1, vectors));
    strip_h_ = strip_rows(block_rows_);
    row_blocks_ = ceil_div(g_[2], block_rows_);
    num_blocks_ = ceil_div(g_[0], block_images_) * row_blocks_;
  }

  void make_offsets() {
    const int64_t channels = strip_channels();
    for (int64_t i = 0; i < block_images_; ++i)
      for (int64_t y = 0; y < block_rows_; ++y)
        for (int64_t x = 0; x < g_[3]; ++x)
          k_offset_.push_back(
              int32_t(((i * strip_h_ + y * a_.stride[0]) * strip_w_ + x * a_.stride[1]) * channels));
    for (int64_t v = 0; v < channel_tiles_.largest(); ++v)
      for (int64_t ky = 0; ky < w_[2]; ++ky)
        for (int64_t kx = 0; kx < w_[3]; ++kx)
          v_offset_.push_back(int32_t((ky * a_.dilation[0] * strip_w_ + kx * a_.dilation[1]) * channels +
                                      v * kernels_.lanes));
  }

  Tile tile_at(int64_t tile) const {
    const int64_t ct = tile % channel_tiles_.parts, rt = tile / channel_tiles_.parts % row_tiles_.parts;
    Tile t;
    t.group = tile / (channel_tiles_.parts * row_tiles_.parts);
    t.panel_begin = row_tiles_.begin(rt);
    t.panel_end = row_tiles_.begin(rt + 1);
    t.row = rows_.begin(t.panel_begin);
    t.rows = rows_.begin(t.panel_end) - t.row;
    t.channel = channel_tiles_.begin(ct) * kernels_.lanes;
    t.vectors = channel_tiles_.size(ct);
    t.channels = std::min(t.vectors * kernels_.lanes, w_[1] - t.channel);
    return t;
  }

  void accumulate(int64_t task, const float* x, const float* g, const Lane& lane, float* sums) const {
    const Tile t = tile_at(task / block_splits_.parts);
    const int64_t split = task % block_splits_.parts;
    // The strip's margins and surplus channels are zeroed once: no block writes there.
    std::memset(lane.strip, 0,
                size_t(block_images_ * strip_h_ * strip_w_ * strip_channels()) * sizeof(float));
    for (int64_t b = block_splits_.begin(split); b < block_splits_.begin(split + 1); ++b) {
      Block block{b / row_blocks_ * block_images_, 0, b % row_blocks_ * block_rows_, 0};
      block.images = std::min(block_images_, g_[0] - block.image);
      block.rows = std::min(block_rows_, g_[2] - block.row);
      fill_strip(t, block, x, lane.strip);
      const int64_t depth = block.images * block.rows * g_[3];
      pack_rows(t, block, g, lane.a, depth);
      for (int64_t p = t.panel_begin; p < t.panel_end; ++p) {
        const int64_t first = rows_.begin(p) - t.row;
        multiply(int(rows_.size(p)), t.vectors * w_[2] * w_[3], int(depth), lane.a + first * depth,
                 lane.strip, sums + first * t.vectors * w_[2] * w_[3] * kernels_.lanes,
                 b > block_splits_.begin(split));
      }
    }
  }

  // f(first vector, width) for the GEMM tiles that cover `vectors` vectors.
  template <class F>
  void for_widths(int rows, int64_t vectors, F f) const {
    int width = rows <= kernels_.max_rows_wide ? 4 : 2;
    for (int64_t v = 0; v < vectors; v += width) {
      while (width > vectors - v) width /= 2;
      f(v, width);
    }
  }

  void multiply(int rows, int64_t vectors, int depth, const float* a, const float* strip, float* sums,
                bool accumulate) const {
    for_widths(rows, vectors, [&](int64_t v, int width) {
      kernels_.gemm_tile(rows, width, depth, a, strip, k_offset_.data(), v_offset_.data() + v,
                         sums + v * rows * kernels_.lanes, accumulate);
    });
  }

  void fill_strip(const Tile& t, const Block& block, const float* x, float* strip) const {
    const int64_t plane = x_[2] * x_[3], channels = strip_channels();
    const int64_t left = a_.pad[1], columns = std::min(strip_w_ - left, x_[3]);
    for (int64_t i = 0; i < block.images; ++i) {
      const float* image = x + ((block.image + i) * x_[1] + t.group * w_[1] + t.channel) * plane;
      for (int64_t r = 0; r < strip_rows(block.rows); ++r) {
        const int64_t y = block.row * a_.stride[0] + r - a_.pad[0];
        float* row = strip + (i * strip_h_ + r) * strip_w_ * channels;
        if (y < 0 || y >= x_[2])
          std::memset(row, 0, size_t(strip_w_ * channels) * sizeof(float));
        else if (columns > 0)
          kernels_.transpose(row + left * channels, channels, image + y * x_[3], plane, t.channels, columns);
      }
    }
  }

  void pack_rows(const Tile& t, const Block& block, const float* g, float* a, int64_t depth) const {
    const int64_t plane = g_[2] * g_[3], pixels = block.rows * g_[3];
    for (int64_t p = t.panel_begin; p < t.panel_end; ++p) {
      const int64_t row = rows_.begin(p), rows = rows_.size(p);
      for (int64_t i = 0; i < block.images; ++i) {
        const float* image = g + ((block.image + i) * g_[1] + t.group * rows_.total + row) * plane;
        kernels_.transpose(a + (row - t.row) * depth + i * pixels * rows, rows, image + block.row * g_[3],
                           plane, rows, pixels);
      }
    }
  }

  // Adds the splits in their order and puts (vector of channels, tap) back to (channel, tap).
  void reduce(int64_t tile, const float* partial, float* row_sums, float* dw) const {
    const Tile t = tile_at(tile);
    const int64_t taps = w_[2] * w_[3], vectors = t.vectors * taps, lanes = kernels_.lanes;
    const float* first = partial + tile * block_splits_.parts * partial_floats_;
    for (int64_t p = t.panel_begin; p < t.panel_end; ++p) {
      const int64_t rows = rows_.size(p);
      const float* panel = first + (rows_.begin(p) - t.row) * vectors * lanes;
      for (int64_t r = 0; r < rows; ++r) {
        for_widths(int(rows), vectors, [&](int64_t v, int width) {
          const float* from = panel + v * rows * lanes + r * width * lanes;
          float* to = row_sums + v * lanes;
          for (int64_t j = 0; j < width * lanes; ++j) {
            float sum = from[j];
            for (int64_t s = 1; s < block_splits_.parts; ++s) sum += from[s * partial_floats_ + j];
            to[j] = sum;
          }
        });
        const int64_t o = t.group * rows_.total + rows_.begin(p) + r;
        float* to = dw + (o * w_[1] + t.channel) * taps;
        for (int64_t v = 0; v < t.vectors; ++v)
          kernels_.transpose(to + v * lanes * taps, taps, row_sums + v * taps * lanes, lanes, taps,
                             std::min<int64_t>(lanes, t.channels - v * lanes));
      }
    }
  }

  const KernelTable& kernels_;
  ConvAttrs a_;
  Shape x_, g_, w_;
  int lanes_;
  Split channel_tiles_;     // of vectors of channels
  Split rows_, row_tiles_;  // row panels; tiles of row panels
  Split block_splits_;      // of the blocks of depth: each has its own partial sums
  int64_t strip_w_ = 0, strip_h_ = 0;
  int64_t block_images_ = 1, block_rows_ = 1, row_blocks_ = 1, num_blocks_ = 1;
  int64_t tiles_ = 0, partial_floats_ = 0;
  size_t lane_bytes_ = 0;
  std::vector<int32_t> k_offset_, v_offset_;
};

}  // namespace

std::unique_ptr<BoundOp> bind_conv2d_grad_weight(const BindArgs& args) {
  const OpCall& call = args.call;
  if (call.in[0].shape.numel() == 0 || call.in[1].shape.numel() == 0 || call.out[0].shape.numel() == 0)
    return nullptr;
  if (is_depthwise(call.attr<ConvAttrs>(), call.in[0].shape[1], call.in[1].shape[1]))
    return make_depthwise_grad_weight(args);
  auto op = std::make_unique<GradWeightOp>(args.kernels, call);
  if (!op->fits()) return nullptr;
  return op;
}

}  // namespace advf::cpu
