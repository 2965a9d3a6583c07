// Rewrites of a tape, tape to tape. Values that survive keep their ids, so the tensors that a caller holds
// (outputs, gradients) still name them. A leaf with storage that is not an input is a constant.
#pragma once
#include <span>

#include "autograd/tape.h"

namespace advf {

// The records that the outputs depend on, in order.
Tape remove_dead_code(const Tape& tape, std::span<const Tensor> outputs);

// Evaluates what depends on constants alone (unless the result would outgrow its inputs and 64 KiB), and
// replaces what has no effect: x^1, 1 x + 0, x times ones become views; x times a constant that is the same
// everywhere becomes affine. Such records come from gradient rules: the cotangent of a sum is a tensor of
// ones. Values keep their bits, but for the sign of
// a zero. Runs ops on the current backend.
Tape simplify(const Tape& tape, std::span<const Tensor> inputs, std::span<const Tensor> outputs);

// Products (conv2d, conv_transpose2d, matmul) take over what happens to their result next, where nobody else
// reads it: + residual, then relu, leaky_relu, prelu or the gradient of the first two, also through a
// reshape. For a tape that nobody will differentiate any more. In one backend values keep their bits.
Tape fuse_epilogue(const Tape& tape, std::span<const Tensor> outputs);

// sigmoid(x) - base, its square summed per image, and the gradient of that in x become one image_loss. For a
// backend that is bound by memory there. In one backend the gradient keeps its bits.
Tape fuse_image_loss(const Tape& tape, std::span<const Tensor> outputs);

}  // namespace advf
