// What an audit is asked for: a recogniser, photographs, protections, who attacks them, and how much each of
// them may take. It stands in a file (docs/audit.md), JSON that may have comments.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "advface/core/face_set.h"
#include "advface/protections/protection.h"

namespace advf::tools {

// A protection as programs take it on the command line: links with the texts of their settings.
struct AuditProtection {
  struct Link {
    std::string protection;
    using Settings = std::vector<std::pair<std::string, std::vector<std::string>>>;  // name, texts
    Settings settings;
    Settings fit = {};  // of what the audit fits for it, where it names no file

    std::unique_ptr<ProtectionSpec> spec() const;  // with these settings
  };
  std::string name;  // in tables: "AdvFace 0.02"
  std::vector<Link> links;
  // Of one that needs a key: the same as it is for who has the key, by the name of the protection that is
  // locked; empty for all others.
  std::string unlocked;

  bool raw() const { return links.empty(); }
  bool locked() const;
  bool has(const std::string& protection) const;
};

// Of everything that takes long. 0 images: all.
struct AuditBudget {
  int64_t images = 3000;      // that are looked at, of whole people
  int64_t test_images = 256;  // that decoders are asked about
  int64_t inversion_images = 24;
  int64_t inversion_steps = 60;
  int64_t oracle_images = 8;
  int64_t oracle_queries = 500;
  int64_t shadow_epochs = 12, generator_epochs = 12;
  int64_t decoder_epochs = 8, linkage_epochs = 20, probe_epochs = 30;
  int64_t seeds = 1;  // every network and attack is made with as many
};
// Name, place in the budget, least and most, what it says, and whose strength it is.
struct BudgetField {
  const char* name;
  int64_t AuditBudget::*value;
  int64_t least, most;
  const char* help;
  std::vector<std::string> of = {};  // attackers; "all" of them; empty: of protections
};
const std::vector<BudgetField>& budget_fields();

// quick, default, full: which attackers and how much of everything.
struct AuditSize {
  std::string name, help;
  AuditBudget budget;
  std::vector<std::string> attackers;
  bool converges = true;  // false: its attackers are known not to have come to their end
};
const std::vector<AuditSize>& audit_sizes();

// Who attacks, a row each.
struct AuditAttacker {
  std::string name, help;
  std::string leak;  // what of a person it is after: appearance, identity, linkability, attributes
};
const std::vector<AuditAttacker>& audit_attackers();

struct AuditConfig {
  std::string file;  // that it was read from, or "the call": for messages
  FaceSettings faces;
  std::string second_recogniser, pairs, part = "test", size = "default";
  std::vector<AuditProtection> protections;  // raw features come first, whatever the file says
  std::vector<std::string> attackers, attributes;
  AuditBudget budget;
  uint64_t seed = 1, split_seed = 1;

  const AuditSize& size_row() const;
  const AuditProtection& protection(const std::string& name) const;
};

// What `work` finds wrong with what a key of the file names, as an Error that begins with file and key.
template <class Work>
auto at_key(const AuditConfig& config, const std::string& key, const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& e) {
    fail(config.file, ": ", key, ": ", e.what());
  }
}

// Paths are relative to the file. Throws Error that names the file, the key, and the nearest known one.
AuditConfig read_audit_config(const std::string& path);
// text: of the file; folder: what paths are relative to.
AuditConfig parse_audit_config(const std::string& text, const std::string& file, const std::string& folder);
// As it was understood, with all that the file left to the size; paths as they are.
nlohmann::json to_json(const AuditConfig& config);
// At most four columns of the file that can be asked about, as far as the file tells.
std::vector<std::string> usual_attributes(const std::string& labels);
// How many people an audit of these photographs can train on; 0 where that is not known (yet).
int64_t people_to_train_on(const FaceSettings& faces);
// What is audited where nobody says it: for vectors, or for maps.
nlohmann::json usual_protections(const std::string& size, const Shape& feature, int64_t train_people);
// An example with comments, for this recogniser and these photographs.
std::string example_config(const FaceSettings& faces, const std::string& second, const std::string& size,
                           const std::vector<std::string>& attributes, const Shape& feature,
                           int64_t train_people, uint64_t seed);

}  // namespace advf::tools
