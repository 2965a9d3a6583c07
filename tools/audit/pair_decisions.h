// What the deployed matcher decides of single pairs of photographs, and how sure its accuracy is.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "advface/audit/metrics.h"
#include "advface/core/face_set.h"
#include "tools/audit/score_table.h"

namespace advf::tools {

struct PairDecisions {
  // Of a threshold for each fold, that the others chose: the accuracy, and whether each pair is decided
  // rightly.
  struct Way {
    FoldAccuracy accuracy;
    std::vector<bool> right;
  };
  std::vector<std::pair<std::string, std::string>> files;  // of each pair
  std::vector<int64_t> fold, person;                       // of each: person in the gallery
  Way plain, either_way;                                   // as the matcher does; with the sign chosen too

  static PairDecisions of(const ScoreTable& scores, const FaceSettings& faces);
  bool turns() const;  // whether some fold is told the other way round
};

// {mean, low, high} of an accuracy: the mean over folds, with the interval of 95 % of a bootstrap over the
// people in the gallery, whose pairs come along. Thresholds stay. Of one person there is no interval.
nlohmann::json accuracy_interval(const PairDecisions& of, const PairDecisions::Way& way, uint64_t seed);

// A share of n people of whom all or none are found has an interval all the same, which no bootstrap sees:
// its far end is where 2.5 % of draws would be like this (Clopper and Pearson, Biometrika 26, 1934).
void widen_ends(nlohmann::json& share, double n);

}  // namespace advf::tools
