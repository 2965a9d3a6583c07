// A step of the ascent in one launch, a block per record: momentum, step, projection, normalisation. And the
// note of a loss, a thread per record.
#include "tensor/ops/ascent_step.h"

#include "cuda/bind.h"
#include "cuda/kernels/reduce.h"
#include "cuda/launch.h"

namespace advf::cuda {
namespace {

struct BlockSum {
  __device__ double operator()(double v) const { return block_sums(Sums<1>{{v}}).v[0]; }
};

// `first` points to record 0.
__global__ void ascent_step_kernel(AscentAttrs a, ascent::Row<float> first, int64_t rows, int64_t d) {
  for (int64_t n = blockIdx.x; n < rows; n += gridDim.x) {
    const auto at = [&](auto* p) { return p ? p + n * d : p; };
    const ascent::Row<float> row{at(first.z), at(first.u),      at(first.g),      at(first.m), first.scale,
                                 first.inner, at(first.next_u), at(first.next_m), at(first.x)};
    ascent::step(a, row, d, int64_t(threadIdx.x), int64_t(blockDim.x), BlockSum{});
  }
}

// Every record has its own counter, so that no thread waits for another.
__global__ void trace_step_kernel(const float* trace, const float* position, const float* value, float* to,
                                  float* next, int64_t rows, int64_t length) {
  for (int64_t n = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; n < rows;
       n += int64_t(gridDim.x) * blockDim.x) {
    const float at = floorf(position[n]);  // as a float: it may be no number
    if (to != trace)
      for (int64_t t = 0; t < length; ++t) to[n * length + t] = trace[n * length + t];
    if (at >= 0 && at < float(length)) to[n * length + int64_t(at)] = value[n];
    next[n] = position[n] + 1;
  }
}

}  // namespace

std::unique_ptr<BoundOp> bind_ascent_step(const BindArgs& args) {  // z, u, g, m, scale
  const auto& a = args.attr<AscentAttrs>();
  const Shape& s = args.in(0).shape;
  const int64_t d = s.numel(1, s.rank()), inner = s.numel(2, s.rank());
  const bool momentum = args.in(3).defined;
  const Grid grid = grid_of_blocks(s[0], d <= 64 ? 32 : d <= 512 ? 128 : d <= 4096 ? 256 : 1024);
  return bound([=](const Run& r) {
    const ascent::Row<float> first{r.f32(0),
                                   r.f32(1),
                                   r.f32(2),
                                   r.f32(3),
                                   r.f32(4),
                                   inner,
                                   r.to_f32(0),
                                   momentum ? r.to_f32(1) : nullptr,
                                   a.at_feature ? r.out.back().as<float>() : nullptr};
    launch("ascent_step_kernel", ascent_step_kernel, grid, r.stream, a, first, s[0], d);
  });
}

std::unique_ptr<BoundOp> bind_trace_step(const BindArgs& args) {  // trace, position, value
  const int64_t rows = args.in(0).shape[0], length = args.in(0).shape[1];
  return bound([=](const Run& r) {
    launch("trace_step_kernel", trace_step_kernel, grid_for(rows), r.stream, r.f32(0), r.f32(1), r.f32(2),
           r.to_f32(0), r.to_f32(1), rows, length);
  });
}

}  // namespace advf::cuda
