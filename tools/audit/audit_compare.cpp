// advface-audit compare BEFORE AFTER: what changed between two audits, and whether a protection got worse.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>

#include "advface/audit/metrics.h"
#include "tools/audit/audit.h"
#include "tools/audit/audit_people.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/protection_changes.h"
#include "tools/audit/weaker_attacks.h"

namespace advf::tools {
namespace {

using nlohmann::json;

// Half of the interval, of both ends, as intervals of shares are lopsided. D_sys stands beside what it is
// less its bias, which has the interval.
double half_width(const json& measures, const std::string& name) {
  const std::string corrected = name + "_corrected";
  const json& value =
      !measures[name].contains("low") && measures.contains(corrected) ? measures[corrected] : measures[name];
  return value.contains("low") ? (value["high"].get<double>() - value["low"].get<double>()) / 2 : 0;
}

// Of a difference of two that were measured on their own, each with an interval of this half width: their
// variances add up.
Interval independent(double difference, double half_before, double half_after) {
  const double half = std::hypot(half_before, half_after);
  return {difference, difference - half, difference + half};
}

// Digests of a file or folder that the settings name under this key, and of what is read with it: of a card
// its network's, which stands behind it (audit_facts.cpp). Null where there is none.
json digests_at(const json& report, const std::string& key, bool card) {
  const json path = report.value("config", json::object()).value(key, json()), &inputs = report["inputs"];
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i]["path"] == path)
      return {inputs[i]["digest"], card && i + 1 < inputs.size() ? inputs[i + 1]["digest"] : json()};
  return nullptr;
}

// What both were measured with, and have to share before a difference says something of a protection: those
// settings under which they had other files.
std::vector<std::string> other_ground(const json& before, const json& after) {
  std::vector<std::string> list;
  for (const auto& [key, card] :
       {std::pair("recogniser", true), std::pair("second_recogniser", true), std::pair("images", false),
        std::pair("list", false), std::pair("labels", false), std::pair("pairs", false)})
    if (digests_at(before, key, card) != digests_at(after, key, card)) list.emplace_back(key);
  for (const char* key : {"part", "split_seed"})  // other people under test
    if (before["config"].value(key, json()) != after["config"].value(key, json())) list.emplace_back(key);
  return list;
}

std::string listed_keys(const std::vector<std::string>& keys) {
  std::string text;
  for (const std::string& key : keys) text += (text.empty() ? "" : ", ") + key;
  return text;
}

