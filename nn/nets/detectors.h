// A face detector that can be trained here: a picture (N,3,H,W), both sides multiples of its largest stride,
// to what it says of each cell of each of its grids. Fully convolutional, so that it takes any such size.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "nn/module.h"
#include "nn/nets/conv_unit.h"

namespace advf {

// One grid: its cells lie `stride` pixels apart, row by row.
struct DetectorGrid {
  int64_t stride = 0;
  // (N, cells, 1): the logit of there being a face; (N, cells, 4): the distances to the left, upper, right
  // and lower side of its box, in strides; (N, cells, 10): its five points, from the cell, in strides.
  Tensor logits, distances, points;
};

// A stem and four stages that halve the picture; the last three of them have a head each, with no anchors.
// Named "stem", "stages.0" ..., "heads.0.unit", ".score", ".box", ".points" ...
class DetectorNet : public Module {
 public:
  static constexpr std::array<int64_t, 3> kStrides = {8, 16, 32};

  // width_percent: of the standard channels, 25 to 400 (Error outside). At 100, for 320 x 240 pixels: 0.13 G
  // multiply-adds, 0.3 M parameters.
  explicit DetectorNet(int width_percent = 100);
  std::vector<DetectorGrid> grids(const Tensor& x) const;
  // All cells of all grids, one grid after the other: (N, cells, 15): logit, distances, points.
  Tensor forward(const Tensor& x) const override { return joined(grids(x)); }
  static Tensor joined(const std::vector<DetectorGrid>& grids);

 private:
  struct Head : Module {
    explicit Head(int64_t channels);
    Tensor forward(const Tensor& x) const override;  // (N, channels, h, w)
    ConvUnit unit;
    Conv2d score, box, points;
  };
  ConvUnit stem_;
  std::vector<std::unique_ptr<SmallStage>> stages_;
  std::vector<std::unique_ptr<Head>> heads_;
};

}  // namespace advf
