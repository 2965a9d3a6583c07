#include "advface/audit/unlinkability.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>

#include "tensor/check.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr int64_t kMostNonMated = int64_t(1) << 20, kBlock = 4096;
constexpr int kResamples = 2000;
constexpr double kLevel = 0.95;
constexpr uint64_t kNonMatedStream = 0, kShuffleStream = 1;  // shuffle r has the stream kShuffleStream + r

int64_t not_above(const std::vector<double>& sorted, double value) {
  return std::upper_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
}

std::vector<double> sorted_copy(std::span<const double> scores, const char* kind) {
  check(!scores.empty(), "unlinkability without ", kind, " scores");
  for (double s : scores) check(std::isfinite(s), "a ", kind, " score is ", s);
  std::vector<double> list(scores.begin(), scores.end());
  std::sort(list.begin(), list.end());
  return list;
}

// D of a bin with these shares of both kinds.
double d_of(double mated, double non_mated, double odds) {
  const double m = odds * mated;
  return m > non_mated ? (m - non_mated) / (m + non_mated) : 0;
}

// The upper ends of bins with equal parts of the even mixture. Counts are compared as whole numbers, so that
// nobody's rounding moves a score to another bin.
std::vector<double> equal_bins(const std::vector<double>& mated, const std::vector<double>& non_mated,
                               int64_t bins) {
  const auto m = static_cast<__int128>(mated.size()), n = static_cast<__int128>(non_mated.size());
  // Whether the scores up to this value are at least k of `bins` parts.
  const auto reaches = [&](double value, int64_t k) {
    return bins * (not_above(mated, value) * n + not_above(non_mated, value) * m) >= 2 * k * m * n;
  };
  const auto first_of = [&](const std::vector<double>& sorted, int64_t k) {
    return std::partition_point(sorted.begin(), sorted.end(), [&](double v) { return !reaches(v, k); });
  };
  std::vector<double> edges;
  for (int64_t k = 1; k <= bins; ++k) {
    const auto a = first_of(mated, k), b = first_of(non_mated, k);
    const double edge = a == mated.end() ? *b : b == non_mated.end() ? *a : std::min(*a, *b);
    if (edges.empty() || edge > edges.back()) edges.push_back(edge);
  }
  return edges;
}

std::vector<double> shares(const std::vector<double>& sorted, const std::vector<double>& edges) {
  std::vector<double> list;
  int64_t before = 0;
  for (double edge : edges) {
    const int64_t now = not_above(sorted, edge);
    list.push_back(double(now - before) / double(sorted.size()));
    before = now;
  }
  return list;
}

double system_of(const std::vector<double>& mated, const std::vector<double>& d) {
  double sum = 0;
  for (size_t k = 0; k < d.size(); ++k) sum += mated[k] * d[k];
  return sum;
}

LocalLinkability of_sorted(const std::vector<double>& mated, const std::vector<double>& non_mated,
                           int64_t bins, double odds) {
  LocalLinkability result;
  result.edges = equal_bins(mated, non_mated, bins);
  result.mated = shares(mated, result.edges);
  result.non_mated = shares(non_mated, result.edges);
  for (size_t k = 0; k < result.edges.size(); ++k)
    result.d.push_back(d_of(result.mated[k], result.non_mated[k], odds));
  result.system = system_of(result.mated, result.d);
  return result;
}

std::vector<double> scores_of(const std::vector<RecordPair>& pairs, const PairScore& score) {
  std::vector<double> list(pairs.size());
  const int64_t n = int64_t(pairs.size());
  parallel_for((n + kBlock - 1) / kBlock, [&](int64_t block) {
    for (int64_t i = block * kBlock; i < std::min(n, (block + 1) * kBlock); ++i)
      list[size_t(i)] = score(pairs[size_t(i)]);
  });
  return list;
}

// The non-mated scores that there would be if pairs of the shuffle were the mated ones: those leave, and the
// mated ones come in their places. Without that a shuffle is compared with its own scores, and chance is told
// too small: of pairs without a link 7 to 8 % then have a p-value of 0.05 or less. Of a sample of non-mated
// pairs few are those of a shuffle.
std::vector<double> exchanged(const std::vector<double>& others, const std::vector<double>& shuffled,
                              const std::vector<double>& mated) {
  std::vector<double> leaving, coming, stay, all;
  for (size_t i = 0; i < shuffled.size(); ++i)
    if (std::binary_search(others.begin(), others.end(), shuffled[i])) {
      leaving.push_back(shuffled[i]);
      coming.push_back(mated[i]);
    }
  std::sort(leaving.begin(), leaving.end());
  std::sort(coming.begin(), coming.end());
  std::set_difference(others.begin(), others.end(), leaving.begin(), leaving.end(), std::back_inserter(stay));
  std::merge(stay.begin(), stay.end(), coming.begin(), coming.end(), std::back_inserter(all));
  return all;
}

