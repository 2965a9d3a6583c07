// Depthwise convolution (one channel per group): every plane is correlated with a kernel of its own, so there
// is no matrix product to block, only shifted planes to add up.
#pragma once
#include "tensor/cpu/bind.h"
#include "tensor/cpu/conv_phases.h"

namespace advf::cpu {

// conv2d or conv_transpose2d of planes, from the phases of either.
std::unique_ptr<BoundOp> make_depthwise(const BindArgs& args, std::vector<ConvPhase> phases);
std::unique_ptr<BoundOp> make_depthwise_grad_weight(const BindArgs& args);

inline bool is_depthwise(const ConvAttrs& a, int64_t in_channels, int64_t out_channels) {
  return a.groups > 1 && a.groups == in_channels && a.groups == out_channels;
}

}  // namespace advf::cpu
