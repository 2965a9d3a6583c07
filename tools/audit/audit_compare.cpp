// advface-audit compare BEFORE AFTER: what changed between two audits, and whether a protection got worse.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <set>

#include "advface/audit/metrics.h"
#include "tools/audit/audit.h"
#include "tools/audit/audit_people.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/audit_rows.h"

namespace advf::tools {
namespace {

using nlohmann::json;

// Half of the interval, as a deviation; of both ends, as intervals of shares are lopsided. D_sys stands
// beside what it is less its bias, which has the interval.
double deviation(const json& measures, const std::string& name) {
  const std::string corrected = name + "_corrected";
  const json& value =
      !measures[name].contains("low") && measures.contains(corrected) ? measures[corrected] : measures[name];
  return value.contains("low") ? (value["high"].get<double>() - value["low"].get<double>()) / (2 * 1.96) : 0;
}

// Whether both audits looked at the same people, and the intervals of differences where they did.
class Pairing {
 public:
  Pairing(const json& before, const json& after, const CompareCall& call) {
    ReportPeople first = people_of(before, call.before), second = people_of(after, call.after);
    for (const ReportPeople* p : {&first, &second})
      if (!p->values && why_not_.empty()) why_not_ = p->why_not;
    for (const char* key : {"images", "labels"})
      if (why_not_.empty() && digest_at(before, key) != digest_at(after, key))
        why_not_ = "the audits looked at other " + std::string(key);
    if (why_not_.empty()) before_ = std::move(first.values), after_ = std::move(second.values);
  }

  // Of after - before; nothing, and why, where it cannot be paired.
  std::optional<Interval> difference(const json& old, const json& row, const std::string& measure,
                                     std::string& why_not) const {
    why_not = why_not_;
    if (!why_not.empty()) return std::nullopt;
    const auto a = before_->of(row["id"], measure), b = after_->of(row["id"], measure);
    if (!a || !b)
      why_not = measure + " is no mean over people";
    else if (!same_people(*a, *b))
      why_not = "other people, or other numbers of photographs of them, were under test";
    else if (!is_mean(*a, old["measures"][measure]) || !is_mean(*b, row["measures"][measure]))
      why_not = std::string(kPeopleFile) + " does not make the means of the report";
    if (!why_not.empty()) return std::nullopt;
    return bootstrap_difference(a->sums, b->sums, kSeed);
  }

  // Of what a protection costs in accuracy beside raw features.
  std::optional<Interval> loss(const json& before, const json& after, const json& protection) const {
    if (!why_not_.empty()) return std::nullopt;
    const auto a = loss_of(before, *before_, protection), b = loss_of(after, *after_, protection);
    if (!a || !b || !same_people(*a, *b)) return std::nullopt;
    return bootstrap_difference(a->sums, b->sums, kSeed);
  }

 private:
  static constexpr uint64_t kSeed = 1;
  static constexpr double kRounding = 1e-5;  // of means that were written with seven digits

  static json digest_at(const json& report, const std::string& key) {
    const json path = report.value("config", json::object()).value(key, json());
    for (const json& input : report["inputs"])
      if (input["path"] == path) return input["digest"];
    return nullptr;
  }
  // By person, how many more of the pairs are decided rightly by raw features.
  static std::optional<PeopleValues::People> loss_of(const json& report, const PeopleValues& values,
                                                     const json& protection) {
    const auto of = [&](const json& name) -> std::optional<PeopleValues::People> {
      for (const json& row : report["rows"])
        if (row["attacker"] == kAccuracy && row["protection"] == name) return values.of(row["id"], kAccuracy);
      return std::nullopt;
    };
    auto raw = of(report["protections"][0]["name"]);
    const auto its = of(protection);
    if (!raw || !its || !same_people(*raw, *its)) return std::nullopt;
    for (size_t i = 0; i < raw->sums.size(); ++i) raw->sums[i].sum[0] -= its->sums[i].sum[0];
    return raw;
  }
  static bool same_people(const PeopleValues::People& a, const PeopleValues::People& b) {
    return a.person.size() >= 2 && a.person == b.person &&
           std::ranges::equal(a.sums, b.sums, {}, &PersonSums::records, &PersonSums::records);
  }
  static bool is_mean(const PeopleValues::People& people, const json& told) {
    return std::abs(people.mean() - told["mean"].get<double>()) < kRounding;
  }

