// How an attacker, and recognition, do for people with and without an attribute.
#pragma once
#include <nlohmann/json.hpp>

#include "tools/audit/audit_plan.h"
#include "tools/audit/step_runner.h"

namespace advf::tools {

// A list: `protection`, `attacker`, `variant` where an attacker has several, `attribute`, `has`, `images` (of
// recognition: pairs), `measure`, `value` with its interval. Of the attackers who draw pictures, of the
// strongest set of features alone; of linkage rank 1 of a group's probes in the gallery of all; of attributes
// the best probe of each, its balanced accuracy within a group, or, where all of a group share what it asks
// about, how often it is right; of recognition genuine pairs (accepted at the threshold of FAR 1e-2 of all)
// and impostors. Empty where no attributes are named. Groups of fewer than kFewest people, or of a mean over
// classes fewer photographs in one of them, are left out.
inline constexpr int64_t kFewest = 5;
nlohmann::json audit_groups(const AuditConfig& config, const AuditPlan& plan, const StepRunner& runner);

}  // namespace advf::tools
