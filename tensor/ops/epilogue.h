// What the fused products (conv2d_fused, conv_transpose2d_fused, matmul_fused) share. Their inputs are those
// of the plain op (two operands, bias or absent), then
//   residual, of the output's shape, or absent: added;
//   extra: for prelu the slopes, (C) or (1); for relu_grad and leaky_relu_grad the tensor whose positive
//   elements count, of the output's shape; else absent.
// y = activation(product + bias + residual), rounded after the bias as the plain op rounds, so that in one
// backend a fused op has the bits of the ops that it replaces. They have no gradient rule: a pass makes them
// when differentiation is over (autograd/passes.h, fuse_epilogue).
#pragma once
#include "tensor/ops/op_util.h"
#include "tensor/scalar_math.h"

namespace advf {

inline constexpr const char* kFusedHasNoGradient = "fused when differentiation is over";
inline constexpr uint32_t kFusedInPlace = 0b11000;  // residual and kept tensor: element by element

// The shape rule of a fused op from that of the plain one.
void infer_fused(OpCall& call, const Epilogue& e, InferFn plain);
// Samples of a fused op from one of the plain op: `activation` with its inputs, with a residual or without.
Sample fused_sample(const Sample& plain, const Attrs& attrs, const Shape& out, const Epilogue& e,
                    bool residual);

// The value stored for element i of a fused product; its channel is i / inner % channels.
template <class T>
class EpilogueRef {
 public:
  EpilogueRef(const KernelArgs& k, const Epilogue& e)
      : activation_(e.activation),
        slope_(T(e.slope)),
        inner_(k.out[0].shape.numel(2, k.out[0].shape.rank())),
        channels_(k.out[0].shape[1]) {
    if (k.in.size() < 5) return;
    residual_ = k.in[3].as<const T>();
    extra_ = k.in[4].as<const T>();
    shared_slope_ = k.in[4] && k.in[4].numel() == 1;
  }
  T operator()(T y, int64_t i) const {
    if (residual_) y += residual_[i];
    T slope = slope_;
    bool positive = y > T(0);
    switch (activation_) {
      case Activation::none:
        return y;
      case Activation::relu:
        return scalar::Relu{}(y);
      case Activation::leaky_relu:
        break;
      case Activation::prelu:
        slope = extra_[shared_slope_ ? 0 : i / inner_ % channels_];
        break;
      case Activation::relu_grad:
        return scalar::ReluGrad{}(extra_[i], y);
      case Activation::leaky_relu_grad:
        positive = extra_[i] > T(0);
        break;
    }
    return positive ? y : slope * y;
  }

 private:
  Activation activation_;
  T slope_;
  int64_t inner_, channels_;
  const T *residual_ = nullptr, *extra_ = nullptr;
  bool shared_slope_ = false;
};

}  // namespace advf
