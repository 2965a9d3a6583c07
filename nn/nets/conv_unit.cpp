#include "nn/nets/conv_unit.h"

#include "tensor/ops.h"

namespace advf {
namespace {

ConvOptions without_bias(ConvOptions o) {
  o.bias = false;
  return o;
}

}  // namespace

ConvUnit::ConvUnit(int64_t in, int64_t out, ConvOptions options, bool linear)
    : conv_(in, out, without_bias(options)), bn_(out), prelu_(out), linear_(linear) {
  register_child("conv", conv_);
  register_child("bn", bn_);
  if (!linear_) register_child("prelu", prelu_);
}

Tensor ConvUnit::forward(const Tensor& x) const {
  const Tensor y = bn_.forward(conv_.forward(x));
  return linear_ ? y : prelu_.forward(y);
}

SmallStage::SmallStage(int64_t in, int64_t out)
    : down_(in, out, {.kernel = 3, .stride = 2, .pad = 1}), conv_(out, out, {.kernel = 3, .pad = 1}) {
  register_child("down", down_);
  register_child("conv", conv_);
}

Tensor SmallStage::forward(const Tensor& x) const {
  const Tensor y = down_.forward(x);
  return add(y, conv_.forward(y));
}

}  // namespace advf
