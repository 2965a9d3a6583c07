// advface-audit verify, sign and new-key: whether a report is what its author made, and whether its numbers
// come out again.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>

#include "advface/core/text_file.h"
#include "advface/keys/signature.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/input_file.h"
#include "tools/audit/audit.h"
#include "tools/audit/audit_facts.h"
#include "tools/audit/audit_groups.h"
#include "tools/audit/audit_people.h"
#include "tools/audit/audit_plan.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/step_command.h"
#include "tools/audit/step_runner.h"

namespace advf::tools {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr uint64_t kMostReportBytes = uint64_t(1) << 30;

// The settings of the report, as its author's file had them.
AuditConfig config_of(const json& report, const std::string& path) {
  check(report.contains("config"), path, ": lacks its settings");
  return parse_audit_config(report["config"].dump(), path, fs::current_path().string());
}

// One line each; whether all are as they were.
bool check_inputs(const json& report, const AuditConfig& config, const Context& context, json& told) {
  bool same = !report["inputs"].empty();
  if (!same) std::printf("inputs: NONE are named, so that nothing can be compared\n");
  for (const json& input : report["inputs"]) {
    const std::string path = input["path"], digest = input["digest"];
    std::string now;
    try {
      now = path == config.faces.images ? digest_of_images(config.faces.open_images(context), context)
                                        : digest_of_file(path);
    } catch (const Error& e) {
      now = e.what();
    }
    same &= now == digest;
    told.push_back({{"path", path}, {"same", now == digest}});
    std::printf("%s: %s\n", path.c_str(),
                now == digest                                                 ? "as it was"
                : now.find(':') == std::string::npos || now.starts_with(path) ? now.c_str()
                                                                              : "CHANGED");
  }
  return same;
}

// Whether the report is what was written, as far as it says so itself.
bool check_digest(const json& report, bool is_signed) {
  const bool named = report.contains("digest"), same = is_as_written(report);
  std::printf("digest: %s\n",
              same        ? "the report is as it was written"
              : named     ? "the report IS NOT as it was written: somebody changed it"
              : is_signed ? "none, as in reports of older versions; the signature binds the report"
                          : "NONE: somebody took it away, or the report is of an older version, and nothing "
                            "binds its rows, groups, dates and times");
  return same || (!named && is_signed);
}

// Keys that follow from others, made again. Older reports have fewer keys.
bool check_keys(const json& report, const json& again, const char* from) {
  bool good = true;
  for (const auto& [key, value] : again.items()) {
    if (!report.contains(key)) continue;
    const bool same = report[key] == value;
    good &= same;
    std::printf("%s: %s\n", key.c_str(),
                (same ? std::string("as it follows from ") + from
                      : std::string("DOES NOT follow from ") + from + " by the rules of this program")
                    .c_str());
  }
  return good;
}

// The file of people beside it; a report goes without one, but not with another's.
bool check_people(const json& report, const std::string& path) {
  const ReportPeople people = people_of(report, path);
  std::error_code none;
  const bool there = fs::exists(fs::path(path).parent_path() / kPeopleFile, none);
  const bool good = people.values || !report.contains("people") || !there;
  std::printf("people: %s\n", people.values ? "as they were" : people.why_not.c_str());
  return good;
}

const json* row_of(const VerifyCall& call, const json& report) {
  std::vector<std::string> known;
  for (const json& r : report["rows"]) {
    if (r["id"] == call.rerun) return &r;
    known.push_back(r["id"]);
  }
  as_usage(
      [&] { fail("--rerun ", call.rerun, ": the report has no such row", known_names(call.rerun, known)); });
  return nullptr;
}

// What is planned with the report's settings here and now.
struct Planned {
  AuditFacts facts;
  AuditPlan plan;
  Planned(const json& report, const AuditConfig& config, const Context& context)
      : facts(audit_facts(config, context)),
        plan(make_audit_plan(config, facts, programs_folder(),
                             {report.value("device", "cpu"), report.value("precision", "f32")})) {}
};

// That pairs were left unmeasured is told by their steps as well, no step is there that was not planned, and
// commands are those of the plan: of programs as they are here, which the hash of a step tells.
bool check_steps(const json& report, const AuditPlan& plan) {
  std::map<std::string, const json*> steps;
  for (const json& step : report["steps"]) steps[step["id"]] = &step;
  bool same = steps.size() == plan.steps.size();
  std::map<std::string, json> commands;
  for (int64_t i = 0; i < int64_t(plan.steps.size()); ++i)
    commands[plan.steps[size_t(i)].hash] = pasted_command(plan, i);
  if (report.contains("data_folder"))
    for (const char* list : {"rows", "steps"})
      for (const json& one : report[list]) {
        const auto at = commands.find(one[list == std::string("rows") ? "step" : "hash"]);
        same &= at == commands.end() || at->second == one["command"];
      }
  json unmeasured = json::array();
  for (const AuditPair& pair : plan.pairs) {
    const auto at = steps.find(plan.steps[size_t(pair.step)].id);
    same &= at != steps.end();
    if (at != steps.end() && (*at->second)["seconds"].is_null())
      unmeasured.push_back({{"protection", pair.protection}, {"attacker", pair.attacker}});
  }
  same &= report["unmeasured"] == unmeasured;
  std::printf("steps: %s\n", same ? "as they were planned" : "ARE NOT those that follow from the settings");
  return same;
}

// Of the pair that a row is of, whose step was made again: what the report says of groups.
bool check_groups(const json& report, const AuditPair& pair, const json& again) {
  size_t told = 0, same = 0;
  for (const json& group : report["groups"]) {
    if (group["protection"] != pair.protection || group["attacker"] != pair.attacker) continue;
    ++told;
    same += std::ranges::find(again, group) != again.end();
  }
  if (told > 0) std::printf("groups: %zu of %zu come again\n", same, told);
  return same == told;
}

// The step of one row again, and whether its numbers are those of the report.
bool rerun(const VerifyCall& call, const json& report, const AuditConfig& config, const AuditPlan& plan,
           const Context& context) {
  const json* row = row_of(call, report);
  const std::string folder = fs::temp_directory_path() / ("advface-audit-" + std::to_string(getpid()));
  StepRunner runner(plan, folder, programs_folder(), call.common.threads);
  struct Removed {
    std::string folder;
    ~Removed() {
      std::error_code none;
      fs::remove_all(folder, none);
    }
  } removed{folder};
  // Whatever lies in a cache: the step that the row came of is made anew, and all that it needs. Steps are
  // found by their names: hashes are others where the programs are newer.
  std::string id;
  for (const json& step : report["steps"])
    if (step["hash"] == (*row)["step"]) id = step["id"];
  const auto pair = std::ranges::find_if(
      plan.pairs, [&](const AuditPair& p) { return plan.steps[size_t(p.step)].id == id; });
  check(pair != plan.pairs.end(), call.report, ": the step of the row ", call.rerun,
        " is not among its steps");
  runner.run({pair - plan.pairs.begin()}, context);
  for (const auto& [step, why] : runner.failures()) fail(plan.steps[size_t(step)].id, ": ", why);
  for (const json& again : audit_rows(config, plan, runner)) {
    if (again["id"] != call.rerun) continue;
    bool same =
        pair->seed != int64_t(config.seed) || check_groups(report, *pair, audit_groups(config, plan, runner));
    for (const auto& [name, value] : (*row)["measures"].items()) {
      if (name == "ms") continue;
      const double was = value["mean"], is = again["measures"].contains(name)
                                                 ? again["measures"][name]["mean"].get<double>()
                                                 : NAN;
      same &= was == is;
      std::printf("%s: %.9g, was %.9g%s\n", name.c_str(), is, was, was == is ? "" : "  DIFFERS");
    }
    return same;
  }
  fail(call.report, ": the row ", call.rerun, " did not come of its step again");
}

}  // namespace

