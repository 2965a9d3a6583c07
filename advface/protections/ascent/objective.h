// What the protection maximises, as pieces of a tape: targets that stay fixed while the noise moves, the
// image that an attacker would see, and how far the two are apart. Any batch, f32 or f64; nothing here knows
// how the noise is found. Each value of the loss depends on its own record alone (but for
// BatchNormMode::batch).
#pragma once
#include <string>
#include <vector>

#include "advface/core/recogniser.h"
#include "advface/networks/decoder.h"
#include "advface/networks/feature_shadow.h"
#include "advface/protections/ascent/ascent_settings.h"

namespace advf {

// The networks: shadows in place of the unknown attacker, decoders or networks of features, and the
// recogniser where F or H is run.
struct AscentNetworks {
  AscentNetworks(const Decoder& shadow, const Recogniser* r = nullptr) : shadows{&shadow}, recogniser(r) {}
  AscentNetworks(std::vector<const Decoder*> several, const Recogniser* r)
      : shadows(std::move(several)), recogniser(r) {}

  static AscentNetworks against(std::vector<const FeatureShadow*> several, const Recogniser* r) {
    AscentNetworks networks(std::vector<const Decoder*>(), r);
    networks.of_features = std::move(several);
    return networks;
  }

  // Of one recogniser, cut and feature; one of both lists is empty.
  std::vector<const Decoder*> shadows;
  std::vector<const FeatureShadow*> of_features;
  const Recogniser* recogniser;

  size_t count() const { return shadows.size() + of_features.size(); }
  const TrainedNetwork& network(size_t shadow) const;
  const Provenance& info() const { return network(0).provenance(); }
  const Shape& feature() const { return network(0).feature(); }
  Tensor deviation() const;    // of the first one's features, per element or channel
  int64_t image_size() const;  // that photographs are brought to; 1 where no shadow makes pictures
  // Throws Error, naming both sides, for shadows that do not fit each other or the recogniser, and where the
  // settings need a recogniser and there is none.
  void check_fit(const AscentSettings& settings) const;
};

class ObjectiveFunction {
 public:
  ObjectiveFunction(const AscentNetworks& networks, const AscentSettings& settings)
      : networks_(networks), settings_(settings) {}

  // Of one shadow, fixed during the ascent. `anchor` is the feature that the noise is added to in the loss,
  // `reference` what the loss makes of the image to get away from, of Objective::mean_face to come near.
  struct Target {
    Tensor anchor, reference;
  };
  // photograph (n,3,h,w) in [0,1]: for Objective::original only.
  std::vector<Target> targets(const Tensor& z, const Tensor& photograph) const;
  // The anchor is z itself, for every shadow.
  bool anchored_at_z() const { return settings_.objective != Objective::shadow_pair; }

  // (n): the loss of each record, with noise d in feature units, over the ensemble. Of Objective::mean_face
  // it is less than zero.
  Tensor loss(const std::vector<Target>& targets, const Tensor& d) const;
  // Where the anchor is z, the noise enters at one place alone, the feature x = P(z + d):
  // loss(targets, d) = loss_at(targets, feature(z, d)).
  Tensor feature(const Tensor& z, const Tensor& d) const;
  Tensor loss_at(const std::vector<Target>& targets, const Tensor& x) const;
  // H: the embedding (n, dimension) of a feature.
  Tensor embedding(const Tensor& feature) const;

 private:
  Tensor start_of(const Decoder& shadow, const Tensor& z, const Tensor& photograph) const;
  Tensor loss_of(size_t shadow, const Tensor& x, const Tensor& reference) const;
  Tensor image(size_t shadow, const Tensor& x) const;
  Tensor features_of(const Tensor& image) const;  // F, of a decoder's image
  Tensor appearance(const Tensor& image) const;
  Tensor distance(const Tensor& a, const Tensor& b) const;
  Tensor combined(const std::vector<Tensor>& losses) const;

  const AscentNetworks& networks_;
  const AscentSettings& settings_;
};

}  // namespace advf
