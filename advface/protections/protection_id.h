// How features were protected, as a value: what was applied to them, in order, with which settings and by
// which files. It stands in every network that was trained on such features and beside every file of them,
// and is compared as a whole; only describe() is for people.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "advface/protections/ascent/ascent_settings.h"
#include "nn/state_dict.h"

namespace advf {

// One protection of the chain.
struct AppliedProtection {
  std::string name;   // "advface"
  Metadata settings;  // by name, each as JSON has it: epsilon -> 0.02, method -> "pgd"
  Metadata networks;  // fingerprints of the files that protected, by their part: shadow, generator
  bool operator==(const AppliedProtection&) const = default;
};

struct ProtectionId {
  std::vector<AppliedProtection> applied;  // in order; none: the features are raw
  std::string unknown;                     // why nothing is known of them; empty where it is

  bool known() const { return unknown.empty(); }
  bool is_raw() const { return known() && applied.empty(); }
  bool operator==(const ProtectionId&) const = default;
  // Whether both protect alike but for the seed of a random start, which nobody who attacks can know. What is
  // not known is like nothing.
  bool is_like(const ProtectionId& other) const;
  // The first thing in which they are not alike, for messages; empty where they are.
  std::string difference(const ProtectionId& other) const;

  std::string describe()
      const;                    // "raw", "protected, epsilon 0.02", and every setting that is not the default
  std::string to_json() const;  // canonical: equal values have equal texts
  // Throws Error that begins with `source` for anything that to_json() does not write.
  static ProtectionId from_json(std::string_view text, const std::string& source);
};

// The noise of the ascent or of the generator, by shadows and generator with these fingerprints.
AppliedProtection advface_protection(const ProtectSettings& settings, const Metadata& networks);

// The settings as JSON has them, by name; the numbers as they are used, also where they follow from others.
Metadata to_metadata(const ProtectSettings& settings);
// Throws Error that begins with `source` where one is missing, not known or out of range.
ProtectSettings settings_from(const Metadata& metadata, const std::string& source);

}  // namespace advf