int audit_verify(VerifyCall& call) {
  call.common.activate();
  install_interrupt_handler();
  as_usage([&] {
    check(call.signature.empty() == call.public_key.empty(), "--signature and --public-key belong together");
  });
  const Context context = console();
  const json report = read_audit_report(call.report);
  if (!call.rerun.empty()) row_of(call, report);
  json told = {{"report", call.report}, {"inputs", json::array()}};
  if (!call.signature.empty()) {
    check_signature(read_file(call.report, kMostReportBytes), read_text(call.signature), call.signature,
                    call.public_key);
    std::printf("signature: goes with the report and the key of %s\n", call.public_key.c_str());
    told["signature"] = true;
  }
  const AuditConfig config = config_of(report, call.report);
  bool good = check_digest(report, !call.signature.empty());
  told["digest"] = report.contains("digest") ? json(good) : json();
  told["verdicts"] = check_keys(report, concluded_keys(config, report), "the rows");
  good &= told["verdicts"].get<bool>();
  told["people"] = check_people(report, call.report);
  good &= told["people"].get<bool>();
  const bool inputs = check_inputs(report, config, context, told["inputs"]);
  good &= inputs;
  // Without the inputs nobody can tell what follows from them.
  if (inputs || !call.rerun.empty()) {
    const Planned here(report, config, context);
    told["planned"] = check_keys(report, planned_keys(config, here.facts, here.plan), "settings and inputs");
    good &= told["planned"].get<bool>();
    good &= check_steps(report, here.plan);
    if (!call.rerun.empty()) {
      told["rerun"] = rerun(call, report, config, here.plan, context);
      good &= told["rerun"].get<bool>();
    }
  }
  told["good"] = good;
  call.common.write_json(told);
  std::cout << (good ? "The report is intact.\n"
                     : "The report is not what was made, or not as it is here.\n");
  if (call.signature.empty())
    std::cout << "Without a signature nothing tells who made it, and when: whoever changes rows and all that "
                 "follows from them is found by --rerun alone.\n";
  return good ? 0 : 1;
}

