// The resident `shuffle`: the values of a vector, or the channels of a map, in another order, one for all
// records, drawn from the seed. Features then live in a space of their own, and the probe goes through the
// same order. Nothing is lost: whoever knows the seed puts them back, and whoever does not but has features
// of his own in both orders finds it.
#pragma once
#include <memory>
#include <string>

#include "advface/protections/protection.h"

namespace advf {

struct ShuffleSpec : ProtectionSpec {
  uint64_t seed = 1;

  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<ShuffleSpec>(*this); }
  Settings settings() override { return {seed_setting(seed)}; }
  void check_valid() const override {}
  std::string summary() const override { return "seed " + std::to_string(seed); }
  std::string undone_by() const override {
    return "whoever knows the seed puts the values back in their order";
  }
  bool changes_probe() const override { return true; }
  FeatureSpace out(const FeatureSpace& in) const override { return {in.row, in.domain, true}; }
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;
};

}  // namespace advf
