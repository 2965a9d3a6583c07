// Ops that take a tensor row by row, a block per row: softmax, L2 normalisation, cross entropy; and
// arcface_margin.
#include "cuda/bind.h"
#include "cuda/context.h"
#include "cuda/kernels/map.h"
#include "cuda/kernels/reduce.h"
#include "tensor/scalar_math.h"

namespace advf::cuda {
namespace {

// Short rows need few threads.
Grid row_grid(int64_t rows, int64_t length) {
  return grid_of_blocks(rows, length <= 64 ? 32 : length <= 512 ? 128 : 256);
}

// exp(x - max) / sum over a row; with labels also -log of the value at the label.
__global__ void softmax_kernel(const float* x, float* y, int64_t rows, int64_t d, const int32_t* labels,
                               double* losses, Fault* fault) {
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    const float* in = x + r * d;
    float top = in[0];
    for (int64_t i = threadIdx.x; i < d; i += blockDim.x) top = fmaxf(top, in[i]);
    top = block_max(top);
    // Read before the row is overwritten.
    const int64_t label = labels ? labels[r] : 0;
    const bool known = label >= 0 && label < d;
    const double at_label = labels && known ? double(in[label]) : 0;
    Sums<1> sum{};
    for (int64_t i = threadIdx.x; i < d; i += blockDim.x) sum.v[0] += double(expf(in[i] - top));
    sum = block_sums(sum);
    for (int64_t i = threadIdx.x; i < d; i += blockDim.x)
      y[r * d + i] = float(double(expf(in[i] - top)) / sum.v[0]);
    if (!labels || threadIdx.x != 0) continue;
    losses[r] = log(sum.v[0]) + double(top) - at_label;
    if (!known) {
      fault->value = label;
      fault->limit = d;
      fault->code = kBadLabel;
    }
  }
}

// One block: the mean of the rows' losses, in a fixed order.
__global__ void mean_loss_kernel(const double* losses, int64_t rows, float* y) {
  Sums<1> s{};
  for (int64_t r = threadIdx.x; r < rows; r += blockDim.x) s.v[0] += losses[r];
  s = block_sums(s);
  if (threadIdx.x == 0) y[0] = float(s.v[0] / double(rows));
}

struct CrossEntropyGradMap {  // probabilities -> gradient
  const int32_t* labels;
  const float* g;
  float rows;
  uint32_t classes;
  __device__ void operator()(const float* p, float* y, int64_t i) const {
    const uint32_t r = uint32_t(i) / classes;
    y[0] = g[0] / rows * (p[0] - (int64_t(labels[r]) == int64_t(uint32_t(i) - r * classes) ? 1.0f : 0.0f));
  }
};

// A row divided by max(|row|, eps).
__global__ void l2_normalise_kernel(const float* x, float* y, int64_t rows, int64_t d, double eps) {
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    Sums<1> s{};
    for (int64_t i = threadIdx.x; i < d; i += blockDim.x)
      s.v[0] += double(x[r * d + i]) * double(x[r * d + i]);
    const double norm = sqrt(block_sums(s).v[0]), n = norm <= eps ? eps : norm;
    for (int64_t i = threadIdx.x; i < d; i += blockDim.x) y[r * d + i] = float(double(x[r * d + i]) / n);
  }
}

// (g - x (x.g) / n^2) / n, or g / eps where the norm is below.
__global__ void l2_normalise_grad_kernel(const float* x, const float* g, float* y, int64_t rows, int64_t d,
                                         double eps) {
  for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
    Sums<2> s{};
    for (int64_t i = threadIdx.x; i < d; i += blockDim.x) {
      const double a = double(x[r * d + i]);
      s.v[0] += a * a;
      s.v[1] += a * double(g[r * d + i]);
    }
    s = block_sums(s);
    const double n = sqrt(s.v[0]);
    for (int64_t i = threadIdx.x; i < d; i += blockDim.x) {
      const double a = double(x[r * d + i]), b = double(g[r * d + i]);
      y[r * d + i] = float(n <= eps ? b / eps : (b - a * s.v[1] / (n * n)) / n);
    }
  }
}