CLI::App* add_verify_verb(CLI::App& app, VerifyCall& call) {
  CLI::App* sub = app.add_subcommand("verify",
                                     "whether a report and its inputs are as they were, what it concludes "
                                     "follows from its rows, and its numbers come out again");
  sub->add_option("report", call.report, "report.json")->required();
  sub->add_option("--rerun", call.rerun,
                  "make one row again, by its id, with all that it needs, and compare");
  sub->add_option("--signature", call.signature, "what advface-audit sign wrote");
  sub->add_option("--public-key", call.public_key, "the .pub file of who signed");
  call.common.add_to(*sub);
  return sub;
}

int audit_sign(SignCall& call) {
  call.common.activate();
  read_audit_report(call.report);
  const std::string out = call.out.empty() ? call.report + ".sig" : call.out;
  const std::string signature = sign(read_file(call.report, kMostReportBytes), call.key);
  AtomicFile file(out);
  file.write(signature);
  file.commit();
  call.common.write_json({{"out", out}});
  std::cout
      << out
      << ": give it away with the report; who has the .pub file checks both with advface-audit verify\n";
  return 0;
}

CLI::App* add_sign_verb(CLI::App& app, SignCall& call) {
  CLI::App* sub = app.add_subcommand("sign", "signs a report with a key of advface-audit new-key");
  sub->add_option("report", call.report, "report.json")->required();
  sub->add_option("--signing-key", call.key, "the key")->required();
  sub->add_option("--out", call.out, "the signature (default: REPORT.sig)");
  call.common.add_to(*sub);
  return sub;
}

int audit_new_key(SignCall& call) {
  call.common.activate();
  new_signing_key(call.key);
  call.common.write_json({{"key", call.key}, {"public", call.key + ".pub"}});
  std::cout << call.key << ": keep it to yourself; " << call.key << ".pub is for everybody\n";
  return 0;
}

CLI::App* add_new_key_verb(CLI::App& app, SignCall& call) {
  CLI::App* sub =
      app.add_subcommand("new-key", "makes a key for signing reports, and its public part beside it (.pub)");
  sub->add_option("file", call.key, "the key, a new file of mode 0600")->required();
  call.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
