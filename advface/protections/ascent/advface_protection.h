// The resident `advface`: the ascent of ascent.h with shadows from files.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "advface/networks/feature_shadow.h"
#include "advface/protections/ascent/ascent.h"
#include "advface/protections/protection.h"

namespace advf {

struct AdvFaceSpec : ProtectionSpec {
  AscentSettings ascent;
  std::vector<std::string> shadows;  // files; several make an ensemble
  std::string start_key;             // the key of which a secret start is derived; none: it is drawn

  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<AdvFaceSpec>(*this); }
  Settings settings() override;
  void check_valid() const override { ascent.check_valid(); }
  void check_complete() const override;
  std::string summary() const override { return ascent.summary(); }
  std::string alone_because() const override;
  std::string idle_because() const override;
  Metadata values() const override;
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;
};

// The networks are loaded once; plans are compiled when the first record comes.
class AdvFaceProtection : public Protection {
 public:
  AdvFaceProtection(const AdvFaceSpec& spec, const ProtectionInput& input);

  AppliedProtection applied() const override;
  FeatureSpace out() const override { return {row_, domain_, moved_}; }
  std::vector<const Provenance*> networks() const override;
  bool imitates_attackers() const override { return true; }
  int photograph_size() const override;
  Guarantee guarantee() const override;
  bool draws_by_record() const override { return true; }
  bool depends_on_company() const override { return spec_.ascent.batch_norm == BatchNormMode::batch; }
  bool is_shareable() const override { return false; }
  void check_never_saw(const std::vector<std::string>& identities) const override;
  // With --bn recalibrated: the shadows' batch norm, on these features.
  void look_at(int64_t rows, const ReadRows& read) override;
  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& photographs,
                      const Context& context) override;

  AscentNetworks ascent_networks() const;  // what a generator is trained against as well

 private:
  void load(const std::string& path);

  AdvFaceSpec spec_;
  std::string fingerprints_;  // of the shadows' files, in order, with a space between
  std::vector<std::unique_ptr<Decoder>> shadows_;
  std::vector<std::unique_ptr<FeatureShadow>> of_features_;  // instead
  Shape row_;
  FeatureDomain domain_;
  const Recogniser* recogniser_;
  bool moved_;  // where the features are already
  std::optional<Ascent> ascent_;
};

}  // namespace advf
