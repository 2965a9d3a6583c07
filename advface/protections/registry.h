// The protections that there are, a row each.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "advface/core/fit.h"
#include "advface/protections/protection.h"

namespace advf {

struct ProtectionKind {
  std::string name;                           // as --protect and files have it
  std::string help;                           // a line: what it does
  std::unique_ptr<ProtectionSpec> (*spec)();  // with default settings
  std::unique_ptr<Fit> (*fit)();              // null where there is nothing to fit
};

const std::vector<ProtectionKind>& protections();
// Throws Error that begins with `source`, lists the known names and has the nearest, for another name.
const ProtectionKind& protection_kind(const std::string& name, const std::string& source);
// Several under one name, in order, with the settings that are not their own usual ones: what --protect takes
// beside the protections.
struct ProtectionPreset {
  struct Link {
    std::string protection;
    std::vector<std::pair<std::string, std::string>> settings;  // name, text
  };
  std::string name, help;
  std::vector<Link> links;
};
const std::vector<ProtectionPreset>& presets();

// Of what stands in a file. Throws Error that begins with `source` for a name or settings that are not known
// here.
std::unique_ptr<ProtectionSpec> spec_of(const AppliedProtection& applied, const std::string& source);
// Whether a probe must be changed before it is compared with features that were protected so.
bool changes_probe(const ProtectionId& id);
// Throws Error that begins with `what` where two features that were protected so cannot be compared with each
// other.
void check_records_compare(const ProtectionId& id, const std::string& what);
// Where features of `raw` end up that were protected so.
FeatureSpace space_after(const ProtectionId& id, FeatureSpace raw);

}  // namespace advf
