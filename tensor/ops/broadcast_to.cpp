// broadcast_to: repeats a tensor along its dimensions of size 1 (and new leading ones). Adjoint: sum_to.
#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void infer_broadcast_to(OpCall& call) {
  check_inputs(call, 1);
  const Shape& to = call.attr<ShapeAttrs>().shape;
  check(broadcast_shapes("broadcast_to", call.in[0].shape, to) == to, "broadcast_to: ", call.in[0].shape,
        " to ", to);
  call.out = {{to, call.in[0].dtype}};
}

template <class T>
void broadcast_to_ref(const KernelArgs& k) {
  const Shape &from = k.in[0].shape, &to = k.out[0].shape;
  const T* x = k.in[0].as<const T>();
  T* y = k.out[0].as<T>();
  for (int64_t i = 0, n = to.numel(); i < n; ++i) {
    int64_t rest = i, source = 0, stride = 1;
    for (int d = to.rank() - 1, e = from.rank() - 1; e >= 0; --d, --e) {
      if (from[e] != 1) source += rest % to[d] * stride;
      rest /= to[d];
      stride *= from[e];
    }
    y[i] = x[source];
  }
}
Grads broadcast_to_vjp(const VjpArgs& v) { return {sum_to(v.gout(0), v.in(0).shape())}; }

}  // namespace

const OpDef op_broadcast_to = {
    .name = "broadcast_to",
    .infer = infer_broadcast_to,
    .reference = {broadcast_to_ref<float>, broadcast_to_ref<double>},
    .vjp = broadcast_to_vjp,
    .samples = {{{{{1, 5, 1, 1}}}, ShapeAttrs{{2, 5, 3, 4}}},
                {{{{}}}, ShapeAttrs{{3, 7}}},
                {{{{4, 1}}}, ShapeAttrs{{2, 4, 6}}}},
    .exact_on_integers = true,
};

Tensor repeat(const Tensor& one, int64_t n) {
  return broadcast_to(reshape(one, with_rows(1, one.shape())), with_rows(n, one.shape()));
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  return x.shape() == shape ? x : apply1(op_broadcast_to, ShapeAttrs{shape}, {x});
}

}  // namespace advf
