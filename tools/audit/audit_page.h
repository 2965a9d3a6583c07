// report.html: an audit for people, in one file that needs nothing else: no network, no script to be read.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "tools/audit/audit_plan.h"
#include "tools/audit/step_runner.h"

namespace advf::tools {

// pictures: whether photographs of the people shown stand in it, and what attackers made of them.
std::string audit_page(const nlohmann::json& report, const AuditPlan& plan, const StepRunner& runner,
                       bool pictures);

}  // namespace advf::tools
