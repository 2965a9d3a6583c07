#include "tools/audit/weaker_attacks.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "tools/audit/audit_config.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/audit_verdict.h"

namespace advf::tools {
namespace {

using nlohmann::json;

using List = std::vector<std::string>;

// Who asked about a protection, and is not there any more: "AdvFace/adaptive", with its variant where others
// of the attacker still ask, and the protection alone where nobody does.
void no_more_asked(const json& before, const json& after, List& list) {
  using Name = std::vector<std::string>;  // protection, attacker, variant
  const auto asked = [](const json& report) {
    std::set<Name> all;
    for (const json& row : report["rows"])
      if (row["features"] == "protected" && !row["counts"].empty())
        all.insert({row["protection"], row["attacker"], row.value("variant", "")});
    return all;
  };
  const std::set<Name> now = asked(after);
  std::set<std::string> told;
  for (const Name& name : asked(before)) {
    if (now.contains(name)) continue;
    // As much of the name as tells what is gone.
    std::string gone = name[0];
    for (size_t known = 1; known < name.size(); ++known) {
      const bool there = std::ranges::any_of(now, [&](const Name& n) {
        return std::equal(n.begin(), n.begin() + std::ptrdiff_t(known), name.begin());
      });
      if (!there) break;
      gone += "/" + name[known];
    }
    if (told.insert(gone).second)
      list.push_back(in_quotes(gone) +
                     " was asked before, and is not any more: nobody knows what it would find");
  }
}

// Rows that both have, of protected and of raw features, which tell who can tell something.
void no_more_counted(const json& before, const json& after, List& list) {
  std::map<std::string, const json*> now;
  for (const json& row : after["rows"]) now[row["id"]] = &row;
  for (const json& old : before["rows"]) {
    const auto at = now.find(old["id"]);
    if (at == now.end() || (old["features"] != "protected" && old["features"] != "raw")) continue;
    const json& row = *at->second;
    const std::string why = row["why_not"].is_string() ? ": " + row["why_not"].get<std::string>() : "";
    for (const auto& [leak, counted] : old["counts"].items())
      if (counted == true && row["counts"].value(leak, false) == false)
        list.push_back(in_quotes(old["id"]) + " counted for " + leak + ", and does not any more" + why);
    if (old["converged"] == true && row["converged"] == false)
      list.push_back(in_quotes(old["id"]) + " had converged, and has not any more" + why);
  }
}

void no_more_concluded(const json& before, const json& after, List& list) {
  for (const json& old : before["verdicts"])
    for (const json& v : after["verdicts"]) {
      if (v["protection"] != old["protection"]) continue;
      for (const auto& [leak, was] : old["leaks"].items()) {
        const json is = v["leaks"].value(leak, json{{"state", kNotAsked}});
        const auto concluded = [](const json& state) { return state != kNoConclusion && state != kNotAsked; };
        if (!concluded(was["state"]) || concluded(is["state"])) continue;
        list.push_back(in_quotes(v["protection"]) + ": " + leak + " was " + was["state"].get<std::string>() +
                       ", and now there is no conclusion" +
                       (is.contains("said") && is["said"].is_string()
                            ? " (" + is["said"].get<std::string>() + ")"
                            : ""));
      }
    }
}

// What the settings say: of attackers who are still asked, as of the others the rows tell.
void less_asked_for(const json& before, const json& after, List& list) {
  const json &was = before["config"], &is = after["config"];
  for (const json& name : was.value("attributes", json::array()))
    if (const json now = is.value("attributes", json::array()); std::ranges::find(now, name) == now.end())
      list.push_back("the attribute " + name.get<std::string>() + " is not asked about any more");
  const auto asks = [](const json& config, const std::string& attacker) {
    const json all = config.value("attackers", json::array());
    return attacker == "all" || std::ranges::find(all, json(attacker)) != all.end();
  };
  for (const BudgetField& field : budget_fields()) {
    if (!std::ranges::any_of(field.of, [&](const std::string& a) { return asks(was, a) && asks(is, a); }))
      continue;
    const auto value = [&](const json& config) {
      return config.value("budget", json::object()).value(field.name, int64_t(0));
    };
    const auto much = [&](int64_t v) {  // of what may be 0 that is all
      return v == 0 && field.least == 0 ? std::numeric_limits<int64_t>::max() : v;
    };
    const int64_t old = value(was), now = value(is);
    if (much(now) < much(old))
      list.push_back("budget: " + std::string(field.name) + " is " + std::to_string(now) + ", was " +
                     (old == 0 ? "0, which is all" : std::to_string(old)));
  }
  if (before.value("converges", true) && !after.value("converges", true))
    list.push_back("size: " + after["size"].get<std::string>() + ", whose attackers have not converged");
  if (!was.value("second_recogniser", "").empty() && is.value("second_recogniser", "").empty())
    list.push_back("no second recogniser judges any more, and its own inversion deceives the deployed one");
}

}  // namespace

std::vector<std::string> weaker_attacks(const json& before, const json& after) {
  List list;
  no_more_asked(before, after, list);
  no_more_counted(before, after, list);
  no_more_concluded(before, after, list);
  less_asked_for(before, after, list);
  return list;
}

}  // namespace advf::tools
