// advface-audit CONFIG --out DIR, and its plan.
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>

#include "tensor/io/atomic_file.h"
#include "tensor/io/file_lock.h"
#include "tensor/io/path_reason.h"
#include "tools/audit/audit.h"
#include "tools/audit/audit_facts.h"
#include "tools/audit/audit_page.h"
#include "tools/audit/audit_people.h"
#include "tools/audit/audit_plan.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/step_runner.h"
#include "tools/options/part.h"
#include "tools/options/progress.h"

namespace advf::tools {
namespace {

namespace fs = std::filesystem;

// Of the pairs, as it was given, or as who has started several of this program says. What this one starts is
// not one of several.
Part share_of(const AuditCall& call) {
  const Part share = call.share.empty() ? part_of_launcher() : parse_part("--jobs", call.share);
  forget_launcher();
  return share;
}

// One call at a time writes a report there.
class ReportFolder {
 public:
  explicit ReportFolder(const std::string& folder) {
    std::error_code failed;
    fs::create_directories(folder, failed);
    check(!failed, folder, ": ", path_reason(failed.value(), folder));
    lock_.emplace(folder + "/.lock");
    check(lock_->held(), folder, ": another audit writes there now; wait for it, or name another folder");
  }

 private:
  std::optional<FileLock> lock_;
};

void check_room(const AuditPlan& plan, const std::string& cache) {
  int64_t needed = 0;
  for (const AuditStep& step : plan.steps) needed += step.disk;
  struct statvfs there {};
  if (statvfs(cache.c_str(), &there) != 0) return;
  const int64_t free = int64_t(there.f_bavail) * int64_t(there.f_frsize);
  check(free > needed + (int64_t(64) << 20), cache, ": has ", free >> 20,
        " MiB free, and this audit needs about ", (needed >> 20) + 64,
        "; make room, or name another folder with --cache");
}

std::string mebibytes(int64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20); }

void print_plan(const AuditPlan& plan, const AuditFacts& facts, const AuditConfig& config,
                const AuditDevice& device) {
  if (config.budget.images > 0 && facts.images > config.budget.images)
    std::printf(
        "more photographs than the budget's %lld: people come whole, and of each part ten who have several\n",
        static_cast<long long>(config.budget.images));
  std::printf(
      "%lld photographs; trained on %lld people, tested on %lld (%lld photographs), features %s at %s\n",
      static_cast<long long>(facts.images), static_cast<long long>(facts.train_people),
      static_cast<long long>(facts.test_people), static_cast<long long>(facts.test_images),
      facts.feature.str().c_str(), facts.cut.c_str());
  std::printf("%-28s %-14s %8s %10s %9s  %s\n", "protection", "attacker", "time", "memory MiB", "disk MiB",
              "judged by");
  std::vector<bool> counted(plan.steps.size());
  for (const AuditPair& pair : plan.pairs) {
    // What it needs belongs to the pair that needs it first.
    double seconds = 0;
    int64_t memory = 0, disk = 0;
    const std::function<void(int64_t)> count = [&](int64_t number) {
      if (counted[size_t(number)]) return;
      counted[size_t(number)] = true;
      const AuditStep& step = plan.steps[size_t(number)];
      seconds += step.seconds, disk += step.disk;
      memory = std::max(memory, step.memory);
      for (const int64_t before : step.needs()) count(before);
    };
    count(pair.step);
    const bool pictures = plan.steps[size_t(pair.step)].words[0].text == "reconstruction";
    const std::string judges = pictures ? std::string("pixels, the deployed recogniser") +
                                              (config.second_recogniser.empty() ? "" : ", the second")
                               : pair.attacker == kAccuracy ? "pairs of photographs"
                               : pair.attacker == kStored   ? "bytes and time"
                                                            : "its own";
    std::printf("%-28s %-14s %8s %10s %9s  %s\n",
                (pair.protection + (config.budget.seeds > 1 ? " #" + std::to_string(pair.seed) : "")).c_str(),
                pair.attacker.c_str(), short_duration(seconds).c_str(), mebibytes(memory).c_str(),
                mebibytes(disk).c_str(), judges.c_str());
  }
  for (const AuditPlan::LeftOut& l : plan.left_out)
    std::printf("left out: %s, %s: %s\n", in_quotes(l.protection).c_str(), l.attacker.c_str(),
                l.reason.c_str());
  std::printf("%zu steps, about %s on this machine (%s)\n", plan.steps.size(),
              short_duration(plan.seconds()).c_str(), device.text().c_str());
}

void write_file(const std::string& path, const std::string& bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_report(const AuditCall& call, const AuditConfig& config, const AuditFacts& facts,
                  const AuditPlan& plan, const StepRunner& runner) {
  auto [report, people] = audit_report(config, facts, plan, runner);
  std::optional<PagePictures> pictures;
  if (!call.without_pictures) pictures.emplace(report, plan, runner);
  const std::string page = audit_page(report, pictures ? &*pictures : nullptr);
  seal(report, page);
  write_file(call.out + "/" + kPageFile, page);
  write_file(call.out + "/audit.json", json_text(report["config"], 2) + "\n");
  write_file(call.out + "/" + kPeopleFile, people);
  write_file(call.out + "/report.json", report_text(report));
  call.common.write_json(report);
  for (const auto& sentence : report["summary"]) std::cout << sentence.get<std::string>() << "\n";
  std::cout << std::endl;
  for (const auto& v : report["verdicts"])
    std::printf("%-14s %s\n", v["verdict"].get<std::string>().c_str(),
                v["sentence"].get<std::string>().c_str());
  std::printf("\nreport: %s/report.html (for people), %s/report.json (for programs)\n", call.out.c_str(),
              call.out.c_str());
}

}  // namespace

int audit_plan(AuditCall& call) {
  call.common.activate();
  install_interrupt_handler();
  share_of(call);
  const AuditConfig config = call.read();
  const AuditFacts facts = audit_facts(config, console());
  const AuditDevice device{call.common.device, call.common.precision};
  const AuditPlan plan = make_audit_plan(config, facts, programs_folder(), device);
  print_plan(plan, facts, config, device);
  return 0;
}

int audit_run(AuditCall& call) {
  call.common.activate();
  install_interrupt_handler();
  const Part share = share_of(call);
  as_usage([&] { check(!call.out.empty() || !share.whole(), "--out names the folder of the report"); });
  const AuditConfig config = call.read();
  const std::string cache = call.cache_folder(), programs = programs_folder();
  as_usage([&] {
    if (!call.out.empty()) check_not_among("--out", call.out, true, config.faces.images);
    check_not_among("--cache", cache, true, config.faces.images);
  });
  const Context context = console();
  const AuditFacts facts = audit_facts(config, context);
  const AuditPlan plan =
      make_audit_plan(config, facts, programs, {call.common.device, call.common.precision});
  StepRunner runner(plan, cache, programs, call.common.threads);
  check_room(plan, cache);
  std::optional<ReportFolder> folder;
  if (share.whole()) folder.emplace(call.out);
  std::vector<int64_t> mine;
  for (int64_t i = 0; i < int64_t(plan.pairs.size()); ++i)
    if (i % share.of == share.number - 1) mine.push_back(i);
  runner.run(mine, context);
  if (share.whole()) write_report(call, config, facts, plan, runner);
  for (const auto& [step, why] : runner.failures())
    std::cerr << "failed: " << plan.steps[size_t(step)].id << ": " << why << "\n";
  return runner.failures().empty() ? 0 : 1;
}

}  // namespace advf::tools
