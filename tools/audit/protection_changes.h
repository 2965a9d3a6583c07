// What became of the protections themselves between two audits, beside what was measured of them.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace advf::tools {

struct ProtectionChanges {
  // Of protections that both have: which settings and networks are others, a line for each.
  std::vector<std::string> settings;
  // What was promised and is not any more, a sentence each: that nobody undoes it with a number that others
  // may know, and what was proved. No measure shows these.
  std::vector<std::string> lost;
};

ProtectionChanges protection_changes(const nlohmann::json& before, const nlohmann::json& after);

}  // namespace advf::tools
