// Rewrites of an evaluation-mode tape that make a frozen network cheaper, tape to tape. Values that a later
// record, a gradient or the caller may want keep their ids; what a pass merges disappears. Run them before
// backward() extends the tape, and before compile().
#pragma once
#include <span>

#include "autograd/tape.h"

namespace advf {

// batch_norm_eval after conv2d, conv_transpose2d or matmul becomes part of the weights and bias, exactly
// (computed in f64, rounded once): w' = w gamma / sqrt(var + eps), b' = (b - mean) gamma / sqrt(var + eps) +
// beta. So does a product with one constant number (the residual scale of Inception-ResNet). Reshapes that
// keep the channels apart may stand between. Only where weights and statistics are constants and nothing else
// reads the product (`outputs` count as readers). Not the other way round: a batch norm BEFORE a zero-padded
// convolution does not fold, since its shift would have to be missing at the border.
Tape fold_batch_norm(const Tape& tape, std::span<const Tensor> outputs);

}  // namespace advf
