#include "advface/protections/ascent/objective.h"

#include "advface/protections/ascent/noise.h"
#include "tensor/ops.h"

namespace advf {
namespace {

// Added to a channel's variance, so that an image of one colour has no structure rather than an infinite one.
constexpr double kVarianceFloor = 1e-4;

// Per image and channel: mean 0 and deviation 1. Brightness and contrast, which an attacker can put back, are
// gone.
Tensor normalised(const Tensor& image) {
  const Tensor centred = sub(image, mean(image, {2, 3}));
  const Tensor variance = mean(mul(centred, centred), {2, 3});
  return mul(centred, power(affine(variance, 1, kVarianceFloor), -0.5));
}

Tensor of_size(const Tensor& image, int64_t size) {
  return image.dim(2) == size && image.dim(3) == size ? image : resize2d(image, {.size = {size, size}});
}

// min(a, b), with the gradient of the smaller.
Tensor smaller(const Tensor& a, const Tensor& b) { return sub(a, relu(sub(a, b))); }

}  // namespace

const TrainedNetwork& AscentNetworks::network(size_t shadow) const {
  if (shadow < shadows.size()) return *shadows[shadow];
  return of_features.at(shadow - shadows.size())->network();
}

Tensor AscentNetworks::deviation() const {
  return shadows.empty() ? of_features[0]->deviation() : shadows[0]->statistics().feature_std;
}

int64_t AscentNetworks::image_size() const {
  return shadows.empty() ? 1 : shadows[0]->info().spec.image_size;
}

void AscentNetworks::check_fit(const AscentSettings& settings) const {
  check(count() > 0, "protection needs a shadow");
  check(settings.is_of_features() == shadows.empty(), "objective ", name_of(settings.objective),
        settings.is_of_features() ? " is about networks of features, not decoders"
                                  : " is about decoders, not networks of features");
  for (size_t i = 0; i < count(); ++i) {
    network(i).check_fits(feature(), info().recogniser, info().cut, "the first shadow");
    check(network(i).provenance().domain == info().domain,
          "the shadows' features have different domains: ", name_of(info().domain), " and ",
          name_of(network(i).provenance().domain));
    if (recogniser)
      network(i).check_fits(recogniser->feature_shape(info().cut), recogniser->fingerprint(), info().cut,
                            recogniser->card().path);
  }
  check(recogniser || !settings.needs_recogniser(info().domain == FeatureDomain::sphere), "objective ",
        name_of(settings.objective), ", loss ", name_of(settings.loss),
        settings.keep_recognition ? " and a bound on recognition" : "",
        " need the recogniser; name its card with --recogniser");
}

Tensor ObjectiveFunction::features_of(const Tensor& image) const {
  return networks_.recogniser->features(networks_.recogniser->preprocess(image), networks_.info().cut);
}

Tensor ObjectiveFunction::embedding(const Tensor& feature) const {
  if (networks_.info().domain == FeatureDomain::sphere) return feature;  // the cut is the embedding
  return networks_.recogniser->embed_from(feature, networks_.info().cut);
}

Tensor ObjectiveFunction::appearance(const Tensor& image) const {
  switch (settings_.loss) {
    case Loss::structure:
      return normalised(image);
    case Loss::identity:
      return networks_.recogniser->embed(networks_.recogniser->preprocess(image));
    case Loss::pixel:
      break;
  }
  return image;
}

Tensor ObjectiveFunction::distance(const Tensor& a, const Tensor& b) const {
  const Tensor apart = settings_.loss == Loss::identity ? affine(reduce_sum(mul(a, b), {1}, false), -1, 1)
                                                        : mean(power(sub(a, b), 2), {1, 2, 3}, false);
  return settings_.objective == Objective::mean_face ? affine(apart, -1, 0) : apart;
}

Tensor ObjectiveFunction::combined(const std::vector<Tensor>& losses) const {
  Tensor all = losses[0];
  const bool hardest = settings_.ensemble == Ensemble::hardest;
  for (size_t i = 1; i < losses.size(); ++i) all = hardest ? smaller(all, losses[i]) : add(all, losses[i]);
  return hardest || losses.size() == 1 ? all : affine(all, 1 / double(losses.size()), 0);
}

// The image that stays where it is while the noise moves.
Tensor ObjectiveFunction::start_of(const Decoder& shadow, const Tensor& z, const Tensor& photograph) const {
  switch (settings_.objective) {
    case Objective::original:
      return of_size(photograph, shadow.info().spec.image_size);
    case Objective::mean_face:
      return shadow.mean_faces(z.dim(0));
    default:
      return shadow.forward(z);
  }
}

std::vector<ObjectiveFunction::Target> ObjectiveFunction::targets(const Tensor& z,
                                                                  const Tensor& photograph) const {
  std::vector<Target> list;
  for (const FeatureShadow* shadow : networks_.of_features) list.push_back({z, shadow->reference(z)});
  for (const Decoder* shadow : networks_.shadows) {
    const Tensor seen = start_of(*shadow, z, photograph);
    list.push_back({anchored_at_z() ? z : features_of(seen), appearance(seen)});
  }
  return list;
}

Tensor ObjectiveFunction::feature(const Tensor& anchor, const Tensor& d) const {
  const FeatureDomain domain = networks_.info().domain;
  const Tensor moved = add(anchor, d);
  // The projection keeps z + d non-negative; a ReLU would only stop the gradient of values that are at zero.
  const bool inside = domain == FeatureDomain::non_negative && anchored_at_z();
  return inside ? moved : into_domain(domain, moved);
}

Tensor ObjectiveFunction::image(size_t shadow, const Tensor& x) const {
  const Decoder& s = *networks_.shadows[shadow];
  const Tensor seen = s.forward(x);
  return settings_.objective == Objective::cycle ? s.forward(features_of(seen)) : seen;
}

Tensor ObjectiveFunction::loss_of(size_t shadow, const Tensor& x, const Tensor& reference) const {
  if (settings_.is_of_features()) return networks_.of_features[shadow]->loss(x, reference);
  return distance(appearance(image(shadow, x)), reference);
}

Tensor ObjectiveFunction::loss(const std::vector<Target>& targets, const Tensor& d) const {
  std::vector<Tensor> losses;
  for (size_t s = 0; s < targets.size(); ++s)
    losses.push_back(loss_of(s, feature(targets[s].anchor, d), targets[s].reference));
  return combined(losses);
}

Tensor ObjectiveFunction::loss_at(const std::vector<Target>& targets, const Tensor& x) const {
  std::vector<Tensor> losses;
  for (size_t s = 0; s < targets.size(); ++s) losses.push_back(loss_of(s, x, targets[s].reference));
  return combined(losses);
}

}  // namespace advf
