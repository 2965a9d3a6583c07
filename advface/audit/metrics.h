// The numbers of an audit, as pure functions: verification (LFW protocol, TAR at FAR, EER), the threshold at
// a false match rate, confidence intervals over identities, moment matching, replay. Scores are similarities:
// higher is more alike, a pair is accepted at or above the threshold. A score that is not finite is an Error.
// Every count is exact.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace advf {

struct ScoredPair {
  double score = 0;
  bool genuine = false;
  int fold = 0;
};

// Accuracy of verification by folds (LFW's "View 2"). The threshold of each fold is chosen on all other folds
// among the midpoints of neighbours in their sorted scores: the lowest of those with the best accuracy.
struct FoldAccuracy {
  std::vector<double> accuracy,
      threshold;             // by fold; threshold of the scores, or of what they are turned into
  std::vector<bool> turned;  // by fold: whether scores take the other sign, so that the lower is more alike
  double mean = 0;
  double deviation = 0;  // over the folds, divided by (folds - 1), as LFW's report defines it
};
// Folds are numbered 0, 1, ... without a gap, at least two; each needs a pair.
FoldAccuracy fold_accuracy(std::span<const ScoredPair> pairs);
// The same for who does not know either whether a high score means one person, as after a protection that
// turns features round: the other folds choose the sign as well, that of the better accuracy; where both are
// as good, that of similarities.
FoldAccuracy fold_accuracy_either_way(std::span<const ScoredPair> pairs);
// Of each pair, whether the threshold that the other folds chose decides it rightly.
std::vector<bool> decided_rightly(std::span<const ScoredPair> pairs, const FoldAccuracy& accuracy);

// One threshold and what it accepts.
struct OperatingPoint {
  double threshold = 0;
  int64_t genuine = 0, genuine_accepted = 0, impostors = 0, impostors_accepted = 0;
  double tar() const { return double(genuine_accepted) / double(genuine); }
  double far() const { return double(impostors_accepted) / double(impostors); }
};
OperatingPoint at_threshold(std::span<const ScoredPair> pairs, double threshold);

// The smallest threshold with (impostors accepted) / (impostors) <= far, far in [0, 1). Where impostors tie,
// all of a tie are rejected together, so that the rate reached may be lower than asked for: far() tells.
OperatingPoint tar_at_far(std::span<const ScoredPair> pairs, double far);

// The receiver operating characteristic: one point for each different score, thresholds falling, after a
// first point (infinity, 0, 0) that accepts nothing. The last accepts everything.
struct RocPoint {
  double threshold = 0, far = 0, tar = 0;
};
std::vector<RocPoint> roc(std::span<const ScoredPair> pairs);

// Where the false accept rate equals the false reject rate: linear between the two neighbouring points of the
// ROC.
double equal_error_rate(std::span<const ScoredPair> pairs);

// The k largest of any number of scores, in O(k) memory. Their order of arrival does not matter.
class TopScores {
 public:
  explicit TopScores(int64_t k);  // k >= 1
  void add(double score);
  bool full() const { return int64_t(heap_.size()) == k_; }
  double smallest() const { return heap_.front(); }  // of those kept; the k-th largest once full
  int64_t above_smallest() const;                    // of those kept, how many are larger than smallest()

 private:
  int64_t k_;
  std::vector<double> heap_;  // a min-heap
};

// How many of `impostors` scores a false match rate lets pass: floor(fmr * impostors), rounding errors
// forgiven.
int64_t allowed_matches(double fmr, int64_t impostors);
// The smallest threshold that at most `fmr` of the impostor scores reach. fmr in [0, 1).
double threshold_at_fmr(std::span<const double> impostor_scores, double fmr);

// The same over ALL pairs of rows of different identity, which are too many to hold: rows are compared in
// blocks on all threads and only the largest scores are kept. embeddings: (N, D) f32, any norm but zero;
// scores are cosines computed in f32. Memory: N * D + fmr * (number of pairs) numbers. The result does not
// depend on the threads.
struct FmrThreshold {
  double threshold = 0;
  int64_t impostor_pairs = 0, accepted = 0;  // accepted <= fmr * impostor_pairs; less where scores tie
};
FmrThreshold cross_identity_threshold(const Tensor& embeddings, std::span<const int64_t> identity,
                                      double fmr);

// The mean of per-record values and its percentile interval from a bootstrap that draws identities, not
// records: all records of a drawn identity come along, as they are not independent. Quantiles are linear
// between order statistics.
struct Interval {
  double mean = 0, low = 0, high = 0;
};
Interval bootstrap_mean(std::span<const double> values, std::span<const int64_t> identity, uint64_t seed,
                        int resamples = 2000, double level = 0.95);

// Linear between order statistics; share in [0, 1].
double quantile_of_sorted(const std::vector<double>& sorted, double share);

// The same of the mean over classes of their means: where values say what was right, balanced accuracy. A
// resample that has drawn nobody of a class is drawn again. cls: of each value, 0 to classes - 1, each of
// which has values.
Interval bootstrap_class_mean(std::span<const double> values, std::span<const int64_t> cls, int64_t classes,
                              std::span<const int64_t> identity, uint64_t seed, int resamples = 2000,
                              double level = 0.95);

// Of one person in an audit: the sum and the number of his records, by class.
struct PersonSums {
  std::vector<double> sum, records;
};
// The difference of two such means over the same people, `after` less `before`, who stand in one order in
// both. A resample draws people once for both sides, so that what is peculiar to a person, and hits both
// alike, falls out: the interval is that of the paired difference (Efron and Tibshirani 1993, chapter 8).
// Throws Error for fewer than two people, or where the two sides do not have the same ones and records.
Interval bootstrap_difference(std::span<const PersonSums> before, std::span<const PersonSums> after,
                              uint64_t seed, int resamples = 2000, double level = 0.95);

// Of each genuine score, the share of impostors that lie below it, ties counting half. Their mean is the area
// under the ROC (Mann and Whitney's statistic).
std::vector<double> placements(std::span<const double> genuine, std::span<const double> impostors);
// The probability that a candidate is among the k best where `above` others score higher and `ties` as high,
// in whose midst chance decides.
double in_top(int64_t k, int64_t above, int64_t ties);

// Mean and standard deviation (divided by the number of pixels) of each channel.
struct ChannelMoments {
  std::vector<double> mean, deviation;
};
ChannelMoments channel_moments(const Tensor& image);  // (C,H,W) or (1,C,H,W), f32
// Each image's channels are shifted and scaled to the target's moments (those of the average face), then cut
// to [0, 1]: what an attacker does who suspects that brightness was tampered with. A constant channel becomes
// the target mean. images: (N,C,H,W) f32.
Tensor match_moments(const Tensor& images, const ChannelMoments& target);

// Cosine of row i of a with row i of b; (N, D) f32 each, no zero rows. Computed in f64.
std::vector<double> cosine_rows(const Tensor& a, const Tensor& b);

// The share of reconstructions that are accepted as the enrolled person: scores at or above the threshold.
double replay_rate(std::span<const double> scores, double threshold);

}  // namespace advf
