// Batch normalisation over dimension 1 of (N,C) or (N,C,H,W) (arXiv 1502.03167).
//   train: y = gamma (x - mean) / sqrt(var + eps) + beta with this batch's mean and biased variance, both
//   returned;
//          the caller keeps the running statistics. Only y has a gradient.
//   eval:  the same with given statistics, which are constants of the gradient.
#include <cmath>

#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void check_channels(const OpCall& call, size_t first, size_t last) {
  const Shape& x = call.in[0].shape;
  check(x.rank() == 2 || x.rank() == 4, call.op->name, ": an input of shape ", x,
        "; (N,C) or (N,C,H,W) is needed");
  for (size_t i = first; i < last; ++i)
    check(call.in[i].shape == Shape{x[1]}, call.op->name, ": input ", i, " of shape ", call.in[i].shape,
          ", not [", x[1], "]");
  check(call.attr<ScalarAttrs>().a >= 0, call.op->name, ": a negative epsilon");
}

void infer_train(OpCall& call) {
  check_inputs(call, 3);
  check_channels(call, 1, 3);
  const ValueInfo x = call.in[0];
  check(x.shape.numel() > 0, "batch_norm_train of an empty batch");
  call.out = {x, {{x.shape[1]}, x.dtype}, {{x.shape[1]}, x.dtype}};
}
void infer_train_grad(OpCall& call) {  // x, gamma, mean, var, g
  check_inputs(call, 5);
  check_channels(call, 1, 4);
  check(call.in[4].shape == call.in[0].shape, "batch_norm_train_grad: shapes ", call.in[0].shape, " and ",
        call.in[4].shape);
  const ValueInfo x = call.in[0];
  call.out = {x, {{x.shape[1]}, x.dtype}, {{x.shape[1]}, x.dtype}};
}
void infer_eval(OpCall& call) {  // x, gamma, beta, mean, var
  check_inputs(call, 5);
  check_channels(call, 1, 5);
  infer_same_as_first(call);
}

// f(index) for every element of channel c.
template <class F>
void for_channel(const ChannelDims& d, int64_t c, F f) {
  for (int64_t n = 0; n < d.n; ++n)
    for (int64_t i = 0; i < d.inner; ++i) f((n * d.c + c) * d.inner + i);
}

template <class T>
void train_ref(const KernelArgs& k) {
  const ChannelDims d = channel_dims(k.in[0].shape);
  const double eps = k.attr<ScalarAttrs>().a, count = double(d.n * d.inner);
  const T *x = k.in[0].as<const T>(), *gamma = k.in[1].as<const T>(), *beta = k.in[2].as<const T>();
  T* y = k.out[0].as<T>();
  for (int64_t c = 0; c < d.c; ++c) {
    double mean = 0, var = 0;
    for_channel(d, c, [&](int64_t i) { mean += double(x[i]); });
    mean /= count;
    for_channel(d, c, [&](int64_t i) { var += (double(x[i]) - mean) * (double(x[i]) - mean); });
    var /= count;
    const double scale = double(gamma[c]) / std::sqrt(var + eps);
    for_channel(d, c, [&](int64_t i) { y[i] = T((double(x[i]) - mean) * scale + double(beta[c])); });
    k.out[1].as<T>()[c] = T(mean);
    k.out[2].as<T>()[c] = T(var);
  }
}

// With xhat = (x - mean) r, r = 1/sqrt(var + eps), m = elements per channel:
//   dbeta = sum g;  dgamma = sum g xhat;  dx = gamma r (g - dbeta/m - xhat dgamma/m)
template <class T>
void train_grad_ref(const KernelArgs& k) {
  const ChannelDims d = channel_dims(k.in[0].shape);
  const double eps = k.attr<ScalarAttrs>().a, count = double(d.n * d.inner);
  const T *x = k.in[0].as<const T>(), *gamma = k.in[1].as<const T>(), *g = k.in[4].as<const T>();
  for (int64_t c = 0; c < d.c; ++c) {
    const double mean = double(k.in[2].as<const T>()[c]);
    const double r = 1.0 / std::sqrt(double(k.in[3].as<const T>()[c]) + eps);
    double dbeta = 0, dgamma = 0;
    for_channel(d, c, [&](int64_t i) {
      dbeta += double(g[i]);
      dgamma += double(g[i]) * (double(x[i]) - mean) * r;
    });
    for_channel(d, c, [&](int64_t i) {
      const double xhat = (double(x[i]) - mean) * r;
      k.out[0].as<T>()[i] = T(double(gamma[c]) * r * (double(g[i]) - dbeta / count - xhat * dgamma / count));
    });
    k.out[1].as<T>()[c] = T(dgamma);
    k.out[2].as<T>()[c] = T(dbeta);
  }
}

