// softmax_cross_entropy: logits (N,K), labels i32 (N) -> mean over rows of -log softmax(logits)[label], and
// the probabilities (N,K), which the gradient reads. A label outside [0,K) is an error.
#include <cmath>

#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void check_labels(const OpCall& call, size_t i) {
  const Shape& x = call.in[0].shape;
  check(x.rank() == 2 && x[0] > 0 && x[1] > 0, call.op->name, ": logits of shape ", x, "; (N,K) is needed");
  check(call.in[i].shape == Shape{x[0]} && call.in[i].dtype == DType::i32, call.op->name,
        ": labels of shape ", call.in[i].shape, " (", name_of(call.in[i].dtype), "); i32 [", x[0],
        "] is needed");
}
void infer_loss(OpCall& call) {
  check_inputs(call, 2);
  check_labels(call, 1);
  call.out = {{{}, call.in[0].dtype}, call.in[0]};
}
void infer_grad(OpCall& call) {  // probabilities, labels, g (scalar)
  check_inputs(call, 3);
  check_labels(call, 1);
  check(call.in[2].shape.numel() == 1, "softmax_cross_entropy_grad: a gradient of shape ", call.in[2].shape);
  call.out = {call.in[0]};
}

template <class T>
void loss_ref(const KernelArgs& k) {
  const int64_t n = k.in[0].shape[0], classes = k.in[0].shape[1];
  double total = 0;
  for (int64_t r = 0; r < n; ++r) {
    const T* x = k.in[0].as<const T>() + r * classes;
    T* p = k.out[1].as<T>() + r * classes;
    const int32_t label = k.in[1].as<const int32_t>()[r];
    check(label >= 0 && label < classes, "softmax_cross_entropy: label ", label, " of ", classes, " classes");
    const double top = double(*std::max_element(x, x + classes));
    double sum = 0;
    for (int64_t i = 0; i < classes; ++i) sum += std::exp(double(x[i]) - top);
    for (int64_t i = 0; i < classes; ++i) p[i] = T(std::exp(double(x[i]) - top) / sum);
    total += std::log(sum) + top - double(x[label]);
  }
  *k.out[0].as<T>() = T(total / double(n));
}
template <class T>
void grad_ref(const KernelArgs& k) {
  const int64_t n = k.in[0].shape[0], classes = k.in[0].shape[1];
  const T* p = k.in[0].as<const T>();
  const double g = double(*k.in[2].as<const T>()) / double(n);
  for (int64_t r = 0; r < n; ++r)
    for (int64_t i = 0; i < classes; ++i)
      k.out[0].as<T>()[r * classes + i] =
          T(g * (double(p[r * classes + i]) - (i == k.in[1].as<const int32_t>()[r] ? 1.0 : 0.0)));
}
Grads loss_vjp(const VjpArgs& v) {
  if (!v.gout(0).defined()) return {};
  return {apply1(op_softmax_cross_entropy_grad, {}, {v.out(1), v.in(1), v.gout(0)})};
}

}  // namespace

const OpDef op_softmax_cross_entropy = {
    .name = "softmax_cross_entropy",
    .infer = infer_loss,
    .reference = {loss_ref<float>, loss_ref<double>},
    .vjp = loss_vjp,
    .differentiable = 0b01,
    .uses = {.in = 0b10, .out = 0b10},
    .samples = {{{{{1, 2}}, {{1}, Domain::index, 2}}},
                {{{{5, 7}}, {{5}, Domain::index, 7}}},
                {{{{33, 130}}, {{33}, Domain::index, 130}}}},
};
const OpDef op_softmax_cross_entropy_grad = {
    .name = "softmax_cross_entropy_grad",
    .infer = infer_grad,
    .reference = {grad_ref<float>, grad_ref<double>},
    .no_vjp = "a gradient; second derivatives are not used",
    .samples = {{{{{5, 7}, Domain::unit_interval}, {{5}, Domain::index, 7}, {{}}}}},
};

Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels) {
  return apply(op_softmax_cross_entropy, {}, {logits, labels})[0];
}

}  // namespace advf
