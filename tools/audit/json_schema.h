// Checks JSON against a schema.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace advf::tools {

// As much of JSON Schema as the published one uses. Each error begins with the place, as a JSON pointer.
std::vector<std::string> schema_errors(const nlohmann::json& schema, const nlohmann::json& value);
// docs/audit.schema.json, as it was when the program was built.
const nlohmann::json& report_schema();

}  // namespace advf::tools
