// l2_normalise: each row of (N,D) divided by max(|row|, eps). Gradient with n = |x| > eps, y = x/n:
// dx = (g - y (y.g)) / n; where n <= eps the divisor is a constant, dx = g / eps.
#include <cmath>

#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void infer_normalise(OpCall& call) {
  check_inputs(call, call.in.size());
  for (const ValueInfo& v : call.in)
    check(v.shape.rank() == 2 && v.shape == call.in[0].shape, call.op->name, ": a shape of ", v.shape,
          "; (N,D) is needed");
  check(call.attr<ScalarAttrs>().a > 0, call.op->name, ": epsilon must be positive");
  infer_same_as_first(call);
}

template <class T>
double norm(const T* x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += double(x[i]) * double(x[i]);
  return std::sqrt(sum);
}

template <class T>
void normalise_ref(const KernelArgs& k) {
  const int64_t rows = k.in[0].shape[0], d = k.in[0].shape[1];
  const double eps = k.attr<ScalarAttrs>().a;
  for (int64_t r = 0; r < rows; ++r) {
    const T* x = k.in[0].as<const T>() + r * d;
    const double n = std::max(norm(x, d), eps);
    for (int64_t i = 0; i < d; ++i) k.out[0].as<T>()[r * d + i] = T(double(x[i]) / n);
  }
}
template <class T>
void normalise_grad_ref(const KernelArgs& k) {  // x, g
  const int64_t rows = k.in[0].shape[0], d = k.in[0].shape[1];
  const double eps = k.attr<ScalarAttrs>().a;
  for (int64_t r = 0; r < rows; ++r) {
    const T *x = k.in[0].as<const T>() + r * d, *g = k.in[1].as<const T>() + r * d;
    const double n = norm(x, d);
    double dot = 0;
    for (int64_t i = 0; i < d; ++i) dot += double(x[i]) * double(g[i]);
    for (int64_t i = 0; i < d; ++i)
      k.out[0].as<T>()[r * d + i] =
          T(n <= eps ? double(g[i]) / eps : (double(g[i]) - double(x[i]) * dot / (n * n)) / n);
  }
}
Grads normalise_vjp(const VjpArgs& v) {
  return {apply1(op_l2_normalise_grad, v.attr<ScalarAttrs>(), {v.in(0), v.gout(0)})};
}
// As a function of g the gradient is a symmetric matrix, so it is its own adjoint.
Grads normalise_grad_vjp(const VjpArgs& v) {
  return {{}, apply1(op_l2_normalise_grad, v.attr<ScalarAttrs>(), {v.in(0), v.gout(0)})};
}

}  // namespace

// epsilon a
const OpDef op_l2_normalise = {.name = "l2_normalise",
                               .infer = infer_normalise,
                               .reference = {normalise_ref<float>, normalise_ref<double>},
                               .vjp = normalise_vjp,
                               .uses = {.in = 0b1},
                               .samples = {{{{{1, 3}}}, ScalarAttrs{1e-12, 0}},
                                           {{{{5, 512}}}, ScalarAttrs{1e-12, 0}},
                                           {{{{3, 7}}}, ScalarAttrs{100, 0}}},
                               .in_place = 0b1};
const OpDef op_l2_normalise_grad = {.name = "l2_normalise_grad",
                                    .infer = infer_normalise,
                                    .reference = {normalise_grad_ref<float>, normalise_grad_ref<double>},
                                    .vjp = normalise_grad_vjp,
                                    .differentiable = 0b10,
                                    .uses = {.in = 0b1},
                                    .samples = {{{{{1, 3}}, {{1, 3}}}, ScalarAttrs{1e-12, 0}},
                                                {{{{5, 512}}, {{5, 512}}}, ScalarAttrs{1e-12, 0}}},
                                    .in_place = 0b11};

Tensor l2_normalise(const Tensor& x, double eps) { return apply1(op_l2_normalise, ScalarAttrs{eps, 0}, {x}); }

}  // namespace advf