// The scores of one person's records of the first set, counted by bin.
struct Counts {
  std::vector<double> mated, non_mated;
};

std::vector<Counts> counts_by_person(const RecordPairs& pairs, const std::vector<int64_t>& person,
                                     const Unlinkability& result) {
  std::map<int64_t, Counts> all;
  const std::vector<double>& edges = result.local.edges;
  const auto bin_of = [&](double score) {
    return size_t(std::lower_bound(edges.begin(), edges.end(), score) - edges.begin());
  };
  const auto count = [&](const std::vector<RecordPair>& list, const std::vector<double>& scores,
                         std::vector<double> Counts::*kind) {
    for (size_t i = 0; i < list.size(); ++i) {
      Counts& mine = all[person[size_t(list[i].first)]];
      mine.mated.resize(edges.size());
      mine.non_mated.resize(edges.size());
      ++(mine.*kind)[bin_of(scores[i])];
    }
  };
  count(pairs.mated, result.mated, &Counts::mated);
  count(pairs.non_mated, result.non_mated, &Counts::non_mated);
  std::vector<Counts> people;
  for (auto& entry : all) people.push_back(std::move(entry.second));
  return people;
}

// D_sys of the counts, all bins together; 0 where a kind is missing.
double system_of(const Counts& sum, double odds) {
  double mated = 0, non_mated = 0, result = 0;
  for (double c : sum.mated) mated += c;
  for (double c : sum.non_mated) non_mated += c;
  if (mated == 0 || non_mated == 0) return 0;
  for (size_t k = 0; k < sum.mated.size(); ++k)
    result += sum.mated[k] / mated * d_of(sum.mated[k] / mated, sum.non_mated[k] / non_mated, odds);
  return result;
}

Interval corrected(const std::vector<Counts>& people, double estimate, double odds, uint64_t seed) {
  std::vector<double> drawn(static_cast<size_t>(kResamples));
  const uint64_t n = people.size();
  const Philox rng{seed, 0};
  parallel_for(kResamples, [&](int64_t r) {
    Counts sum{std::vector<double>(people[0].mated.size()), std::vector<double>(people[0].mated.size())};
    for (uint64_t g = 0; g < n; ++g) {
      const Counts& one = people[rng.below(uint64_t(r) * n + g, n)];
      for (size_t k = 0; k < sum.mated.size(); ++k) {
        sum.mated[k] += one.mated[k];
        sum.non_mated[k] += one.non_mated[k];
      }
    }
    drawn[size_t(r)] = system_of(sum, odds);
  });
  std::sort(drawn.begin(), drawn.end());
  double mean = 0;
  for (double v : drawn) mean += v / kResamples;
  const auto turned = [&](double v) { return std::clamp(2 * estimate - v, 0.0, 1.0); };
  return {turned(mean), turned(quantile_of_sorted(drawn, (1 + kLevel) / 2)),
          turned(quantile_of_sorted(drawn, (1 - kLevel) / 2))};
}

// Photographs of each person, in order.
using Photographs = std::map<int64_t, std::vector<int64_t>>;

// Nobody comes to himself: a random cycle through all (Sattolo 1986).
std::vector<size_t> random_cycle(size_t n, const Philox& rng) {
  std::vector<size_t> to(n);
  for (size_t i = 0; i < n; ++i) to[i] = i;
  for (size_t i = n - 1; i > 0; --i) std::swap(to[i], to[rng.below(i, i)]);
  return to;
}

void add_non_mated(RecordPairs& pairs, const std::vector<int64_t>& person, uint64_t seed) {
  const int64_t n = int64_t(person.size()), firsts = int64_t(pairs.mated.size());
  if (firsts * n <= kMostNonMated) {
    for (const RecordPair& m : pairs.mated)
      for (int64_t j = 0; j < n; ++j)
        if (person[size_t(j)] != person[size_t(m.first)]) pairs.non_mated.push_back({m.first, j});
    return;
  }
  const Philox rng{seed, kNonMatedStream};
  const int64_t each = std::max<int64_t>(1, kMostNonMated / firsts);
  uint64_t at = 0;
  for (const RecordPair& m : pairs.mated)
    for (int64_t k = 0; k < each;) {
      const auto j = int64_t(rng.below(at++, uint64_t(n)));
      if (person[size_t(j)] == person[size_t(m.first)]) continue;
      pairs.non_mated.push_back({m.first, j});
      ++k;
    }
}

}  // namespace

double LocalLinkability::at(double score) const {
  const auto k = std::lower_bound(edges.begin(), edges.end(), score) - edges.begin();
  return d[std::min(size_t(k), d.size() - 1)];
}

int64_t linkability_bins(int64_t mated_scores) {
  return 2 * std::max<int64_t>(2, std::llround(std::cbrt(double(mated_scores)) / 2));
}

