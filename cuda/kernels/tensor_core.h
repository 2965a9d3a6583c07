// Convolutions and products in bf16 for frozen plans: weights packed once, channels last, sums in f32. A
// value may be plain (f32, channels first) on either side of a convolution, or in the backend's own layout
// (cuda/layouts.h).
#pragma once
#include <memory>

#include "cuda/bind.h"

namespace advf::cuda {

// Null where the call has to run in f32: its weight may change, or it has groups or an uneven border.
std::unique_ptr<BoundOp> bind_bf16_convolution(const BindArgs& args, bool transposed);
std::unique_ptr<BoundOp> bind_bf16_product(const BindArgs& args);

}  // namespace advf::cuda
