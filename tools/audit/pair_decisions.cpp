#include "tools/audit/pair_decisions.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "advface/core/dataset.h"

namespace advf::tools {

using nlohmann::json;

PairDecisions PairDecisions::of(const ScoreTable& scores, const FaceSettings& faces) {
  PairDecisions all;
  std::vector<ScoredPair> pairs;
  std::vector<std::string> gallery;
  for (size_t i = 0; i < scores.size(); ++i) {
    pairs.push_back(
        {scores.number(i, "score"), scores.text(i, "genuine") == "1", int(scores.number(i, "fold"))});
    gallery.push_back(scores.text(i, "a"));
    all.files.emplace_back(scores.text(i, "a"), scores.text(i, "b"));
    all.fold.push_back(pairs.back().fold);
  }
  for (const std::string& who : faces.labels_of(gallery).identities) all.person.push_back(person_key(who));
  all.plain.accuracy = fold_accuracy(pairs);
  all.plain.right = decided_rightly(pairs, all.plain.accuracy);
  all.either_way.accuracy = fold_accuracy_either_way(pairs);
  all.either_way.right = decided_rightly(pairs, all.either_way.accuracy);
  return all;
}

bool PairDecisions::turns() const {
  return std::ranges::find(either_way.accuracy.turned, true) != either_way.accuracy.turned.end();
}

json accuracy_interval(const PairDecisions& of, const PairDecisions::Way& way, uint64_t seed) {
  json value = {{"mean", way.accuracy.mean}};
  const std::set<int64_t> people(of.person.begin(), of.person.end());
  if (people.size() < 2) return value;
  const std::vector<double> right(way.right.begin(), way.right.end());
  const Interval over =
      bootstrap_class_mean(right, of.fold, int64_t(way.accuracy.accuracy.size()), of.person, seed);
  value["low"] = over.low, value["high"] = over.high;
  widen_ends(value, double(people.size()));
  return value;
}

void widen_ends(json& share, double n) {
  if (!share.is_object() || !share.contains("mean") || !share["mean"].is_number() || !(n >= 1)) return;
  const double end = std::pow(0.025, 1 / n);
  if (share["mean"] == 0) share["high"] = std::max(share.value("high", 0.0), 1 - end);
  if (share["mean"] == 1) share["low"] = std::min(share.value("low", 1.0), end);
}

}  // namespace advf::tools
