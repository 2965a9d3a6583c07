// Convolutions with few pixels; see conv_pixel_rows.cpp.
#pragma once
#include <memory>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/conv_phases.h"
#include "tensor/cpu/conv_weights.h"

namespace advf::cpu {

// conv2d or conv_transpose2d without groups from the phases of either, or null where pixels as columns
// (conv.cpp) are expected to be faster. Either way the bits are the same, so the batch may decide.
std::unique_ptr<BoundOp> make_pixel_rows_conv(const BindArgs& args, const ConvWeights& weights,
                                              const std::vector<ConvPhase>& phases);

}  // namespace advf::cpu
