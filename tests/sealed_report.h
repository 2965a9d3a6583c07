// For tests of who changes a report of advface-audit and knows of its digest.
#pragma once
#include <nlohmann/json.hpp>

#include "tools/audit/audit_report.h"

namespace advf::test {

// With the digest that it has to have, as anybody can make it.
inline nlohmann::json sealed(nlohmann::json report) {
  report["digest"] = tools::report_digest(report);
  return report;
}

}  // namespace advf::test
