// relu: y = max(x, 0), any shape. The gradient reads the OUTPUT, so x may be freed. At 0 the gradient is 0.
#include "tensor/ops/op_util.h"
#include "tensor/scalar_math.h"

namespace advf {
namespace {

template <class T>
void relu_ref(const KernelArgs& a) {
  map1<T>(a, scalar::Relu{});
}
template <class T>
void relu_grad_ref(const KernelArgs& a) {
  map2<T>(a, scalar::ReluGrad{});
}
Grads relu_vjp(const VjpArgs& v) { return {apply1(op_relu_grad, {}, {v.out(0), v.gout(0)})}; }
// y acts as a constant mask: the second derivative is zero almost everywhere.
Grads relu_grad_vjp(const VjpArgs& v) { return {{}, apply1(op_relu_grad, {}, {v.in(0), v.gout(0)})}; }

}  // namespace

const OpDef op_relu = {
    .name = "relu",
    .infer = infer_same_as_first,
    .reference = {relu_ref<float>, relu_ref<double>},
    .vjp = relu_vjp,
    .uses = {.out = 0b1},
    .samples = {{{{{1}}}}, {{{{3, 13}}}}, {{{{2, 5, 7, 127}}}}},
};

const OpDef op_relu_grad = {
    .name = "relu_grad",  // (y, g)
    .infer = infer_same_as_first,
    .reference = {relu_grad_ref<float>, relu_grad_ref<double>},
    .vjp = relu_grad_vjp,
    .differentiable = 0b10,
    .uses = {.in = 0b01},
    .samples = {{{{{1}}, {{1}}}}, {{{{2, 5, 7, 127}}, {{2, 5, 7, 127}}}}},
};

Tensor relu(const Tensor& x) { return apply1(op_relu, {}, {x}); }

}  // namespace advf
