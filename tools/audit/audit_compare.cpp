// advface-audit compare BEFORE AFTER: what changed between two audits, and whether a protection got worse.
#include <cmath>
#include <cstdio>
#include <iostream>
#include <optional>

#include "tools/audit/audit.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/audit_rows.h"

namespace advf::tools {
namespace {

using nlohmann::json;

// Half of the interval, as a deviation; of both ends, as intervals of shares are lopsided.
double deviation(const json& value) {
  return value.contains("low") ? (value["high"].get<double>() - value["low"].get<double>()) / (2 * 1.96) : 0;
}

struct Change {
  std::string id, leak, measure;
  double before = 0, after = 0, low = 0, high = 0;  // low, high: of after - before
  bool worse = false;
};

const json* row_of(const json& report, const std::string& id) {
  for (const json& row : report["rows"])
    if (row["id"] == id) return &row;
  return nullptr;
}

// Of every measure by which a verdict goes, of rows that both have. Both were measured on their own: the
// deviations of the difference add up.
std::vector<Change> changes(const json& before, const json& after, double threshold) {
  std::vector<Change> list;
  for (const json& row : after["rows"]) {
    const json* old = row_of(before, row["id"]);
    if (!old || row["features"] != "protected") continue;
    for (const LeakMeasure& m : leak_measures()) {
      if (!row["counts"].contains(m.leak) || !row["measures"].contains(m.measure) ||
          !(*old)["measures"].contains(m.measure))
        continue;
      const json &a = (*old)["measures"][m.measure], &b = row["measures"][m.measure];
      Change c{row["id"], m.leak, m.measure, a["mean"], b["mean"], 0, 0, false};
      const double difference = c.after - c.before, half = 1.96 * std::hypot(deviation(a), deviation(b));
      c.low = difference - half, c.high = difference + half;
      c.worse = difference > threshold && c.low > 0;
      list.push_back(c);
    }
  }
  return list;
}

// In what both were measured in other ways, so that a difference may come of that.
std::vector<std::string> other_settings(const json& before, const json& after) {
  std::vector<std::string> list;
  for (const auto& [key, value] : after["config"].items())
    if (key != "protections" && before["config"].value(key, json()) != value) list.push_back(key);
  const auto digests = [](const json& report) {
    json all = json::array();
    for (const json& input : report["inputs"]) all.push_back(input["digest"]);
    return all;
  };
  if (digests(before) != digests(after)) list.push_back("what the inputs hold");
  return list;
}

const json* verdict_of(const json& report, const std::string& protection) {
  for (const json& v : report["verdicts"])
    if (v["protection"] == protection) return &v;
  return nullptr;
}

}  // namespace

int audit_compare(CompareCall& call) {
  call.common.activate();
  const json before = read_audit_report(call.before), after = read_audit_report(call.after);
  const std::vector<Change> list = changes(before, after, call.threshold);
  check(!list.empty(), call.before, " and ", call.after, " have no row in common: nothing can be compared");
  json out = {{"before", call.before}, {"after", call.after},       {"threshold", call.threshold},
              {"rows", json::array()}, {"verdicts", json::array()}, {"accuracy", json::array()}};
  bool worse = false;
  out["other_settings"] = other_settings(before, after);
  for (const json& key : out["other_settings"])
    std::cerr << "the audits differ in " << key.get<std::string>() << ": a change may come of that alone\n";
  std::printf("%-52s %-18s %8s %8s  %s\n", "row", "measure", "before", "after", "difference");
  for (const Change& c : list) {
    worse |= c.worse;
    std::printf("%-52s %-18s %8.3f %8.3f  %+.3f [%+.3f, %+.3f]%s\n", c.id.c_str(), c.measure.c_str(),
                c.before, c.after, c.after - c.before, c.low, c.high, c.worse ? "  WORSE" : "");
    out["rows"].push_back({{"id", c.id},
                           {"leak", c.leak},
                           {"measure", c.measure},
                           {"before", c.before},
                           {"after", c.after},
                           {"difference", {{"mean", c.after - c.before}, {"low", c.low}, {"high", c.high}}},
                           {"worse", c.worse}});
  }
  for (const json& v : after["verdicts"]) {
    const json* old = verdict_of(before, v["protection"]);
    if (!old) continue;
    const std::string name = v["protection"], was = (*old)["verdict"], is = v["verdict"];
    const bool fell = was == "holds" && is != "holds";
    worse |= fell;
    if (was != is)
      std::printf("%s: %s, was %s%s\n", name.c_str(), is.c_str(), was.c_str(), fell ? "  WORSE" : "");
    out["verdicts"].push_back({{"protection", name}, {"before", was}, {"after", is}, {"worse", fell}});
    const json &a = (*old)["cost"], &b = v["cost"];
    if (!a.contains("loss") || !b.contains("loss")) continue;
    const double lost = b["loss"].get<double>() - a["loss"].get<double>();
    const bool dearer = lost > call.threshold;
    worse |= dearer;
    if (dearer) std::printf("%s: costs %.4f more accuracy  WORSE\n", name.c_str(), lost);
    out["accuracy"].push_back(
        {{"protection", name}, {"before", a["loss"]}, {"after", b["loss"]}, {"worse", dearer}});
  }
  out["worse"] = worse;
  call.common.write_json(out);
  std::printf(
      worse ? "A protection got worse by more than %g.\n" : "No protection got worse by more than %g.\n",
      call.threshold);
  return worse ? 1 : 0;
}

CLI::App* add_compare_verb(CLI::App& app, CompareCall& call) {
  CLI::App* sub = app.add_subcommand(
      "compare", "what changed between two reports; exit code 1 where a protection got worse");
  sub->add_option("before", call.before, "report.json of the earlier audit")->required();
  sub->add_option("after", call.after, "report.json of the later one")->required();
  sub->add_option("--threshold", call.threshold,
                  "a measure that rises by no more is no worse, and one whose interval reaches zero neither")
      ->capture_default_str()
      ->check(number_in(0, 1));
  call.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
