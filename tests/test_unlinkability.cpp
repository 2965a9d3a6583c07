// Unlinkability as numbers, against tests/oracles/unlinkability_oracle.py and where the truth is known; pairs
// and shuffles of records; what links two sets without a key; what known pairs give away.
#define BOOST_TEST_MODULE unlinkability
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "advface/audit/feature_sets.h"
#include "advface/audit/linear_reader.h"
#include "advface/audit/set_links.h"
#include "advface/audit/unlinkability.h"
#include "advface/protections/rotation.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "tensor/parallel.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

const json& oracle() {
  static const json all = json::parse(read_bytes(std::string(ADVF_TEST_DATA) + "/unlinkability.json"));
  return all;
}

void near(const std::vector<double>& a, const std::vector<double>& b, const std::string& what) {
  BOOST_REQUIRE_MESSAGE(a.size() == b.size(), what << ": " << a.size() << " and " << b.size());
  for (size_t i = 0; i < a.size(); ++i)
    BOOST_TEST(std::abs(a[i] - b[i]) < 1e-9, what << " " << i << ": " << a[i] << " " << b[i]);
}

std::vector<double> normals(size_t n, double shift, uint64_t stream) {
  const Philox rng{17, stream};
  std::vector<double> list(n);
  for (size_t i = 0; i < n; ++i) list[i] = rng.normal(i) + shift;
  return list;
}

// `people` with `photos` each.
std::vector<int64_t> crowd(int64_t people, int64_t photos) {
  std::vector<int64_t> list(size_t(people * photos));
  for (size_t i = 0; i < list.size(); ++i) list[i] = int64_t(i) / photos;
  return list;
}

// Turned by a rotation of the seed: all rows by one, or each by its own.
Tensor turned(const Tensor& rows, uint64_t seed, bool each = false) {
  std::vector<float> values = rows.to_vector<float>();
  const size_t n = size_t(rows.dim(1));
  std::vector<std::byte> stream(rotation_stream_bytes(RotationKind::exact, int64_t(n)));
  for (size_t r = 0; r < values.size() / n; ++r) {
    const Philox rng{seed, each ? r : 0};
    if (r == 0 || each)
      for (size_t i = 0; i < stream.size(); ++i) stream[i] = std::byte(rng.bits(i) & 255);
    turn(RotationKind::exact, stream, {values.data() + r * n, n}, false);
  }
  return Tensor::from(values, rows.shape());
}

Tensor units(int64_t rows, int64_t n, uint64_t seed) {
  return l2_normalise(randn({rows, n}, seed, DType::f32));
}

double mean_of(const std::vector<double>& list) {
  return std::accumulate(list.begin(), list.end(), 0.0) / double(list.size());
}

std::vector<double> cosines(const Tensor& a, const Tensor& b) {
  std::vector<double> list;
  const size_t d = size_t(a.dim(1));
  for (int64_t i = 0; i < a.dim(0); ++i)
    list.push_back(cosine({a.data<float>() + size_t(i) * d, d}, {b.data<float>() + size_t(i) * d, d}));
  return list;
}

}  // namespace

BOOST_AUTO_TEST_CASE(d_sys_is_that_of_the_oracle) {
  for (const json& c : oracle()["cases"]) {
    const std::vector<double> mated = c["mated"], others = c["non_mated"];
    const LocalLinkability found = local_linkability(mated, others, c["bins"], c["odds"]);
    near(found.edges, c["edges"], c["name"]);
    near(found.d, c["d"], c["name"]);
    near({found.system}, {c["d_sys"]}, c["name"]);
    // Another scale of the scores changes nothing.
    std::vector<double> a = mated, b = others;
    for (std::vector<double>* list : {&a, &b})
      for (double& v : *list) v = std::exp(3 * v) - 7;
    near(local_linkability(a, b, c["bins"], c["odds"]).d, c["d"], c["name"]);
  }
  // Where the densities are known, bins take little of it and a sample adds little.
  for (const json& c : oracle()["exact"]) {
    const double truth = c["d_sys"];
    const auto mated = normals(60000, c["shift"], 1), others = normals(300000, 0, 2);
    const double found = local_linkability(mated, others, linkability_bins(60000)).system;
    BOOST_TEST(std::abs(found - truth) < 0.01, found << ", not " << truth);
  }
}

