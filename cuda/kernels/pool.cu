// Pooling of (N,C,H,W), a thread per result. The gradients gather: an input pixel asks the windows that cover
// it, so nothing is added by two threads.
#include "cuda/bind.h"
#include "cuda/launch.h"
#include "tensor/ops/pool.h"
#include "tensor/scalar_math.h"

namespace advf::cuda {
namespace {

struct PoolBox {
  int64_t planes;
  int h, w, oh, ow, kernel[2], stride[2], before[2], after[2];
  bool include_pad;

  PoolBox(const Shape& image, const Shape& pooled, const PoolAttrs& a)
      : planes(image[0] * image[1]),
        h(int(image[2])),
        w(int(image[3])),
        oh(int(pooled[2])),
        ow(int(pooled[3])),
        kernel{a.kernel[0], a.kernel[1]},
        stride{a.stride[0], a.stride[1]},
        before{a.pad[0], a.pad[1]},
        after{a.pad[2], a.pad[3]},
        include_pad(a.count_include_pad) {
    check(image.numel() <= int64_t(INT32_MAX), "pooling: an image of shape ", image,
          " is too large for cuda");
  }

  // The part of window o that lies in the image, along axis 0 (y) or 1 (x).
  __device__ int begin(int axis, int o) const {
    const int b = o * stride[axis] - before[axis];
    return b > 0 ? b : 0;
  }
  __device__ int end(int axis, int o) const {
    const int e = o * stride[axis] - before[axis] + kernel[axis], size = axis == 0 ? h : w;
    return e < size ? e : size;
  }
  // The windows [first, last) that cover pixel i.
  __device__ int first(int axis, int i) const {
    const int from = i + before[axis] - kernel[axis] + 1;
    return from <= 0 ? 0 : (from + stride[axis] - 1) / stride[axis];
  }
  __device__ int last(int axis, int i) const {
    const int to = (i + before[axis]) / stride[axis] + 1, size = axis == 0 ? oh : ow;
    return to < size ? to : size;
  }
  // What the average of window (oy, ox) divides by.
  __device__ float count(int oy, int ox) const {
    if (!include_pad) return float((end(0, oy) - begin(0, oy)) * (end(1, ox) - begin(1, ox)));
    const int y = oy * stride[0], x = ox * stride[1];
    const int ye = y + kernel[0], xe = x + kernel[1], yl = h + before[0] + after[0],
              xl = w + before[1] + after[1];
    return float(((ye < yl ? ye : yl) - y) * ((xe < xl ? xe : xl) - x));
  }
};

__global__ void max_pool2d_kernel(const float* x, float* y, int32_t* places, PoolBox b) {
  const int64_t n = b.planes * b.oh * b.ow;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += int64_t(gridDim.x) * blockDim.x) {
    const int ox = int(i % b.ow), oy = int(i / b.ow % b.oh);
    const float* image = x + i / b.ow / b.oh * b.h * b.w;
    const int x0 = b.begin(1, ox), x1 = b.end(1, ox), y0 = b.begin(0, oy), y1 = b.end(0, oy);
    int best = y0 * b.w + x0;
    for (int iy = y0; iy < y1; ++iy)
      for (int ix = x0; ix < x1; ++ix)
        if (scalar::is_larger(image[iy * b.w + ix], image[best])) best = iy * b.w + ix;
    y[i] = image[best];
    places[i] = best;
  }
}

// A block per plane. Places lie in their windows when max_pool2d chose them; others are added by one thread,
// in order.
__global__ void max_pool2d_grad_kernel(const float* g, const int32_t* places, float* dx, PoolBox b) {
  __shared__ int strays;
  const int large = b.h * b.w, small = b.oh * b.ow;
  for (int64_t plane = blockIdx.x; plane < b.planes; plane += gridDim.x) {
    const float* gp = g + plane * small;
    const int32_t* pp = places + plane * small;
    float* to = dx + plane * large;
    if (threadIdx.x == 0) strays = 0;
    __syncthreads();
    for (int o = int(threadIdx.x); o < small; o += int(blockDim.x)) {
      const int oy = o / b.ow, ox = o % b.ow, iy = pp[o] / b.w, ix = pp[o] % b.w;
      const bool inside =
          iy >= b.begin(0, oy) && iy < b.end(0, oy) && ix >= b.begin(1, ox) && ix < b.end(1, ox);
      if (!inside) strays = 1;  // all write the same
    }
    for (int i = int(threadIdx.x); i < large; i += int(blockDim.x)) {
      const int iy = i / b.w, ix = i % b.w;
      float sum = 0;
      for (int oy = b.first(0, iy); oy < b.last(0, iy); ++oy)
        for (int ox = b.first(1, ix); ox < b.last(1, ix); ++ox)
          if (pp[oy * b.ow + ox] == i) sum += gp[oy * b.ow + ox];
      to[i] = sum;
    }
    __syncthreads();
    if (threadIdx.x == 0 && strays)
      for (int o = 0; o < small; ++o) {
        const int oy = o / b.ow, ox = o % b.ow, iy = pp[o] / b.w, ix = pp[o] % b.w;
        const bool inside =
            iy >= b.begin(0, oy) && iy < b.end(0, oy) && ix >= b.begin(1, ox) && ix < b.end(1, ox);
        if (!inside) to[pp[o]] += gp[o];
      }
    // `strays` is thread 0's alone until the next plane's first barrier, where all wait for it.
  }
}

__global__ void avg_pool2d_kernel(const float* x, float* y, PoolBox b) {
  const int64_t n = b.planes * b.oh * b.ow;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += int64_t(gridDim.x) * blockDim.x) {
    const int ox = int(i % b.ow), oy = int(i / b.ow % b.oh);
    const float* image = x + i / b.ow / b.oh * b.h * b.w;
    float sum = 0;
    for (int iy = b.begin(0, oy); iy < b.end(0, oy); ++iy)
      for (int ix = b.begin(1, ox); ix < b.end(1, ox); ++ix) sum += image[iy * b.w + ix];
    y[i] = sum / b.count(oy, ox);
  }
}

