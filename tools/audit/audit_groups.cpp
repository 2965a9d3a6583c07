#include "tools/audit/audit_groups.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "advface/audit/metrics.h"
#include "advface/core/dataset.h"
#include "advface/core/text_file.h"
#include "tools/audit/pair_decisions.h"
#include "tools/audit/score_table.h"

namespace advf::tools {
namespace {

using nlohmann::json;

struct Values {
  std::vector<double> values;
  std::vector<int64_t> people, classes = {};  // classes: of a mean over two of them
};

class Groups {
 public:
  explicit Groups(const AuditConfig& config) : c_(config), labels_(load_labels(config.faces.labels)) {
    for (int64_t i = 0; i < labels_.size(); ++i) row_[labels_.files[size_t(i)]] = i;
  }

  void pictures(const AuditPair& pair, const std::string& folder) {
    const std::string path = folder + "/scores.tsv";
    if (!std::filesystem::exists(path)) return;
    const ScoreTable scores = ScoreTable::read(path);
    const std::string wanted = wanted_of(pair);
    for (const char* measure : {"ssim", "cosine_second", "cosine_deployed"}) {
      if (!scores.has(measure)) continue;
      if (std::string(measure) == "cosine_deployed" && scores.has("cosine_second")) continue;
      for (size_t a = 0; a < c_.attributes.size(); ++a)
        for (const bool has : {true, false}) {
          Values v;
          for (size_t row = 0; row < scores.size(); ++row) {
            if (scores.text(row, "moment_matched") != "0" ||
                !scores.text(row, "features").starts_with(wanted))
              continue;
            const int64_t at = row_of(scores.text(row, "image"));
            if (at < 0 || labels_.has(at, labels_.attribute(c_.attributes[a])) != has) continue;
            v.values.push_back(scores.number(row, measure));
            v.people.push_back(person_key(scores.text(row, "person")));
          }
          add(pair, c_.attributes[a], has, std::string(measure).starts_with("cosine") ? "cosine" : measure,
              v);
        }
    }
  }

  // Pairs whose photographs both are of the group.
  void recognition(const AuditPair& pair, const std::string& folder) {
    const std::string path = folder + "/scores.tsv";
    if (!std::filesystem::exists(path)) return;
    const ScoreTable scores = ScoreTable::read(path);
    const double threshold =
        json::parse(read_text(folder + "/result.json"))["operating_points"]["1e-2"]["threshold"];
    for (size_t a = 0; a < c_.attributes.size(); ++a)
      for (const bool has : {true, false})
        for (const bool genuine : {true, false}) {
          Values v;
          for (size_t row = 0; row < scores.size(); ++row) {
            if ((scores.text(row, "genuine") == "1") != genuine) continue;
            const int64_t first = row_of(scores.text(row, "a")), second = row_of(scores.text(row, "b"));
            const size_t attribute = labels_.attribute(c_.attributes[a]);
            if (first < 0 || second < 0 || labels_.has(first, attribute) != has ||
                labels_.has(second, attribute) != has)
              continue;
            v.values.push_back(scores.number(row, "score") >= threshold ? 1 : 0);
            v.people.push_back(person_key(labels_.identities[size_t(first)]));
          }
          add(pair, c_.attributes[a], has, genuine ? "true accept rate" : "false accept rate", v);
        }
  }

  // Of the probes that are of the group, how many are found first in the gallery of all.
  void linkage(const AuditPair& pair, const std::string& folder) {
    const ScoreTable scores = ScoreTable::read(folder + "/scores.tsv");
    const std::string wanted = wanted_of(pair);
    std::map<std::string, std::vector<size_t>> rows;  // by attacker
    for (size_t row = 0; row < scores.size(); ++row)
      if (scores.text(row, "features").starts_with(wanted)) rows[scores.text(row, "attacker")].push_back(row);
    for (const auto& [attacker, of] : rows)
      for (const std::string& attribute : c_.attributes)
        for (const bool has : {true, false})
          add(pair, attribute, has, "rank_1", values_of(scores, of, "rank_1", attribute, has),
              attacker == "none" ? "the recogniser alone" : "a network");
  }

