// What of a report follows from its settings, its inputs and its other parts, and is held against them: each
// check returns what is wrong, a sentence's end each; empty: nothing.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/audit/audit_plan.h"

namespace advf::tools {

// Whether the report says by which programs it was made, which older ones do not.
bool names_programs(const nlohmann::json& report);
// Of the programs that the report names those that are others here, where this plan was made.
std::vector<std::string> other_programs(const nlohmann::json& report, const AuditPlan& plan);

// plan: of the report's settings with the inputs as they are here. Steps: their order and names, commands,
// what they need, hashes (of the programs that the report names, whichever are here), and that those that
// were not run are told as failed, and their pairs as not measured. In commands a hash of a step stands for
// the step, so that reports without `programs` are held against the plan as well.
std::vector<std::string> wrong_steps(const nlohmann::json& report, const AuditConfig& config,
                                     const AuditFacts& facts, const AuditPlan& plan);
// Rows: each is of a pair that was planned and measured, with its step, command and seed, under the name that
// follows; and no pair that was measured is without one.
std::vector<std::string> wrong_rows(const nlohmann::json& report, const AuditConfig& config,
                                    const AuditPlan& plan);

// What rows, groups, failures and settings say of one another, whether or not the inputs are here: measures
// that are made of others, who counts by what rows of raw features say, how many photographs, groups that
// make a whole, why steps failed, and that each attacker of the settings was measured, left out or failed.
std::vector<std::string> contradictions(const nlohmann::json& report, const AuditConfig& config);
// Rows whose `converged` is not what the settings and `rest` of their training say; of reports that lack
// `rest`, as older ones do, those alone of which the settings decide, and is_known is false.
std::vector<std::string> not_at_rest(const nlohmann::json& report, const AuditConfig& config,
                                     const AuditPlan& plan, bool& is_known);

}  // namespace advf::tools
