// report.json: all that an audit measured and concluded, in a form that programs read
// (docs/audit.schema.json).
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "tools/audit/audit_facts.h"
#include "tools/audit/audit_plan.h"
#include "tools/audit/step_runner.h"

namespace advf::tools {

inline constexpr const char* kReportFormat = "advface-audit-report";
inline constexpr int kReportVersion = 1;

struct AuditReport {
  nlohmann::json report;
  std::string people;  // the bytes of people.json (audit_people.h)
};
// Lacks `page` and `digest`, which seal() adds.
AuditReport audit_report(const AuditConfig& config, const AuditFacts& facts, const AuditPlan& plan,
                         const StepRunner& runner);
// What stands in a report when its page is made of it.
void seal(nlohmann::json& report, const std::string& page);
// Of the bytes of this program.
std::string own_digest();
// Of the programs of the plan, and of this one: what `programs` of a report made here says.
nlohmann::json programs_json(const AuditPlan& plan);
// The keys of a report that follow from its settings and inputs, and those that follow from its rows,
// settings and what was not measured: whoever checks a report makes them again. Times, dates and what the
// attackers reached are not among them.
nlohmann::json planned_keys(const AuditConfig& config, const AuditFacts& facts, const AuditPlan& plan);
nlohmann::json concluded_keys(const AuditConfig& config, const nlohmann::json& report);
// What stands in report.json.
std::string report_text(const nlohmann::json& report);
// digest() (SHA-256, where the build has it) of that without the line of the key `digest`, which holds it:
// tells what was changed by accident or by who does not know of it. Against anybody else it takes a
// signature.
std::string report_digest(nlohmann::json report);
// Whether the report has a digest, and it is its own.
bool is_as_written(const nlohmann::json& report);
// Throws Error naming the file where it is no report, of a newer version, or lacks what it must have.
nlohmann::json read_audit_report(const std::string& path);
// The same rows and verdicts, whenever and however fast they were made: what two runs of one seed agree in.
nlohmann::json without_times(nlohmann::json report);

}  // namespace advf::tools
