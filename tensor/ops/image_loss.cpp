// image_loss: what is left of |sigmoid(x) - base|^2 and its gradient when both are computed in one pass, as
// the protection's loop does. x, base (N,C,H,W) -> the gradient in x, scaled, a * (s - base) * s (1 - s) with
// s = sigmoid(x), and per image the sum of (s - base)^2. A pass makes it (autograd/passes.h,
// fuse_image_loss).
#include "tensor/ops/op_util.h"
#include "tensor/scalar_math.h"

namespace advf {
namespace {

void infer_image_loss(OpCall& call) {
  check_inputs(call, 2);
  const Shape& x = call.in[0].shape;
  check(x.rank() >= 1 && x == call.in[1].shape, "image_loss: shapes ", x, " and ", call.in[1].shape);
  call.out = {call.in[0], {{x[0]}, call.in[0].dtype}};
}

template <class T>
void image_loss_ref(const KernelArgs& k) {
  const int64_t n = k.in[0].shape[0], inner = k.in[0].shape.numel(1, k.in[0].shape.rank());
  const T *x = k.in[0].as<const T>(), *base = k.in[1].as<const T>();
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int64_t j = i * inner; j < (i + 1) * inner; ++j) {
      T difference = 0;
      k.out[0].as<T>()[j] = scalar::image_loss(k.attr<ScalarAttrs>().a, x[j], base[j], difference);
      sum += double(difference) * double(difference);
    }
    k.out[1].as<T>()[i] = T(sum);
  }
}

}  // namespace

const OpDef op_image_loss = {
    .name = "image_loss",
    .infer = infer_image_loss,
    .reference = {image_loss_ref<float>, image_loss_ref<double>},
    .no_vjp = "fused when differentiation is over",
    .samples = {{{{{1, 3}}, {{1, 3}}}, ScalarAttrs{2, 0}},
                {{{{3, 3, 5, 7}}, {{3, 3, 5, 7}, Domain::unit_interval}}, ScalarAttrs{2, 0}},
                {{{{2, 3, 32, 33}}, {{2, 3, 32, 33}, Domain::unit_interval}}, ScalarAttrs{-0.5, 0}}},
};

}  // namespace advf