  // What the best probe of each attribute tells of it within each group; within those who have what it asks
  // about, and within those who have not, how often it is right.
  void attributes(const AuditPair& pair, const std::string& folder) {
    const ScoreTable scores = ScoreTable::read(folder + "/scores.tsv");
    const std::string wanted = wanted_of(pair);
    std::map<std::string, std::map<std::string, std::vector<size_t>>> rows;  // by attribute and probe
    for (size_t row = 0; row < scores.size(); ++row)
      if (scores.text(row, "asked_about").starts_with(wanted) &&
          scores.text(row, "trained_on") == scores.text(row, "asked_about"))
        rows[scores.text(row, "attribute")][scores.text(row, "probe")].push_back(row);
    for (const auto& [asked, probes] : rows) {
      const auto best = std::ranges::max_element(
          probes, {}, [&](const auto& probe) { return balanced_accuracy(scores, probe.second); });
      for (const std::string& attribute : c_.attributes)
        for (const bool has : {true, false}) {
          Values v = values_of(scores, best->second, "correct", attribute, has);
          if (attribute == asked) v.classes.clear();
          add(pair, attribute, has, attribute == asked ? "accuracy_of_probe" : "balanced_accuracy", v,
              asked + ", " + best->first);
        }
    }
  }

  json list = json::array();

 private:
  std::string wanted_of(const AuditPair& pair) const {
    return pair.protection == c_.protections[0].name ? "raw" : "protected";
  }
  static double balanced_accuracy(const ScoreTable& scores, const std::vector<size_t>& rows) {
    double right[2] = {}, all[2] = {};
    for (const size_t row : rows) {
      const size_t cls = scores.number(row, "present") != 0;
      right[cls] += scores.number(row, "correct"), ++all[cls];
    }
    return right[0] / std::max(1.0, all[0]) + right[1] / std::max(1.0, all[1]);
  }
  Values values_of(const ScoreTable& scores, const std::vector<size_t>& rows, const std::string& column,
                   const std::string& attribute, bool has) const {
    Values v;
    for (const size_t row : rows) {
      const int64_t at = row_of(scores.text(row, "image"));
      if (at < 0 || labels_.has(at, labels_.attribute(attribute)) != has) continue;
      v.values.push_back(scores.number(row, column));
      v.people.push_back(person_key(scores.text(row, "person")));
      if (scores.has("present")) v.classes.push_back(scores.number(row, "present") != 0);
    }
    return v;
  }
  int64_t row_of(const std::string& file) const {
    const auto at = row_.find(file);
    return at == row_.end() ? -1 : at->second;
  }
  void add(const AuditPair& pair, const std::string& attribute, bool has, const std::string& measure,
           const Values& v, const std::string& variant = "") {
    const int64_t people = int64_t(std::set<int64_t>(v.people.begin(), v.people.end()).size());
    if (people < kFewest) return;  // nor as many photographs
    for (const int64_t cls : {0, 1})
      if (!v.classes.empty() && std::ranges::count(v.classes, cls) < kFewest) return;
    const Interval i = v.classes.empty() ? bootstrap_mean(v.values, v.people, c_.seed)
                                         : bootstrap_class_mean(v.values, v.classes, 2, v.people, c_.seed);
    json value = {{"mean", i.mean}, {"low", i.low}, {"high", i.high}};
    widen_ends(value, double(people));
    list.push_back({{"protection", pair.protection},
                    {"attacker", pair.attacker},
                    {"attribute", attribute},
                    {"has", has},
                    {"images", int64_t(v.values.size())},
                    {"measure", measure},
                    {"value", value}});
    if (!variant.empty()) list.back()["variant"] = variant;
  }

  const AuditConfig& c_;
  const Labels labels_;
  std::map<std::string, int64_t> row_;
};

}  // namespace

json audit_groups(const AuditConfig& config, const AuditPlan& plan, const StepRunner& runner) {
  if (config.attributes.empty() || config.faces.labels.empty()) return json::array();
  Groups groups(config);
  for (const AuditPair& pair : plan.pairs) {
    if (pair.seed != int64_t(config.seed)) continue;
    const auto done = runner.result(pair.step);
    if (!done) continue;
    if (pair.attacker == kAccuracy)
      groups.recognition(pair, done->folder);
    else if (pair.attacker == "linkage")
      groups.linkage(pair, done->folder);
    else if (pair.attacker == "attributes")
      groups.attributes(pair, done->folder);
    else
      groups.pictures(pair, done->folder);
  }
  return std::move(groups.list);
}

}  // namespace advf::tools
