// What stands between a feature and a stored set: the chain that protects, made again from what the set says
// of it and the files that it needs (a key, a shadow), on the way in and for a probe.
#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "advface/protections/protection_chain.h"
#include "advface/store/store.h"

namespace advf {

// Texts of the settings that no description holds, by name: key -> {"face.key"}.
using ProtectionFiles = std::map<std::string, std::vector<std::string>>;
// Those that there are.
std::vector<Setting> protection_files();

// The chain as it is described, with these files. Throws WrongCall for one that is missing, and for one that
// no protection here takes.
ProtectionSpecs specs_of(const ProtectionId& id, const ProtectionFiles& files, const std::string& source);

// Raw features as the set's own were, for a protection that is to be.
ProtectionInput raw_input(const Store& store, const StoredSet& set);

class SetProtection {
 public:
  // Of a set that is there. recogniser: where it is at hand, for a protection that runs it. Throws Error
  // where a file is another than the one the set was protected with: the wrong key is told as that.
  SetProtection(const Store& store, const StoredSet& set, const ProtectionFiles& files,
                const Recogniser* recogniser);
  // Of one that is to be: none where there are no specs.
  SetProtection(const ProtectionSpecs& specs, const ProtectionInput& input);

  ProtectionId id() const { return chain_ ? chain_->id() : ProtectionId(); }
  int64_t dimension() const;
  FeatureDomain domain() const { return raw_.domain; }
  // Whether a probe looks another way for every record.
  bool separates_records() const { return separates_; }
  bool changes_probe() const { return chain_ && chain_->changes_probe(); }
  Guarantee guarantee() const { return chain_ ? chain_->guarantee() : Guarantee(); }

  // Rows (n, D) of raw features -> what is stored, and how a probe looks to those records, by their salts.
  Tensor protect(const Tensor& features, std::span<const int64_t> salts, const Context& context);
  Tensor probe(const Tensor& features, std::span<const int64_t> salts) const;

 private:
  FeatureSpace raw_;
  std::unique_ptr<ProtectionChain> chain_;
  bool separates_ = false;
};

// Throws Error where the set is of another recogniser, or of one with another card, which gives other
// features of the same photograph.
void check_recogniser(const Store& store, const StoredSet& set, const Recogniser& recogniser);

// What a new set is protected with: as it was asked for, but noise comes of a number that stands nowhere.
// Throws WrongCall for settings under which a record would depend on those that are protected with it, or on
// its photograph, for what would lie over a lock, which no other key could open then, and for what is undone
// by what stands beside the records.
ProtectionSpecs specs_for_store(const ProtectionSpecs& specs);

// The cosine of two rows.
double cosine_of_rows(const Tensor& a, const Tensor& b);

}  // namespace advf
