// The inversion as a shadow: who climbs from the mean face to a feature z (attackers/inversion_attacker.h)
// steps first along g(z) = J^T z, J the Jacobian of the normalised feature at the mean face. Noise that turns
// g(P(z + d)) away from g(z) sends the first steps elsewhere. Fitted by advface-train fit advface
// (docs/method.md).
#pragma once
#include <memory>
#include <string>

#include "advface/networks/feature_shadow.h"
#include "advface/networks/trained_network.h"
#include "tensor/linear_algebra.h"

namespace advf {

struct FirstStepInfo : Provenance {
  Shape feature;           // of D values; what is fitted is of vectors
  int64_t image_size = 0;  // of the pictures that are climbed
};

// forward: features (N, feature...) -> (N,D), coordinates of g in which inner products are those of the
// pictures: z -> z L, with L L^T = J J^T and a millionth of its mean diagonal, so that L has an inverse.
class FirstStep : public TrainedNetwork {
 public:
  // factor: L, (D,D) f32.
  FirstStep(FirstStepInfo info, Tensor factor);
  // From J J^T, (D,D). Throws Error where it is no such matrix.
  static std::unique_ptr<FirstStep> of_gram(FirstStepInfo info, Matrix gram);
  static std::unique_ptr<FirstStep> load(const std::string& path);

  Tensor forward(const Tensor& features) const override;
  const FirstStepInfo& info() const { return info_; }
  const Provenance& provenance() const override { return info_; }
  const Shape& feature() const override { return info_.feature; }

 private:
  Metadata description() const override;

  FirstStepInfo info_;
  Tensor factor_;
};

// 1 - cosine of the first step at x to that at z.
class AscentShadow : public FeatureShadow {
 public:
  explicit AscentShadow(std::unique_ptr<FirstStep> step) : step_(std::move(step)) {}
  const TrainedNetwork& network() const override { return *step_; }
  Tensor deviation() const override;  // ones: noise is in the feature's own units
  Tensor reference(const Tensor& z) const override;
  Tensor loss(const Tensor& x, const Tensor& reference) const override;

 private:
  std::unique_ptr<FirstStep> step_;
};

}  // namespace advf
