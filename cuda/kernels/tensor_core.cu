#include "cuda/kernels/tensor_core.h"

#include "cuda/context.h"
#include "cuda/gemm.h"
#include "cuda/kernels/conv_geometry.h"
#include "cuda/kernels/epilogue.h"
#include "cuda/layouts.h"

namespace advf::cuda {
namespace {

constexpr int kTile = 32, kTileRows = 8;  // a block of 32x8 threads turns a tile of 32x32

struct Turn {
  int64_t images;
  int channels, padded, pixels;  // padded: channels in the last dimension, a multiple of 8
  __host__ __device__ int channel_tiles() const { return (padded + kTile - 1) / kTile; }
  __host__ __device__ int pixel_tiles() const { return (pixels + kTile - 1) / kTile; }
  __host__ __device__ int64_t tiles() const { return images * channel_tiles() * pixel_tiles(); }
};

// f32 (N,C,pixels) -> bf16 (N,pixels,padded); the padding is zero.
__global__ void to_channels_last_kernel(const float* x, bf16* y, Turn t) {
  __shared__ float tile[kTile][kTile + 1];
  const int lane = int(threadIdx.x) % kTile, row = int(threadIdx.x) / kTile;
  for (int64_t b = blockIdx.x; b < t.tiles(); b += gridDim.x) {
    const int p0 = int(b % t.pixel_tiles()) * kTile,
              c0 = int(b / t.pixel_tiles() % t.channel_tiles()) * kTile;
    const int64_t n = b / t.pixel_tiles() / t.channel_tiles();
    for (int k = row; k < kTile; k += kTileRows) {
      const int c = c0 + k, p = p0 + lane;
      tile[k][lane] = c < t.channels && p < t.pixels ? x[(n * t.channels + c) * t.pixels + p] : 0.0f;
    }
    __syncthreads();
    for (int k = row; k < kTile; k += kTileRows) {
      const int p = p0 + k, c = c0 + lane;
      if (c < t.padded && p < t.pixels)
        y[(n * t.pixels + p) * t.padded + c] = from_float<bf16>(tile[lane][k]);
    }
    __syncthreads();
  }
}

// The way back, with what follows a product (f32, channels first) done on the way.
__global__ void from_channels_last_kernel(const bf16* x, const float* residual, const float* kept, float* y,
                                          Turn t, EpilogueMap finish) {
  __shared__ float tile[kTile][kTile + 1];
  const int lane = int(threadIdx.x) % kTile, row = int(threadIdx.x) / kTile;
  for (int64_t b = blockIdx.x; b < t.tiles(); b += gridDim.x) {
    const int p0 = int(b % t.pixel_tiles()) * kTile,
              c0 = int(b / t.pixel_tiles() % t.channel_tiles()) * kTile;
    const int64_t n = b / t.pixel_tiles() / t.channel_tiles();
    for (int k = row; k < kTile; k += kTileRows) {
      const int p = p0 + k, c = c0 + lane;
      tile[k][lane] = c < t.channels && p < t.pixels ? to_float(x[(n * t.pixels + p) * t.padded + c]) : 0.0f;
    }
    __syncthreads();
    for (int k = row; k < kTile; k += kTileRows) {
      const int c = c0 + k, p = p0 + lane;
      if (c >= t.channels || p >= t.pixels) continue;
      const int64_t i = (n * t.channels + c) * t.pixels + p;
      const float v[3] = {tile[lane][k], residual ? residual[i] : 0, kept ? kept[i] : 0};
      finish(v, y + i, i);
    }
    __syncthreads();
  }
}

// f32 (O,C,taps) -> bf16 (padded O, taps, padded C)
__global__ void pack_weight_kernel(const float* w, bf16* y, int o, int c, int taps, int padded_o,
                                   int padded_c) {
  const int64_t n = int64_t(padded_o) * taps * padded_c;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += int64_t(gridDim.x) * blockDim.x) {
    const int ci = int(i % padded_c), tap = int(i / padded_c % taps), oi = int(i / padded_c / taps);
    y[i] = from_float<bf16>(oi < o && ci < c ? w[(int64_t(oi) * c + ci) * taps + tap] : 0.0f);
  }
}

__global__ void round_kernel(const float* x, bf16* y, int64_t n) {
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += int64_t(gridDim.x) * blockDim.x)
    y[i] = from_float<bf16>(x[i]);
}

size_t rounded(size_t bytes) { return (bytes + 255) / 256 * 256; }
int padded(int64_t channels) { return int((channels + 7) / 8 * 8); }

Turn turn_of(const Shape& s) { return {s[0], int(s[1]), padded(s[1]), int(s[2] * s[3])}; }
size_t turned_bytes(const Turn& t) { return rounded(size_t(t.images * t.pixels * t.padded) * sizeof(bf16)); }