// As docs/method.md says it, for who wants the same number of another program: by what lies below a score.
BOOST_AUTO_TEST_CASE(bins_are_those_of_the_page) {
  for (const json& c : oracle()["cases"]) {
    const std::vector<double> mated = c["mated"], others = c["non_mated"];
    const auto m = int64_t(mated.size()), n = int64_t(others.size()), bins = c["bins"].get<int64_t>();
    std::map<int64_t, std::pair<int64_t, int64_t>> counts;  // mated and others by bin
    const auto bin_of = [&](double s) {
      const auto below = [&](const std::vector<double>& list) {
        return int64_t(std::ranges::count_if(list, [&](double other) { return other < s; }));
      };
      return bins * (below(mated) * n + below(others) * m) / (2 * m * n);
    };
    for (double s : mated) ++counts[bin_of(s)].first;
    for (double s : others) ++counts[bin_of(s)].second;
    const double odds = c["odds"];
    double system = 0;
    for (const auto& [bin, both] : counts) {
      BOOST_TEST((bin >= 0 && bin < bins));
      const double x = odds * double(both.first) / double(m), y = double(both.second) / double(n);
      system += x > y ? double(both.first) / double(m) * (x - y) / (x + y) : 0;
    }
    near({local_linkability(mated, others, bins, odds).system}, {system}, c["name"]);
  }
}

BOOST_AUTO_TEST_CASE(the_corrected_interval_is_that_of_the_oracle) {
  const json& c = oracle()["whole"];
  const std::vector<double> scores = c["scores"];
  const std::vector<int64_t> person = c["person"];
  const RecordPairs pairs = record_pairs(person, MatedPairs::same_photo, 5, "here");
  const PairScore score = [&](const RecordPair& p) { return scores[size_t(p.first * 42 + p.second)]; };
  set_num_threads(1);
  const Unlinkability alone = score_unlinkability(pairs, person, score, 1, 5);
  set_num_threads(3);
  const Unlinkability found = score_unlinkability(pairs, person, score, 1, 5);
  set_num_threads(0);
  near({found.local.system, found.corrected.mean, found.corrected.low, found.corrected.high},
       {c["d_sys"], c["mean"], c["low"], c["high"]}, "whole");
  BOOST_TEST((alone.local.d == found.local.d && alone.corrected.low == found.corrected.low &&
              alone.chance_mean == found.chance_mean && alone.p_value == found.p_value));
  BOOST_TEST(found.p_value < 0.01);
  BOOST_TEST((found.chance_mean < found.chance_high && found.chance_high < found.local.system));
}

// Of scores that say nothing D_sys is what chance gives, which is not 0.
BOOST_AUTO_TEST_CASE(nothing_is_chance) {
  const std::vector<int64_t> person = crowd(150, 2);
  int reached = 0;
  double sum = 0, chance = 0, corrected = 0;
  constexpr int kTimes = 20;
  for (int t = 0; t < kTimes; ++t) {
    const Philox rng{uint64_t(t), 99};
    const Unlinkability u = score_unlinkability(
        record_pairs(person, MatedPairs::other_photo, 1, "here"), person,
        [&](const RecordPair& p) { return rng.normal(uint64_t(p.first * 300 + p.second)); }, 1, 1);
    reached += u.p_value <= 0.05;
    sum += u.local.system / kTimes;
    chance += u.chance_mean / kTimes;
    corrected += u.corrected.mean / kTimes;
    BOOST_TEST((u.corrected.low <= u.corrected.mean && u.corrected.mean <= u.corrected.high));
    BOOST_TEST(std::abs(mean_of(u.placement) - 0.5) < 0.1);
  }
  BOOST_TEST(reached <= 4);
  BOOST_TEST((sum > 0.01 && std::abs(sum - chance) < 0.25 * chance), sum << " beside " << chance);
  BOOST_TEST(corrected < sum);
}

// A shuffle is compared with what is non-mated where its pairs are the mated ones.
BOOST_AUTO_TEST_CASE(chance_is_that_of_every_shuffle_as_mated) {
  constexpr int64_t kPeople = 30;
  const std::vector<int64_t> person = crowd(kPeople, 1);
  const PairScore score = [&](const RecordPair& p) {
    return Philox{3, 7}.normal(uint64_t(p.first * kPeople + p.second));
  };
  const RecordPairs pairs = record_pairs(person, MatedPairs::same_photo, 1, "here", 40);
  const Unlinkability found = score_unlinkability(pairs, person, score, 1, 1);
  std::vector<double> chance;
  for (const auto& shuffled : pairs.shuffled) {
    std::vector<double> mated, others;
    for (int64_t i = 0; i < kPeople; ++i)
      for (int64_t j = 0; j < kPeople; ++j)
        (shuffled[size_t(i)].second == j ? mated : others).push_back(score({i, j}));
    chance.push_back(local_linkability(mated, others, linkability_bins(kPeople)).system);
  }
  BOOST_TEST(std::abs(found.chance_mean - mean_of(chance)) < 1e-12);
  const auto reached =
      std::count_if(chance.begin(), chance.end(), [&](double c) { return c >= found.local.system; });
  BOOST_TEST(found.p_value == double(1 + reached) / double(1 + chance.size()));
}

