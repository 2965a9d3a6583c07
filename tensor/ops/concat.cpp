// concat: tensors one after the other along an axis; all other dimensions equal. Adjoint: slices.
#include <cstring>

#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void infer_concat(OpCall& call) {
  check(!call.in.empty(), "concat takes at least one input");
  check_inputs(call, call.in.size());
  const int axis = call.attr<AxisAttrs>().axis;
  Shape out = call.in[0].shape;
  check(axis >= 0 && axis < out.rank(), "concat: axis ", axis, " of a tensor of shape ", out);
  int64_t total = 0;
  for (const ValueInfo& v : call.in) {
    Shape same = v.shape;
    check(same.rank() == out.rank(), "concat: shapes ", out, " and ", v.shape);
    same.set(axis, out[axis]);
    check(same == out, "concat along ", axis, ": shapes ", call.in[0].shape, " and ", v.shape);
    total += v.shape[axis];
  }
  out.set(axis, total);
  call.out = {{out, call.in[0].dtype}};
}

template <class T>
void concat_ref(const KernelArgs& k) {
  const int axis = k.attr<AxisAttrs>().axis;
  const Shape& out = k.out[0].shape;
  const int64_t outer = out.numel(0, axis), row = out.numel(axis, out.rank());
  int64_t offset = 0;
  for (const View& in : k.in) {
    const int64_t part = in.shape.numel(axis, out.rank());
    for (int64_t o = 0; o < outer && part > 0; ++o)
      std::memcpy(k.out[0].as<T>() + o * row + offset, in.as<const T>() + o * part, size_t(part) * sizeof(T));
    offset += part;
  }
}

Grads concat_vjp(const VjpArgs& v) {
  const int axis = v.attr<AxisAttrs>().axis;
  Grads grads(size_t(v.num_inputs()));
  int64_t begin = 0;
  for (int i = 0; i < v.num_inputs(); ++i) {
    const int64_t size = v.in(i).dim(axis);
    if (v.needs(i)) grads[size_t(i)] = slice(v.gout(0), axis, begin, begin + size);
    begin += size;
  }
  return grads;
}

}  // namespace

const OpDef op_concat = {
    .name = "concat",
    .infer = infer_concat,
    .reference = {concat_ref<float>, concat_ref<double>},
    .vjp = concat_vjp,
    .samples = {{{{{2, 3, 4, 5}}, {{2, 1, 4, 5}}, {{2, 4, 4, 5}}}, AxisAttrs{1}},
                {{{{2, 3}}, {{4, 3}}}, AxisAttrs{0}},
                {{{{2, 3, 2}}, {{2, 3, 7}}}, AxisAttrs{2}}},
    .exact_on_integers = true,
};

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  check(!parts.empty(), "concat of nothing");
  return apply1(op_concat, AxisAttrs{axis < 0 ? axis + parts[0].shape().rank() : axis}, parts);
}

}  // namespace advf
