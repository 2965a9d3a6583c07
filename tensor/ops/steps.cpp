// Optimiser and PGD steps, usually run in place (outputs may be the inputs). What changes from step to step
// stands in the small vector `hyper`, so that a schedule does not bind anew.
//   sgd_step   (param, grad, momentum, hyper[lr, momentum, weight_decay, nesterov])  -> (param, momentum)
//   adam_step  (param, grad, m, v, hyper[lr, beta1, beta2, eps, coupled_decay, decoupled_decay, 1-beta1^t,
//   1-beta2^t])
//              -> (param, m, v); arXiv 1412.6980; decoupled_decay is AdamW's (arXiv 1711.05101)
//   pgd_step   (delta, grad) -> delta; alpha a, epsilon b: sign step and projection on the L-inf ball
//   trace_step (trace (N,T), position (N), value (N)) -> (trace, position): trace[i, position[i]] is value[i]
//              where there is such a place, and position one more
// PyTorch's conventions: SGD's first momentum is the gradient itself when momentum starts at zero and
// dampening is 0.
#include <algorithm>
#include <cmath>

#include "tensor/ops/op_util.h"
#include "tensor/scalar_math.h"

namespace advf {
namespace {

void check_step(const OpCall& call, size_t tensors, int64_t fields) {
  check_inputs(call, tensors + (fields > 0 ? 1 : 0));
  for (size_t i = 1; i < tensors; ++i)
    check(call.in[i].shape == call.in[0].shape, call.op->name, ": shapes ", call.in[0].shape, " and ",
          call.in[i].shape);
  if (fields > 0)
    check(call.in[tensors].shape == Shape{fields}, call.op->name, ": hyper of shape ", call.in[tensors].shape,
          ", not [", fields, "]");
}
void infer_sgd(OpCall& call) {
  check_step(call, 3, 4);
  call.out = {call.in[0], call.in[0]};
}
void infer_adam(OpCall& call) {
  check_step(call, 4, 8);
  call.out = {call.in[0], call.in[0], call.in[0]};
}
void infer_pgd(OpCall& call) {
  check_step(call, 2, 0);
  check(call.attr<ScalarAttrs>().b >= 0, "pgd_step: epsilon ", call.attr<ScalarAttrs>().b);
  infer_same_as_first(call);
}

template <class T>
void sgd_ref(const KernelArgs& k) {
  const T *p = k.in[0].as<const T>(), *g = k.in[1].as<const T>(), *buf = k.in[2].as<const T>(),
          *h = k.in[3].as<const T>();
  for (int64_t i = 0, n = k.in[0].numel(); i < n; ++i)
    scalar::sgd_step(h, p[i], g[i], buf[i], k.out[0].as<T>()[i], k.out[1].as<T>()[i]);
}
template <class T>
void adam_ref(const KernelArgs& k) {
  const T *p = k.in[0].as<const T>(), *g = k.in[1].as<const T>(), *m = k.in[2].as<const T>(),
          *v = k.in[3].as<const T>();
  const T* h = k.in[4].as<const T>();
  for (int64_t i = 0, n = k.in[0].numel(); i < n; ++i)
    scalar::adam_step(h, p[i], g[i], m[i], v[i], k.out[0].as<T>()[i], k.out[1].as<T>()[i],
                      k.out[2].as<T>()[i]);
}
template <class T>
void pgd_ref(const KernelArgs& k) {
  const auto& a = k.attr<ScalarAttrs>();
  map2<T>(k, scalar::PgdStep{a.a, a.b});
}

void infer_trace(OpCall& call) {
  check_inputs(call, 3);
  const Shape& s = call.in[0].shape;
  check(s.rank() == 2 && call.in[1].shape == Shape{s[0]} && call.in[2].shape == Shape{s[0]}, call.op->name,
        ": shapes ", s, ", ", call.in[1].shape, ", ", call.in[2].shape, "; (N,T), (N), (N) are needed");
  call.out = {call.in[0], call.in[1]};
}

template <class T>
void trace_ref(const KernelArgs& k) {
  const T *trace = k.in[0].as<const T>(), *position = k.in[1].as<const T>(), *value = k.in[2].as<const T>();
  T *to = k.out[0].as<T>(), *next = k.out[1].as<T>();
  const int64_t n = k.in[0].shape[0], t = k.in[0].shape[1];
  if (to != trace) std::copy(trace, trace + n * t, to);
  for (int64_t i = 0; i < n; ++i) {
    const T at = std::floor(position[i]);  // as a number of T: it may be none
    if (at >= T(0) && at < T(t)) to[i * t + int64_t(at)] = value[i];
    next[i] = position[i] + 1;
  }
}

constexpr const char* kStep = "a step, never part of a differentiated function";

}  // namespace

const OpDef op_sgd_step = {
    .name = "sgd_step",
    .infer = infer_sgd,
    .reference = {sgd_ref<float>, sgd_ref<double>},
    .no_vjp = kStep,
    .samples = {{{{{3, 13}}, {{3, 13}}, {{3, 13}}, {{4}, Domain::unit_interval}}}},
};
const OpDef op_adam_step = {
    .name = "adam_step",
    .infer = infer_adam,
    .reference = {adam_ref<float>, adam_ref<double>},
    .no_vjp = kStep,
    .samples =
        {{{{{3, 13}}, {{3, 13}}, {{3, 13}}, {{3, 13}, Domain::positive}, {{8}, Domain::unit_interval}}},
         {{{{70001}}, {{70001}}, {{70001}}, {{70001}, Domain::positive}, {{8}, Domain::unit_interval}}}},
};
const OpDef op_pgd_step = {.name = "pgd_step",
                           .infer = infer_pgd,
                           .reference = {pgd_ref<float>, pgd_ref<double>},
                           .no_vjp = kStep,
                           .samples = {{{{{3, 13}}, {{3, 13}}}, ScalarAttrs{0.3, 1.2}},
                                       {{{{33, 512}}, {{33, 512}}}, ScalarAttrs{0.01, 0.04}}},
                           .in_place = 0b11,
                           .pointwise = Pointwise::elements};

const OpDef op_trace_step = {.name = "trace_step",
                             .infer = infer_trace,
                             .reference = {trace_ref<float>, trace_ref<double>},
                             .no_vjp = kStep,
                             .samples = {{{{{3, 2}}, {{3}, Domain::positive}, {{3}}}},
                                         {{{{300, 3}}, {{300}, Domain::normal}, {{300}}}}},
                             .in_place = 0b1,
                             .in_place_others = {0b10}};

void sgd_step_(Tensor& param, const Tensor& grad, Tensor& momentum, const Tensor& hyper) {
  apply_into(op_sgd_step, {}, {param, grad, momentum, hyper}, {param, momentum});
}
void adam_step_(Tensor& param, const Tensor& grad, Tensor& m, Tensor& v, const Tensor& hyper) {
  apply_into(op_adam_step, {}, {param, grad, m, v, hyper}, {param, m, v});
}
Tensor pgd_step(const Tensor& delta, const Tensor& grad, double alpha, double epsilon) {
  return apply1(op_pgd_step, ScalarAttrs{alpha, epsilon}, {delta, grad});
}

TraceStep trace_step(const Tensor& trace, const Tensor& position, const Tensor& value) {
  const std::vector<Tensor> out = apply(op_trace_step, {}, {trace, position, value});
  return {out[0], out[1]};
}

}  // namespace advf