__global__ void avg_pool2d_grad_kernel(const float* g, float* dx, PoolBox b) {
  const int64_t n = b.planes * b.h * b.w;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += int64_t(gridDim.x) * blockDim.x) {
    const int ix = int(i % b.w), iy = int(i / b.w % b.h);
    const float* plane = g + i / b.w / b.h * b.oh * b.ow;
    float sum = 0;
    for (int oy = b.first(0, iy); oy < b.last(0, iy); ++oy)
      for (int ox = b.first(1, ix); ox < b.last(1, ix); ++ox) sum += plane[oy * b.ow + ox] / b.count(oy, ox);
    dx[i] = sum;
  }
}

}  // namespace

std::unique_ptr<BoundOp> bind_max_pool2d(const BindArgs& args) {
  const PoolBox box(args.in(0).shape, args.out().shape, args.attr<PoolAttrs>());
  const int64_t n = args.out().shape.numel();
  return bound([=](const Run& r) {
    launch("max_pool2d_kernel", max_pool2d_kernel, grid_for(n), r.stream, r.f32(0), r.to_f32(0),
           r.out[1].as<int32_t>(), box);
  });
}
std::unique_ptr<BoundOp> bind_max_pool2d_grad(const BindArgs& args) {  // g, places
  const PoolBox box(args.out().shape, args.in(0).shape, args.attr<PoolAttrs>());
  return bound([=](const Run& r) {
    launch("max_pool2d_grad_kernel", max_pool2d_grad_kernel, grid_of_blocks(box.planes), r.stream, r.f32(0),
           r.i32(1), r.to_f32(), box);
  });
}
std::unique_ptr<BoundOp> bind_avg_pool2d(const BindArgs& args) {
  const PoolBox box(args.in(0).shape, args.out().shape, args.attr<PoolAttrs>());
  const int64_t n = args.out().shape.numel();
  return bound([=](const Run& r) {
    launch("avg_pool2d_kernel", avg_pool2d_kernel, grid_for(n), r.stream, r.f32(0), r.to_f32(), box);
  });
}
std::unique_ptr<BoundOp> bind_avg_pool2d_grad(const BindArgs& args) {
  const PoolBox box(args.out().shape, args.in(0).shape, args.attr<PoolAttrs>());
  const int64_t n = args.out().shape.numel();
  return bound([=](const Run& r) {
    launch("avg_pool2d_grad_kernel", avg_pool2d_grad_kernel, grid_for(n), r.stream, r.f32(0), r.to_f32(),
           box);
  });
}

}  // namespace advf::cuda
