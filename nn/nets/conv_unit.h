// What the convolutional networks for faces are made of.
#pragma once
#include "nn/layers.h"

namespace advf {

// Convolution, batch norm and, unless `linear`, PReLU: "conv", "bn", "prelu". The convolution has no bias:
// the batch norm's shift does its work.
class ConvUnit : public Module {
 public:
  ConvUnit(int64_t in, int64_t out, ConvOptions options, bool linear = false);
  Tensor forward(const Tensor& x) const override;

 private:
  Conv2d conv_;
  BatchNorm bn_;
  PReLU prelu_;
  bool linear_;
};

// Halves the grid, then one residual 3x3 convolution: "down", "conv".
class SmallStage : public Module {
 public:
  SmallStage(int64_t in, int64_t out);
  Tensor forward(const Tensor& x) const override;

 private:
  ConvUnit down_, conv_;
};

}  // namespace advf
