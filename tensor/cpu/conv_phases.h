// conv2d and its adjoint as sums over taps: one phase for conv2d, one per (y mod stride, x mod stride) of the
// output for conv_transpose2d, each with the taps that meet this phase.
#pragma once
#include <vector>

#include "tensor/cpu/pixels.h"
#include "tensor/op.h"

namespace advf::cpu {

struct ConvPhase {
  PixelSource source;           // not finished
  PixelTarget target;           // not finished
  std::vector<int> kernel_tap;  // of each tap of the source, its index ky * kw + kx in the weight
  int64_t pixels = 0;           // of all images
};

std::vector<ConvPhase> conv2d_phases(const OpCall& call);
std::vector<ConvPhase> conv_transpose2d_phases(const OpCall& call);
// The phase of conv2d with images of shape x, kernel w and output y; source and target.
ConvPhase conv2d_phase(const Shape& x, const Shape& w, const Shape& y, const ConvAttrs& a);

// Whether the pixels of b lie between those of a, in each row of `row` pixels of the output: then two
// computed tiles are stored together (StoreArgs::odd).
bool alternate(const ConvPhase& a, const ConvPhase& b, int64_t row);

}  // namespace advf::cpu
