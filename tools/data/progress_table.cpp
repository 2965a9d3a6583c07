#include "tools/data/progress_table.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "advface/core/feature_file.h"
#include "advface/core/json_text.h"
#include "advface/core/text_file.h"
#include "tensor/io/process.h"
#include "tools/options/part.h"
#include "tools/options/part_progress.h"

namespace advf::tools {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kSilent = 60;  // seconds without a word

// What the file of a part says of it; nothing for a result in JSON that is beside a part.
std::optional<FeaturePart> described_part(const std::string& path) {
  if (fs::path(path).extension() == ".npy") return open_feature_file(path, OtherSalts::taken).info.part;
  const json root = parse_json(read_text(path), path);
  return root.is_object() && root.value("format", json()) == kResultPart ? part_in(root, path) : std::nullopt;
}

json finished(const std::string& path, const Part& part, const std::optional<FeaturePart>& described) {
  check(described && described->number == part.number && described->of == part.of, path,
        ": is not the part that its name says; remove or rename it");
  const int64_t rows = described->end - described->first;
  return {{"part", part.number}, {"state", "done"}, {"done", rows}, {"total", rows}};
}

json under_way(const std::string& path, const Part& part) {
  const json told = parse_json(read_text(path), path);
  const auto number = [&](const char* key) {
    check(told.is_object() && told.contains(key) && told[key].is_number() && told[key] >= 0, path,
          ": has no number \"", key, "\"; remove it");
    return told[key].get<double>();
  };
  const auto text = [&](const char* key) {
    check(told.is_object() && told.contains(key) && told[key].is_string(), path, ": has no text \"", key,
          "\"; remove it");
    return told[key].get<std::string>();
  };
  check(text("format") == "advface-progress-1", path, ": is no progress of this version; remove it");
  const double done = number("done"), seconds = number("seconds");
  const int64_t silent = std::max<int64_t>(0, int64_t(std::time(nullptr)) - int64_t(number("at")));
  const auto process = int64_t(number("process"));
  // Of another machine's processes nobody knows but by what they tell.
  const bool died = text("host") == host_name() && !is_running(pid_t(process));
  const bool running = text("state") == "running" && !died;
  json row = {
      {"part", part.number},   {"state", !running ? "stopped" : silent >= kSilent ? "silent" : "running"},
      {"done", int64_t(done)}, {"total", int64_t(number("total"))},
      {"unit", text("unit")},  {"host", text("host")},
      {"process", process},    {"seconds_silent", silent}};
  if (row["state"] == "running") row["per_second"] = seconds > 0 ? done / seconds : 0.0;
  return row;
}

json run_of(const std::string& out, const std::map<int64_t, json>& parts, int64_t of) {
  json run = {{"out", out}, {"parts", of}, {"each", json::array()}};
  int64_t done = 0, total = 0;
  double rate = 0, left = 0;
  bool known = true;  // when it ends
  for (int64_t i = 1; i <= of; ++i) {
    const auto found = parts.find(i);
    json row = found != parts.end() ? found->second : json{{"part", i}, {"state", "missing"}};
    if (row["state"] == "running") {
      const double speed = row["per_second"], rest = row["total"].get<double>() - row["done"].get<double>();
      rate += speed;
      known = known && (speed > 0 || rest == 0);
      if (speed > 0) left = std::max(left, rest / speed);
    } else if (row["state"] != "done") {
      known = false;
    }
    done += row.value("done", int64_t(0)), total += row.value("total", int64_t(0));
    run["each"].push_back(std::move(row));
  }
  run.update({{"done", done}, {"total", total}, {"per_second", rate}, {"seconds_left", nullptr}});
  if (known) run["seconds_left"] = left;
  return run;
}

std::string percent(const json& row) {
  const double total = row["total"];
  return short_number(total > 0 ? std::floor(1000 * row["done"].get<double>() / total) / 10 : 100) + " %";
}

}  // namespace

json progress_of_parts(const std::string& folder) {
  check(fs::is_directory(folder), folder, ": is no folder");
  struct Run {
    std::map<int64_t, json> parts;
    std::set<int64_t> counts;
  };
  std::map<std::string, Run> runs;
  for (const auto& entry : fs::directory_iterator(folder)) {
    fs::path file = entry.path();
    const bool going = file.extension() == kProgressEnding;
    if (going) file.replace_extension();
    const bool rows = file.extension() == ".npy";
    const auto name = rows || file.extension() == ".json" ? part_name(file.string()) : std::nullopt;
    if (!name) continue;
    const auto described = going ? std::nullopt : described_part(file.string());
    if (!going && !rows && !described) continue;
    Run& run = runs[name->out];
    run.counts.insert(name->part.of);
    std::error_code none;
    // An output of before lies there until the part that is made anew is whole.
    if (going || !fs::exists(file.string() + kProgressEnding, none))
      run.parts[name->part.number] = going ? under_way(entry.path().string(), name->part)
                                           : finished(file.string(), name->part, described);
  }
  check(!runs.empty(), folder, ": there is no part of a run (as features.1-of-4.npy); --part i/n makes them");
  json list = json::array();
  for (const auto& [out, run] : runs) {
    check(run.counts.size() == 1, out, ": there are parts of ", *run.counts.begin(), " and of ",
          *run.counts.rbegin(), "; remove those that are not meant");
    list.push_back(run_of(out, run.parts, *run.counts.begin()));
  }
  return {{"kind", "progress"}, {"runs", list}};
}

void print_progress(const json& result) {
  constexpr size_t kShown = 40;  // of those that are done no more are listed
  for (const json& run : result["runs"]) {
    std::map<std::string, int64_t> states;
    std::string unit;
    for (const json& row : run["each"]) {
      ++states[row["state"]];
      if (unit.empty()) unit = row.value("unit", "");
    }
    std::printf("%s: %s of the parts that are known (%lld of %lld%s%s)",
                run["out"].get<std::string>().c_str(), percent(run).c_str(),
                static_cast<long long>(run["done"].get<int64_t>()),
                static_cast<long long>(run["total"].get<int64_t>()), unit.empty() ? "" : " ", unit.c_str());
    for (const auto& [state, count] : states)
      std::printf(", %lld %s", static_cast<long long>(count), state.c_str());
    if (run["per_second"] > 0) std::printf(", %s/s", short_number(run["per_second"]).c_str());
    if (run["seconds_left"].is_number() && run["seconds_left"] > 0)
      std::printf(", %s left", short_duration(run["seconds_left"]).c_str());
    std::printf("\n");
    size_t shown = 0;
    for (const json& row : run["each"]) {
      const std::string state = row["state"];
      if (state == "done" && ++shown > kShown) continue;
      std::printf("  %lld/%lld %s", static_cast<long long>(row["part"].get<int64_t>()),
                  static_cast<long long>(run["parts"].get<int64_t>()), state.c_str());
      if (row.contains("total") && state != "done") std::printf(" %s", percent(row).c_str());
      if (row.contains("per_second")) std::printf(", %s/s", short_number(row["per_second"]).c_str());
      if (row.contains("host"))
        std::printf(", process %lld on %s", static_cast<long long>(row["process"].get<int64_t>()),
                    row["host"].get<std::string>().c_str());
      if (state == "silent")
        std::printf(", nothing heard for %s", short_duration(row["seconds_silent"]).c_str());
      if (state == "silent" || state == "stopped" || state == "missing")
        std::printf(": run it with --part %lld/%lld", static_cast<long long>(row["part"].get<int64_t>()),
                    static_cast<long long>(run["parts"].get<int64_t>()));
      std::printf("\n");
    }
  }
}

}  // namespace advf::tools
