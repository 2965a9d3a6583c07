// Batch normalisation over dimension 1 of (N,C) or (N,C,H,W); what the ops mean is said in
// tensor/ops/batch_norm.cpp. Sums per channel in f64, then one pass over the elements.
#include "cuda/bind.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/reduce.h"

namespace advf::cuda {
namespace {

// Where value i of a channel lies, i over (N, inner).
struct ChannelAt {
  uint32_t inner, channels;
  __device__ int64_t operator()(int64_t channel, int64_t i) const {
    const uint32_t n = uint32_t(i) / inner;
    return (int64_t(n) * channels + channel) * inner + (uint32_t(i) - n * inner);
  }
};

// The channels of an op's first input, and how they are summed up.
struct Channels {
  ChannelOf channel;
  ChannelAt at;
  double count;  // values of a channel
  float eps;
  SumPlan plan;
  explicit Channels(const BindArgs& args)
      : channel(channel_of(args.call.op->name, args.in(0).shape)),
        at{channel.inner, channel.channels},
        count(double(args.in(0).shape[0]) * double(channel.inner)),
        eps(float(args.attr<ScalarAttrs>().a)),
        plan(plan_sums(channel.channels, int64_t(count))) {}
};

struct MeanValue {
  const float* x;
  ChannelAt at;
  __device__ Sums<1> operator()(int64_t c, int64_t i) const { return {{double(x[at(c, i)])}}; }
};
struct VarianceValue {
  const float *x, *mean;
  ChannelAt at;
  __device__ Sums<1> operator()(int64_t c, int64_t i) const {
    const double d = double(x[at(c, i)]) - double(mean[c]);
    return {{d * d}};
  }
};
struct StoreMean {
  float* y;
  double count;
  __device__ void operator()(int64_t c, const Sums<1>& s) const { y[c] = float(s.v[0] / count); }
};

// y = gamma (x - mean) / sqrt(var + eps) + beta
struct NormaliseMap {
  const float *gamma, *beta, *mean, *var;
  float eps;
  ChannelOf channel;
  __device__ void operator()(const float* x, float* y, int64_t i) const {
    const uint32_t c = channel(i);
    y[0] = (x[0] - mean[c]) * (gamma[c] / sqrtf(var[c] + eps)) + beta[c];
  }
};

struct GradValue {  // dgamma, dbeta
  const float *x, *g, *mean, *var;
  float eps;
  ChannelAt at;
  __device__ Sums<2> operator()(int64_t c, int64_t i) const {
    const int64_t k = at(c, i);
    const double r = 1.0 / sqrt(double(var[c]) + double(eps));
    return {{double(g[k]) * (double(x[k]) - double(mean[c])) * r, double(g[k])}};
  }
};
struct StoreGrad {
  float *dgamma, *dbeta;
  __device__ void operator()(int64_t c, const Sums<2>& s) const {
    dgamma[c] = float(s.v[0]);
    dbeta[c] = float(s.v[1]);
  }
};
struct GradMap {  // x, g -> dx
  const float *gamma, *mean, *var, *dgamma, *dbeta;
  float eps, count;
  ChannelOf channel;
  __device__ void operator()(const float* x, float* y, int64_t i) const {
    const uint32_t c = channel(i);
    const float r = 1.0f / sqrtf(var[c] + eps), xhat = (x[0] - mean[c]) * r;
    y[0] = gamma[c] * r * (x[1] - dbeta[c] / count - xhat * (dgamma[c] / count));
  }
};

}  // namespace

std::unique_ptr<BoundOp> bind_batch_norm_train(const BindArgs& args) {
  const Channels c(args);
  return bound(
      [=](const Run& r) {
        float *mean = r.to_f32(1), *var = r.to_f32(2);
        launch_sums<1>(c.plan, MeanValue{r.f32(0), c.at}, StoreMean{mean, c.count}, r.scratch, r.stream);
        launch_sums<1>(c.plan, VarianceValue{r.f32(0), mean, c.at}, StoreMean{var, c.count}, r.scratch,
                       r.stream);
        launch_map(MapArgs<float, 1, 1>{{r.f32(0)}, {r.to_f32(0)}, r.out[0].numel(), false},
                   NormaliseMap{r.f32(1), r.f32(2), mean, var, c.eps, c.channel}, r.stream);
      },
      c.plan.scratch_bytes(1));
}

std::unique_ptr<BoundOp> bind_batch_norm_train_grad(const BindArgs& args) {  // x, gamma, mean, var, g
  const Channels c(args);
  return bound(
      [=](const Run& r) {
        float *dgamma = r.to_f32(1), *dbeta = r.to_f32(2);
        launch_sums<2>(c.plan, GradValue{r.f32(0), r.f32(4), r.f32(2), r.f32(3), c.eps, c.at},
                       StoreGrad{dgamma, dbeta}, r.scratch, r.stream);
        launch_map(MapArgs<float, 2, 1>{{r.f32(0), r.f32(4)}, {r.to_f32(0)}, r.out[0].numel(), false},
                   GradMap{r.f32(1), r.f32(2), r.f32(3), dgamma, dbeta, c.eps, float(c.count), c.channel},
                   r.stream);
      },
      c.plan.scratch_bytes(2));
}

std::unique_ptr<BoundOp> bind_batch_norm_eval(const BindArgs& args) {  // x, gamma, beta, mean, var
  const ChannelOf channel = channel_of(args);
  const float eps = float(args.attr<ScalarAttrs>().a);
  return bound_map(
      args, [=](const Run& r) { return NormaliseMap{r.f32(1), r.f32(2), r.f32(3), r.f32(4), eps, channel}; });
}

}  // namespace advf::cuda
