// avg_pool2d: the mean of each window of (N,C,H,W); the divisor is the number of pixels inside the image, or
// the kernel's size with count_include_pad (then, in ceil mode, of the part inside the padded image).
// avg_pool2d_grad is its adjoint; attrs.size = (H,W).
#include "tensor/ops/pool.h"

namespace advf {
namespace {

void infer_avg_pool(OpCall& call) {
  check_inputs(call, 1);
  call.out = {{infer_pool("avg_pool2d", call.in[0].shape, call.attr<PoolAttrs>()), call.in[0].dtype}};
}
void infer_avg_pool_grad(OpCall& call) {
  check_inputs(call, 1);
  const Shape& g = call.in[0].shape;
  const auto& a = call.attr<PoolAttrs>();
  check(g.rank() == 4, "avg_pool2d_grad: a gradient of shape ", g);
  const Shape x{g[0], g[1], a.size[0], a.size[1]};
  check(infer_pool("avg_pool2d_grad", x, a) == g, "avg_pool2d_grad: a gradient of shape ", g,
        " for an input of shape ", x);
  call.out = {{x, call.in[0].dtype}};
}

// f(image element, pooled element, weight)
template <class F>
void for_pairs(const Shape& image, const Shape& pooled, const PoolAttrs& a, F f) {
  const int64_t h = image[2], w = image[3];
  for (int64_t plane = 0; plane < image[0] * image[1]; ++plane)
    for (int64_t oy = 0; oy < pooled[2]; ++oy)
      for (int64_t ox = 0; ox < pooled[3]; ++ox) {
        const Window v = window(a, oy, ox, h, w);
        int64_t count = (v.y1 - v.y0) * (v.x1 - v.x0);
        if (a.count_include_pad) {
          const int64_t y = oy * a.stride[0], x = ox * a.stride[1];  // in the padded image
          count = (std::min<int64_t>(y + a.kernel[0], h + a.pad[0] + a.pad[2]) - y) *
                  (std::min<int64_t>(x + a.kernel[1], w + a.pad[1] + a.pad[3]) - x);
        }
        for (int64_t iy = v.y0; iy < v.y1; ++iy)
          for (int64_t ix = v.x0; ix < v.x1; ++ix)
            f((plane * h + iy) * w + ix, (plane * pooled[2] + oy) * pooled[3] + ox, 1.0 / double(count));
      }
}

template <class T>
void avg_pool_ref(const KernelArgs& k) {
  const auto sums = sums_of(k);
  std::fill(sums.begin(), sums.end(), 0.0);
  for_pairs(k.in[0].shape, k.out[0].shape, k.attr<PoolAttrs>(), [&](int64_t i, int64_t o, double weight) {
    sums[size_t(o)] += double(k.in[0].as<const T>()[i]) * weight;
  });
  store_sums<T>(k);
}
template <class T>
void avg_pool_grad_ref(const KernelArgs& k) {
  const auto sums = sums_of(k);
  std::fill(sums.begin(), sums.end(), 0.0);
  for_pairs(k.out[0].shape, k.in[0].shape, k.attr<PoolAttrs>(), [&](int64_t i, int64_t o, double weight) {
    sums[size_t(i)] += double(k.in[0].as<const T>()[o]) * weight;
  });
  store_sums<T>(k);
}
Grads avg_pool_vjp(const VjpArgs& v) {
  PoolAttrs a = v.attr<PoolAttrs>();
  a.size = {v.in(0).dim(2), v.in(0).dim(3)};
  return {apply1(op_avg_pool2d_grad, a, {v.gout(0)})};
}
Grads avg_pool_grad_vjp(const VjpArgs& v) {
  PoolAttrs a = v.attr<PoolAttrs>();
  a.size = {};
  return {avg_pool2d(v.gout(0), a)};
}

}  // namespace

const OpDef op_avg_pool2d = {
    .name = "avg_pool2d",
    .infer = infer_avg_pool,
    .reference = {avg_pool_ref<float>, avg_pool_ref<double>, sums_bytes},
    .vjp = avg_pool_vjp,
    .samples = {{{{{2, 3, 8, 8}}}, PoolAttrs{.kernel = {2, 2}, .stride = {2, 2}}},
                {{{{1, 4, 8, 7}}}, PoolAttrs{.kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1, 1, 1}}},
                {{{{1, 4, 8, 7}}},
                 PoolAttrs{.kernel = {3, 2},
                           .stride = {2, 1},
                           .pad = {1, 0, 1, 1},
                           .ceil_mode = true,
                           .count_include_pad = true}}},
};
const OpDef op_avg_pool2d_grad = {
    .name = "avg_pool2d_grad",
    .infer = infer_avg_pool_grad,
    .reference = {avg_pool_grad_ref<float>, avg_pool_grad_ref<double>, sums_bytes},
    .vjp = avg_pool_grad_vjp,
    .samples = {{{{{2, 3, 4, 4}}}, PoolAttrs{.kernel = {2, 2}, .stride = {2, 2}, .size = {8, 8}}},
                {{{{1, 4, 4, 4}}},
                 PoolAttrs{.kernel = {3, 3}, .stride = {2, 2}, .pad = {1, 1, 1, 1}, .size = {8, 7}}}},
};

Tensor avg_pool2d(const Tensor& x, const PoolAttrs& attrs) { return apply1(op_avg_pool2d, attrs, {x}); }

}  // namespace advf
