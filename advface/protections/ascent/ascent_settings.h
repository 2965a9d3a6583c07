// What can be chosen about the ascent, by name. The numbers' defaults are ours (docs/method.md).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "advface/core/feature_domain.h"
#include "advface/core/setting.h"
#include "tensor/shape.h"

namespace advf {

// What the noise drives apart. S: the shadow, F: the recogniser up to the cut, P: into the feature's domain.
enum class Objective {
  direct,       // S(P(z + d)) from S(z)
  shadow_pair,  // S(P(F(S(z)) + d)) from S(z)
  cycle,        // S(F(S(P(z + d)))) from S(z)
  original,     // S(P(z + d)) from the photograph
  mean_face,    // S(P(z + d)) towards the mean face: all images become one
  linkage,      // the embedding that a linkage network reads in P(z + d) from that of z
  attribute,    // P(z + d) towards where a probe cannot tell an attribute
  inversion,    // the first step of who climbs to P(z + d) from that to z
};
// How far two images are apart, per record.
enum class Loss {
  pixel,      // mean squared difference
  structure,  // the same, once every channel of every image has mean 0 and deviation 1
  identity,   // 1 - cosine of the recogniser's embeddings of the two images
};
// What the random start is drawn from, for each record.
enum class Start {
  seed,    // the program's seed, which whoever repeats the work has
  secret,  // a number that is drawn for the run or derived from a key, and stands nowhere
};
enum class Method {
  pgd,
  fgsm,
  bim,
  mi_fgsm,
  adam,
};
enum class Norm { linf, l2 };
// What the shadow's batch norm normalises by: statistics as trained, those of the batch at hand (a record
// then depends on its neighbours), or statistics estimated again on the features to be protected.
enum class BatchNormMode { running, batch, recalibrated };
// Of several shadows: the mean of their losses, or the loss of the one that is fooled least.
enum class Ensemble { mean, hardest };

template <>
const std::vector<Choice<Objective>>& choices<Objective>();
template <>
const std::vector<Choice<Loss>>& choices<Loss>();
template <>
const std::vector<Choice<Method>>& choices<Method>();
template <>
const std::vector<Choice<Norm>>& choices<Norm>();
template <>
const std::vector<Choice<Start>>& choices<Start>();
template <>
const std::vector<Choice<BatchNormMode>>& choices<BatchNormMode>();
template <>
const std::vector<Choice<Ensemble>>& choices<Ensemble>();
// Nobody comes near it; beyond it numbers of 32 bits may overflow.
inline constexpr double kMostEpsilon = 1e6;
struct AscentSettings {
  // Radius of the ball of noise: of a vector in the feature's units, of a map in deviations of each channel
  // (for L2 then the root mean square of these).
  double epsilon = 0.02;
  std::optional<int> steps = {};  // gradient steps: 10; fgsm takes 1 and no other number
  double step_size = 0;           // 0 = by the method: see effective_step_size()
  uint64_t seed = 1;              // of the random start
  Start start = Start::seed;      // where it is secret, whoever protects sets the seed and never writes it
  Objective objective = Objective::direct;
  Loss loss = Loss::pixel;
  Method method = Method::pgd;
  Norm norm = Norm::linf;
  BatchNormMode batch_norm = BatchNormMode::running;
  Ensemble ensemble = Ensemble::mean;
  // Least cosine of H(z_adv) to H(z), kept by shrinking the noise; in [0, 1].
  std::optional<double> keep_recognition = {};

  int effective_steps() const;
  // pgd and adam: 2.5 epsilon / steps, the usual choice for PGD; bim and mi-fgsm: epsilon / steps, as their
  // authors have it; fgsm: epsilon.
  double effective_step_size() const;
  // The ball's radius, and a step's length, for the noise as it is computed (see
  // advface/protections/ascent/noise.h).
  double radius(const Shape& feature) const { return epsilon * unit(feature); }
  double step_length(const Shape& feature) const { return effective_step_size() * unit(feature); }

  // The largest angle between a stored embedding and the raw one (Guarantee): as the ball has it where the
  // feature is a unit vector, or else the bound on recognition.
  std::optional<double> largest_angle(const Shape& feature, FeatureDomain domain) const;
  // Shadows are networks of features, which make no picture.
  bool is_of_features() const {
    return objective == Objective::linkage || objective == Objective::attribute ||
           objective == Objective::inversion;
  }
  // F or H is run: for the objective, the loss, or (where the feature is not the embedding) the bound on
  // recognition.
  bool needs_recogniser(bool feature_is_embedding) const;
  Settings list();              // all of them, bound to this
  void check_valid() const;     // throws Error naming the setting
  std::string summary() const;  // "epsilon 0.02", and every choice that is not the default
 private:
  double unit(const Shape& feature) const;
};

}  // namespace advf
