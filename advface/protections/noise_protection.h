// The resident `noise`: each feature moved in a random direction. By a given part of its length it protects
// nothing that an attacker can learn, and whatever else is claimed to protect should do better; by the
// mechanisms of privacy_mechanism.h it has a guarantee, as long as nobody knows the seed. What is stored goes
// back to the domain, which looks at the noisy feature alone and so keeps the guarantee (post-processing).
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "advface/protections/privacy_mechanism.h"
#include "advface/protections/protection.h"

namespace advf {

template <>
const std::vector<Choice<NoiseMechanism>>& choices<NoiseMechanism>();

// What the noise is drawn from: the program's seed, which whoever repeats the work has, and which stands
// beside noise of a given length; or a number that is drawn for the call, or derived from a key, and stands
// nowhere.
enum class NoiseSource { seed, secret };
template <>
const std::vector<Choice<NoiseSource>>& choices<NoiseSource>();

struct NoiseSpec : ProtectionSpec {
  NoiseMechanism mechanism = NoiseMechanism::length;
  double length = 0.4;  // norm of the noise over that of the feature; on the sphere the chord, below 2
  std::optional<double> privacy_epsilon;  // of laplace and gaussian: must be set
  double delta = 1e-5;                    // of gaussian
  // Of laplace the largest L1 norm, of gaussian the largest L2 norm. Not set: 1, where features are unit
  // vectors, which gaussian then never clips; elsewhere it must be set.
  std::optional<double> clip;
  std::optional<double> noise_scale;  // in files: sigma, or b; it follows from the others
  uint64_t seed = 1;
  NoiseSource source = NoiseSource::seed;
  std::string noise_key;  // the key of which a secret seed is derived; none: it is drawn

  void keep_secrets() override { source = NoiseSource::secret; }
  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<NoiseSpec>(*this); }
  Settings settings() override;
  void check_valid() const override;
  std::string summary() const override;
  Metadata values() const override;
  std::string idle_because() const override {
    return is_private() ? "" : idle_by_noise("noise-length", length);
  }
  std::string idle_in(const FeatureSpace& in) const override;
  std::string undone_by() const override;
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;

  bool is_private() const { return mechanism != NoiseMechanism::length; }
  PrivacyNoise private_noise() const;  // as the settings have it, where it is private
};

class NoiseProtection : public Protection {
 public:
  NoiseProtection(const NoiseSpec& spec, const FeatureSpace& space) : spec_(spec), space_(space) {}

  AppliedProtection applied() const override { return {"noise", spec_.values(), {}}; }
  FeatureSpace out() const override { return space_; }
  Guarantee guarantee() const override;
  bool draws_by_record() const override { return true; }
  // In the domain of non-negative features what would fall below zero is zero, so the noise gets shorter.
  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& photographs,
                      const Context& context) override;

 private:
  NoiseSpec spec_;
  FeatureSpace space_;
};

}  // namespace advf
