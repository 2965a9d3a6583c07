// Element-wise kernels, all of them: out[i] = f(in[i], i) over up to five inputs and three outputs of one
// element type, 16 bytes at a time where every pointer is aligned, one by one at the tail. Outputs may be
// inputs.
#pragma once
#include <cstdint>
#include <cstring>

#include "cuda/bind.h"
#include "cuda/kernels/element.h"
#include "cuda/launch.h"
#include "cuda/layouts.h"

namespace advf::cuda {

template <class T, int In, int Out>
struct MapArgs {
  const T* in[In];  // null: reads as zero
  T* out[Out];
  int64_t n;
  bool aligned;
};

// f(const float in[In], float out[Out], int64_t i)
template <class T, int In, int Out, class F>
__global__ void map_kernel(MapArgs<T, In, Out> a, F f) {
  constexpr int kLanes = 16 / int(sizeof(T));
  const int64_t first = int64_t(blockIdx.x) * blockDim.x + threadIdx.x,
                stride = int64_t(gridDim.x) * blockDim.x;
  const int64_t packs = a.aligned ? a.n / kLanes : 0;
  for (int64_t p = first; p < packs; p += stride) {
    Pack<T> in[In], out[Out];
    for (int k = 0; k < In; ++k) in[k] = a.in[k] ? load_pack(a.in[k] + p * kLanes) : Pack<T>{};
    for (int l = 0; l < kLanes; ++l) {
      float x[In], y[Out];
      for (int k = 0; k < In; ++k) x[k] = to_float(in[k].v[l]);
      f(x, y, p * kLanes + l);
      for (int k = 0; k < Out; ++k) out[k].v[l] = from_float<T>(y[k]);
    }
    for (int k = 0; k < Out; ++k) store_pack(a.out[k] + p * kLanes, out[k]);
  }
  for (int64_t i = packs * kLanes + first; i < a.n; i += stride) {
    float x[In], y[Out];
    for (int k = 0; k < In; ++k) x[k] = a.in[k] ? to_float(a.in[k][i]) : 0.0f;
    f(x, y, i);
    for (int k = 0; k < Out; ++k) a.out[k][i] = from_float<T>(y[k]);
  }
}

template <class T, int In, int Out, class F>
void launch_map(MapArgs<T, In, Out> a, const F& f, cudaStream_t stream) {
  uintptr_t bits = 0;
  for (const T* p : a.in) bits |= reinterpret_cast<uintptr_t>(p);
  for (const T* p : a.out) bits |= reinterpret_cast<uintptr_t>(p);
  a.aligned = bits % 16 == 0;
  const int64_t items = a.aligned ? (a.n * int64_t(sizeof(T)) + 15) / 16 : a.n;
  launch("map_kernel", map_kernel<T, In, Out, F>, grid_for(items), stream, a, f);
}

// The channel of element i of an (N,C) or (N,C,H,W) tensor. 32-bit, since a 64-bit division costs more than
// the rest.
struct ChannelOf {
  uint32_t inner, channels;
  __device__ uint32_t operator()(int64_t i) const { return uint32_t(i) / inner % channels; }
};
inline ChannelOf channel_of(const char* op, const Shape& s) {
  check(s.numel() <= int64_t(UINT32_MAX), op, ": a tensor of shape ", s, " is too large for cuda");
  return {uint32_t(std::max<int64_t>(s.numel(2, s.rank()), 1)), uint32_t(std::max<int64_t>(s[1], 1))};
}

// Of the op's first input, in the layout that it has.
inline ChannelOf channel_of(const BindArgs& args) {
  const ChannelOf plain = channel_of(args.call.op->name, args.in(0).shape);
  return args.in(0).layout == kChannelsLast ? ChannelOf{1, plain.channels} : plain;
}

// An op that maps its first input to its output, in either layout; make(run) gives the functor.
template <class T, class Make>
std::unique_ptr<BoundOp> bound_map_of(const Make& make) {
  return bound([make](const Run& r) {
    launch_map(MapArgs<T, 1, 1>{{r.in[0].as<const T>()}, {r.out[0].as<T>()}, r.out[0].numel(), false},
               make(r), r.stream);
  });
}
template <class Make>
std::unique_ptr<BoundOp> bound_map(const BindArgs& args, const Make& make) {
  return args.out().layout == kChannelsLast ? bound_map_of<bf16>(make) : bound_map_of<float>(make);
}

}  // namespace advf::cuda
