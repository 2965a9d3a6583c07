// image_loss in one pass over memory: reads the image before its sigmoid and the fixed image, writes the
// gradient, and sums the squares per image, in parts that shapes alone decide.
#include "cuda/bind.h"
#include "cuda/kernels/element.h"
#include "cuda/kernels/reduce.h"
#include "tensor/scalar_math.h"

namespace advf::cuda {
namespace {

// A part's size is a multiple of four; `aligned`: so is a row's, and all pointers are.
__global__ void image_loss_kernel(const float* x, const float* base, float* gradient, Sums<1>* partial,
                                  SumPlan plan, int64_t size, double scale, bool aligned) {
  for (int64_t b = blockIdx.x; b < plan.rows * plan.parts; b += gridDim.x) {
    const int64_t row = b / plan.parts * plan.count, begin = b % plan.parts * size;
    const int64_t end = begin + size < plan.count ? begin + size : plan.count;
    Sums<1> sum{};
    const auto one = [&](float at, float wanted) {
      float difference = 0;
      const float g = scalar::image_loss(scale, at, wanted, difference);
      sum.v[0] += double(difference) * double(difference);
      return g;
    };
    const int64_t packed = aligned ? begin + (end - begin) / 4 * 4 : begin;
    for (int64_t i = begin + 4 * threadIdx.x; i < packed; i += 4 * blockDim.x) {
      const Pack<float> from = load_pack(x + row + i), wanted = load_pack(base + row + i);
      Pack<float> to;
      for (int l = 0; l < 4; ++l) to.v[l] = one(from.v[l], wanted.v[l]);
      store_pack(gradient + row + i, to);
    }
    for (int64_t i = packed + threadIdx.x; i < end; i += blockDim.x)
      gradient[row + i] = one(x[row + i], base[row + i]);
    sum = block_sums(sum);
    if (threadIdx.x == 0) partial[b] = sum;
  }
}

struct StoreLoss {
  float* y;
  __device__ void operator()(int64_t row, const Sums<1>& s) const { y[row] = float(s.v[0]); }
};

}  // namespace

std::unique_ptr<BoundOp> bind_image_loss(const BindArgs& args) {
  const Shape& x = args.in(0).shape;
  const SumPlan plan = plan_sums(x[0], x.numel(1, x.rank()));
  const int64_t size = ((plan.count + plan.parts - 1) / plan.parts + 3) / 4 * 4;
  const double scale = args.attr<ScalarAttrs>().a;
  return bound(
      [=](const Run& r) {
        uintptr_t bits = uintptr_t(plan.count) * sizeof(float);
        for (const void* p : {r.in[0].data, r.in[1].data, r.out[0].data})
          bits |= reinterpret_cast<uintptr_t>(p);
        auto* partial = reinterpret_cast<Sums<1>*>(r.scratch);
        launch("image_loss_kernel", image_loss_kernel, grid_of_blocks(plan.rows * plan.parts), r.stream,
               r.f32(0), r.f32(1), r.to_f32(0), partial, plan, size, scale, bits % 16 == 0);
        launch_sum_finish<1>(plan, StoreLoss{r.to_f32(1)}, partial, r.stream);
      },
      plan.scratch_bytes(1));
}

}  // namespace advf::cuda
