// The resident `generator`: a network (advface/networks/generator.h) emits the noise of a feature in one
// pass. What it was trained for stands in its file; no shadow is needed any more.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "advface/networks/generator.h"
#include "advface/protections/protection.h"

namespace advf {

// Settings of the ascent that have no meaning for the training of a generator, which takes no steps.
bool not_of_a_generator(const std::string& setting);

struct GeneratorSpec : ProtectionSpec {
  std::string file;
  double epsilon = 0;                      // of the file
  std::optional<double> keep_recognition;  // as AscentSettings has it

  std::unique_ptr<ProtectionSpec> clone() const override { return std::make_unique<GeneratorSpec>(*this); }
  Settings settings() override;
  void check_valid() const override;
  void check_complete() const override;
  std::string summary() const override;
  std::string alone_because() const override { return keep_recognition ? kBoundIsToRaw : ""; }
  // Of the file nothing is known before it is read.
  std::string idle_because() const override { return idle_by_bound(keep_recognition); }
  std::unique_ptr<Protection> make(const ProtectionInput& input) const override;
};

class GeneratorProtection : public Protection {
 public:
  GeneratorProtection(const GeneratorSpec& spec, const ProtectionInput& input);
  // Of a generator that is there already, which must outlive this.
  GeneratorProtection(const Generator& generator, std::optional<double> keep_recognition,
                      const Recogniser* recogniser);
  ~GeneratorProtection() override;

  AppliedProtection applied() const override { return {"generator", spec_.values(), networks_}; }
  FeatureSpace out() const override { return {net_->info().spec.feature, net_->info().domain, moved_}; }
  std::vector<const Provenance*> networks() const override { return {&net_->info()}; }
  Guarantee guarantee() const override;
  bool is_shareable() const override { return false; }
  void check_never_saw(const std::vector<std::string>& identities) const override {
    net_->check_never_saw(identities);
  }
  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& photographs,
                      const Context& context) override;

 private:
  struct Plans;
  Plans& plans_for(int64_t batch);

  GeneratorSpec spec_;
  Metadata networks_;
  std::unique_ptr<Generator> loaded_;
  const Generator* net_;
  const Recogniser* recogniser_;
  bool moved_ = false;  // where the features are already
  std::map<int64_t, std::unique_ptr<Plans>> plans_;
};

}  // namespace advf
