#include "tools/audit/audit_groups.h"

#include <cmath>
#include <filesystem>
#include <map>

#include "advface/audit/metrics.h"
#include "advface/core/dataset.h"
#include "advface/core/text_file.h"
#include "tools/audit/score_table.h"

namespace advf::tools {
namespace {

using nlohmann::json;

struct Values {
  std::vector<double> values;
  std::vector<int64_t> people;
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
    const bool raw = pair.protection == c_.protections[0].name;
    const std::string wanted = raw ? "raw" : "protected";
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

  json list = json::array();

 private:
  int64_t row_of(const std::string& file) const {
    const auto at = row_.find(file);
    return at == row_.end() ? -1 : at->second;
  }
  void add(const AuditPair& pair, const std::string& attribute, bool has, const std::string& measure,
           const Values& v) {
    if (int64_t(v.values.size()) < kFewest) return;
    const Interval i = bootstrap_mean(v.values, v.people, c_.seed);
    list.push_back({{"protection", pair.protection},
                    {"attacker", pair.attacker},
                    {"attribute", attribute},
                    {"has", has},
                    {"images", int64_t(v.values.size())},
                    {"measure", measure},
                    {"value", {{"mean", i.mean}, {"low", i.low}, {"high", i.high}}}});
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
    else
      groups.pictures(pair, done->folder);
  }
  return std::move(groups.list);
}

}  // namespace advf::tools
