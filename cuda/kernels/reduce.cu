// reduce_sum over any set of dimensions, and prelu with its gradient, whose slopes get a sum per channel.
#include "cuda/kernels/reduce.h"

#include "cuda/bind.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/strides.h"
#include "tensor/scalar_math.h"

namespace advf::cuda {
namespace {

struct ReducedValue {
  const float* x;
  Strides<1> kept, summed;
  __device__ Sums<1> operator()(int64_t row, int64_t i) const {
    int64_t base, offset;
    kept.locate(row, &base);
    summed.locate(i, &offset);
    return {{double(x[base + offset])}};
  }
};
struct StoreSum {
  float* y;
  __device__ void operator()(int64_t row, const Sums<1>& s) const { y[row] = float(s.v[0]); }
};

// slopes (C), or (1) for all
struct PreluMap {
  const float* slope;
  ChannelOf channel;
  bool shared;
  __device__ void operator()(const float* x, float* y, int64_t i) const {
    y[0] = scalar::Prelu{}(x[0], slope[shared ? 0 : channel(i)]);
  }
};
struct PreluGradMap {  // x, g -> dx
  const float* slope;
  ChannelOf channel;
  bool shared;
  __device__ void operator()(const float* x, float* y, int64_t i) const {
    y[0] = x[0] > 0 ? x[1] : slope[shared ? 0 : channel(i)] * x[1];
  }
};
struct SlopeGradValue {  // of channel `row`: the sum of x g where x is not positive
  const float *x, *g;
  uint32_t inner, channels;
  __device__ Sums<1> operator()(int64_t row, int64_t i) const {
    const uint32_t n = uint32_t(i) / inner;
    const int64_t at = (int64_t(n) * channels + row) * inner + (uint32_t(i) - n * inner);
    return {{x[at] > 0 ? 0.0 : double(x[at]) * double(g[at])}};
  }
};

}  // namespace

std::unique_ptr<BoundOp> bind_reduce_sum(const BindArgs& args) {
  const Shape& from = args.in(0).shape;
  const uint32_t axes = args.attr<AxesAttrs>().axes;
  Shape kept_shape, summed_shape;
  for (int d = 0; d < from.rank(); ++d) (axes >> d & 1u ? summed_shape : kept_shape).push_back(from[d]);
  Strides<1> kept("reduce_sum", kept_shape), summed("reduce_sum", summed_shape), whole("reduce_sum", from);
  whole.contiguous(0, from);
  for (int d = 0, k = 0, s = 0; d < from.rank(); ++d)
    (axes >> d & 1u ? summed.step[0][s++] : kept.step[0][k++]) = whole.step[0][d];
  kept.merge();
  summed.merge();
  // Whether neighbours in memory belong to neighbouring sums.
  const bool columns = kept.rank > 0 && kept.step[0][kept.rank - 1] == 1 && kept.n > 1;
  SumPlan plan = plan_sums(kept.n, summed.n);
  if (columns)
    plan.parts =
        std::clamp<int64_t>(65536 / std::max<int64_t>(kept.n, 1), 1, std::max<int64_t>(summed.n / 8, 1));
  return bound(
      [=](const Run& r) {
        launch_sums<1>(plan, ReducedValue{r.f32(0), kept, summed}, StoreSum{r.to_f32()}, r.scratch, r.stream,
                       columns);
      },
      plan.scratch_bytes(1));
}

std::unique_ptr<BoundOp> bind_prelu(const BindArgs& args) {
  const ChannelOf channel = channel_of(args);
  const bool shared = args.in(1).shape[0] == 1;
  return bound_map(args, [=](const Run& r) { return PreluMap{r.f32(1), channel, shared}; });
}

std::unique_ptr<BoundOp> bind_prelu_grad(const BindArgs& args) {
  const Shape& x = args.in(0).shape;
  ChannelOf channel = channel_of("prelu_grad", x);
  const bool shared = args.in(1).shape[0] == 1;
  // One slope for all: one channel, as long as the tensor.
  const uint32_t inner = shared ? uint32_t(x.numel(1, x.rank())) : channel.inner;
  const uint32_t channels = shared ? 1 : channel.channels;
  const SumPlan plan = plan_sums(channels, x[0] * int64_t(inner));
  return bound(
      [=](const Run& r) {
        launch_sums<1>(plan, SlopeGradValue{r.f32(0), r.f32(2), inner, channels}, StoreSum{r.to_f32(1)},
                       r.scratch, r.stream);
        launch_map(MapArgs<float, 2, 1>{{r.f32(0), r.f32(2)}, {r.to_f32(0)}, r.out[0].numel(), false},
                   PreluGradMap{r.f32(1), channel, shared}, r.stream);
      },
      plan.scratch_bytes(1));
}

}  // namespace advf::cuda
