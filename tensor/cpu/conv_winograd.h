// Convolutions of 3x3 and 2x2 taps by Winograd's minimal filtering; see conv_winograd.cpp.
#pragma once
#include <memory>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/conv_phases.h"
#include "tensor/cpu/conv_weights.h"

namespace advf::cpu {

// conv2d or conv_transpose2d from the phases of either, or null where the taps do not fit or another way is
// expected to be faster. The choice does not depend on the number of images: an image has the same bits in
// any batch.
std::unique_ptr<BoundOp> make_winograd_conv(const BindArgs& args, const ConvWeights& weights,
                                            const std::vector<ConvPhase>& phases);

}  // namespace advf::cpu
