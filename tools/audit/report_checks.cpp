#include "tools/audit/report_checks.h"

#include <algorithm>
#include <map>
#include <set>

#include "tools/audit/audit_report.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/step_command.h"

namespace advf::tools {
namespace {

using nlohmann::json;

using Ids = std::map<std::string, std::string>;  // of steps, by hash

Ids ids_of(const json& report) {
  Ids ids;
  for (const json& step : report["steps"]) ids.emplace(step["hash"], step["id"]);
  return ids;
}

Ids ids_of(const AuditPlan& plan) {
  Ids ids;
  for (const AuditStep& step : plan.steps) ids.emplace(step.hash, step.id);
  return ids;
}

std::string id_of(const std::string& hash, const Ids& ids) {
  const auto at = ids.find(hash);
  return at == ids.end() ? "" : at->second;
}

// The command with the name of a step where its hash stood, which is another with other programs.
std::string with_names(std::string command, const Ids& ids) {
  static const std::string kFolder = "/steps/";
  for (size_t at = 0; (at = command.find(kFolder, at)) != std::string::npos;) {
    at += kFolder.size();
    const size_t end = std::min(command.find('/', at), command.size());
    const std::string id = id_of(command.substr(at, end - at), ids);
    if (!id.empty()) command.replace(at, end - at, "[" + id + "]");
  }
  return command;
}

// Those that pairs need.
std::vector<bool> wanted_steps(const AuditPlan& plan) {
  std::vector<bool> wanted(plan.steps.size());
  for (const AuditPair& pair : plan.pairs) wanted[size_t(pair.step)] = true;
  for (size_t i = wanted.size(); i-- > 0;)  // each stands behind those that it needs
    if (wanted[i])
      for (const int64_t before : plan.steps[i].needs()) wanted[size_t(before)] = true;
  return wanted;
}

std::vector<std::string> wrong_failures(const json& report, const AuditPlan& plan) {
  std::vector<std::string> wrong;
  std::set<std::pair<std::string, std::string>> told, open;
  for (const json& f : report["failed"]) told.emplace(f["step"], f["hash"]);
  const std::vector<bool> wanted = wanted_steps(plan);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const json& step = report["steps"][i];
    if (wanted[i] && step["seconds"].is_null()) open.emplace(step["id"], step["hash"]);
  }
  if (told != open) wrong.push_back("`failed` does not hold the steps that were not run");
  json unmeasured = json::array();
  for (const AuditPair& pair : plan.pairs)
    if (report["steps"][size_t(pair.step)]["seconds"].is_null())
      unmeasured.push_back({{"protection", pair.protection}, {"attacker", pair.attacker}});
  if (report["unmeasured"] != unmeasured)
    wrong.push_back("`unmeasured` does not hold the pairs whose step was not run");
  return wrong;
}

}  // namespace

bool names_programs(const json& report) { return report.contains("programs"); }

std::vector<std::string> other_programs(const json& report, const AuditPlan& plan) {
  std::vector<std::string> others;
  if (!names_programs(report)) return others;
  const json here = programs_json(plan);
  for (const auto& [name, digest] : here.items())
    if (report["programs"].value(name, "") != digest) others.push_back("advface-" + name);
  return others;
}

std::vector<std::string> wrong_steps(const json& report, const AuditConfig& config, const AuditFacts& facts,
                                     const AuditPlan& plan) {
  const json& steps = report["steps"];
  if (steps.size() != plan.steps.size())
    return {"there are " + std::to_string(steps.size()) + ", and " + std::to_string(plan.steps.size()) +
            " are planned"};
  std::vector<std::string> wrong;
  if (names_programs(report)) {
    std::vector<AuditStep> hashed = plan.steps;
    for (const auto& [name, digest] : plan.programs)
      if (!report["programs"].contains(name)) wrong.push_back("no digest of advface-" + name + " is named");
    if (!wrong.empty()) return wrong;
    hash_steps(hashed, config, facts, report["programs"].get<ProgramDigests>());
    for (size_t i = 0; i < hashed.size(); ++i)
      if (steps[i]["hash"] != hashed[i].hash) wrong.push_back("the hash of " + hashed[i].id);
  }
  const Ids told = ids_of(report), planned = ids_of(plan);
  for (size_t i = 0; i < steps.size(); ++i) {
    const AuditStep& step = plan.steps[i];
    if (steps[i]["id"] != step.id) {
      wrong.push_back("the name of " + step.id);
      continue;
    }
    if (report.contains("data_folder") &&
        with_names(steps[i]["command"], told) != with_names(pasted_command(plan, int64_t(i)), planned))
      wrong.push_back("the command of " + step.id);
    std::vector<std::string> needs, needed;
    for (const json& hash : steps[i]["needs"]) needs.push_back(id_of(hash, told));
    for (const int64_t n : step.needs()) needed.push_back(plan.steps[size_t(n)].id);
    if (needs != needed) wrong.push_back("what " + step.id + " needs");
  }
  for (std::string& failure : wrong_failures(report, plan)) wrong.push_back(std::move(failure));
  return wrong;
}

std::vector<std::string> wrong_rows(const json& report, const AuditConfig& config, const AuditPlan& plan) {
  std::vector<std::string> wrong;
  std::set<std::string> names;
  std::set<const AuditPair*> with_rows;
  std::map<std::string, const json*> steps;
  for (const json& step : report["steps"]) steps[step["id"]] = &step;
  for (const json& row : report["rows"]) {
    const std::string id = row["id"];
    if (!names.insert(id).second) wrong.push_back(id + " is there twice");
    if (id != row_id(row, config.budget.seeds > 1)) wrong.push_back(id + " is called otherwise");
    // A reference stands beside an attacker, whose step has looked at it as well.
    const json& attacker = row[row["features"] == "none" ? "variant" : "attacker"];
    const auto pair = std::ranges::find_if(plan.pairs, [&](const AuditPair& p) {
      return p.protection == row["protection"] && p.attacker == attacker && p.seed == row["seed"];
    });
    if (pair == plan.pairs.end()) {
      wrong.push_back(id + " is of no pair that was planned");
      continue;
    }
    with_rows.insert(&*pair);
    const auto step = steps.find(plan.steps[size_t(pair->step)].id);
    if (step == steps.end() || (*step->second)["hash"] != row["step"] ||
        (*step->second)["command"] != row["command"] || (*step->second)["seconds"] != row["seconds"])
      wrong.push_back(id + " is not of its step");
  }
  for (const AuditPair& pair : plan.pairs) {
    const auto step = steps.find(plan.steps[size_t(pair.step)].id);
    if (step != steps.end() && !(*step->second)["seconds"].is_null() && !with_rows.contains(&pair))
      wrong.push_back(pair.protection + ", " + pair.attacker + " was measured, and has no row");
  }
  return wrong;
}

}  // namespace advf::tools