struct ArcfaceMap {
  const int32_t* labels;
  uint32_t classes;
  double scale, margin;
  __device__ bool is_label(int64_t i) const {
    const uint32_t r = uint32_t(i) / classes;
    return int64_t(labels[r]) == int64_t(uint32_t(i) - r * classes);
  }
  __device__ void operator()(const float* c, float* y, int64_t i) const {
    y[0] = float(scale * (is_label(i) ? scalar::arcface_target(double(c[0]), margin) : double(c[0])));
  }
};
struct ArcfaceGradMap {  // cosines, g
  ArcfaceMap at;
  __device__ void operator()(const float* x, float* y, int64_t i) const {
    const double slope = at.is_label(i) ? scalar::arcface_slope(double(x[0]), at.margin) : 1.0;
    y[0] = float(at.scale * double(x[1]) * slope);
  }
};

uint32_t classes_of(const BindArgs& args) {
  const Shape& s = args.in(0).shape;
  check(s.numel() <= int64_t(UINT32_MAX), args.call.op->name, ": a tensor of shape ", s,
        " is too large for cuda");
  return uint32_t(std::max<int64_t>(s[1], 1));
}

}  // namespace

std::unique_ptr<BoundOp> bind_softmax(const BindArgs& args) {
  const int64_t d = args.in(0).shape[-1], rows = args.in(0).shape.numel() / d;
  return bound([=](const Run& r) {
    launch("softmax_kernel", softmax_kernel, row_grid(rows, d), r.stream, r.f32(0), r.to_f32(), rows, d,
           static_cast<const int32_t*>(nullptr), static_cast<double*>(nullptr), static_cast<Fault*>(nullptr));
  });
}

std::unique_ptr<BoundOp> bind_softmax_cross_entropy(const BindArgs& args) {
  const int64_t rows = args.in(0).shape[0], d = args.in(0).shape[1];
  return bound(
      [=](const Run& r) {
        auto* losses = reinterpret_cast<double*>(r.scratch);
        launch("softmax_kernel", softmax_kernel, row_grid(rows, d), r.stream, r.f32(0), r.to_f32(1), rows, d,
               r.i32(1), losses, context().fault);
        launch("mean_loss_kernel", mean_loss_kernel, grid_of_blocks(1), r.stream, losses, rows, r.to_f32(0));
      },
      size_t(rows) * sizeof(double));
}

std::unique_ptr<BoundOp> bind_softmax_cross_entropy_grad(const BindArgs& args) {  // probabilities, labels, g
  const uint32_t classes = classes_of(args);
  const float rows = float(args.in(0).shape[0]);
  return bound([=](const Run& r) {
    launch_map(MapArgs<float, 1, 1>{{r.f32(0)}, {r.to_f32()}, r.out[0].numel(), false},
               CrossEntropyGradMap{r.i32(1), r.f32(2), rows, classes}, r.stream);
  });
}

std::unique_ptr<BoundOp> bind_l2_normalise(const BindArgs& args) {
  const int64_t rows = args.in(0).shape[0], d = args.in(0).shape[1];
  const double eps = args.attr<ScalarAttrs>().a;
  return bound([=](const Run& r) {
    launch("l2_normalise_kernel", l2_normalise_kernel, row_grid(rows, d), r.stream, r.f32(0), r.to_f32(),
           rows, d, eps);
  });
}
std::unique_ptr<BoundOp> bind_l2_normalise_grad(const BindArgs& args) {  // x, g
  const int64_t rows = args.in(0).shape[0], d = args.in(0).shape[1];
  const double eps = args.attr<ScalarAttrs>().a;
  return bound([=](const Run& r) {
    launch("l2_normalise_grad_kernel", l2_normalise_grad_kernel, row_grid(rows, d), r.stream, r.f32(0),
           r.f32(1), r.to_f32(), rows, d, eps);
  });
}

std::unique_ptr<BoundOp> bind_arcface_margin(const BindArgs& args) {
  const auto a = args.attr<ScalarAttrs>();
  const uint32_t classes = classes_of(args);
  return bound([=](const Run& r) {
    launch_map(MapArgs<float, 1, 1>{{r.f32(0)}, {r.to_f32()}, r.out[0].numel(), false},
               ArcfaceMap{r.i32(1), classes, a.a, a.b}, r.stream);
  });
}
std::unique_ptr<BoundOp> bind_arcface_margin_grad(const BindArgs& args) {  // cosines, labels, g
  const auto a = args.attr<ScalarAttrs>();
  const uint32_t classes = classes_of(args);
  return bound([=](const Run& r) {
    launch_map(MapArgs<float, 2, 1>{{r.f32(0), r.f32(2)}, {r.to_f32()}, r.out[0].numel(), false},
               ArcfaceGradMap{{r.i32(1), classes, a.a, a.b}}, r.stream);
  });
}

}  // namespace advf::cuda
