// Convolutions whose taps are read by offset from a padded strip of the image; see conv_strip.cpp.
#pragma once
#include <memory>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/conv_phases.h"
#include "tensor/cpu/conv_weights.h"

namespace advf::cpu {

// conv2d or conv_transpose2d from the phases of either, or null where packing panels (conv.cpp) is expected
// to be faster or the phases do not fit one strip.
std::unique_ptr<BoundOp> make_strip_conv(const BindArgs& args, const ConvWeights& weights, int64_t groups,
                                         const std::vector<ConvPhase>& phases);

}  // namespace advf::cpu
