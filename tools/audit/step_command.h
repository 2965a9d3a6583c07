// The commands of an audit's steps as a report gives them: for whoever makes a step again, anywhere.
#pragma once
#include <string>

#include "tools/audit/audit_plan.h"

namespace advf::tools {

// The folder that all of these inputs lie in: "/" where they have no other in common. digests: by whole path.
std::string common_folder(const std::vector<std::pair<std::string, std::string>>& digests);

// For a shell that finds the programs, in which AUDIT_DATA is AuditPlan::data_folder, or where its files lie
// elsewhere, and AUDIT_CACHE the cache of a call of the audit, which has the lists, the keys and what earlier
// steps have made. What the step writes comes into the folder that the shell is in.
std::string pasted_command(const AuditPlan& plan, int64_t step);

}  // namespace advf::tools
