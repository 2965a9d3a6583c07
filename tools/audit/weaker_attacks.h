// Whether one audit attacks less than another, so that what it does not find says less.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace advf::tools {

// In which ways `after` attacks the protections of `before` less, or concludes less of them: a sentence each.
// Attackers, variants and attributes that are not asked any more; those that counted and had converged, and
// do not any more, also on raw features; leaks of which something was concluded, and is not any more; budgets
// of attackers who are asked, and a size, that are smaller; a second recogniser that is gone.
std::vector<std::string> weaker_attacks(const nlohmann::json& before, const nlohmann::json& after);

}  // namespace advf::tools
