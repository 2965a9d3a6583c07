// The noise of the protection as pieces of a tape: where it may lie, how it starts, how a step moves it.
// Every function appends ops; nothing here knows what is maximised.
//
// Noise is computed as u, in units: d = u for a vector; for a map d = u times the deviation of its channel. A
// ball of radius r is |u[k]| <= r (L-inf) or |u| <= r (L2). For L2 on the sphere the ball becomes the
// spherical cap around z: z + d is a unit vector and |d| <= r.
#pragma once
#include <span>
#include <vector>

#include "advface/core/feature_domain.h"
#include "advface/protections/ascent/ascent_settings.h"
#include "tensor/tensor.h"

namespace advf {

struct NoiseSpace {
  FeatureDomain domain = FeatureDomain::real;
  Norm norm = Norm::linf;
  double radius = 0;
  Tensor scale;  // (1,C,1,1): deviations of a map's channels; undefined: 1

  bool cap() const { return norm == Norm::l2 && domain == FeatureDomain::sphere; }
};

// d from u.
Tensor in_feature_units(const NoiseSpace& space, const Tensor& u);
// x where it is a feature: on the sphere x / |x|, with non-negative values max(x, 0).
Tensor into_domain(FeatureDomain domain, const Tensor& x);
// Into the ball or cap around z, and so that z + d stays non-negative where features are: the box of L-inf
// and the cap exactly; an L2 ball with a non-negative domain by one projection after the other, which ends in
// both.
Tensor project(const NoiseSpace& space, const Tensor& z, const Tensor& u);

// Numbers g as noise, smoothly, so that a network may emit them: for L2 on the border along g, for L-inf
// radius tanh(3 g / root mean square of g). The size of g takes no part, so that training cannot drive the
// tanh to where it has no gradient. To be projected before use.
Tensor squashed(const NoiseSpace& space, const Tensor& g);

// Uniform in the ball, of record number records[i]: numbers 0, 1, ... of the stream Philox(seed, record). To
// be projected before use. Host memory.
Tensor random_start(const NoiseSpace& space, const Shape& shape, std::span<const int64_t> records,
                    uint64_t seed);

// How gradients become steps, with what a method keeps from step to step.
class UpdateRule {
 public:
  UpdateRule(const AscentSettings& settings, const Shape& feature);
  // First values of what is kept, for noise of this shape: the momentum; Adam's moments and powers of its
  // betas.
  std::vector<Tensor> memory(const Shape& shape) const;
  // The noise after one step of ascent along `grad`, projected, and the memory after it.
  struct Step {
    Tensor u;
    std::vector<Tensor> memory;
  };
  Step step(const NoiseSpace& space, const Tensor& z, const Tensor& u, const Tensor& grad,
            const std::vector<Tensor>& memory) const;

  // The same in one op, for a device, where every op is a launch: from the gradient in the feature
  // x = P(z + d), with P into the domain, to the next u and the x that belongs to it. Adam's is not one.
  bool has_fused_step() const { return method_ != Method::adam; }
  struct FusedStep {
    Tensor u, x;
    std::vector<Tensor> memory;
  };
  FusedStep fused_step(const NoiseSpace& space, const Tensor& z, const Tensor& u, const Tensor& grad_x,
                       const std::vector<Tensor>& memory) const;

 private:
  Method method_;
  double length_;  // of a step
};

}  // namespace advf
