// arcface_margin (arXiv 1801.07698, eq. 3): cosines (N,K), labels i32 (N) -> logits. At the label
// scale cos(theta + m) = scale (c cos m - sin m sqrt(1 - c^2)); elsewhere scale c. For theta + m > pi, i.e.
// c < cos(pi - m), the target is scale (c - m sin m) instead, so that it keeps falling with theta. The root
// is clamped at 1e-12 and cosines a rounding error outside [-1,1] are accepted.
#include "tensor/ops/op_util.h"
#include "tensor/scalar_math.h"

namespace advf {
namespace {

void infer_margin(OpCall& call) {
  check_inputs(call, call.in.size());
  const Shape& x = call.in[0].shape;
  check(x.rank() == 2 && call.in[1].shape == Shape{x[0]} && call.in[1].dtype == DType::i32, call.op->name,
        ": cosines of shape ", x, " with labels of shape ", call.in[1].shape, " (", name_of(call.in[1].dtype),
        ")");
  const auto& a = call.attr<ScalarAttrs>();
  check(a.a > 0 && a.b >= 0 && a.b < 3.14, call.op->name, ": scale ", a.a, ", margin ", a.b);
  call.out = {call.in[0]};
}

template <class T>
void margin_ref(const KernelArgs& k) {
  const auto& a = k.attr<ScalarAttrs>();
  const int64_t classes = k.in[0].shape[1];
  for (int64_t i = 0, n = k.in[0].numel(); i < n; ++i) {
    const double c = double(k.in[0].as<const T>()[i]);
    const bool is_label = k.in[1].as<const int32_t>()[i / classes] == i % classes;
    k.out[0].as<T>()[i] = T(a.a * (is_label ? scalar::arcface_target(c, a.b) : c));
  }
}
template <class T>
void margin_grad_ref(const KernelArgs& k) {  // cosines, labels, g
  const auto& a = k.attr<ScalarAttrs>();
  const int64_t classes = k.in[0].shape[1];
  for (int64_t i = 0, n = k.in[0].numel(); i < n; ++i) {
    const double c = double(k.in[0].as<const T>()[i]);
    const bool is_label = k.in[1].as<const int32_t>()[i / classes] == i % classes;
    k.out[0].as<T>()[i] =
        T(a.a * double(k.in[2].as<const T>()[i]) * (is_label ? scalar::arcface_slope(c, a.b) : 1.0));
  }
}
Grads margin_vjp(const VjpArgs& v) {
  return {apply1(op_arcface_margin_grad, v.attr<ScalarAttrs>(), {v.in(0), v.in(1), v.gout(0)})};
}

}  // namespace

// scale a, margin b
const OpDef op_arcface_margin = {
    .name = "arcface_margin",
    .infer = infer_margin,
    .reference = {margin_ref<float>, margin_ref<double>},
    .vjp = margin_vjp,
    .differentiable = 0b01,
    .uses = {.in = 0b11},
    .samples = {{{{{6, 9}, Domain::cosine}, {{6}, Domain::index, 9}}, ScalarAttrs{64, 0.5}},
                {{{{40, 3}, Domain::cosine}, {{40}, Domain::index, 3}}, ScalarAttrs{4, 1.0}}},
};
const OpDef op_arcface_margin_grad = {
    .name = "arcface_margin_grad",
    .infer = infer_margin,
    .reference = {margin_grad_ref<float>, margin_grad_ref<double>},
    .no_vjp = "a gradient; second derivatives are not used",
    .samples = {{{{{6, 9}, Domain::cosine}, {{6}, Domain::index, 9}, {{6, 9}}}, ScalarAttrs{64, 0.5}}},
};

Tensor arcface_margin(const Tensor& cosines, const Tensor& labels, double scale, double margin) {
  return apply1(op_arcface_margin, ScalarAttrs{scale, margin}, {cosines, labels});
}

}  // namespace advf
