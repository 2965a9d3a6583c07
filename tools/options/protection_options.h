// Protecting on the command line: which shadows, and how.
#pragma once
#include "advface/protections/protection.h"
#include "tools/options/cli.h"

namespace advf::tools {

// The protection on the command line: --shadow and all that can be chosen about it. One set for every program
// that protects.
struct ProtectOptions : ProtectionFiles {
  ProtectSettings settings;

  // required: the program does nothing else; otherwise nothing is protected without a shadow, and the other
  // options need one.
  void add_to(CLI::App& app, const std::string& group, bool required = false);
  bool asked() const { return !shadows.empty(); }
  void check_valid() const;  // WrongCall names the option
};

// For a program's --json.
nlohmann::json settings_json(const ProtectSettings& settings);
nlohmann::json to_json(const ProtectionId& id);

}  // namespace advf::tools
