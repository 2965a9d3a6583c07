// reshape: the same bytes under another shape.
#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void infer_reshape(OpCall& call) {
  check(call.in.size() == 1, "reshape takes one input");
  const Shape& to = call.attr<ShapeAttrs>().shape;
  check(call.in[0].shape.numel() == to.numel(), "reshape: ", call.in[0].shape, " to ", to);
  call.out = {{to, call.in[0].dtype}};
}
Grads reshape_vjp(const VjpArgs& v) { return {reshape(v.gout(0), v.in(0).shape())}; }

}  // namespace

const OpDef op_reshape = {
    .name = "reshape",
    .infer = infer_reshape,
    .vjp = reshape_vjp,
    .samples = {{{{{2, 6}}}, ShapeAttrs{{3, 4}}}, {{{{2, 3, 4, 5}}}, ShapeAttrs{{2, 60}}}},
    .is_view = true,
};

Tensor reshape(const Tensor& x, const Shape& shape) {
  return x.shape() == shape ? x : apply1(op_reshape, ShapeAttrs{shape}, {x});
}

}  // namespace advf
