// The resident `noise`: each feature moved by a given part of its length in a random direction. It protects
// nothing that an attacker can learn; whatever else is claimed to protect should do better than this.
#pragma once
#include <memory>
#include <string>

#include "advface/protections/protection.h"

namespace advf {

struct NoiseSpec : ProtectionSpec {
  double length = 0.4;  // norm of the noise over that of the feature; on the sphere the chord, below 2
  uint64_t seed = 1;

  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<NoiseSpec>(*this); }
  Settings settings() override;
  void check_valid() const override;
  std::string summary() const override;
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;
};

class NoiseProtection : public Protection {
 public:
  NoiseProtection(const NoiseSpec& spec, const FeatureSpace& space) : spec_(spec), space_(space) {}

  AppliedProtection applied() const override { return {"noise", spec_.values(), {}}; }
  FeatureSpace out() const override { return space_; }
  // In the domain of non-negative features what would fall below zero is zero, so the noise gets shorter.
  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& photographs,
                      const Context& context) override;

 private:
  NoiseSpec spec_;
  FeatureSpace space_;
};

}  // namespace advf