BOOST_AUTO_TEST_CASE(pairs_of_records) {
  const std::vector<int64_t> person{7, 8, 7, 9, 7, 8};
  const auto other = record_pairs(person, MatedPairs::other_photo, 1, "here", 30);
  const auto text = [](const std::vector<RecordPair>& list) {
    std::set<std::pair<int64_t, int64_t>> all;
    for (const RecordPair& p : list) all.emplace(p.first, p.second);
    return all;
  };
  BOOST_TEST(
      (text(other.mated) == std::set<std::pair<int64_t, int64_t>>{{0, 2}, {2, 4}, {4, 0}, {1, 5}, {5, 1}}));
  const auto same = record_pairs(person, MatedPairs::same_photo, 1, "here", 30);
  BOOST_TEST((same.mated.size() == 6u && same.non_mated.size() == 36u - 9 - 4 - 1));
  for (const RecordPairs* pairs : {&other, &same}) {
    BOOST_TEST(pairs->shuffled.size() == 30u);
    for (const auto& shuffled : pairs->shuffled) {
      std::map<int64_t, int64_t> to;
      BOOST_REQUIRE(shuffled.size() == pairs->mated.size());
      for (size_t i = 0; i < shuffled.size(); ++i) {
        const int64_t a = person[size_t(shuffled[i].first)], b = person[size_t(shuffled[i].second)];
        BOOST_TEST((a != b && shuffled[i].first == pairs->mated[i].first));
        BOOST_TEST(to.try_emplace(a, b).first->second == b);
      }
    }
    for (const RecordPair& p : pairs->non_mated)
      BOOST_TEST(person[size_t(p.first)] != person[size_t(p.second)]);
  }
  // Of many records a part, the same for every first one.
  const auto many = record_pairs(crowd(1500, 1), MatedPairs::same_photo, 1, "here", 1);
  BOOST_TEST((many.non_mated.size() % 1500 == 0 && many.non_mated.size() > 900000 &&
              many.non_mated.size() <= size_t(1) << 20));
  refused([&] { record_pairs({1, 1, 2, 3}, MatedPairs::other_photo, 1, "here"); }, {"here", "1 have two"});
  refused([&] { record_pairs({1, 1}, MatedPairs::same_photo, 1, "here"); }, {"here", "two such people"});
  refused([] { local_linkability(std::vector<double>{}, std::vector<double>{1}, 4); }, {"mated"});
  refused([] { local_linkability(std::vector<double>{NAN}, std::vector<double>{1}, 4); }, {"nan"});
  refused([] { local_linkability(std::vector<double>{0}, std::vector<double>{1}, 4, 0); }, {"odds of 0"});
}

// One rotation for a set leaves what its records are to each other, a rotation for each does not.
BOOST_AUTO_TEST_CASE(profiles_go_through_one_rotation) {
  const Tensor z = units(60, 24, 3);
  const std::vector<float> raw = neighbour_profiles(z).to_vector<float>(),
                           set = neighbour_profiles(turned(z, 1)).to_vector<float>(),
                           each = neighbour_profiles(turned(z, 1, true)).to_vector<float>();
  double off_set = 0, off_each = 0;
  for (size_t i = 0; i < raw.size(); ++i) {
    off_set = std::max(off_set, double(std::abs(raw[i] - set[i])));
    off_each = std::max(off_each, double(std::abs(raw[i] - each[i])));
  }
  BOOST_TEST((off_set < 1e-5 && off_each > 0.05), off_set << " " << off_each);
  refused([] { neighbour_profiles(units(1, 4, 1)); }, {"1 records"});
}

