// How features were protected, as a value: what was applied to them, in order, with which settings and by
// which files. It stands in every network that was trained on such features and beside every file of them,
// and is compared as a whole; only describe() is for people.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "nn/state_dict.h"

namespace advf {

// One protection of the chain.
struct AppliedProtection {
  std::string name;   // its row in registry.h: "advface"
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
  // Whether both protect alike but for the seed of what is random, which nobody who attacks can know. What is
  // not known is like nothing.
  bool is_like(const ProtectionId& other) const;
  // Of two that are alike: whether features end up in the same space. A seed that says to which space they
  // are moved, as that of a permutation, counts here.
  bool same_space(const ProtectionId& other) const;
  // Whether both protect alike but for the seed, and for which key and set it was of what needs one.
  bool is_like_but_for_key(const ProtectionId& other) const;
  // What it is to who has no key: without the protections that need one.
  ProtectionId without_key() const;
  bool needs_key() const { return known() && without_key().applied.size() < applied.size(); }
  // The first thing in which they are not alike, for messages; empty where they are.
  std::string difference(const ProtectionId& other) const;

  // Whether it is these, up to what is_like() and same_space() allow, and then this protection alone.
  bool is_then(const ProtectionId& before, const std::string& protection) const;
  // These, and then those. Throws Error for more than kMost.
  static constexpr size_t kMost = 16;
  ProtectionId then(const ProtectionId& more) const;
  // "epsilon 0.02, then noise length 0.4"; empty for raw features.
  std::string summary() const;
  // "raw"; "protected, epsilon 0.02", and every setting of advface that is not the default; others with their
  // names before.
  std::string describe() const;
  std::string to_json() const;  // canonical: equal values have equal texts
  // Throws Error that begins with `source` for anything that to_json() does not write.
  static ProtectionId from_json(std::string_view text, const std::string& source);
};

// With its settings as they are written today. Throws Error that begins with `source` for a protection or
// settings that are not known here.
AppliedProtection canonical(AppliedProtection applied, const std::string& source);

}  // namespace advf
