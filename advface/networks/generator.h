// The amortised protection (AdvGAN's idea, arXiv 1801.02610, without a discriminator: the ball bounds the
// noise): a network that emits the noise of a feature in one pass, trained by ascent of the objective that
// the other methods climb for each record anew.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/core/provenance.h"
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
class Generator : public Module {
 public:
  Generator(const GeneratorInfo& info, uint64_t seed);
  static std::unique_ptr<Generator> load(const std::string& path);
  void save(const std::string& path) const;

  Tensor forward(const Tensor& features) const override { return noise(features); }
  Tensor noise(const Tensor& features) const;
  const GeneratorInfo& info() const { return info_; }
  FeatureNet& net() { return net_; }
  // Of the file's epsilon, with the deviations that the network was trained with.
  NoiseSpace space() const;

  // Throws an Error naming both sides unless features of this shape, from there, are what it takes. An empty
  // fingerprint or cut is not compared. `what` names whose they are.
  void check_fits(const Provenance& from, const Shape& feature, const std::string& what) const;
  void check_never_saw(const std::vector<std::string>& identities) const;

 private:
  GeneratorInfo info_;
  std::string source_ = "generator";
  FeatureNet net_;
};

}  // namespace advf
