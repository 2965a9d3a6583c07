// Protecting on the command line: which protections, in order, and how. One set of options for every program
// that protects, made of what the registry lists.
#pragma once
#include <string>
#include <vector>

#include "advface/protections/protection_request.h"
#include "tools/options/cli.h"

namespace advf::tools {

class ProtectionOptions {
 public:
  // required: the program does nothing else.
  void add_to(CLI::App& app, const std::string& group, bool required = false);
  // Takes the word "none" for --protect, and nothing else beside it: of a program that must be told so.
  void allow_none(CLI::App& app);
  bool none() const { return none_; }
  // A protection is asked for: by --protect, or by --shadow, which alone means advface.
  bool asked() const { return request_.asked(); }
  // What is asked for, with the program's seed; none where nothing is. WrongCall names the option that is
  // missing, unknown, or given to a protection that has none such.
  ProtectionSpecs specs(uint64_t seed) const { return specs(seed, request_); }
  // The same with some settings changed, each SETTING=VALUE by the name of the option that it is, or seed=N.
  // WrongCall for one that no protection here has.
  ProtectionSpecs specs_with(uint64_t seed, const std::vector<std::string>& changed) const;
  std::vector<std::string> names() const;  // of what is asked for, in order
  nlohmann::json files() const;            // that were named, for a program's --json

 private:
  ProtectionSpecs specs(uint64_t seed, const ProtectionRequest& request) const;

  bool required_ = false, none_ = false;
  ProtectionRequest request_;
  // What --help shows as defaults, and what texts are tried on.
  std::vector<std::shared_ptr<ProtectionSpec>> usual_;
};

nlohmann::json to_json(const ProtectionId& id);
// The settings by name, of a chain of one; of others nothing, as names would mean several things.
nlohmann::json settings_json(const ProtectionId& id);

}  // namespace advf::tools
