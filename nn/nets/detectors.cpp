#include "nn/nets/detectors.h"

#include <algorithm>

#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kChannels[] = {16, 24, 48, 64, 64};  // of the stem and the stages
// A fresh network says "no face" nearly everywhere, as is true (Lin et al. 2017, "Focal Loss for Dense Object
// Detection", 4.1): the shift of the logits.
constexpr double kPrior = -4;
// Distances are exponentials of what the network says, within e^-4 to e^4 strides.
constexpr double kMostExponent = 4;

int64_t channels_of(size_t stage, int width_percent) {
  check(width_percent >= 25 && width_percent <= 400, "a detector of ", width_percent,
        " % width; 25 to 400 are possible");
  return std::max<int64_t>(8, (kChannels[stage] * width_percent + 400) / 800 * 8);
}

// (N,C,h,w) to (N, h*w, C).
Tensor by_cell(const Tensor& x) {
  return reshape(permute(x, {0, 2, 3, 1}), {x.dim(0), x.dim(2) * x.dim(3), x.dim(1)});
}

}  // namespace

DetectorNet::Head::Head(int64_t channels)
    : unit(channels, channels, {.kernel = 3, .pad = 1}),
      score(channels, 1, {.kernel = 1}),
      box(channels, 4, {.kernel = 1}),
      points(channels, 10, {.kernel = 1}) {
  register_child("unit", unit);
  register_child("score", score);
  register_child("box", box);
  register_child("points", points);
}

Tensor DetectorNet::Head::forward(const Tensor& x) const { return unit.forward(x); }

DetectorNet::DetectorNet(int width_percent)
    : stem_(3, channels_of(0, width_percent), {.kernel = 3, .stride = 2, .pad = 1}) {
  register_child("stem", stem_);
  for (size_t i = 1; i < std::size(kChannels); ++i) {
    stages_.push_back(
        std::make_unique<SmallStage>(channels_of(i - 1, width_percent), channels_of(i, width_percent)));
    register_child("stages." + std::to_string(i - 1), *stages_.back());
    if (i == 1) continue;
    heads_.push_back(std::make_unique<Head>(channels_of(i, width_percent)));
    register_child("heads." + std::to_string(i - 2), *heads_.back());
  }
}

std::vector<DetectorGrid> DetectorNet::grids(const Tensor& x) const {
  check(x.shape().rank() == 4 && x.dim(2) % kStrides.back() == 0 && x.dim(3) % kStrides.back() == 0,
        "the detector takes pictures (N,3,H,W) whose sides are multiples of ", kStrides.back(), ", not ",
        x.shape());
  std::vector<DetectorGrid> grids;
  Tensor y = stages_[0]->forward(stem_.forward(x));
  for (size_t i = 0; i < heads_.size(); ++i) {
    y = stages_[i + 1]->forward(y);
    const Head& head = *heads_[i];
    const Tensor z = head.forward(y);
    grids.push_back({kStrides[i], affine(by_cell(head.score.forward(z)), 1, kPrior),
                     exp(clamp(by_cell(head.box.forward(z)), -kMostExponent, kMostExponent)),
                     by_cell(head.points.forward(z))});
  }
  return grids;
}

Tensor DetectorNet::joined(const std::vector<DetectorGrid>& grids) {
  std::vector<Tensor> all;
  for (const DetectorGrid& g : grids) all.push_back(concat({g.logits, g.distances, g.points}, 2));
  return concat(all, 1);
}

}  // namespace advf
