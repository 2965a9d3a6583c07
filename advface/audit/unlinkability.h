// Whether records of two protected sets can be linked, as numbers: the local measure D(s) and the system's
// D_sys of Gomez-Barrero, Galbally, Rathgeb and Busch (General framework to evaluate unlinkability in
// biometric template protection systems, IEEE TIFS 13(6), 2018),
//   D(s) = 2 w LR / (1 + w LR) - 1 where w LR(s) > 1, else 0,   D_sys = the mean of D over mated scores,
// with LR the density of mated scores over that of non-mated ones and w the prior odds of a mated pair.
// D_sys is 0 where nothing is told and 1 where every mated score is one that no other pair has.
//
// Densities are shares of bins that hold equal parts of both kinds of score together (quantiles of their even
// mixture): no bin is empty, ties stay together, nothing changes when scores are put on another scale, and
// sets that do not overlap give exactly 1. For w = 1 D_sys is an f-divergence, f(t) = t max(t - 1, 0) / (t +
// 1), so that bins can only lose of it; a finite sample adds to it. What chance gives stands beside it.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "advface/audit/metrics.h"

namespace advf {

// D(s), constant on each bin (edges[k - 1], edges[k]]; the first begins below every score.
struct LocalLinkability {
  std::vector<double> edges;             // rising, the last is the largest score
  std::vector<double> mated, non_mated;  // the share of such scores in each bin
  std::vector<double> d;
  double system = 0;  // D_sys

  double at(double score) const;
};
// The number of bins for so many mated scores: the even number next to their cube root, at least 4.
int64_t linkability_bins(int64_t mated_scores);
// Scores in any order; bins >= 2; odds > 0. Throws Error where one kind is missing or a score is not finite.
LocalLinkability local_linkability(std::span<const double> mated, std::span<const double> non_mated,
                                   int64_t bins, double odds = 1);

// A pair of a record of the first set and one of the second, which are numbered alike: record i of both is of
// one photograph.
struct RecordPair {
  int64_t first = 0, second = 0;
};
// Which pairs are mated: both records of one photograph, as when a leaked set is renewed, or of the person's
// next photograph, as when somebody enrols in two places.
enum class MatedPairs { same_photo, other_photo };
inline constexpr std::pair<MatedPairs, const char*> kMatedPairs[] = {
    {MatedPairs::same_photo, "same_photo"}, {MatedPairs::other_photo, "other_photo"}};
struct RecordPairs {
  std::vector<RecordPair> mated, non_mated;
  // By a permutation of the people that leaves nobody where he was: the second record of each mated pair is
  // then another person's, the same for all pairs of one person.
  std::vector<std::vector<RecordPair>> shuffled;
};
// person[i]: who is on photograph i. A person with one photograph has no other. Non-mated pairs are all pairs
// of two people, or a random 2^20 or so of them, as many for every first record. Throws Error, that begins
// with `what`, where fewer than two people have mated pairs.
RecordPairs record_pairs(const std::vector<int64_t>& person, MatedPairs which, uint64_t seed,
                         const std::string& what, int shuffles = 200);

// Higher: more likely of one person. Called from several threads.
using PairScore = std::function<double(const RecordPair&)>;

struct Unlinkability {
  LocalLinkability local;
  // D_sys less its bias as the bootstrap sees it, with the basic bootstrap interval (Davison and Hinkley
  // 1997: 2 D_sys - the resamples' mean and quantiles), all cut to [0, 1]. Resamples draw the people of the
  // first set, with all their mated and non-mated pairs. The bins stay.
  Interval corrected;
  // What chance gives: D_sys of the shuffled pairs as mated ones. Its mean, the value that 95 % of the
  // shuffles stay below, and the share of them (and of this one) that reach D_sys.
  double chance_mean = 0, chance_high = 0, p_value = 1;
  std::vector<double>
      placement;  // of each mated pair: the share of non-mated scores below; its mean is the AUC
  std::vector<double> mated, non_mated;  // scores
};
Unlinkability score_unlinkability(const RecordPairs& pairs, const std::vector<int64_t>& person,
                                  const PairScore& score, double odds, uint64_t seed);

// Both kinds of score in bins of one width, with D(s) in the middle of each: what is drawn.
struct ScoreDensity {
  double score = 0, mated = 0, non_mated = 0, d = 0;
};
std::vector<ScoreDensity> densities_of(const Unlinkability& result, int bins = 60);

}  // namespace advf
