// softmax: exp(x - max) / sum along the last dimension, of tensors of any rank. Adjoint, from the output y:
// y (g - sum(g y)), made of ops.
#include <cmath>

#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void infer_softmax(OpCall& call) {
  check_inputs(call, 1);
  const Shape& s = call.in[0].shape;
  check(s.rank() >= 1 && s[-1] > 0, "softmax: an input of shape ", s);
  infer_same_as_first(call);
}

template <class T>
void softmax_ref(const KernelArgs& k) {
  const int64_t d = k.in[0].shape[-1], rows = k.in[0].numel() / d;
  for (int64_t r = 0; r < rows; ++r) {
    const T* x = k.in[0].as<const T>() + r * d;
    T* y = k.out[0].as<T>() + r * d;
    double largest = double(x[0]), sum = 0;
    for (int64_t i = 1; i < d; ++i) largest = std::max(largest, double(x[i]));
    for (int64_t i = 0; i < d; ++i) sum += std::exp(double(x[i]) - largest);
    for (int64_t i = 0; i < d; ++i) y[i] = T(std::exp(double(x[i]) - largest) / sum);
  }
}

Grads softmax_vjp(const VjpArgs& v) {
  const Tensor gy = mul(v.gout(0), v.out(0));
  return {sub(gy, mul(v.out(0), reduce_sum(gy, {-1})))};
}

}  // namespace

const OpDef op_softmax = {.name = "softmax",
                          .infer = infer_softmax,
                          .reference = {softmax_ref<float>, softmax_ref<double>},
                          .vjp = softmax_vjp,
                          .uses = {.out = 0b1},
                          .samples = {{{{{7}}}}, {{{{3, 13}}}}, {{{{5, 1}}}}, {{{{2, 3, 5, 129}}}}},
                          .in_place = 0b1};

Tensor softmax(const Tensor& x) { return apply1(op_softmax, {}, {x}); }

}  // namespace advf
