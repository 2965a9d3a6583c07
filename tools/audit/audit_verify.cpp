// advface-audit verify: whether a report is what its author made, and whether its numbers come out again.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "advface/core/text_file.h"
#include "advface/keys/signature.h"
#include "tensor/io/input_file.h"
#include "tools/audit/audit.h"
#include "tools/audit/audit_groups.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/report_verification.h"
#include "tools/audit/step_runner.h"

namespace advf::tools {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// The row that is made again; null where it is a step that failed. Anything else is a wrong call.
const json* row_of(const VerifyCall& call, const json& report) {
  std::vector<std::string> known;
  for (const json& r : report["rows"]) {
    if (r["id"] == call.rerun) return &r;
    known.push_back(r["id"]);
  }
  for (const json& f : report.value("failed", json::array())) {
    if (f["step"] == call.rerun) return nullptr;
    known.push_back(f["step"]);
  }
  as_usage([&] {
    fail("--rerun ", call.rerun, ": the report has no such row, and no such step failed",
         known_names(call.rerun, known));
  });
  return nullptr;
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

// The numbers of a row that was made again, and all else that it says, times aside.
bool check_row(const json& was, const json& is) {
  bool same = true;
  for (const auto& [name, value] : was["measures"].items()) {
    if (name == "ms") continue;
    const json now = is["measures"].value(name, json::object());
    same &= now == value;
    std::printf("%s: %.9g, was %.9g%s%s\n", name.c_str(), now.value("mean", NAN), value.value("mean", NAN),
                now == value ? "" : "  DIFFERS",
                now != value && now.value("mean", json()) == value["mean"] ? " in its interval" : "");
  }
  const auto rest = [](json row) {
    for (const char* key : {"measures", "seconds", "command", "step"}) row.erase(key);
    return row;
  };
  const json before = rest(was), after = rest(is);
  for (const auto& [key, value] : before.items())
    if (after.value(key, json()) != value) {
      same = false;
      std::printf("%s: is %s, was %s  DIFFERS\n", key.c_str(), after.value(key, json()).dump().c_str(),
                  value.dump().c_str());
    }
  const auto lacks = [&](const json& before_all, const json& after_all, const std::string& where) {
    for (const auto& [key, value] : after_all.items())
      if (!before_all.contains(key)) {
        same = false;
        std::printf("%s%s: %s, and the report has none  DIFFERS\n", where.c_str(), key.c_str(),
                    value.dump().c_str());
      }
  };
  lacks(before, after, ""), lacks(was["measures"], is["measures"], "measures: ");
  return same;
}

// A cache of its own, which is gone at the end: whatever lies in another, all is made anew.
struct FreshCache {
  const std::string folder = fs::temp_directory_path() / ("advface-audit-" + std::to_string(getpid()));
  ~FreshCache() {
    std::error_code none;
    fs::remove_all(folder, none);
  }
};

// A step that failed, with all that it needs; whether it fails here as well.
bool rerun_failed(const VerifyCall& call, const AuditPlan& plan, const Context& context) {
  const auto step = std::ranges::find(plan.steps, call.rerun, &AuditStep::id);
  check(step != plan.steps.end(), call.report, ": the step ", call.rerun, " is not planned");
  const int64_t number = step - plan.steps.begin();
  // Steps are run for pairs: its own, or the first that needs it.
  const auto needs = [&](int64_t from, const auto& self) -> bool {
    return from == number || std::ranges::any_of(plan.steps[size_t(from)].needs(),
                                                 [&](int64_t before) { return self(before, self); });
  };
  auto pair = std::ranges::find(plan.pairs, number, &AuditPair::step);
  if (pair == plan.pairs.end())
    pair = std::ranges::find_if(plan.pairs, [&](const AuditPair& p) { return needs(p.step, needs); });
  check(pair != plan.pairs.end(), call.report, ": nobody needs the step ", call.rerun);
  const FreshCache cache;
  StepRunner runner(plan, cache.folder, programs_folder(), call.common.threads);
  runner.run({pair - plan.pairs.begin()}, context);
  const auto failed = runner.failures().find(number);
  if (failed == runner.failures().end())
    std::printf("%s: the report says that it failed, and here it DOES NOT\n", call.rerun.c_str());
  else
    std::printf("%s: fails here as well: %s\n", call.rerun.c_str(), failed->second.c_str());
  return failed != runner.failures().end();
}

// The step of one row again, and whether its numbers are those of the report.
bool rerun(const VerifyCall& call, const json& report, const Verification& v, const Context& context) {
  const AuditConfig& config = v.config;
  const AuditPlan& plan = v.here->plan;
  const json* row = row_of(call, report);
  if (!row) return rerun_failed(call, plan, context);
  const FreshCache cache;
  StepRunner runner(plan, cache.folder, programs_folder(), call.common.threads);
  // Steps are found by their names: hashes are others where the programs are newer.
  std::string id;
  for (const json& step : report["steps"])
    if (step["hash"] == (*row)["step"]) id = step["id"];
  const auto pair = std::ranges::find_if(
      plan.pairs, [&](const AuditPair& p) { return plan.steps[size_t(p.step)].id == id; });
  check(pair != plan.pairs.end(), call.report, ": the step of the row ", call.rerun,
        " is not among its steps");
  // Whether it counts is told by how the same attacker does on raw features.
  std::vector<int64_t> pairs{pair - plan.pairs.begin()};
  if (const AuditPair* raw = pair_on_raw(config, plan, *pair)) pairs.push_back(raw - plan.pairs.data());
  runner.run(pairs, context);
  for (const auto& [step, why] : runner.failures()) fail(plan.steps[size_t(step)].id, ": ", why);
  for (const json& again : audit_rows(config, plan, runner)) {
    if (again["id"] != call.rerun) continue;
    const bool groups =
        pair->seed != int64_t(config.seed) || check_groups(report, *pair, audit_groups(config, plan, runner));
    return check_row(*row, again) && groups;
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
  const bool is_signed = !call.signature.empty();
  if (is_signed) {
    check_signature(read_file(call.report, kMostReportBytes), read_text(call.signature), call.signature,
                    call.public_key);
    std::printf("signature: goes with the report and the key of %s\n", call.public_key.c_str());
  }
  Verification v = verify_report(report, call.report, call.data, is_signed, !call.rerun.empty(), context);
  if (is_signed) v.told["signature"] = true;
  if (!call.rerun.empty() && v.here) {
    const bool again = rerun(call, report, v, context);
    v.told["rerun"] = again;
    v.good &= again;
  }
  v.told["good"] = v.good, v.told["not_compared"] = v.reserved, v.told["on_trust"] = taken_on_trust();
  call.common.write_json(v.told);
  for (const std::string& what : v.reserved) std::cout << "not compared: " << what << "\n";
  for (const std::string& what : taken_on_trust())
    std::cout << (is_signed ? "not compared, on the word of who signed: " : "not compared, in any report: ")
              << what << "\n";
  std::cout << (!v.good              ? "The report is not what was made, or not as it is here.\n"
                : v.reserved.empty() ? "The report is intact.\n"
                                     : "The report is intact as far as it could be compared.\n");
  if (!is_signed)
    std::cout << "Without a signature nothing tells who made it, and when: whoever changes rows and all that "
                 "follows from them is found by --rerun alone.\n";
  return !v.good ? 1 : v.reserved.empty() ? 0 : kNotAllCompared;
}

CLI::App* add_verify_verb(CLI::App& app, VerifyCall& call) {
  CLI::App* sub = app.add_subcommand("verify",
                                     "whether a report and its inputs are as they were, what it concludes "
                                     "follows from its rows, and its numbers come out again");
  sub->add_option("report", call.report, "report.json")->required();
  sub->add_option("--rerun", call.rerun,
                  "make one row again, by its id, or a step that failed, by its name, with all that it "
                  "needs, and compare");
  sub->add_option("--data", call.data,
                  "folder that the inputs lie in now, where it is not the report's data_folder any more");
  sub->add_option("--signature", call.signature, "what advface-audit sign wrote");
  sub->add_option("--public-key", call.public_key, "the .pub file of who signed");
  call.common.add_to(*sub);
  sub->footer(
      "Exit codes: 0 intact; 1 changed, or it failed; 2 called wrongly; 3 nothing contradicts, but not "
      "everything that is\n"
      "compared could be: \"not compared:\" says what, and why (absent inputs, other programs, steps that "
      "failed).");
  return sub;
}

}  // namespace advf::tools
