// Ops that move values: slice, permute, broadcast_to and concat are one strided copy; pad writes its border
// as well. Copied as four bytes, so f32 and i32 alike.
#include "cuda/kernels/shape_ops.h"

#include "cuda/bind.h"
#include "cuda/launch.h"

namespace advf::cuda {
namespace {

// Array 0 is written, array 1 read.
__global__ void copy_kernel(const uint32_t* from, uint32_t* to, Strides<2> s) {
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < s.n;
       i += int64_t(gridDim.x) * blockDim.x) {
    int64_t at[2];
    s.locate(i, at);
    to[at[0]] = from[at[1]];
  }
}
std::unique_ptr<BoundOp> bind_copy(Strides<2> s) {
  s.merge();
  return bound([s](const Run& r) { launch_copy(r.in[0].data, r.out[0].data, s, r.stream); });
}

__global__ void pad_kernel(const float* x, float* y, PadBox box) {
  for (uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < box.n; i += gridDim.x * blockDim.x) {
    uint32_t rest = i, stride = 1;
    int64_t at = 0;
    bool inside = true;
    for (int d = box.rank - 1; d >= 0; --d) {
      const uint32_t here = rest % box.out[d] - box.before[d];  // wraps below the box
      inside = inside && here < box.in[d];
      at += int64_t(here) * stride;
      rest /= box.out[d];
      stride *= box.in[d];
    }
    y[i] = inside ? x[at] : box.value;
  }
}

}  // namespace

void launch_copy(const void* from, void* to, const Strides<2>& s, cudaStream_t stream) {
  launch("copy_kernel", copy_kernel, grid_for(s.n), stream, static_cast<const uint32_t*>(from),
         static_cast<uint32_t*>(to), s);
}

Strides<2> slice_strides(const char* op, const Shape& box, const Shape& whole,
                         std::span<const int64_t> begin) {
  Strides<2> s(op, box);
  s.contiguous(0, box);
  s.contiguous(1, whole);
  for (int d = 0; d < s.rank; ++d) s.base[1] += begin[size_t(d)] * s.step[1][d];
  s.merge();
  return s;
}

PadBox::PadBox(const char* op, const Shape& from, const Shape& to, std::span<const int64_t> border,
               double fill)
    : rank(to.rank()), n(uint32_t(to.numel())), value(float(fill)) {
  check(to.numel() <= int64_t(INT32_MAX), op, ": a tensor of shape ", to, " is too large for cuda");
  for (int d = 0; d < rank; ++d) {
    out[d] = uint32_t(to[d]);
    in[d] = uint32_t(from[d]);
    before[d] = uint32_t(border[size_t(d)]);
  }
}
void launch_pad(const float* x, float* y, const PadBox& box, cudaStream_t stream) {
  launch("pad_kernel", pad_kernel, grid_for(box.n), stream, x, y, box);
}

std::unique_ptr<BoundOp> bind_slice(const BindArgs& args) {
  return bind_copy(slice_strides("slice", args.out().shape, args.in(0).shape, args.attr<SliceAttrs>().begin));
}

std::unique_ptr<BoundOp> bind_permute(const BindArgs& args) {
  const auto& order = args.attr<PermuteAttrs>().order;
  Strides<2> s("permute", args.out().shape), from("permute", args.in(0).shape);
  s.contiguous(0, args.out().shape);
  from.contiguous(0, args.in(0).shape);
  for (int d = 0; d < s.rank; ++d) s.step[1][d] = from.step[0][order[size_t(d)]];
  return bind_copy(s);
}

std::unique_ptr<BoundOp> bind_broadcast_to(const BindArgs& args) {
  Strides<2> s("broadcast_to", args.out().shape);
  s.contiguous(0, args.out().shape);
  s.broadcast(1, args.in(0).shape);
  return bind_copy(s);
}

std::unique_ptr<BoundOp> bind_concat(const BindArgs& args) {
  const int axis = args.attr<AxisAttrs>().axis;
  std::vector<Strides<2>> parts;
  int64_t offset = 0;
  for (const ValueInfo& v : args.call.in) {
    Strides<2> s("concat", v.shape);
    s.contiguous(0, args.out().shape);
    s.contiguous(1, v.shape);
    s.base[0] = offset * s.step[0][axis];
    s.merge();
    parts.push_back(s);
    offset += v.shape[axis];
  }
  return bound([parts](const Run& r) {
    for (size_t i = 0; i < parts.size(); ++i) launch_copy(r.in[i].data, r.out[0].data, parts[i], r.stream);
  });
}

std::unique_ptr<BoundOp> bind_pad(const BindArgs& args) {
  const auto& attrs = args.attr<PadAttrs>();
  const PadBox box("pad", args.in(0).shape, args.out().shape, attrs.before, attrs.value);
  return bound([box](const Run& r) { launch_pad(r.f32(0), r.to_f32(), box, r.stream); });
}

}  // namespace advf::cuda