LocalLinkability local_linkability(std::span<const double> mated, std::span<const double> non_mated,
                                   int64_t bins, double odds) {
  check(bins >= 2 && odds > 0, "unlinkability with ", bins, " bins and odds of ", odds);
  return of_sorted(sorted_copy(mated, "mated"), sorted_copy(non_mated, "non-mated"), bins, odds);
}

RecordPairs record_pairs(const std::vector<int64_t>& person, MatedPairs which, uint64_t seed,
                         const std::string& what, int shuffles) {
  Photographs photographs;
  for (size_t i = 0; i < person.size(); ++i) photographs[person[i]].push_back(int64_t(i));
  RecordPairs pairs;
  struct Place {
    size_t who;
    int64_t photograph;  // of his, that of the second record
  };
  std::vector<Place> places;
  std::vector<const std::vector<int64_t>*> people;
  for (const auto& entry : photographs) {
    const std::vector<int64_t>& mine = entry.second;
    const int64_t count = int64_t(mine.size()), step = which == MatedPairs::other_photo ? 1 : 0;
    people.push_back(&mine);
    if (count <= step) continue;
    for (int64_t k = 0; k < count; ++k) {
      const int64_t second = (k + step) % count;
      pairs.mated.push_back({mine[size_t(k)], mine[size_t(second)]});
      places.push_back({people.size() - 1, second});
    }
  }
  std::set<size_t> with_pairs;
  for (const Place& place : places) with_pairs.insert(place.who);
  check(with_pairs.size() >= 2, what, ": of the people under test ", with_pairs.size(),
        which == MatedPairs::other_photo ? " have two photographs or more" : " have a photograph",
        ", but unlinkability needs two such people");
  add_non_mated(pairs, person, seed);
  for (int r = 0; r < shuffles; ++r) {
    const std::vector<size_t> to = random_cycle(people.size(), {seed, kShuffleStream + uint64_t(r)});
    std::vector<RecordPair>& list = pairs.shuffled.emplace_back();
    for (size_t i = 0; i < places.size(); ++i) {
      const std::vector<int64_t>& other = *people[to[places[i].who]];
      list.push_back({pairs.mated[i].first, other[size_t(places[i].photograph % int64_t(other.size()))]});
    }
  }
  return pairs;
}

Unlinkability score_unlinkability(const RecordPairs& pairs, const std::vector<int64_t>& person,
                                  const PairScore& score, double odds, uint64_t seed) {
  Unlinkability result;
  result.mated = scores_of(pairs.mated, score);
  result.non_mated = scores_of(pairs.non_mated, score);
  const int64_t bins = linkability_bins(int64_t(result.mated.size()));
  const std::vector<double> others = sorted_copy(result.non_mated, "non-mated");
  result.local = of_sorted(sorted_copy(result.mated, "mated"), others, bins, odds);
  result.placement = placements(result.mated, result.non_mated);
  result.corrected = corrected(counts_by_person(pairs, person, result), result.local.system, odds, seed);
  std::vector<double> chance;
  for (const auto& shuffled : pairs.shuffled) {
    const std::vector<double> scores = scores_of(shuffled, score);
    chance.push_back(
        of_sorted(sorted_copy(scores, "mated"), exchanged(others, scores, result.mated), bins, odds).system);
  }
  if (chance.empty()) return result;
  std::sort(chance.begin(), chance.end());
  for (double v : chance) result.chance_mean += v / double(chance.size());
  result.chance_high = quantile_of_sorted(chance, kLevel);
  const auto reached = chance.end() - std::lower_bound(chance.begin(), chance.end(), result.local.system);
  result.p_value = double(1 + reached) / double(1 + chance.size());
  return result;
}

std::vector<ScoreDensity> densities_of(const Unlinkability& result, int bins) {
  const auto [low_m, high_m] = std::minmax_element(result.mated.begin(), result.mated.end());
  const auto [low_n, high_n] = std::minmax_element(result.non_mated.begin(), result.non_mated.end());
  const double low = std::min(*low_m, *low_n), high = std::max(*high_m, *high_n);
  const double width = (high - low) / bins;
  if (!(width > 0)) return {{low, 1, 1, result.local.at(low)}};
  std::vector<ScoreDensity> list(static_cast<size_t>(bins));
  const auto count = [&](const std::vector<double>& scores, double ScoreDensity::*kind) {
    for (double s : scores)
      list[size_t(std::clamp(int((s - low) / width), 0, bins - 1))].*kind += 1 / double(scores.size());
  };
  count(result.mated, &ScoreDensity::mated);
  count(result.non_mated, &ScoreDensity::non_mated);
  for (size_t k = 0; k < list.size(); ++k) {
    list[k].score = low + (double(k) + 0.5) * width;
    list[k].d = result.local.at(list[k].score);
  }
  return list;
}

}  // namespace advf
