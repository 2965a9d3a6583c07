// pad: a constant border along any dimension; slice: a box cut out. Each is the other's adjoint.
#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void infer_pad(OpCall& call) {
  check_inputs(call, 1);
  const auto& attrs = call.attr<PadAttrs>();
  Shape out = call.in[0].shape;
  for (int d = 0; d < Shape::kMaxRank; ++d) {
    check(attrs.before[d] >= 0 && attrs.after[d] >= 0, "pad: negative padding of a tensor of shape ", out);
    check(d < out.rank() || (attrs.before[d] == 0 && attrs.after[d] == 0), "pad: more dimensions than in ",
          out);
    if (d < out.rank()) out.set(d, out[d] + attrs.before[d] + attrs.after[d]);
  }
  call.out = {{out, call.in[0].dtype}};
}

void infer_slice(OpCall& call) {
  check_inputs(call, 1);
  const auto& attrs = call.attr<SliceAttrs>();
  const Shape& s = call.in[0].shape;
  check(attrs.size.rank() == s.rank(), "slice: a box of shape ", attrs.size, " from ", s);
  const int64_t* begin = attrs.begin.data();
  for (int d = 0; d < s.rank(); ++d)
    check(begin[d] >= 0 && attrs.size[d] <= s[d] && begin[d] <= s[d] - attrs.size[d], "slice: dimension ", d,
          " from ", begin[d], ", ", attrs.size[d], " elements, of a tensor of shape ", s);
  call.out = {{attrs.size, call.in[0].dtype}};
}

// Calls f(offset in the small tensor, offset in the large one) for each element of the box.
template <class F>
void for_box(const Shape& box, const Shape& large, const int64_t* begin, F f) {
  for (int64_t i = 0, n = box.numel(); i < n; ++i) {
    int64_t rest = i, offset = 0, stride = 1;
    for (int d = box.rank() - 1; d >= 0; --d) {
      offset += (rest % box[d] + begin[d]) * stride;
      rest /= box[d];
      stride *= large[d];
    }
    f(i, offset);
  }
}

template <class T>
void pad_ref(const KernelArgs& k) {
  const auto& attrs = k.attr<PadAttrs>();
  const T* x = k.in[0].as<const T>();
  T* y = k.out[0].as<T>();
  std::fill_n(y, k.out[0].numel(), T(attrs.value));
  for_box(k.in[0].shape, k.out[0].shape, attrs.before.data(), [&](int64_t i, int64_t o) { y[o] = x[i]; });
}
template <class T>
void slice_ref(const KernelArgs& k) {
  const T* x = k.in[0].as<const T>();
  T* y = k.out[0].as<T>();
  for_box(k.out[0].shape, k.in[0].shape, k.attr<SliceAttrs>().begin.data(),
          [&](int64_t i, int64_t o) { y[i] = x[o]; });
}

Grads pad_vjp(const VjpArgs& v) { return {slice(v.gout(0), {v.attr<PadAttrs>().before, v.in(0).shape()})}; }
Grads slice_vjp(const VjpArgs& v) {
  const auto& attrs = v.attr<SliceAttrs>();
  PadAttrs border;
  border.before = attrs.begin;
  for (int d = 0; d < attrs.size.rank(); ++d)
    border.after[size_t(d)] = v.in(0).dim(d) - attrs.begin[size_t(d)] - attrs.size[d];
  return {pad(v.gout(0), border)};
}

}  // namespace

const OpDef op_pad = {
    .name = "pad",
    .infer = infer_pad,
    .reference = {pad_ref<float>, pad_ref<double>},
    .vjp = pad_vjp,
    .samples = {{{{{2, 3, 4, 5}}}, PadAttrs{{0, 0, 1, 2}, {0, 1, 3, 0}, 0}},
                {{{{7}}}, PadAttrs{{2}, {1}, 1.5}}},
};
const OpDef op_slice = {
    .name = "slice",
    .infer = infer_slice,
    .reference = {slice_ref<float>, slice_ref<double>},
    .vjp = slice_vjp,
    .samples = {{{{{2, 3, 4, 5}}}, SliceAttrs{{0, 1, 0, 2}, {2, 2, 3, 3}}}, {{{{7}}}, SliceAttrs{{3}, {2}}}},
    .exact_on_integers = true,
};

Tensor pad(const Tensor& x, const PadAttrs& attrs) { return apply1(op_pad, attrs, {x}); }
Tensor slice(const Tensor& x, const SliceAttrs& attrs) { return apply1(op_slice, attrs, {x}); }
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end) {
  const size_t d = size_t(axis < 0 ? axis + x.shape().rank() : axis);
  check(d < size_t(x.shape().rank()) && begin >= 0 && begin <= end, "slice: [", begin, ", ", end,
        ") of axis ", axis, " of a tensor of shape ", x.shape());
  SliceAttrs attrs{{}, x.shape()};
  attrs.begin[d] = begin;
  attrs.size.set(int(d), end - begin);
  return slice(x, attrs);
}

}  // namespace advf