// Of n dimensions k pairs give what a record has in the k directions that they span, n pairs give all.
BOOST_AUTO_TEST_CASE(known_pairs_of_one_rotation) {
  constexpr int64_t n = 48;
  const Tensor z = units(400, n, 8), x = turned(z, 5);
  const Tensor other = z.slice_batch(200, 400), stored = x.slice_batch(200, 400);
  for (const int64_t k : {1, 8, 24, 47, 48, 120}) {
    const LinearReader reader(x.slice_batch(0, k), z.slice_batch(0, k));
    const double cosine = mean_of(cosines(reader.read(stored), other));
    const double expected = k >= n ? 1 : std::sqrt(double(k) / double(n));  // of random directions, nearly
    BOOST_TEST(std::abs(cosine - expected) < (k >= n ? 1e-3 : 0.06), k << " pairs: " << cosine);
    BOOST_TEST(reader.penalty() < 1e-5);
  }
  // A rotation for each record: pairs say nothing of others.
  const Tensor each = turned(z, 5, true);
  const LinearReader lost(each.slice_batch(0, 200), z.slice_batch(0, 200));
  BOOST_TEST(std::abs(mean_of(cosines(lost.read(each.slice_batch(200, 400)), other))) < 0.05);
  BOOST_TEST(lost.penalty() == 1);
  // Noise under the rotation: as many pairs as dimensions do not blow up.
  const Tensor noisy = turned(l2_normalise(add(z, affine(randn({400, n}, 4, DType::f32), 0.05, 0))), 5);
  const LinearReader careful(noisy.slice_batch(0, n), z.slice_batch(0, n));
  BOOST_TEST(mean_of(cosines(careful.read(noisy.slice_batch(200, 400)), other)) > 0.6);
  set_num_threads(1);
  const Tensor alone = careful.read(stored);
  const Tensor again = LinearReader(noisy.slice_batch(0, n), z.slice_batch(0, n)).read(stored);
  set_num_threads(0);
  BOOST_TEST(same_bits(alone, again));
  BOOST_TEST(cosines(careful.read(Tensor::zeros({1, n})), other.slice_batch(0, 1))[0] == 0);
  refused([&] { LinearReader(x, other); }, {"[400,48]", "[200,48]"});
}

// Who was trained behind a lock meets what is locked alike; whether he knows pairs of it is told.
BOOST_AUTO_TEST_CASE(locks_are_alike_but_for_their_keys) {
  const auto locked = [](const std::string& key, const std::string& set, const std::string& mode) {
    return ProtectionId::from_json(R"([{"name":"rotation","networks":{"key":")" + key +
                                       R"("},"settings":{"key_check":")" + std::string(32, key[0]) +
                                       R"(","key_mode":")" + mode + R"(","key_set":")" + set +
                                       R"(","rotation":"exact"}}])",
                                   "here");
  };
  const std::string one(32, '1'), two(32, '2');
  const ProtectionId here = locked("aaaaaaaaaaaaaaaa", one, "per-set"),
                     set = locked("aaaaaaaaaaaaaaaa", two, "per-set"),
                     key = locked("bbbbbbbbbbbbbbbb", one, "per-set"),
                     mode = locked("aaaaaaaaaaaaaaaa", one, "per-record");
  BOOST_TEST((here.is_like(here) && !here.is_like(set) && !here.is_like(key)));
  BOOST_TEST((here.is_like_but_for_key(set) && here.is_like_but_for_key(key)));
  BOOST_TEST((!here.is_like_but_for_key(mode) && !here.is_like_but_for_key({})));
  const ProtectionId unknown{{}, "nobody says"};
  BOOST_TEST(!unknown.is_like_but_for_key(unknown));

  const auto from = [](const ProtectionId& id) {
    Provenance p;
    p.protection = id;
    return p;
  };
  const std::vector<Provenance> trained{from(here), from(set), from(mode), from({})};
  std::vector<Meeting> meetings;
  for (size_t i = 0; i < trained.size(); ++i) meetings.push_back({std::to_string(i), "f", &trained[i], {4}});
  NamedFeatures features{"locked", Tensor::zeros({2, 4}), {}, "protected", {}, here};
  std::string told;
  Context context;
  context.note = [&](const std::string& line) { told += line + "\n"; };
  const auto locks = lock_knowledge(meetings, {features}, context);
  BOOST_REQUIRE(locks.size() == 3u);
  BOOST_TEST((locks[0].attacker == "0" && locks[0].pairs_of == "this set"));
  BOOST_TEST((locks[1].attacker == "1" && locks[1].pairs_of == "another key or set"));
  BOOST_TEST((locks[2].attacker == "3" && locks[2].pairs_of == "none"));
  BOOST_TEST(
      (told.find("0, \"locked\"") != std::string::npos && told.find("1, \"locked\"") != std::string::npos));
  BOOST_TEST(reason_left_out(meetings[2], features)->find("key_mode") != std::string::npos);
}
