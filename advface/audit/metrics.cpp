// See metrics.h. Sorting and counting only; sums run in f64 in a fixed order.
#include "advface/audit/metrics.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <mutex>

#include "advface/core/feature_domain.h"
#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

void check_finite(double score, size_t at) { check(std::isfinite(score), "score ", at, " is ", score); }

struct Counts {
  int64_t genuine = 0, impostors = 0;
};
Counts count(std::span<const ScoredPair> pairs) {
  Counts c;
  for (size_t i = 0; i < pairs.size(); ++i) {
    check_finite(pairs[i].score, i);
    ++(pairs[i].genuine ? c.genuine : c.impostors);
  }
  check(c.genuine > 0 && c.impostors > 0, "verification needs genuine and impostor pairs, not ", c.genuine,
        " and ", c.impostors);
  return c;
}

std::vector<ScoredPair> sorted(std::vector<ScoredPair> pairs) {
  std::sort(pairs.begin(), pairs.end(),
            [](const ScoredPair& a, const ScoredPair& b) { return a.score < b.score; });
  return pairs;
}

// The lowest of the midpoints with the most correct decisions on `pairs`, and how many these are.
struct Midpoint {
  double threshold = 0;
  int64_t correct = -1;
};
Midpoint best_midpoint(std::vector<ScoredPair> pairs) {
  check(pairs.size() >= 2, "a threshold cannot be chosen from ", pairs.size(), " scores");
  pairs = sorted(std::move(pairs));
  std::vector<int64_t> genuine_below(pairs.size() + 1, 0);  // among the first i
  for (size_t i = 0; i < pairs.size(); ++i) genuine_below[i + 1] = genuine_below[i] + pairs[i].genuine;
  Midpoint best;
  size_t rejected = 0;  // scores below the candidate
  for (size_t i = 0; i + 1 < pairs.size(); ++i) {
    const double middle = (pairs[i].score + pairs[i + 1].score) / 2;
    while (pairs[rejected].score < middle) ++rejected;
    const int64_t impostors_below = int64_t(rejected) - genuine_below[rejected];
    const int64_t correct = impostors_below + genuine_below.back() - genuine_below[rejected];
    if (correct > best.correct) best = {middle, correct};
  }
  return best;
}

ScoredPair with_sign(ScoredPair pair, bool turned) {
  if (turned) pair.score = -pair.score;
  return pair;
}

// Larger than every score up to and including `score`: the smallest threshold that rejects it.
double just_above(double score) { return std::nextafter(score, kInfinity); }

void check_rate(double rate) { check(rate >= 0 && rate < 1, "a false match rate is in [0, 1), not ", rate); }

FoldAccuracy accuracy_by_folds(std::span<const ScoredPair> pairs, bool either_way) {
  count(pairs);
  int folds = 0;
  for (const ScoredPair& p : pairs) {
    check(p.fold >= 0 && size_t(p.fold) < pairs.size(), "fold ", p.fold, " of ", pairs.size(), " pairs");
    folds = std::max(folds, p.fold + 1);
  }
  check(folds >= 2, "the threshold is chosen on other folds: at least 2 are needed");
  FoldAccuracy out;
  for (int fold = 0; fold < folds; ++fold) {
    std::vector<ScoredPair> train, test, train_turned;
    for (const ScoredPair& p : pairs) (p.fold == fold ? test : train).push_back(p);
    check(!test.empty(), "fold ", fold, " has no pairs");
    if (either_way)
      for (const ScoredPair& p : train) train_turned.push_back(with_sign(p, true));
    Midpoint best = best_midpoint(std::move(train));
    bool turned = false;
    if (either_way)
      if (const Midpoint other = best_midpoint(std::move(train_turned)); other.correct > best.correct)
        best = other, turned = true;
    int64_t correct = 0;
    for (const ScoredPair& p : test) correct += (with_sign(p, turned).score >= best.threshold) == p.genuine;
    out.threshold.push_back(best.threshold);
    out.turned.push_back(turned);
    out.accuracy.push_back(double(correct) / double(test.size()));
    out.mean += out.accuracy.back() / folds;
  }
  for (double a : out.accuracy) out.deviation += (a - out.mean) * (a - out.mean) / (folds - 1);
  out.deviation = std::sqrt(out.deviation);
  return out;
}

}  // namespace