template <class T>
void eval_ref(const KernelArgs& k) {
  const ChannelDims d = channel_dims(k.in[0].shape);
  const double eps = k.attr<ScalarAttrs>().a;
  const T* x = k.in[0].as<const T>();
  T* y = k.out[0].as<T>();
  for (int64_t c = 0; c < d.c; ++c) {
    const double scale = double(k.in[1].as<const T>()[c]) / std::sqrt(double(k.in[4].as<const T>()[c]) + eps);
    const double mean = double(k.in[3].as<const T>()[c]), beta = double(k.in[2].as<const T>()[c]);
    for_channel(d, c, [&](int64_t i) { y[i] = T((double(x[i]) - mean) * scale + beta); });
  }
}

Grads train_vjp(const VjpArgs& v) {
  if (!v.gout(0).defined()) return {};
  return apply(op_batch_norm_train_grad, v.attr<ScalarAttrs>(),
               {v.in(0), v.in(1), v.out(1), v.out(2), v.gout(0)});
}

Grads eval_vjp(const VjpArgs& v) {
  const Tensor& g = v.gout(0);
  const bool image = g.shape().rank() == 4;
  auto channel = [&](const Tensor& t) {
    return reshape(t, image ? Shape{1, t.dim(0), 1, 1} : Shape{1, t.dim(0)});
  };
  const std::vector<int> rest = image ? std::vector<int>{0, 2, 3} : std::vector<int>{0};
  const Tensor r = power(affine(v.in(4), 1, v.attr<ScalarAttrs>().a), -0.5);
  Grads grads(5);
  if (v.needs(0)) grads[0] = mul(g, channel(mul(v.in(1), r)));
  if (v.needs(1)) grads[1] = reduce_sum(mul(g, mul(sub(v.in(0), channel(v.in(3))), channel(r))), rest, false);
  if (v.needs(2)) grads[2] = reduce_sum(g, rest, false);
  return grads;
}

}  // namespace

// epsilon a
const OpDef op_batch_norm_train = {
    .name = "batch_norm_train",
    .infer = infer_train,
    .reference = {train_ref<float>, train_ref<double>},
    .vjp = train_vjp,
    .uses = {.in = 0b011, .out = 0b110},
    .samples = {{{{{6, 3}}, {{3}}, {{3}}}, ScalarAttrs{1e-5, 0}},
                {{{{2, 5, 7, 9}}, {{5}}, {{5}}}, ScalarAttrs{1e-5, 0}},
                {{{{3, 17, 8, 8}}, {{17}}, {{17}}}, ScalarAttrs{1e-3, 0}}},
};
const OpDef op_batch_norm_train_grad = {
    .name = "batch_norm_train_grad",
    .infer = infer_train_grad,
    .reference = {train_grad_ref<float>, train_grad_ref<double>},
    .no_vjp = "a gradient; second derivatives are not used",
    .samples = {{{{{6, 3}}, {{3}}, {{3}}, {{3}, Domain::positive}, {{6, 3}}}, ScalarAttrs{1e-5, 0}},
                {{{{2, 5, 7, 9}}, {{5}}, {{5}}, {{5}, Domain::positive}, {{2, 5, 7, 9}}},
                 ScalarAttrs{1e-5, 0}},
                {{{{3, 17, 8, 8}}, {{17}}, {{17}}, {{17}, Domain::positive}, {{3, 17, 8, 8}}},
                 ScalarAttrs{1e-3, 0}}},
    .bound = 5e-6,
};
const OpDef op_batch_norm_eval = {
    .name = "batch_norm_eval",
    .infer = infer_eval,
    .reference = {eval_ref<float>, eval_ref<double>},
    .vjp = eval_vjp,
    .differentiable = 0b00111,
    .uses = {.in = 0b11011},
    .samples = {{{{{6, 3}}, {{3}}, {{3}}, {{3}}, {{3}, Domain::positive}}, ScalarAttrs{1e-5, 0}},
                {{{{2, 5, 7, 9}}, {{5}}, {{5}}, {{5}}, {{5}, Domain::positive}}, ScalarAttrs{1e-3, 0}}},
    .in_place = 0b1,
    .pointwise = Pointwise::channels};

BatchNormOut batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta, double eps) {
  auto out = apply(op_batch_norm_train, ScalarAttrs{eps, 0}, {x, gamma, beta});
  return {out[0], out[1], out[2]};
}
Tensor batch_norm_eval(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& mean,
                       const Tensor& var, double eps) {
  return apply1(op_batch_norm_eval, ScalarAttrs{eps, 0}, {x, gamma, beta, mean, var});
}

}  // namespace advf
