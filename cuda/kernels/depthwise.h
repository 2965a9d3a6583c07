// Convolution with one input channel per group: own kernels, since there is no product of matrices in it.
#pragma once
#include <memory>

#include "cuda/kernels/epilogue.h"

namespace advf::cuda {

// x (N,C,H,W), w (O,1,kh,kw), y (N,O,oh,ow); output channel o reads input channel o / per_channel.
struct DepthwiseBox {
  int n, c, h, w, o, oh, ow, kh, kw, per_channel;
  int stride[2], pad[2], dilation[2];
  DepthwiseBox(const Shape& x, const Shape& weight, const Shape& y, const ConvAttrs& a);
};

std::unique_ptr<BoundOp> bind_depthwise_forward(const DepthwiseBox& box, const EpilogueCall& finish);
std::unique_ptr<BoundOp> bind_depthwise_transposed(const DepthwiseBox& box, const EpilogueCall& finish);
std::unique_ptr<BoundOp> bind_depthwise_grad_weight(const DepthwiseBox& box);

}  // namespace advf::cuda
