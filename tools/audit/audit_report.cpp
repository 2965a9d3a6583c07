#include "tools/audit/audit_report.h"

#include <algorithm>
#include <set>

#include "advface/core/json_text.h"
#include "advface/core/text_file.h"
#include "advface/core/utc_time.h"
#include "advface/keys/signature.h"
#include "advface/protections/registry.h"
#include "tools/audit/at_rest.h"
#include "tools/audit/audit_groups.h"
#include "tools/audit/audit_page.h"
#include "tools/audit/audit_people.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/audit_verdict.h"
#include "tools/audit/step_command.h"
#include "tools/options/cli.h"

namespace advf::tools {
namespace {

using nlohmann::json;

json steps_json(const AuditPlan& plan, const StepRunner& runner) {
  std::set<int64_t> trainings;  // of who attacks
  for (const AuditPair& pair : plan.pairs) trainings.insert(pair.trained);
  json list = json::array();
  for (int64_t i = 0; i < int64_t(plan.steps.size()); ++i) {
    const AuditStep& step = plan.steps[size_t(i)];
    json one = {{"id", step.id},
                {"hash", step.hash},
                {"command", pasted_command(plan, i)},
                {"expected_seconds", step.seconds}};
    json needs = json::array();
    for (const int64_t n : step.needs()) needs.push_back(plan.steps[size_t(n)].hash);
    one["needs"] = std::move(needs);
    const auto done = runner.result(i);
    one["seconds"] = done ? json(done->seconds) : json();
    one["peak_memory_bytes"] = done ? json(done->peak_memory) : json();
    if (done && trainings.contains(i)) {
      const std::string path = done->folder + "/result.json";
      one["rest"] = rest_of_training(parse_json(read_text(path), path));
    }
    list.push_back(std::move(one));
  }
  return list;
}

json shape_json(const Shape& shape) {
  json list = json::array();
  for (int64_t i = 0; i < shape.rank(); ++i) list.push_back(shape[i]);
  return list;
}

// Intervals of 95 %, of which one in twenty misses by chance.
int64_t intervals_of(const json& rows) {
  int64_t count = 0;
  for (const json& row : rows)
    for (const json& m : row["measures"]) count += m.contains("low");
  return count;
}

// Without its key none of the links can be reached.
std::string undone_by(const AuditProtection& p) {
  for (const AuditProtection::Link& link : p.links) {
    if (p.locked()) break;
    if (std::string why = link.spec()->undone_by(); !why.empty()) return why;
  }
  return "";
}

// told: whether it is said who undoes a protection, which older reports do not.
json protections_of(const AuditConfig& config, const json& rows, bool told) {
  json list = json::array();
  for (const AuditProtection& p : config.protections) {
    json one = {{"name", p.name},
                {"locked", p.locked()},
                {"key_leaked_of", p.unlocked.empty() ? json() : json(p.unlocked)}};
    if (const std::string why = told ? undone_by(p) : ""; !why.empty()) one["undone_by"] = why;
    for (const json& row : rows)
      if (row["protection"] == p.name && row.contains("protection_id"))
        one["applied"] = row["protection_id"], one["proved"] = row["proved"];
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace

json planned_keys(const AuditConfig& config, const AuditFacts& facts, const AuditPlan& plan) {
  json left_out = json::array();
  for (const AuditPlan::LeftOut& l : plan.left_out)
    left_out.push_back({{"protection", l.protection}, {"attacker", l.attacker}, {"reason", l.reason}});
  json inputs = json::array();
  for (const auto& [path, digest] : facts.digests) inputs.push_back({{"path", path}, {"digest", digest}});
  return {{"device", plan.device.device},
          {"precision", plan.device.precision},
          {"config", to_json(config)},
          {"data",
           {{"images", facts.images},
            {"train_people", facts.train_people},
            {"train_images", facts.train_images},
            {"test_people", facts.test_people},
            {"test_images", facts.test_images},
            {"cut", facts.cut},
            {"feature_shape", shape_json(facts.feature)}}},
          {"data_folder", plan.data_folder},
          {"inputs", std::move(inputs)},
          {"people_shown", plan.people_shown},
          {"left_out", std::move(left_out)}};
}

json concluded_keys(const AuditConfig& config, const json& report) {
  std::vector<std::string> names;
  for (const AuditProtection& p : config.protections) names.push_back(p.name);
  json keys = {{"size", config.size},
               {"converges", config.size_row().converges},
               {"protections", protections_of(config, report["rows"], report.contains("programs"))},
               {"intervals", intervals_of(report["rows"])},
               {"verdicts", audit_verdicts(report["rows"], names, report["unmeasured"])}};
  note_undone(keys["verdicts"], keys["protections"]);
  keys["summary"] = audit_summary(keys["verdicts"], keys);
  return keys;
}

std::string report_text(const json& report) { return json_text(report, 2) + "\n"; }

std::string report_digest(json report) {
  report.erase("digest");
  const std::string text = report_text(report);
  return digest(std::as_bytes(std::span(text)));
}

bool is_as_written(const json& report) {
  const auto at = report.find("digest");
  return at != report.end() && *at == report_digest(report);
}

AuditReport audit_report(const AuditConfig& config, const AuditFacts& facts, const AuditPlan& plan,
                         const StepRunner& runner) {
  PeopleValues values;
  json report = planned_keys(config, facts, plan);
  report["rows"] = audit_rows(config, plan, runner, &values);
  std::string people = values.text();
  report["programs"] = programs_json(plan);
  report["failed"] = json::array();
  for (const auto& [step, why] : runner.failures())
    if (!runner.result(step))  // another call may have made it meanwhile
      report["failed"].push_back(
          {{"step", plan.steps[size_t(step)].id}, {"hash", plan.steps[size_t(step)].hash}, {"reason", why}});
  report["unmeasured"] = json::array();
  for (const AuditPair& pair : plan.pairs)
    if (!runner.result(pair.step))
      report["unmeasured"].push_back({{"protection", pair.protection}, {"attacker", pair.attacker}});
  report.update(concluded_keys(config, report));
  report["format"] = kReportFormat;
  report["version"] = kReportVersion;
  report["program"] = std::string("advface-audit ") + kProgramVersion;
  report["date"] = utc_now();
  report["people"] = {{"file", kPeopleFile}, {"digest", digest(std::as_bytes(std::span(people)))}};
  report["groups"] = audit_groups(config, plan, runner);
  report["steps"] = steps_json(plan, runner);
  return {std::move(report), std::move(people)};
}

void seal(json& report, const std::string& page) {
  report["page"] = {{"file", kPageFile}, {"digest", digest(std::as_bytes(std::span(page)))}};
  report["digest"] = report_digest(report);
}

std::string own_digest() {
  static const std::string digest = digest_of_file("/proc/self/exe");
  return digest;
}

json programs_json(const AuditPlan& plan) {
  json programs = plan.programs;
  programs["audit"] = own_digest();
  return programs;
}

json read_audit_report(const std::string& path) {
  json report = parse_json(read_text(path), path);
  check(report.is_object() && report.value("format", "") == kReportFormat, path,
        ": is no report of advface-audit");
  check(report.contains("version") && report["version"].is_number_integer() &&
            report["version"] <= kReportVersion,
        path, ": is of version ", report.value("version", json()).dump(),
        ", newer than this program, which reads up to ", kReportVersion);
  for (const char* key : {"rows", "unmeasured", "verdicts", "inputs", "steps", "protections"})
    check(report.contains(key) && report[key].is_array(), path, ": lacks the list ", key);
  return report;
}

json without_times(json report) {
  report.erase("date");
  for (json& row : report["rows"]) {
    row.erase("seconds"), row.erase("command");
    row["measures"].erase("ms");
  }
  for (json& v : report["verdicts"]) v["cost"].erase("ms");
  for (json& step : report["steps"])
    step.erase("seconds"), step.erase("peak_memory_bytes"), step.erase("command"),
        step.erase("expected_seconds");
  report.erase("digest"), report.erase("page");
  report.erase("data_folder");
  report.erase("inputs");
  report.erase("config");
  return report;
}

}  // namespace advf::tools