FoldAccuracy fold_accuracy(std::span<const ScoredPair> pairs) { return accuracy_by_folds(pairs, false); }

FoldAccuracy fold_accuracy_either_way(std::span<const ScoredPair> pairs) {
  return accuracy_by_folds(pairs, true);
}

std::vector<bool> decided_rightly(std::span<const ScoredPair> pairs, const FoldAccuracy& accuracy) {
  std::vector<bool> right;
  for (const ScoredPair& p : pairs) {
    const auto fold = size_t(p.fold);
    right.push_back((with_sign(p, accuracy.turned.at(fold)).score >= accuracy.threshold.at(fold)) ==
                    p.genuine);
  }
  return right;
}

OperatingPoint at_threshold(std::span<const ScoredPair> pairs, double threshold) {
  const Counts c = count(pairs);
  OperatingPoint out{threshold, c.genuine, 0, c.impostors, 0};
  for (const ScoredPair& p : pairs)
    if (p.score >= threshold) ++(p.genuine ? out.genuine_accepted : out.impostors_accepted);
  return out;
}

OperatingPoint tar_at_far(std::span<const ScoredPair> pairs, double far) {
  count(pairs);
  std::vector<double> impostors;
  for (const ScoredPair& p : pairs)
    if (!p.genuine) impostors.push_back(p.score);
  return at_threshold(pairs, threshold_at_fmr(impostors, far));
}

std::vector<RocPoint> roc(std::span<const ScoredPair> pairs) {
  const Counts c = count(pairs);
  const std::vector<ScoredPair> order = sorted({pairs.begin(), pairs.end()});
  std::vector<RocPoint> out{{kInfinity, 0, 0}};
  Counts accepted;
  for (size_t i = order.size(); i-- > 0;) {
    ++(order[i].genuine ? accepted.genuine : accepted.impostors);
    if (i > 0 && order[i - 1].score == order[i].score) continue;
    out.push_back({order[i].score, double(accepted.impostors) / double(c.impostors),
                   double(accepted.genuine) / double(c.genuine)});
  }
  return out;
}

double equal_error_rate(std::span<const ScoredPair> pairs) {
  const std::vector<RocPoint> points = roc(pairs);
  for (size_t i = 1; i < points.size(); ++i) {
    const RocPoint &a = points[i - 1], &b = points[i];
    const double before = (1 - a.tar) - a.far, after = (1 - b.tar) - b.far;  // falls from 1 to -1
    if (after > 0) continue;
    return a.far + (b.far - a.far) * before / (before - after);
  }
  return 1;  // not reached: the last point accepts everything
}

TopScores::TopScores(int64_t k) : k_(k) { check(k >= 1, "the ", k, " largest scores"); }

void TopScores::add(double score) {
  if (!full()) {
    heap_.push_back(score);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  } else if (score > heap_.front()) {
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    heap_.back() = score;
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }
}

int64_t TopScores::above_smallest() const {
  return std::count_if(heap_.begin(), heap_.end(), [&](double score) { return score > heap_.front(); });
}

int64_t allowed_matches(double fmr, int64_t impostors) {
  check_rate(fmr);
  // 0.07 * 100 is 7.000000000000001, 0.29 * 100 is 28.999999999999996: a count within 1e-9 of a whole one is
  // meant.
  return std::min(impostors - 1, int64_t(std::floor(fmr * double(impostors) * (1 + 1e-12) + 1e-9)));
}

double threshold_at_fmr(std::span<const double> impostor_scores, double fmr) {
  check(!impostor_scores.empty(), "a threshold cannot be set without impostor scores");
  TopScores top(allowed_matches(fmr, int64_t(impostor_scores.size())) + 1);
  for (size_t i = 0; i < impostor_scores.size(); ++i) {
    check_finite(impostor_scores[i], i);
    top.add(impostor_scores[i]);
  }
  return just_above(top.smallest());
}

