#include "tools/audit/json_schema.h"

#include <algorithm>

namespace advf::tools {
namespace {

using nlohmann::json;

class Schema {
 public:
  explicit Schema(const json& root) : root_(root) {}
  std::vector<std::string> errors(const json& value) {
    check(root_, value, "");
    return std::move(errors_);
  }

 private:
  void wrong(const std::string& at, const std::string& what) { errors_.push_back(at + ": " + what); }
  static bool is(const std::string& type, const json& v) {
    return type == "object"    ? v.is_object()
           : type == "array"   ? v.is_array()
           : type == "string"  ? v.is_string()
           : type == "boolean" ? v.is_boolean()
           : type == "null"    ? v.is_null()
           : type == "integer" ? v.is_number_integer()
                               : v.is_number();
  }
  void check(const json& schema, const json& v, const std::string& at) {
    if (schema.contains("$ref"))
      return check(root_.at("$defs").at(schema["$ref"].get<std::string>().substr(8)), v, at);
    if (schema.contains("const") && v != schema["const"]) wrong(at, "is " + v.dump());
    if (schema.contains("enum") &&
        std::find(schema["enum"].begin(), schema["enum"].end(), v) == schema["enum"].end())
      wrong(at, "is " + v.dump());
    if (schema.contains("type")) {
      const json types = schema["type"].is_array() ? schema["type"] : json::array({schema["type"]});
      if (!std::any_of(types.begin(), types.end(), [&](const json& t) { return is(t, v); }))
        return wrong(at, "is " + v.dump().substr(0, 80));
    }
    if (v.is_array() && schema.contains("items"))
      for (size_t i = 0; i < v.size(); ++i) check(schema["items"], v[i], at + "/" + std::to_string(i));
    if (!v.is_object()) return;
    if (schema.contains("required"))
      for (const json& key : schema["required"])
        if (!v.contains(key)) wrong(at, "lacks " + key.dump());
    if (schema.contains("dependentRequired"))
      for (const auto& [present, others] : schema["dependentRequired"].items())
        for (const json& key : others)
          if (v.contains(present) && !v.contains(key))
            wrong(at, "has " + present + " and lacks " + key.dump());
    for (const auto& [key, one] : v.items()) {
      const bool known = schema.contains("properties") && schema["properties"].contains(key);
      if (known)
        check(schema["properties"][key], one, at + "/" + key);
      else if (schema.contains("additionalProperties") && schema["additionalProperties"].is_object())
        check(schema["additionalProperties"], one, at + "/" + key);
      else if (schema.value("additionalProperties", json(true)) == false)
        wrong(at, "has " + key);
    }
  }
  const json& root_;
  std::vector<std::string> errors_;
};

}  // namespace

std::vector<std::string> schema_errors(const json& schema, const json& value) {
  return Schema(schema).errors(value);
}

}  // namespace advf::tools
