#include "cuda/kernels/depthwise.h"

#include "cuda/kernels/reduce.h"

namespace advf::cuda {
namespace {

// A thread per output value, which also does what follows the product.
__global__ void depthwise_kernel(const float* x, const float* w, const float* residual, const float* kept,
                                 float* y, DepthwiseBox b, EpilogueMap finish) {
  const int64_t n = int64_t(b.n) * b.o * b.oh * b.ow;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += int64_t(gridDim.x) * blockDim.x) {
    const int ox = int(i % b.ow), oy = int(i / b.ow % b.oh), o = int(i / b.ow / b.oh % b.o);
    const float* image = x + (i / b.ow / b.oh / b.o * b.c + o / b.per_channel) * b.h * b.w;
    const float* weight = w + o * b.kh * b.kw;
    float sum = 0;
    for (int ky = 0; ky < b.kh; ++ky) {
      const int iy = oy * b.stride[0] + ky * b.dilation[0] - b.pad[0];
      if (iy < 0 || iy >= b.h) continue;
      for (int kx = 0; kx < b.kw; ++kx) {
        const int ix = ox * b.stride[1] + kx * b.dilation[1] - b.pad[1];
        if (ix >= 0 && ix < b.w) sum += image[iy * b.w + ix] * weight[ky * b.kw + kx];
      }
    }
    const float v[3] = {sum, residual ? residual[i] : 0, kept ? kept[i] : 0};
    finish(v, y + i, i);
  }
}

// A thread per value of x: which outputs it went to.
__global__ void depthwise_transposed_kernel(const float* y, const float* w, const float* residual,
                                            const float* kept, float* x, DepthwiseBox b, EpilogueMap finish) {
  const int64_t n = int64_t(b.n) * b.c * b.h * b.w;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += int64_t(gridDim.x) * blockDim.x) {
    const int ix = int(i % b.w), iy = int(i / b.w % b.h), c = int(i / b.w / b.h % b.c);
    const int64_t image = i / b.w / b.h / b.c;
    float sum = 0;
    for (int o = c * b.per_channel; o < (c + 1) * b.per_channel; ++o) {
      const float* plane = y + (image * b.o + o) * b.oh * b.ow;
      const float* weight = w + o * b.kh * b.kw;
      for (int ky = 0; ky < b.kh; ++ky) {
        const int sy = iy + b.pad[0] - ky * b.dilation[0], oy = sy / b.stride[0];
        if (sy < 0 || sy % b.stride[0] != 0 || oy >= b.oh) continue;
        for (int kx = 0; kx < b.kw; ++kx) {
          const int sx = ix + b.pad[1] - kx * b.dilation[1], ox = sx / b.stride[1];
          if (sx >= 0 && sx % b.stride[1] == 0 && ox < b.ow)
            sum += plane[oy * b.ow + ox] * weight[ky * b.kw + kx];
        }
      }
    }
    const float v[3] = {sum, residual ? residual[i] : 0, kept ? kept[i] : 0};
    finish(v, x + i, i);
  }
}

// Weight `row` = (o, ky, kx): a sum over images and output pixels.
struct WeightGradValue {
  const float *x, *y;
  DepthwiseBox b;
  __device__ Sums<1> operator()(int64_t row, int64_t i) const {
    const int kx = int(row % b.kw), ky = int(row / b.kw % b.kh), o = int(row / b.kw / b.kh);
    const int ox = int(i % b.ow), oy = int(i / b.ow % b.oh);
    const int64_t image = i / b.ow / b.oh;
    const int iy = oy * b.stride[0] + ky * b.dilation[0] - b.pad[0];
    const int ix = ox * b.stride[1] + kx * b.dilation[1] - b.pad[1];
    if (iy < 0 || iy >= b.h || ix < 0 || ix >= b.w) return {};
    return {{double(x[((image * b.c + o / b.per_channel) * b.h + iy) * b.w + ix]) *
             double(y[((image * b.o + o) * b.oh + oy) * b.ow + ox])}};
  }
};
struct StoreWeight {
  float* w;
  __device__ void operator()(int64_t row, const Sums<1>& s) const { w[row] = float(s.v[0]); }
};

}  // namespace

DepthwiseBox::DepthwiseBox(const Shape& x, const Shape& weight, const Shape& y, const ConvAttrs& a)
    : n(int(x[0])),
      c(int(x[1])),
      h(int(x[2])),
      w(int(x[3])),
      o(int(y[1])),
      oh(int(y[2])),
      ow(int(y[3])),
      kh(int(weight[2])),
      kw(int(weight[3])),
      per_channel(o / c),
      stride{a.stride[0], a.stride[1]},
      pad{a.pad[0], a.pad[1]},
      dilation{a.dilation[0], a.dilation[1]} {
  check(x.numel() <= INT32_MAX && y.numel() <= INT32_MAX, "depthwise convolution: tensors of shape ", x,
        " and ", y, " are too large for cuda");
}

std::unique_ptr<BoundOp> bind_depthwise_forward(const DepthwiseBox& box, const EpilogueCall& finish) {
  return bound([=](const Run& r) {
    launch("depthwise_kernel", depthwise_kernel, grid_for(r.out[0].numel()), r.stream, r.f32(0), r.f32(1),
           finish.residual_of<float>(r), finish.kept_of<float>(r), r.to_f32(), box, finish.map(r));
  });
}
std::unique_ptr<BoundOp> bind_depthwise_transposed(const DepthwiseBox& box, const EpilogueCall& finish) {
  return bound([=](const Run& r) {
    launch("depthwise_transposed_kernel", depthwise_transposed_kernel, grid_for(r.out[0].numel()), r.stream,
           r.f32(0), r.f32(1), finish.residual_of<float>(r), finish.kept_of<float>(r), r.to_f32(), box,
           finish.map(r));
  });
}
std::unique_ptr<BoundOp> bind_depthwise_grad_weight(const DepthwiseBox& box) {
  const SumPlan plan = plan_sums(int64_t(box.o) * box.kh * box.kw, int64_t(box.n) * box.oh * box.ow);
  return bound(
      [=](const Run& r) {
        launch_sums<1>(plan, WeightGradValue{r.f32(0), r.f32(1), box}, StoreWeight{r.to_f32()}, r.scratch,
                       r.stream);
      },
      plan.scratch_bytes(1));
}

}  // namespace advf::cuda
