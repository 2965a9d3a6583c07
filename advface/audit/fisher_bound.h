// How far from the photograph every reconstruction must stay, on average, when independent noise was added to
// its feature: bounds by Fisher information (Maeng, Guo, Kariyappa and Suh, NeurIPS 2023, arXiv 2305.04146).
// docs/theory.md has statements, assumptions and proofs.
//
// An image x of d values becomes z = F(x), shortened as the mechanism has it, plus noise. With J the Jacobian
// of that at x, the Fisher information of what is stored about x is J^T J / sigma^2 (of Laplace noise J^T J /
// b^2), its trace over d is dFIL. What is done to the noisy feature afterwards can only lower it.
#pragma once
#include <cstdint>
#include <vector>

#include "advface/audit/face_prior.h"
#include "advface/core/context.h"
#include "advface/core/input_gradient.h"
#include "advface/core/recogniser.h"
#include "advface/protections/privacy_mechanism.h"

namespace advf {

// A feature before its noise: shortened to the norm `clip` where it is longer. On a tape as well.
Tensor shortened(const Tensor& features, NoiseMechanism mechanism, double clip);

// By image, in units of the encoder's output.
struct JacobianTraces {
  std::vector<double> plain;     // of J^T J
  std::vector<double> weighted;  // of C J^T J C, C the covariance of the prior; empty without one
};
// From `directions` products J^T v for each image, v of random signs (Hutchinson 1990), of which the result
// is the mean: unbiased. Where there are as many directions as the output has values, v are its axes instead,
// and the result is exact. batch: images at once.
struct TraceSettings {
  int64_t directions = 16, batch = 8;
  uint64_t seed = 1;
};
JacobianTraces jacobian_traces(const Encoder& encoder, const Tensor& images, const FacePrior* prior,
                               const TraceSettings& settings, const Context& context);

// A mean, and its standard error.
struct Estimate {
  double mean = 0, error = 0;
};
Estimate estimate(const std::vector<double>& values);

// Least mean squared error per value. dfil: of one image, or the mean over images.
// Of whoever is right on average at every image (unbiased): 1 / dfil (Cramer and Rao).
double unbiased_bound(double dfil);
// Of anybody, if the image has pixel noise of this deviation in it, whatever is known of faces besides: such
// an image's density has a Fisher information of at most 1 / noise^2 per value (van Trees, as Maeng et al.).
double pixel_noise_bound(double dfil, double pixel_noise);
// Of anybody, for faces of the prior: variance / (1 + information), where information is the mean over faces
// of the prior of the trace of C J^T J C, over (sigma^2 trace of C) (van Trees, weighted by C as Gill and
// Levit 1995 have it).
double prior_bound(double variance, double information);

}  // namespace advf
