// Whether whoever attacks came to his end, by the rules of docs/audit.md ("Who counts").
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "tools/audit/audit_plan.h"

namespace advf::tools {

struct AtRest {
  bool yes = true;
  std::string why_not = {};
};

// Of the result of a training what tells whether it came to rest, as `rest` of its step in a report has it:
// {"verdict": ...} of a decoder, {"validation_losses": [...]} of a network that links; {} of others.
nlohmann::json rest_of_training(const nlohmann::json& result);
// Whether the attacker of this row of a report is one who has to come to rest: not so references, measures
// of what is stored, and who compares with the recogniser alone.
bool must_rest(const nlohmann::json& row);
// training: `rest` of the step that trained the attacker; null where nobody was trained, or could be.
AtRest at_rest(const AuditConfig& config, const AuditPair& pair, const nlohmann::json& row,
               const nlohmann::json& training);

}  // namespace advf::tools
