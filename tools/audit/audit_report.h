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
AuditReport audit_report(const AuditConfig& config, const AuditFacts& facts, const AuditPlan& plan,
                         const StepRunner& runner);
// Throws Error naming the file where it is no report, of a newer version, or lacks what it must have.
nlohmann::json read_audit_report(const std::string& path);
// The same rows and verdicts, whenever and however fast they were made: what two runs of one seed agree in.
nlohmann::json without_times(nlohmann::json report);

}  // namespace advf::tools
