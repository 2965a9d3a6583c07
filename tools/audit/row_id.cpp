#include "tools/audit/audit_rows.h"

namespace advf::tools {

std::string row_id(const nlohmann::json& row, bool several_seeds) {
  const auto text = [&](const char* key) { return row[key].get<std::string>(); };
  const std::string variant = text("variant");
  const std::string name = row["features"] == "none"
                               ? text("attacker") + "/" + variant
                               : text("protection") + "/" + text("attacker") +
                                     (variant.empty() ? "" : "/" + variant) + "/" + text("features");
  return several_seeds ? name + "/" + row["seed"].dump() : name;
}

std::string in_quotes(const std::string& name) { return "\u201c" + name + "\u201d"; }

std::string attacker_on_raw(const std::string& attacker) {
  return attacker == "adaptive" ? "transfer" : attacker;
}

const AuditPair* pair_on_raw(const AuditConfig& config, const AuditPlan& plan, const AuditPair& pair) {
  for (const AuditPair& other : plan.pairs)
    if (other.protection == config.protections[0].name && other.attacker == attacker_on_raw(pair.attacker) &&
        other.seed == pair.seed)
      return &other;
  return nullptr;
}

}  // namespace advf::tools
