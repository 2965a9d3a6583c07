// The amortised protection (AdvGAN's idea, arXiv 1801.02610, without a discriminator: the ball bounds the
// noise): a network that emits the noise of a feature in one pass, trained by ascent of the objective that
// the other methods climb for each record anew.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/networks/trained_network.h"
#include "advface/protections/ascent/ascent_settings.h"
#include "advface/protections/ascent/noise.h"
#include "nn/nets/feature_net.h"

namespace advf {

struct GeneratorInfo : Provenance {
  FeatureNetSpec spec;
  // What it was trained to maximise in which ball: epsilon, objective, loss, norm, batch_norm and ensemble.
  // The other settings are not its own.
  AscentSettings settings;
};

// forward: features (N, feature...) -> noise u of the same shape in the units of noise.h, inside the ball and
// the domain. A record's noise depends on its feature and the weights alone.
class Generator : public TrainedNetwork {
 public:
  Generator(const GeneratorInfo& info, uint64_t seed);
  static std::unique_ptr<Generator> load(const std::string& path);

  Tensor forward(const Tensor& features) const override { return noise(features); }
  Tensor noise(const Tensor& features) const;
  const GeneratorInfo& info() const { return info_; }
  const Provenance& provenance() const override { return info_; }
  const Shape& feature() const override { return info_.spec.feature; }
  FeatureNet& net() { return net_; }
  // Of the file's epsilon, with the deviations that the network was trained with.
  NoiseSpace space() const;

  // Throws an Error naming both sides unless features of `what` that live here are what it takes.
  void check_domain(FeatureDomain domain, const std::string& what) const;

 private:
  Metadata description() const override;

  GeneratorInfo info_;
  FeatureNet net_;
};

}  // namespace advf
