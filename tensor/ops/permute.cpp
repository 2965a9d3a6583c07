// permute: output dimension i is input dimension order[i]. Copies, since tensors have no strides.
#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void infer_permute(OpCall& call) {
  check_inputs(call, 1);
  const auto& order = call.attr<PermuteAttrs>().order;
  const Shape& s = call.in[0].shape;
  uint32_t seen = 0;
  Shape out;
  for (int d = 0; d < s.rank(); ++d) {
    const int from = order[size_t(d)];
    check(from >= 0 && from < s.rank() && !(seen >> from & 1u), "permute: not an order of the dimensions of ",
          s);
    seen |= 1u << from;
    out.push_back(s[from]);
  }
  call.out = {{out, call.in[0].dtype}};
}

template <class T>
void permute_ref(const KernelArgs& k) {
  const auto& order = k.attr<PermuteAttrs>().order;
  const Shape &from = k.in[0].shape, &to = k.out[0].shape;
  int64_t stride[Shape::kMaxRank];
  for (int64_t d = from.rank() - 1, s = 1; d >= 0; --d) {
    stride[d] = s;
    s *= from[int(d)];
  }
  const T* x = k.in[0].as<const T>();
  T* y = k.out[0].as<T>();
  for (int64_t i = 0, n = to.numel(); i < n; ++i) {
    int64_t rest = i, source = 0;
    for (int d = to.rank() - 1; d >= 0; --d) {
      source += rest % to[d] * stride[order[size_t(d)]];
      rest /= to[d];
    }
    y[i] = x[source];
  }
}

Grads permute_vjp(const VjpArgs& v) {
  const auto& order = v.attr<PermuteAttrs>().order;
  std::vector<int> inverse(size_t(v.in(0).shape().rank()));
  for (size_t d = 0; d < inverse.size(); ++d) inverse[size_t(order[d])] = int(d);
  return {permute(v.gout(0), inverse)};
}

}  // namespace

const OpDef op_permute = {
    .name = "permute",
    .infer = infer_permute,
    .reference = {permute_ref<float>, permute_ref<double>},
    .vjp = permute_vjp,
    .samples = {{{{{3, 5}}}, PermuteAttrs{{1, 0, 2, 3, 4}}},
                {{{{2, 3, 4, 5}}}, PermuteAttrs{{0, 2, 3, 1, 4}}},
                {{{{2, 3, 4, 5}}}, PermuteAttrs{{3, 1, 0, 2, 4}}}},
    .exact_on_integers = true,
};

Tensor permute(const Tensor& x, std::vector<int> order) {
  check(int(order.size()) == x.shape().rank(), "permute: ", order.size(), " dimensions for ", x.shape());
  PermuteAttrs attrs;
  std::copy(order.begin(), order.end(), attrs.order.begin());
  return apply1(op_permute, attrs, {x});
}

}  // namespace advf
