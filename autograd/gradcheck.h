// Numeric gradient check in f64: the directional derivative of <cotangent, f(x)> along a random direction,
// by central differences, against <gradient, direction>. The cotangent is random (with ones, softmax's
// gradient is exactly zero and every check of it passes).
#pragma once
#include <functional>
#include <vector>

#include "tensor/tensor.h"

namespace advf {

using MultiFunction = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

// inputs: f64, on the current backend. wanted[i]: whether input i is differentiated. Returns the largest
// error |numeric - analytic| / max(1, |numeric|, |analytic|) over `directions` random directions per wanted
// input.
double gradient_error(const MultiFunction& f, const std::vector<Tensor>& inputs,
                      const std::vector<bool>& wanted, uint64_t seed, double step = 1e-5, int directions = 2);

}  // namespace advf