namespace {

// Rows scaled to unit norm, padded with zeros to whole groups of kLanes.
constexpr int64_t kLanes = 16, kBlock = 64;
struct UnitRows {
  int64_t rows = 0, stride = 0;
  std::vector<float> values;
  const float* row(int64_t i) const { return values.data() + i * stride; }
};

void check_matrix(const Tensor& t, const char* name) {
  check(t.shape().rank() == 2 && t.dtype() == DType::f32, name, " must be (N, D) f32, not ", t.shape());
}

UnitRows unit_rows(const Tensor& t) {
  check_matrix(t, "embeddings");
  const int64_t n = t.dim(0), d = t.dim(1);
  UnitRows out{n, (d + kLanes - 1) / kLanes * kLanes, {}};
  out.values.assign(size_t(n * out.stride), 0.f);
  const Tensor host = t.on_host();
  const float* from = host.data<float>();
  for (int64_t i = 0; i < n; ++i) {
    const double length = norm({from + i * d, size_t(d)});
    check(std::isfinite(length) && length > 0, "embedding ", i, " has norm ", length);
    for (int64_t j = 0; j < d; ++j) out.values[size_t(i * out.stride + j)] = float(from[i * d + j] / length);
  }
  return out;
}

// In f32 and lanes, for the search over all pairs.
float dot_of_padded(const float* a, const float* b, int64_t n) {
  float lane[kLanes] = {};
  for (int64_t i = 0; i < n; i += kLanes)
    for (int64_t l = 0; l < kLanes; ++l) lane[l] += a[i + l] * b[i + l];
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t l = 0; l < half; ++l) lane[l] += lane[l + half];
  return lane[0];
}

}  // namespace

FmrThreshold cross_identity_threshold(const Tensor& embeddings, std::span<const int64_t> identity,
                                      double fmr) {
  const UnitRows rows = unit_rows(embeddings);
  check(int64_t(identity.size()) == rows.rows, rows.rows, " embeddings with ", identity.size(),
        " identities");
  std::map<int64_t, int64_t> images;
  FmrThreshold out;
  for (size_t i = 0; i < identity.size(); ++i) out.impostor_pairs += int64_t(i) - images[identity[i]]++;
  check(out.impostor_pairs > 0, "all ", rows.rows,
        " embeddings are of one identity: there is no impostor pair");
  TopScores top(allowed_matches(fmr, out.impostor_pairs) + 1);
  std::mutex mutex;
  // Scores below it cannot be among the largest; it only rises, so a stale value is safe.
  std::atomic<double> floor{-kInfinity};
  const int64_t blocks = (rows.rows + kBlock - 1) / kBlock;
  parallel_for(blocks, [&](int64_t block) {
    std::vector<double> found;
    for (int64_t other = 0; other <= block; ++other) {
      const double limit = floor.load(std::memory_order_relaxed);
      for (int64_t i = block * kBlock; i < std::min(rows.rows, (block + 1) * kBlock); ++i)
        for (int64_t j = other * kBlock; j < std::min(i, (other + 1) * kBlock); ++j) {
          if (identity[size_t(i)] == identity[size_t(j)]) continue;
          const double score = double(dot_of_padded(rows.row(i), rows.row(j), rows.stride));
          if (score >= limit) found.push_back(score);
        }
      std::lock_guard lock(mutex);
      for (double score : found) top.add(score);
      found.clear();
      if (top.full()) floor.store(top.smallest(), std::memory_order_relaxed);
    }
  });
  out.threshold = just_above(top.smallest());
  out.accepted = top.above_smallest();
  return out;
}

Interval bootstrap_mean(std::span<const double> values, std::span<const int64_t> identity, uint64_t seed,
                        int resamples, double level) {
  return bootstrap_class_mean(values, std::vector<int64_t>(values.size(), 0), 1, identity, seed, resamples,
                              level);
}

