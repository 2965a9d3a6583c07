// resize2d: (N,C,H,W) to another height and width, nearest or bilinear; border pixels repeat. The source
// position of output pixel i, with scale = in/out:  half_pixel (i + 0.5) scale - 0.5;  asymmetric i scale;
// align_corners i (in-1)/(out-1). Nearest rounds half down for half_pixel and align_corners (ONNX's default),
// and takes the floor for asymmetric (PyTorch's "nearest"). resize2d_grad is the adjoint; attrs.size = (H,W).
#include "tensor/ops/resize.h"

#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void infer_resize(OpCall& call) {
  check_inputs(call, 1);
  const Shape& x = call.in[0].shape;
  const auto& a = call.attr<ResizeAttrs>();
  check(x.rank() == 4 && x[2] > 0 && x[3] > 0, call.op->name, ": an input of shape ", x);
  check(a.size[0] > 0 && a.size[1] > 0, call.op->name, ": a size of ", a.size[0], "x", a.size[1]);
  call.out = {{{x[0], x[1], a.size[0], a.size[1]}, call.in[0].dtype}};
}

// f(source element, target element, weight): the four taps of every target pixel.
template <class F>
void for_taps(const Shape& source, const Shape& target, const ResizeAttrs& a, F f) {
  for (int64_t plane = 0; plane < source[0] * source[1]; ++plane)
    for (int64_t y = 0; y < target[2]; ++y) {
      const ResizeTap v = resize_tap(y, source[2], target[2], a.mode, a.coordinates);
      for (int64_t x = 0; x < target[3]; ++x) {
        const ResizeTap u = resize_tap(x, source[3], target[3], a.mode, a.coordinates);
        const int64_t t = (plane * target[2] + y) * target[3] + x;
        const int64_t row0 = (plane * source[2] + v.first) * source[3],
                      row1 = (plane * source[2] + v.second) * source[3];
        f(row0 + u.first, t, (1 - v.weight) * (1 - u.weight));
        f(row0 + u.second, t, (1 - v.weight) * u.weight);
        f(row1 + u.first, t, v.weight * (1 - u.weight));
        f(row1 + u.second, t, v.weight * u.weight);
      }
    }
}

template <class T>
void resize_ref(const KernelArgs& k) {
  const auto sums = sums_of(k);
  std::fill(sums.begin(), sums.end(), 0.0);
  for_taps(k.in[0].shape, k.out[0].shape, k.attr<ResizeAttrs>(),
           [&](int64_t s, int64_t t, double w) { sums[size_t(t)] += w * double(k.in[0].as<const T>()[s]); });
  store_sums<T>(k);
}
template <class T>
void resize_grad_ref(const KernelArgs& k) {
  const auto sums = sums_of(k);
  std::fill(sums.begin(), sums.end(), 0.0);
  for_taps(k.out[0].shape, k.in[0].shape, k.attr<ResizeAttrs>(),
           [&](int64_t s, int64_t t, double w) { sums[size_t(s)] += w * double(k.in[0].as<const T>()[t]); });
  store_sums<T>(k);
}

template <const OpDef& adjoint>
Grads resize_vjp(const VjpArgs& v) {
  ResizeAttrs a = v.attr<ResizeAttrs>();
  a.size = {v.in(0).dim(2), v.in(0).dim(3)};
  return {apply1(adjoint, a, {v.gout(0)})};
}

std::vector<Sample> samples() {
  std::vector<Sample> list;
  for (auto mode : {ResizeMode::nearest, ResizeMode::bilinear})
    for (auto c :
         {ResizeCoordinates::half_pixel, ResizeCoordinates::align_corners, ResizeCoordinates::asymmetric}) {
      list.push_back({{{{2, 3, 4, 5}}}, ResizeAttrs{{8, 10}, mode, c}});
      list.push_back({{{{1, 2, 9, 7}}}, ResizeAttrs{{5, 11}, mode, c}});
    }
  list.push_back({{{{1, 3, 64, 64}}}, ResizeAttrs{{160, 160}}});
  return list;
}

}  // namespace

const OpDef op_resize2d = {
    .name = "resize2d",
    .infer = infer_resize,
    .reference = {resize_ref<float>, resize_ref<double>, sums_bytes},
    .vjp = resize_vjp<op_resize2d_grad>,
    .samples = samples(),
};
const OpDef op_resize2d_grad = {
    .name = "resize2d_grad",
    .infer = infer_resize,
    .reference = {resize_grad_ref<float>, resize_grad_ref<double>, sums_bytes},
    .vjp = resize_vjp<op_resize2d>,
    .samples = samples(),
};

Tensor resize2d(const Tensor& x, const ResizeAttrs& attrs) { return apply1(op_resize2d, attrs, {x}); }

}  // namespace advf
