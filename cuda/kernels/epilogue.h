// What follows a product before its value is stored: + bias of the channel, + residual, activation or mask
// (tensor/ops/epilogue.h). A functor of map_kernel over (y, residual, kept), so all of it is one pass over
// memory.
#pragma once
#include "cuda/bind.h"
#include "cuda/kernels/map.h"
#include "tensor/attrs.h"
#include "tensor/scalar_math.h"

namespace advf::cuda {

struct EpilogueMap {
  ChannelOf channel;
  Activation activation;
  float slope;
  const float* bias;    // (C) or null
  const float* slopes;  // of prelu: (C), or (1) where shared
  bool shared;

  __device__ void operator()(const float* x, float* y, int64_t i) const {
    float v = x[0];
    if (bias) v += bias[channel(i)];
    v += x[1];
    switch (activation) {
      case Activation::none:
        break;
      case Activation::relu:
        v = scalar::Relu{}(v);
        break;
      case Activation::leaky_relu:
        v = scalar::Prelu{}(v, slope);
        break;
      case Activation::prelu:
        v = scalar::Prelu{}(v, slopes[shared ? 0 : channel(i)]);
        break;
      case Activation::relu_grad:
        v = scalar::ReluGrad{}(x[2], v);
        break;
      case Activation::leaky_relu_grad:
        v = x[2] > 0 ? v : slope * v;
        break;
    }
    y[0] = v;
  }
};

// Of one call of a product, plain or fused.
struct EpilogueCall {
  ChannelOf channel;
  Epilogue attrs;
  bool bias = false, residual = false, shared = false;

  EpilogueCall(const BindArgs& args, const Epilogue& e)
      : channel(channel_of(args.call.op->name, args.out().shape)), attrs(e) {
    const auto& in = args.call.in;
    bias = in.size() > 2 && in[2].defined;
    residual = in.size() > 3 && in[3].defined;
    shared = e.activation == Activation::prelu && in[4].shape.numel() == 1;
  }
  bool empty() const { return !bias && !residual && attrs.activation == Activation::none; }

  EpilogueMap map(const Run& r) const {
    const bool prelu = attrs.activation == Activation::prelu;
    return {
        channel, attrs.activation, float(attrs.slope), bias ? r.f32(2) : nullptr, prelu ? r.f32(4) : nullptr,
        shared};
  }
  template <class T>
  const T* residual_of(const Run& r) const {
    return residual ? r.in[3].as<const T>() : nullptr;
  }
  template <class T>
  const T* kept_of(const Run& r) const {
    return keeps() ? r.in[4].as<const T>() : nullptr;
  }
  bool keeps() const {
    return attrs.activation == Activation::relu_grad || attrs.activation == Activation::leaky_relu_grad;
  }

  // The output may stand in the bytes of the residual or of the kept tensor: the product must not be there
  // then.
  bool product_in_scratch() const { return residual || keeps(); }
  template <class T>
  size_t product_bytes(const Shape& y) const {
    return product_in_scratch() ? (size_t(y.numel()) * sizeof(T) + 255) / 256 * 256 : 0;
  }
  // From where the product stands, which is the output where the two above say nothing else.
  template <class T>
  void launch_from(const T* product, const Run& r) const {
    if (empty()) return;
    launch_map(
        MapArgs<T, 3, 1>{
            {product, residual_of<T>(r), kept_of<T>(r)}, {r.out[0].as<T>()}, r.out[0].numel(), false},
        map(r), r.stream);
  }
};

}  // namespace advf::cuda
