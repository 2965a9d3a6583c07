// First values of weights. Kaiming: He et al. 2015 (arXiv 1502.01852); Xavier: Glorot and Bengio 2010.
#pragma once
#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace advf {

// `pytorch` is what PyTorch's layers start from: uniform within 1 / sqrt(fan_in), bias included.
enum class Init { pytorch, kaiming_uniform, kaiming_normal, xavier_uniform, xavier_normal };

// A weight of shape (O, I, spatial...): fan_in = I * spatial, fan_out = O * spatial. The Kaiming rules have
// the gain of ReLU. A transposed convolution's weight (in, out/groups, kh, kw) is counted by the same rule,
// as PyTorch does. f32, on the current backend.
Tensor initial_weight(const Shape& shape, Init rule, const Philox& rng);
int64_t fan_in(const Shape& weight);

Tensor uniform(const Shape& shape, double low, double high, const Philox& rng);
Tensor normal(const Shape& shape, double deviation, const Philox& rng);

}  // namespace advf
