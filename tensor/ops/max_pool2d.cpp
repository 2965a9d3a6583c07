// max_pool2d: (N,C,H,W) -> the largest of each window, and (i32) its place y*W+x in the image, the first of
// equals. Padding never wins; what is no number does. max_pool2d_grad (g, places) adds g back at the places;
// attrs.size = (H,W).
#include "tensor/ops/pool.h"
#include "tensor/scalar_math.h"

namespace advf {

int64_t pooled_size(int64_t in, int axis, const PoolAttrs& a) {
  const size_t i = size_t(axis);
  const int64_t span = in + a.pad[i] + a.pad[i + 2] - a.kernel[i];
  if (span < 0) return 0;
  if (!a.ceil_mode) return span / a.stride[i] + 1;
  const int64_t n = (span + a.stride[i] - 1) / a.stride[i] + 1;
  return (n - 1) * a.stride[i] >= in + a.pad[i] ? n - 1 : n;
}

Shape infer_pool(const char* op, const Shape& x, const PoolAttrs& a) {
  check(x.rank() == 4, op, ": an input of shape ", x, "; (N,C,H,W) is needed");
  for (size_t i = 0; i < 2; ++i) {
    check(a.kernel[i] > 0 && a.stride[i] > 0, op, ": a kernel of ", a.kernel[i], " with stride ",
          a.stride[i]);
    // A window that lies in the padding alone would have no value.
    check(a.pad[i] >= 0 && a.pad[i + 2] >= 0 && a.pad[i] < a.kernel[i] && a.pad[i + 2] < a.kernel[i], op,
          ": a padding of ", a.pad[i], " and ", a.pad[i + 2], " with a kernel of ", a.kernel[i]);
  }
  const int64_t h = pooled_size(x[2], 0, a), w = pooled_size(x[3], 1, a);
  check(h > 0 && w > 0, op, ": a window of ", a.kernel[0], "x", a.kernel[1],
        " is larger than the image of shape ", x);
  return {x[0], x[1], h, w};
}

namespace {

void infer_max_pool(OpCall& call) {
  check_inputs(call, 1);
  const Shape y = infer_pool("max_pool2d", call.in[0].shape, call.attr<PoolAttrs>());
  call.out = {{y, call.in[0].dtype}, {y, DType::i32}};
}
void infer_max_pool_grad(OpCall& call) {
  const Shape& g = call.in[0].shape;
  const auto& a = call.attr<PoolAttrs>();
  check(call.in.size() == 2 && call.in[1].shape == g && call.in[1].dtype == DType::i32 && g.rank() == 4,
        "max_pool2d_grad takes a gradient and i32 places of one shape");
  call.out = {{{g[0], g[1], a.size[0], a.size[1]}, call.in[0].dtype}};
}

template <class T>
void max_pool_ref(const KernelArgs& k) {
  const auto& a = k.attr<PoolAttrs>();
  const Shape &in = k.in[0].shape, &out = k.out[0].shape;
  const int64_t h = in[2], w = in[3];
  T* y = k.out[0].as<T>();
  int32_t* place = k.out[1].as<int32_t>();
  for (int64_t plane = 0; plane < in[0] * in[1]; ++plane) {
    const T* x = k.in[0].as<const T>() + plane * h * w;
    for (int64_t oy = 0; oy < out[2]; ++oy)
      for (int64_t ox = 0; ox < out[3]; ++ox) {
        const Window v = window(a, oy, ox, h, w);
        int64_t best = v.y0 * w + v.x0;
        for (int64_t iy = v.y0; iy < v.y1; ++iy)
          for (int64_t ix = v.x0; ix < v.x1; ++ix)
            if (scalar::is_larger(x[iy * w + ix], x[best])) best = iy * w + ix;
        *y++ = x[best];
        *place++ = int32_t(best);
      }
  }
}
template <class T>
void max_pool_grad_ref(const KernelArgs& k) {
  const Shape &g = k.in[0].shape, &out = k.out[0].shape;
  const int64_t small = g[2] * g[3], large = out[2] * out[3];
  std::fill_n(k.out[0].as<T>(), k.out[0].numel(), T(0));
  for (int64_t i = 0, n = g.numel(); i < n; ++i)
    k.out[0].as<T>()[i / small * large + k.in[1].as<const int32_t>()[i]] += k.in[0].as<const T>()[i];
}
Grads max_pool_vjp(const VjpArgs& v) {
  PoolAttrs a = v.attr<PoolAttrs>();
  a.size = {v.in(0).dim(2), v.in(0).dim(3)};
  return {apply1(op_max_pool2d_grad, a, {v.gout(0), v.out(1)})};
}

}  // namespace

const OpDef op_max_pool2d = {
    .name = "max_pool2d",
    .infer = infer_max_pool,
    .reference = {max_pool_ref<float>, max_pool_ref<double>},
    .vjp = max_pool_vjp,
    .uses = {.out = 0b10},
    .samples = {{{{{2, 3, 9, 9}}}, PoolAttrs{.kernel = {3, 3}, .stride = {2, 2}}},
                {{{{1, 4, 8, 7}}}, PoolAttrs{.kernel = {2, 3}, .stride = {2, 2}, .pad = {1, 1, 0, 1}}},
                {{{{2, 5, 10, 11}}}, PoolAttrs{.kernel = {3, 3}, .stride = {2, 2}, .ceil_mode = true}}},
};
const OpDef op_max_pool2d_grad = {
    .name = "max_pool2d_grad",
    .infer = infer_max_pool_grad,
    .reference = {max_pool_grad_ref<float>, max_pool_grad_ref<double>},
    .no_vjp = "a gradient; second derivatives are not used",
    .samples = {{{{{2, 3, 4, 4}}, {{2, 3, 4, 4}, Domain::index, 81}},
                 PoolAttrs{.kernel = {3, 3}, .stride = {2, 2}, .size = {9, 9}}},
                // Many planes, and a place that lies outside of its window is rare.
                {{{{2, 20, 2, 1}}, {{2, 20, 2, 1}, Domain::index, 81}},
                 PoolAttrs{.kernel = {8, 9}, .size = {9, 9}}}},
};

Tensor max_pool2d(const Tensor& x, const PoolAttrs& attrs) { return apply(op_max_pool2d, attrs, {x})[0]; }

}  // namespace advf