namespace {

// The classes of which anybody has records.
std::vector<size_t> classes_of(std::span<const PersonSums> people) {
  std::vector<size_t> list;
  for (size_t c = 0; c < people[0].records.size(); ++c)
    if (std::ranges::any_of(people, [c](const PersonSums& p) { return p.records[c] > 0; })) list.push_back(c);
  return list;
}

// The mean over these classes of their means, of as many people as there are, whom at(0), at(1), ... name. No
// number where nobody of a class is among them.
template <class At>
double class_mean(std::span<const PersonSums> people, std::span<const size_t> classes, const At& at) {
  std::vector<double> sum(people[0].sum.size()), records(people[0].sum.size());
  for (uint64_t g = 0; g < people.size(); ++g) {
    const PersonSums& person = people[at(g)];
    for (const size_t c : classes) sum[c] += person.sum[c], records[c] += person.records[c];
  }
  double total = 0;
  for (const size_t c : classes) total += sum[c] / records[c];  // 0 / 0 is no number
  return total / double(classes.size());
}

// Of a statistic of people: as they are, and its percentiles over resamples. of(classes, at) is the
// statistic. A resample of which it is no number, as it lacks a class, is drawn again: the mean of the other
// classes is another statistic.
template <class Of>
Interval bootstrap(std::span<const PersonSums> list, uint64_t seed, int resamples, double level,
                   const Of& of) {
  constexpr uint64_t kMostDraws = 10'000;
  check(resamples >= 100 && level > 0 && level < 1,
        "a bootstrap takes at least 100 resamples and a level in (0, 1)");
  const uint64_t people = list.size();
  check(people >= 2, "an interval over identities needs at least 2 of them, not ", people);
  const std::vector<size_t> classes = classes_of(list);
  std::vector<double> drawn(static_cast<size_t>(resamples));
  const Philox rng{seed, 0};
  parallel_for(resamples, [&](int64_t r) {
    double& value = drawn[size_t(r)];
    for (uint64_t again = 0; again == 0 || std::isnan(value); ++again) {
      check(again < kMostDraws, "of ", people, " people hardly any draw has all classes");
      const uint64_t draw = again * uint64_t(resamples) + uint64_t(r);
      value = of(classes, [&](uint64_t g) { return size_t(rng.below(draw * people + g, people)); });
    }
  });
  std::sort(drawn.begin(), drawn.end());
  return {of(classes, [](uint64_t g) { return size_t(g); }), quantile_of_sorted(drawn, (1 - level) / 2),
          quantile_of_sorted(drawn, (1 + level) / 2)};
}

}  // namespace

Interval bootstrap_class_mean(std::span<const double> values, std::span<const int64_t> cls, int64_t classes,
                              std::span<const int64_t> identity, uint64_t seed, int resamples, double level) {
  check(values.size() == identity.size() && values.size() == cls.size(), values.size(), " values with ",
        identity.size(), " identities and ", cls.size(), " classes");
  std::map<int64_t, PersonSums> by_identity;
  std::vector<int64_t> of_class(static_cast<size_t>(classes));
  for (size_t i = 0; i < values.size(); ++i) {
    check(std::isfinite(values[i]), "value ", i, " is ", values[i]);
    check(cls[i] >= 0 && cls[i] < classes, "value ", i, " is of class ", cls[i], " of ", classes);
    PersonSums& person = by_identity[identity[i]];
    person.sum.resize(size_t(classes)), person.records.resize(size_t(classes));
    person.sum[size_t(cls[i])] += values[i], ++person.records[size_t(cls[i])];
    ++of_class[size_t(cls[i])];
  }
  std::vector<PersonSums> people;
  for (auto& [id, person] : by_identity) people.push_back(std::move(person));
  for (int64_t c = 0; c < classes && people.size() >= 2; ++c)
    check(of_class[size_t(c)] > 0, "class ", c, " has no values");
  return bootstrap(people, seed, resamples, level,
                   [&](const auto& all, const auto& at) { return class_mean(people, all, at); });
}

Interval bootstrap_difference(std::span<const PersonSums> before, std::span<const PersonSums> after,
                              uint64_t seed, int resamples, double level) {
  check(before.size() == after.size(), "a paired difference of ", before.size(), " and ", after.size(),
        " people");
  for (size_t i = 0; i < before.size(); ++i) {
    const bool alike = before[i].records == after[i].records &&
                       before[i].sum.size() == before[i].records.size() &&
                       after[i].sum.size() == before[i].records.size() &&
                       before[i].records.size() == before[0].records.size();
    check(alike, "person ", i, " of a paired difference has other records on either side");
    for (const auto* sums : {&before[i].sum, &after[i].sum})
      for (const double sum : *sums) check(std::isfinite(sum), "person ", i, " has a sum of ", sum);
  }
  return bootstrap(before, seed, resamples, level, [&](const auto& all, const auto& at) {
    return class_mean(after, all, at) - class_mean(before, all, at);
  });
}

double quantile_of_sorted(const std::vector<double>& sorted, double share) {
  check(sorted.size() >= 2, "a quantile of ", sorted.size(), " values");
  const double at = share * double(sorted.size() - 1);
  const auto i = std::min(size_t(at), sorted.size() - 2);
  return sorted[i] + (at - double(i)) * (sorted[i + 1] - sorted[i]);
}