// Whether both audits looked at the same people, and the intervals of differences where they did.
class Pairing {
 public:
  Pairing(const json& before, const json& after, const CompareCall& call,
          const std::vector<std::string>& other) {
    ReportPeople first = people_of(before, call.before), second = people_of(after, call.after);
    if (!other.empty()) why_not_ = "the audits are of other files or people: " + listed_keys(other);
    for (const ReportPeople* p : {&first, &second})
      if (!p->values && why_not_.empty()) why_not_ = p->why_not;
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
    else if (!is_mean_of(*a, old["measures"][measure]) || !is_mean_of(*b, row["measures"][measure]))
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
// both count as measured on their own.
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
      Change c{row["id"],
               m.leak,
               m.measure,
               judged_value(was, m)->value["mean"],
               judged_value(is, m)->value["mean"],
               0,
               0,
               {},
               false};
      const double difference = c.after - c.before;
      const Interval within =
          pairing.difference(*old, row, m.measure, c.why_not)
              .value_or(independent(difference, half_width(was, m.measure), half_width(is, m.measure)));
      c.low = within.low, c.high = within.high;
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

// Whether a protection costs more of accuracy than it did: prints a line, and adds to `list`.
bool dearer(const json& before, const json& after, const json& old, const json& now, const CompareCall& call,
            const Pairing& pairing, json& list) {
  const json &a = old["cost"], &b = now["cost"];
  if (!a.contains("loss") || !b.contains("loss")) return false;
  const std::string name = now["protection"];
  const double was = a["loss"], is = b["loss"], more = is - was;
  std::optional<Interval> interval = pairing.loss(before, after, name);
  const bool paired = interval.has_value();
  if (!paired && a.contains("loss_low") && b.contains("loss_low")) {
    const auto half = [](const json& c) {
      return (c["loss_high"].get<double>() - c["loss_low"].get<double>()) / 2;
    };
    interval = independent(more, half(a), half(b));
  }
  const bool worse = more > call.threshold && (!interval || interval->low > 0);
  json change = {{"protection", name}, {"before", was},   {"after", is}, {"difference", {{"mean", more}}},
                 {"worse", worse},     {"paired", paired}};
  std::printf("%s: costs %.4f of accuracy, cost %.4f: %+.4f", in_quotes(name).c_str(), is, was, more);
  if (interval) {
    change["difference"].update({{"low", interval->low}, {"high", interval->high}});
    std::printf(" [%+.4f, %+.4f]", interval->low, interval->high);
  }
  std::printf("%s%s\n", paired ? "" : "  not paired", worse ? "  WORSE" : "");
  list.push_back(std::move(change));
  return worse;
}

const json* verdict_of(const json& report, const std::string& protection) {
  for (const json& v : report["verdicts"])
    if (v["protection"] == protection) return &v;
  return nullptr;
}

void check_as_written(const json& report, const std::string& path) {
  check(report.contains("digest"), path,
        ": has no digest, so nothing tells whether it is as it was written; ", "audit again");
  check(is_as_written(report), path,
        ": is not as it was written; advface-audit verify says what does not follow");
}

}  // namespace

int audit_compare(CompareCall& call) {
  call.common.activate();
  const json before = read_audit_report(call.before), after = read_audit_report(call.after);
  check_as_written(before, call.before), check_as_written(after, call.after);
  const std::vector<std::string> other = other_ground(before, after);
  as_usage([&] {
    check(other.empty() || call.independent, call.before, " and ", call.after,
          " are audits of other files or people (", listed_keys(other),
          "): what differs between them is not of the protections alone. Audit both with the same ones, or "
          "compare them as two measurements on their own with --independent");
  });
  const Pairing pairing(before, after, call, other);
  const std::vector<Change> list = changes(before, after, call, pairing);
  as_usage([&] {  // 1 is for what got worse
    check(!list.empty(), call.before, " and ", call.after,
          " have no protection in common that the same attackers were asked about: nothing can be compared");
  });
  json out = {{"before", call.before}, {"after", call.after},       {"threshold", call.threshold},
              {"rows", json::array()}, {"verdicts", json::array()}, {"accuracy", json::array()}};
  bool worse = false;
  out["other_settings"] = other_settings(before, after), out["other_files"] = other;
  if (!other.empty())
    std::printf(
        "NOT THE SAME %s: each audit is a measurement on its own, nothing is paired, and a difference "
        "may be theirs\n",
        listed_keys(other).c_str());
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
  const std::vector<std::string> weaker = weaker_attacks(before, after);
  for (const std::string& what : weaker) std::printf("%s  WEAKER\n", what.c_str());
  out["weaker"] = weaker;
  const ProtectionChanges protections = protection_changes(before, after);
  for (const std::string& what : protections.settings) std::printf("%s\n", what.c_str());
  for (const std::string& what : protections.lost) std::printf("%s  WORSE\n", what.c_str());
  out["protections"] = {{"settings", protections.settings}, {"lost", protections.lost}};
  worse |= !protections.lost.empty();
  for (const json& v : after["verdicts"]) {
    const json* old = verdict_of(before, v["protection"]);
    if (!old) continue;
    const std::string name = v["protection"], was = (*old)["verdict"], is = v["verdict"];
    const bool fell = was != is && (was == "holds" || is == "leaks");
    worse |= fell;
    if (was != is)
      std::printf("%s: %s, was %s%s\n", in_quotes(name).c_str(), is.c_str(), was.c_str(),
                  fell ? "  WORSE" : "");
    out["verdicts"].push_back({{"protection", name}, {"before", was}, {"after", is}, {"worse", fell}});
    worse |= dearer(before, after, *old, v, call, pairing, out["accuracy"]);
  }
  const bool fails = worse || (!weaker.empty() && !call.weaker);
  out["worse"] = fails;
  call.common.write_json(out);
  if (!weaker.empty())
    std::printf("The later audit attacks less than the earlier one, or concludes less (%zu times)%s.\n",
                weaker.size(),
                call.weaker ? ", as --weaker allows"
                            : ": what it did not find says nothing; --weaker, where that is intended");
  std::printf(!worse ? "No protection got worse by more than %g.\n"
              : protections.lost.empty()
                  ? "A protection got worse by more than %g.\n"
                  : "A protection got worse, by more than %g or by what it promises.\n",
              call.threshold);
  return fails ? 1 : 0;
}

CLI::App* add_compare_verb(CLI::App& app, CompareCall& call) {
  CLI::App* sub = app.add_subcommand(
      "compare",
      "what changed between two reports; exit code 1 where a protection got worse, or is attacked less");
  sub->add_option("before", call.before, "report.json of the earlier audit")->required();
  sub->add_option("after", call.after, "report.json of the later one")->required();
  sub->add_option("--threshold", call.threshold,
                  "a measure that rises by no more is no worse, and one whose interval reaches zero neither")
      ->capture_default_str()
      ->check(number_in(0, 1));
  sub->add_flag("--independent", call.independent,
                "compare audits of other photographs, labels or recognisers as well, as two measurements on "
                "their own");
  sub->add_flag("--weaker", call.weaker,
                "the later audit may attack less (attackers, attributes, budgets) or conclude less than the "
                "earlier one: it is told, and no failure");
  call.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
