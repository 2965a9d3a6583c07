// resize2d and its gradient are one kernel: a result pixel is a weighted sum over a few rows and a few
// columns of its plane. Which ones is a table per axis, made when the op is bound: the taps of a target
// pixel, or, for the gradient, the target pixels that a source pixel went to.
#include "cuda/bind.h"
#include "cuda/launch.h"
#include "tensor/ops/resize.h"

namespace advf::cuda {
namespace {

// Of result pixel i: entries [begin[i], begin[i + 1]) of `from` and `weight`.
struct Taps {
  const int32_t *begin, *from;
  const float* weight;
};

__global__ void resample_kernel(const float* x, float* y, Taps rows, Taps columns, int64_t planes, int h,
                                int w, int oh, int ow) {
  const int64_t n = planes * oh * ow;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += int64_t(gridDim.x) * blockDim.x) {
    const int ox = int(i % ow), oy = int(i / ow % oh);
    const float* image = x + i / ow / oh * h * w;
    float sum = 0;
    for (int r = rows.begin[oy]; r < rows.begin[oy + 1]; ++r) {
      float line = 0;
      for (int c = columns.begin[ox]; c < columns.begin[ox + 1]; ++c)
        line += columns.weight[c] * image[rows.from[r] * w + columns.from[c]];
      sum += rows.weight[r] * line;
    }
    y[i] = sum;
  }
}

class TapTable {
 public:
  // Of an axis that goes from `source` to `target` pixels; `adjoint`: the way back.
  TapTable(int64_t source, int64_t target, const ResizeAttrs& a, bool adjoint) {
    std::vector<std::vector<std::pair<int32_t, float>>> lists(size_t(adjoint ? source : target));
    const auto add = [&](int64_t s, int64_t t, double weight) {
      if (weight != 0) lists[size_t(adjoint ? s : t)].emplace_back(int32_t(adjoint ? t : s), float(weight));
    };
    for (int64_t t = 0; t < target; ++t) {
      const ResizeTap tap = resize_tap(t, source, target, a.mode, a.coordinates);
      add(tap.first, t, 1 - tap.weight);
      add(tap.second, t, tap.weight);
    }
    std::vector<int32_t> begin{0}, from;
    std::vector<float> weight;
    for (const auto& list : lists) {
      for (const auto& [index, w] : list) {
        from.push_back(index);
        weight.push_back(w);
      }
      begin.push_back(int32_t(from.size()));
    }
    begin_ = DeviceBytes(begin.data(), begin.size() * sizeof(int32_t));
    from_ = DeviceBytes(from.data(), from.size() * sizeof(int32_t));
    weight_ = DeviceBytes(weight.data(), weight.size() * sizeof(float));
  }
  Taps view() const { return {begin_.as<int32_t>(), from_.as<int32_t>(), weight_.as<float>()}; }

 private:
  DeviceBytes begin_, from_, weight_;
};

std::unique_ptr<BoundOp> bind_resample(const BindArgs& args, bool adjoint) {
  const Shape &in = args.in(0).shape, &out = args.out().shape;
  const Shape &source = adjoint ? out : in, &target = adjoint ? in : out;
  const auto& a = args.attr<ResizeAttrs>();
  auto rows = std::make_shared<const TapTable>(source[2], target[2], a, adjoint);
  auto columns = std::make_shared<const TapTable>(source[3], target[3], a, adjoint);
  return bound([=](const Run& r) {
    launch("resample_kernel", resample_kernel, grid_for(out.numel()), r.stream, r.f32(0), r.to_f32(),
           rows->view(), columns->view(), in[0] * in[1], int(in[2]), int(in[3]), int(out[2]), int(out[3]));
  });
}

}  // namespace

std::unique_ptr<BoundOp> bind_resize2d(const BindArgs& args) { return bind_resample(args, false); }
std::unique_ptr<BoundOp> bind_resize2d_grad(const BindArgs& args) { return bind_resample(args, true); }

}  // namespace advf::cuda