std::vector<double> placements(std::span<const double> genuine, std::span<const double> impostors) {
  check(!impostors.empty(), "the place of a score among no impostors");
  for (const auto& scores : {genuine, impostors})
    for (size_t i = 0; i < scores.size(); ++i) check_finite(scores[i], i);
  std::vector<double> order(impostors.begin(), impostors.end());
  std::sort(order.begin(), order.end());
  std::vector<double> out;
  for (double score : genuine) {
    const auto [first, last] = std::equal_range(order.begin(), order.end(), score);
    const double below = double(first - order.begin()), same = double(last - first);
    out.push_back((below + same / 2) / double(order.size()));
  }
  return out;
}

double in_top(int64_t k, int64_t above, int64_t ties) {
  return std::clamp(double(k - above) / double(ties + 1), 0.0, 1.0);
}

namespace {

struct Moments {
  double mean, deviation;
};
Moments moments(const float* v, int64_t n) {
  double mean = 0, variance = 0;
  for (int64_t i = 0; i < n; ++i) mean += double(v[i]);
  mean /= double(n);
  for (int64_t i = 0; i < n; ++i) variance += (double(v[i]) - mean) * (double(v[i]) - mean);
  return {mean, std::sqrt(variance / double(n))};
}

}  // namespace

ChannelMoments channel_moments(const Tensor& image) {
  const Shape& s = image.shape();
  check(image.dtype() == DType::f32 && (s.rank() == 3 || (s.rank() == 4 && s[0] == 1)) && s.numel() > 0,
        "the moments of an image (C,H,W) f32, not of ", s);
  const int64_t channels = s[-3], pixels = s[-2] * s[-1];
  const Tensor host = image.on_host();
  ChannelMoments out;
  for (int64_t c = 0; c < channels; ++c) {
    const Moments m = moments(host.data<float>() + c * pixels, pixels);
    out.mean.push_back(m.mean);
    out.deviation.push_back(m.deviation);
  }
  return out;
}

Tensor match_moments(const Tensor& images, const ChannelMoments& target) {
  const Shape& s = images.shape();
  check(images.dtype() == DType::f32 && s.rank() == 4, "moment matching takes images (N,C,H,W) f32, not ", s);
  const int64_t channels = s[1], pixels = s[2] * s[3];
  check(int64_t(target.mean.size()) == channels && target.deviation.size() == target.mean.size(), "images ",
        s, " cannot be matched to the moments of ", target.mean.size(), " channels");
  const BackendScope on_host(host_backend());
  Tensor out = Tensor::empty(s);
  const Tensor host = images.on_host();
  const float* from = host.data<float>();
  float* to = out.mutable_data<float>();
  parallel_for(s[0] * channels, [&](int64_t plane) {
    const auto c = size_t(plane % channels);
    const Moments m = moments(from + plane * pixels, pixels);
    // Rounding leaves a constant channel a deviation near 1e-17; stretching that would paint noise.
    const double scale = m.deviation > 1e-7 ? target.deviation[c] / m.deviation : 0;
    for (int64_t i = plane * pixels; i < (plane + 1) * pixels; ++i)
      to[i] = float(std::clamp((double(from[i]) - m.mean) * scale + target.mean[c], 0.0, 1.0));
  });
  return out.to(images.backend());
}

std::vector<double> cosine_rows(const Tensor& a, const Tensor& b) {
  check_matrix(a, "a");
  check_matrix(b, "b");
  check(a.shape() == b.shape(), "cosines of the rows of ", a.shape(), " with those of ", b.shape());
  const int64_t n = a.dim(0), d = a.dim(1);
  const Tensor host_a = a.on_host(), host_b = b.on_host();
  std::vector<double> out(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const std::span x(host_a.data<float>() + i * d, size_t(d)), y(host_b.data<float>() + i * d, size_t(d));
    const double norms = norm(x) * norm(y);
    check(std::isfinite(norms) && norms > 0, "row ", i, " has no direction: its norm is zero or not finite");
    out[size_t(i)] = dot(x, y) / norms;
  }
  return out;
}

double replay_rate(std::span<const double> scores, double threshold) {
  check(!scores.empty(), "the replay rate of no reconstructions");
  int64_t accepted = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    check_finite(scores[i], i);
    accepted += scores[i] >= threshold;
  }
  return double(accepted) / double(scores.size());
}

}  // namespace advf
