// reduce_sum: sums over any set of dimensions, accumulated in f64. Adjoint: broadcast_to.
#include "tensor/ops/op_util.h"

namespace advf {
namespace {

// The input's shape with 1 at every summed dimension.
Shape kept_shape(const Shape& s, uint32_t axes) {
  Shape out = s;
  for (int d = 0; d < s.rank(); ++d)
    if (axes >> d & 1u) out.set(d, 1);
  return out;
}

void infer_reduce_sum(OpCall& call) {
  check_inputs(call, 1);
  const auto& attrs = call.attr<AxesAttrs>();
  const Shape& s = call.in[0].shape;
  check(attrs.axes < (1u << s.rank()), "reduce_sum: an axis beyond the shape ", s);
  Shape out;
  for (int d = 0; d < s.rank(); ++d) {
    if (!(attrs.axes >> d & 1u))
      out.push_back(s[d]);
    else if (attrs.keep_dims)
      out.push_back(1);
  }
  call.out = {{out, call.in[0].dtype}};
}

template <class T>
void reduce_sum_ref(const KernelArgs& k) {
  const Shape& from = k.in[0].shape;
  const uint32_t axes = k.attr<AxesAttrs>().axes;
  const T* x = k.in[0].as<const T>();
  const auto sums = sums_of(k);
  std::fill(sums.begin(), sums.end(), 0.0);
  for (int64_t i = 0, n = from.numel(); i < n; ++i) {
    int64_t rest = i, target = 0, stride = 1;
    for (int d = from.rank() - 1; d >= 0; --d) {
      if (!(axes >> d & 1u)) {
        target += rest % from[d] * stride;
        stride *= from[d];
      }
      rest /= from[d];
    }
    sums[size_t(target)] += double(x[i]);
  }
  store_sums<T>(k);
}

Grads reduce_sum_vjp(const VjpArgs& v) {
  const Shape& s = v.in(0).shape();
  return {broadcast_to(reshape(v.gout(0), kept_shape(s, v.attr<AxesAttrs>().axes)), s)};
}

uint32_t mask_of(const Shape& s, const std::vector<int>& axes) {
  uint32_t mask = 0;
  for (int a : axes) {
    const int d = a < 0 ? a + s.rank() : a;
    check(d >= 0 && d < s.rank(), "reduce_sum: axis ", a, " of a tensor of shape ", s);
    mask |= 1u << d;
  }
  return mask;
}

}  // namespace

const OpDef op_reduce_sum = {
    .name = "reduce_sum",
    .infer = infer_reduce_sum,
    .reference = {reduce_sum_ref<float>, reduce_sum_ref<double>, sums_bytes},
    .vjp = reduce_sum_vjp,
    .samples = {{{{{3, 13}}}, AxesAttrs{0b11, false}},
                {{{{2, 5, 7, 129}}}, AxesAttrs{0b1101, true}},
                {{{{2, 5, 7, 9}}}, AxesAttrs{0b1100, false}},
                {{{{2, 5, 7, 9}}}, AxesAttrs{0b0010, true}},
                {{{{4, 6}}}, AxesAttrs{0b01, false}},
                {{{{3, 3000}}}, AxesAttrs{0b10, true}}},
    .exact_on_integers = true,
};

Tensor reduce_sum(const Tensor& x, const std::vector<int>& axes, bool keep_dims) {
  return apply1(op_reduce_sum, AxesAttrs{mask_of(x.shape(), axes), keep_dims}, {x});
}
Tensor mean(const Tensor& x, const std::vector<int>& axes, bool keep_dims) {
  const Tensor sum = reduce_sum(x, axes, keep_dims);
  return affine(sum, double(sum.numel()) / double(x.numel()), 0);
}
Tensor sum_all(const Tensor& x) {
  return apply1(op_reduce_sum, AxesAttrs{(1u << x.shape().rank()) - 1, false}, {x});
}
Tensor mean_all(const Tensor& x) { return affine(sum_all(x), 1.0 / double(x.numel()), 0); }
Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int lead = x.shape().rank() - shape.rank();
  uint32_t axes = 0;
  for (int d = 0; d < x.shape().rank(); ++d)
    if (d < lead || (shape[d - lead] == 1 && x.dim(d) != 1)) axes |= 1u << d;
  if (axes == 0) return reshape(x, shape);
  return reshape(apply1(op_reduce_sum, AxesAttrs{axes, true}, {x}), shape);
}
Tensor global_avg_pool(const Tensor& x) { return mean(x, {2, 3}); }

}  // namespace advf