std::shared_ptr<const DeviceBytes> packed_weight(const void* constant, const Shape& w) {
  const int o = padded(w[0]), c = padded(w[1]), taps = int(w[2] * w[3]);
  auto bytes = std::make_shared<DeviceBytes>(size_t(o) * size_t(taps) * size_t(c) * sizeof(bf16));
  launch("pack_weight_kernel", pack_weight_kernel, grid_for(int64_t(o) * taps * c), context().stream,
         static_cast<const float*>(constant), bytes->as<bf16>(), int(w[0]), int(w[1]), taps, o, c);
  return bytes;
}

}  // namespace

std::unique_ptr<BoundOp> bind_bf16_convolution(const BindArgs& args, bool transposed) {
  const auto& a = args.attr<ConvAttrs>();
  if (!runs_in_bf16(args.call, args.constant(1) != nullptr)) return nullptr;
  const Shape &in = args.in(0).shape, &w = args.in(1).shape, &out = args.out().shape;
  const Shape &x = transposed ? out : in, &y = transposed ? in : out;
  ConvProblem problem = conv_problem(args.call.op->name, x, w, y, a);
  problem.c = padded(x[1]);
  problem.o = padded(y[1]);
  problem.element = Element::bf16;
  std::shared_ptr<const Convolution> conv =
      make_convolution(problem, transposed ? ConvPass::input_gradient : ConvPass::forward);
  EpilogueCall finish(args, a.epilogue);
  const auto weight = packed_weight(args.constant(1), w);
  const Turn turn_in = turn_of(in), turn_out = turn_of(out);
  const bool plain_in = args.in(0).layout == kPlain, plain_out = args.out().layout == kPlain;
  if (!plain_out) finish.channel = {1, uint32_t(out[1])};
  const bool aside = plain_out || finish.product_in_scratch();  // where the product goes first
  const size_t in_bytes = plain_in ? turned_bytes(turn_in) : 0,
               out_bytes = aside ? turned_bytes(turn_out) : 0;
  return bound(
      [=](const Run& r) {
        const void* image = r.in[0].data;
        if (plain_in) {
          launch("to_channels_last_kernel", to_channels_last_kernel,
                 grid_of_blocks(turn_in.tiles(), kTile * kTileRows), r.stream, r.f32(0),
                 reinterpret_cast<bf16*>(r.scratch), turn_in);
          image = r.scratch;
        }
        auto* product = aside ? reinterpret_cast<bf16*>(r.scratch + in_bytes) : r.out[0].as<bf16>();
        conv->run(image, weight->as<void>(), product, r.scratch + in_bytes + out_bytes, r.stream);
        if (plain_out)
          launch("from_channels_last_kernel", from_channels_last_kernel,
                 grid_of_blocks(turn_out.tiles(), kTile * kTileRows), r.stream, product,
                 finish.residual_of<float>(r), finish.kept_of<float>(r), r.to_f32(), turn_out, finish.map(r));
        else
          finish.launch_from<bf16>(product, r);
      },
      in_bytes + out_bytes + conv->scratch_bytes());
}

// Operands in bf16, the result in f32. One operand is constant and packed.
std::unique_ptr<BoundOp> bind_bf16_product(const BindArgs& args) {
  if (!runs_in_bf16(args.call, args.constant(1) != nullptr)) return nullptr;
  const auto& t = args.attr<MatmulAttrs>();
  const Shape &a = args.in(0).shape, &b = args.in(1).shape, &y = args.out().shape;
  const EpilogueCall finish(args, t.epilogue);
  std::shared_ptr<const Gemm> gemm = make_gemm(
      {y[0], y[1], a[t.transpose_a ? 0 : 1], 1, t.transpose_a, t.transpose_b, Element::bf16, Element::f32});
  const auto weight = std::make_shared<DeviceBytes>(size_t(b.numel()) * sizeof(bf16));
  launch("round_kernel", round_kernel, grid_for(b.numel()), context().stream,
         static_cast<const float*>(args.constant(1)), weight->as<bf16>(), b.numel());
  const size_t a_bytes = rounded(size_t(a.numel()) * sizeof(bf16));
  return bound(
      [=](const Run& r) {
        auto* rows = reinterpret_cast<bf16*>(r.scratch);
        launch("round_kernel", round_kernel, grid_for(a.numel()), r.stream, r.f32(0), rows, a.numel());
        auto* product =
            finish.product_in_scratch() ? reinterpret_cast<float*>(r.scratch + a_bytes) : r.to_f32();
        gemm->run(rows, weight->as<void>(), product, r.stream);
        finish.launch_from<float>(product, r);
      },
      a_bytes + finish.product_bytes<float>(y));
}

}  // namespace advf::cuda
