// prelu: x where x > 0, else slope[c] x; channel c = dimension 1 of (N,C) or (N,C,H,W); slope (C), or (1) for
// all. The slope may be negative, so the gradient reads the input: prelu_grad (x, slope, g) -> (dx, dslope).
#include "tensor/ops/op_util.h"
#include "tensor/scalar_math.h"

namespace advf {
namespace {

void infer_prelu(OpCall& call) {
  check_inputs(call, call.in.size());
  const Shape &x = call.in[0].shape, &slope = call.in[1].shape;
  check(x.rank() >= 2 && slope.rank() == 1 && (slope[0] == x[1] || slope[0] == 1), call.op->name,
        ": an input of shape ", x, " with a slope of shape ", slope);
  infer_same_as_first(call);
  if (call.op == &op_prelu_grad) {
    check(call.in[2].shape == x, "prelu_grad: shapes ", x, " and ", call.in[2].shape);
    call.out.push_back(call.in[1]);
  }
}

// f(element, slope index)
template <class F>
void for_elements(const KernelArgs& k, F f) {
  const ChannelDims d = channel_dims(k.in[0].shape);
  const bool shared = k.in[1].shape[0] == 1;
  for (int64_t i = 0, n = k.in[0].numel(); i < n; ++i) f(i, shared ? 0 : i / d.inner % d.c);
}

template <class T>
void prelu_ref(const KernelArgs& k) {
  for_elements(k, [&](int64_t i, int64_t c) {
    k.out[0].as<T>()[i] = scalar::Prelu{}(k.in[0].as<const T>()[i], k.in[1].as<const T>()[c]);
  });
}
template <class T>
void prelu_grad_ref(const KernelArgs& k) {
  const T *x = k.in[0].as<const T>(), *slope = k.in[1].as<const T>(), *g = k.in[2].as<const T>();
  const auto dslope = sums_of(k);
  std::fill(dslope.begin(), dslope.end(), 0.0);
  for_elements(k, [&](int64_t i, int64_t c) {
    k.out[0].as<T>()[i] = x[i] > T(0) ? g[i] : slope[c] * g[i];
    if (!(x[i] > T(0))) dslope[size_t(c)] += double(x[i]) * double(g[i]);
  });
  store_sums<T>(k);
}
Grads prelu_vjp(const VjpArgs& v) { return apply(op_prelu_grad, {}, {v.in(0), v.in(1), v.gout(0)}); }

}  // namespace

const OpDef op_prelu = {
    .name = "prelu",
    .infer = infer_prelu,
    .reference = {prelu_ref<float>, prelu_ref<double>},
    .vjp = prelu_vjp,
    .uses = {.in = 0b11},
    .samples = {{{{{2, 5, 7, 33}}, {{5}}}}, {{{{4, 6}}, {{6}}}}, {{{{2, 3, 4, 5}}, {{1}}}}},
    .in_place = 0b1,
    .pointwise = Pointwise::channels,
    .epilogue = Activation::prelu};
const OpDef op_prelu_grad = {
    .name = "prelu_grad",
    .infer = infer_prelu,
    .reference = {prelu_grad_ref<float>, prelu_grad_ref<double>, sums_bytes},
    .no_vjp = "a gradient; second derivatives are not used",
    .samples = {{{{{2, 5, 7, 33}}, {{5}}, {{2, 5, 7, 33}}}},
                {{{{4, 6}}, {{6}}, {{4, 6}}}},
                {{{{2, 3, 4, 5}}, {{1}}, {{2, 3, 4, 5}}}}},
};

Tensor prelu(const Tensor& x, const Tensor& slope) { return apply1(op_prelu, {}, {x, slope}); }

}  // namespace advf