  std::optional<PeopleValues> before_, after_;
  std::string why_not_;
};

struct Change {
  std::string id, leak, measure;
  double before = 0, after = 0, low = 0, high = 0;  // low, high: of after - before
  std::string why_not;                              // it is paired; empty: it is
  bool worse = false;
};

const json* row_of(const json& report, const std::string& id) {
  for (const json& row : report["rows"])
    if (row["id"] == id) return &row;
  return nullptr;
}

// Of every measure by which a verdict goes, of rows that both have. Where people are others, or nobody knows,
// both count as measured on their own: the deviations of the difference add up.
std::vector<Change> changes(const json& before, const json& after, const CompareCall& call,
                            const Pairing& pairing) {
  std::vector<Change> list;
  for (const json& row : after["rows"]) {
    const json* old = row_of(before, row["id"]);
    if (!old || row["features"] != "protected") continue;
    for (const LeakMeasure& m : leak_measures()) {
      if (m.measure == kAccuracy) continue;  // what it costs, below; to more of it nobody objects
      const json &was = (*old)["measures"], &is = row["measures"];
      if (!row["counts"].contains(m.leak) || !is.contains(m.measure) || !was.contains(m.measure)) continue;
      Change c{row["id"], m.leak, m.measure, was[m.measure]["mean"], is[m.measure]["mean"], 0, 0, {}, false};
      const double difference = c.after - c.before;
      if (const auto paired = pairing.difference(*old, row, m.measure, c.why_not)) {
        c.low = paired->low, c.high = paired->high;
      } else {
        const double half = 1.96 * std::hypot(deviation(was, m.measure), deviation(is, m.measure));
        c.low = difference - half, c.high = difference + half;
      }
      c.worse = difference > call.threshold && c.low > 0;
      list.push_back(c);
    }
  }
  return list;
}

// How many were paired, and why others were not.
void print_pairing(const std::vector<Change>& list) {
  std::map<std::string, int> reasons;
  for (const Change& c : list) ++reasons[c.why_not];
  std::printf("%d of %zu differences are paired: over the same people\n", reasons[""], list.size());
  for (const auto& [why, count] : reasons)
    if (!why.empty()) std::printf("%d not paired, but taken for independent: %s\n", count, why.c_str());
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

// "protection/attacker", of protections that both have.
std::vector<std::string> no_more_asked(const json& before, const json& after) {
  const auto pairs = [](const json& report) {
    std::set<std::pair<std::string, std::string>> all;
    for (const json& row : report["rows"])
      if (row["features"] == "protected" && !row["counts"].empty())
        all.emplace(row["protection"], row["attacker"]);
    return all;
  };
  const auto now = pairs(after);
  std::vector<std::string> list;
  for (const auto& pair : pairs(before)) {
    const bool there = std::ranges::any_of(now, [&](const auto& p) { return p.first == pair.first; });
    if (there && !now.contains(pair)) list.push_back(pair.first + "/" + pair.second);
  }
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
  const Pairing pairing(before, after, call);
  const std::vector<Change> list = changes(before, after, call, pairing);
  check(!list.empty(), call.before, " and ", call.after, " have no row in common: nothing can be compared");
  json out = {{"before", call.before},         {"after", call.after},       {"threshold", call.threshold},
              {"rows", json::array()},         {"verdicts", json::array()}, {"accuracy", json::array()},
              {"no_more_asked", json::array()}};
  bool worse = false;
  out["other_settings"] = other_settings(before, after);
  for (const json& key : out["other_settings"])
    std::cerr << "the audits differ in " << key.get<std::string>() << ": a change may come of that alone\n";
  std::printf("%-52s %-18s %8s %8s  %-25s\n", "row", "measure", "before", "after", "difference");
  for (const Change& c : list) {
    worse |= c.worse;
    std::printf("%-52s %-18s %8.3f %8.3f  %+.3f [%+.3f, %+.3f]%s%s\n", c.id.c_str(), c.measure.c_str(),
                c.before, c.after, c.after - c.before, c.low, c.high, c.why_not.empty() ? "" : "  not paired",
                c.worse ? "  WORSE" : "");
    out["rows"].push_back({{"id", c.id},
                           {"leak", c.leak},
                           {"measure", c.measure},
                           {"before", c.before},
                           {"after", c.after},
                           {"difference", {{"mean", c.after - c.before}, {"low", c.low}, {"high", c.high}}},
                           {"paired", c.why_not.empty()},
                           {"why_not_paired", c.why_not.empty() ? json() : json(c.why_not)},
                           {"worse", c.worse}});
  }
  print_pairing(list);
  for (const std::string& gone : no_more_asked(before, after)) {
    worse = true;
    out["no_more_asked"].push_back(gone);
    std::printf("%s was asked before, and is not any more: nobody knows what it would find  WORSE\n",
                gone.c_str());
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
    const auto interval = pairing.loss(before, after, v["protection"]);
    const bool dearer = lost > call.threshold && (!interval || interval->low > 0);
    worse |= dearer;
    json change = {{"protection", name}, {"before", a["loss"]},
                   {"after", b["loss"]}, {"difference", {{"mean", lost}}},
                   {"worse", dearer},    {"paired", interval.has_value()}};
    std::printf("%s: costs %.4f of accuracy, cost %.4f: %+.4f", name.c_str(), b["loss"].get<double>(),
                a["loss"].get<double>(), lost);
    if (interval) {
      change["difference"].update({{"low", interval->low}, {"high", interval->high}});
      std::printf(" [%+.4f, %+.4f]", interval->low, interval->high);
    }
    std::printf("%s%s\n", interval ? "" : "  not paired", dearer ? "  WORSE" : "");
    out["accuracy"].push_back(std::move(change));
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
