// What a product may do to each value before it stores it. Shared by the ops' attributes and the CPU kernels,
// so nothing but the enum stands here.
#pragma once

namespace advf {

enum class Activation {
  none,
  relu,
  leaky_relu,
  prelu,            // one slope per channel
  relu_grad,        // x where another tensor (the output of the relu) is positive, else 0
  leaky_relu_grad,  // x where it is positive, else slope * x
};

}  // namespace advf
