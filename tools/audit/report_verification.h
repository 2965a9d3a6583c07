// All that a report can be held against without making its measurements again: itself, what lies beside it,
// and its inputs as they are here. For who verifies one, and for who is about to sign it.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "advface/core/context.h"
#include "tools/audit/audit_config.h"
#include "tools/audit/audit_facts.h"
#include "tools/audit/audit_plan.h"

namespace advf::tools {

inline constexpr uint64_t kMostReportBytes = uint64_t(1) << 30;

// What is planned with a report's settings here and now.
struct PlannedHere {
  AuditFacts facts;
  AuditPlan plan;
};

struct Verification {
  bool good = true;                   // nothing contradicts
  std::vector<std::string> reserved;  // what could not be compared here, each the end of a sentence
  nlohmann::json told;                // for --json
  AuditConfig config;
  std::unique_ptr<PlannedHere> here;  // null where the inputs are not as they were
};

// Findings, as the end of a line: the first few.
std::string first_of(const std::vector<std::string>& findings);

// Prints a line for each check. data: the folder that the inputs lie in now; empty: where they lay.
// is_signed: a signature binds the report, which older ones without a digest need. must_plan: also where
// inputs are not as they were; then it is an Error where they are not there.
Verification verify_report(const nlohmann::json& report, const std::string& path, const std::string& data,
                           bool is_signed, bool must_plan, const Context& context);

// What nobody but --rerun, or a signature, tells of any report, each the end of a sentence.
const std::vector<std::string>& taken_on_trust();

}  // namespace advf::tools
