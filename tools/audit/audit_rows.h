// The results of an audit's steps as rows of one form, which the verdict, the pages and comparisons read.
#pragma once
#include <nlohmann/json.hpp>

#include "tools/audit/audit_people.h"
#include "tools/audit/audit_plan.h"
#include "tools/audit/step_runner.h"

namespace advf::tools {

// What is learned of a person, and by which measures; the higher, the more.
struct LeakMeasure {
  std::string leak, measure;
  std::string says;         // for people: "similarity of pictures (SSIM)"
  double tolerance = 0;     // what lies no further above who knows nothing is the same
  int digits = 3;           // behind the point
  std::string beyond = "";  // the measure that has the interval of what lies above nothing; empty: this one
  bool drawn = true;        // over what it costs
};
const std::vector<LeakMeasure>& leak_measures();
const std::vector<std::string>& leaks();  // in the order of a report

// A list, by protection, attacker and seed in the order of the plan. Each row: `id`; `protection`;
// `attacker`; `variant`, where an attacker has several; `features` (raw, protected, noise, identity, none);
// `seed`; `images`; `measures`, by name {mean, low, high} (only mean where there is no interval); `counts`,
// by leak, whether the attacker may say something about it; `above`, by measure {mean, low, high} of what
// lies above who has no feature, paired over the same photographs, where they are known one by one;
// `why_not`, where it may not; `converged`; `step` (hash), `command`, `seconds`. people, where given: gets
// what of protected features is a mean over people.
nlohmann::json audit_rows(const AuditConfig& config, const AuditPlan& plan, const StepRunner& runner,
                          PeopleValues* people = nullptr);

}  // namespace advf::tools
