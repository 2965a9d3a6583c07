// The audit's numbers: tiny cases worked out by hand, and the slow numpy versions of metrics_oracle.py.
#define BOOST_TEST_MODULE metrics
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "advface/audit/judge.h"
#include "advface/audit/metrics.h"
#include "advface/core/enrolment.h"
#include "advface/protections/random_noise.h"
#include "advface/store/nearest.h"
#include "tensor/parallel.h"
#include "test_util.h"

using namespace advf;
using nlohmann::json;

namespace {

const json& oracle() {
  static const json data = json::parse(std::ifstream(ADVF_TEST_DATA "/metrics.json"));
  return data;
}

std::vector<ScoredPair> oracle_pairs() {
  const json& v = oracle().at("verification");
  std::vector<ScoredPair> pairs;
  for (size_t i = 0; i < v.at("score").size(); ++i)
    pairs.push_back({v["score"][i].get<double>(), v["genuine"][i].get<int>() != 0, v["fold"][i].get<int>()});
  return pairs;
}

Tensor to_tensor(const json& values, const Shape& shape) {
  return Tensor::from(values.get<std::vector<float>>(), shape);
}

}  // namespace

BOOST_AUTO_TEST_CASE(fold_accuracy_by_hand) {
  // Fold 1 chooses on fold 0 and the other way round. Fold 0: impostors 0.1 0.3, genuine 0.5 0.7: the only
  // perfect midpoint is 0.4. Fold 1: 0.2i 0.6g 0.45i 0.9g: midpoints 0.325 0.525 0.75 with 3, 4, 3 correct.
  const std::vector<ScoredPair> pairs = {{0.1, false, 0}, {0.3, false, 0}, {0.5, true, 0},   {0.7, true, 0},
                                         {0.2, false, 1}, {0.6, true, 1},  {0.45, false, 1}, {0.9, true, 1}};
  const FoldAccuracy r = fold_accuracy(pairs);
  BOOST_TEST(r.threshold[1] == 0.4);
  BOOST_TEST(std::fabs(r.threshold[0] - 0.525) < 1e-12);
  BOOST_TEST(r.accuracy[0] == 0.75);  // 0.5 is rejected
  BOOST_TEST(r.accuracy[1] == 0.75);  // 0.45 is accepted
  BOOST_TEST(r.mean == 0.75);
  BOOST_TEST(r.deviation == 0);
}

BOOST_AUTO_TEST_CASE(the_lowest_of_the_best_thresholds_is_taken_and_a_score_on_it_is_accepted) {
  // Training scores of fold 0: 0i 1g 2i 3g. Midpoints 0.5, 1.5, 2.5 have 3, 2, 3 correct: 0.5 is the lowest.
  const std::vector<ScoredPair> pairs = {{0.5, true, 0}, {0.5, false, 0}, {0, false, 1},
                                         {1, true, 1},   {2, false, 1},   {3, true, 1}};
  const FoldAccuracy r = fold_accuracy(pairs);
  BOOST_TEST(r.threshold[0] == 0.5);
  BOOST_TEST(r.accuracy[0] == 0.5);  // both accepted
}

BOOST_AUTO_TEST_CASE(fold_deviation_divides_by_folds_minus_one) {
  // Every fold but the last is perfect; the last has one of two right.
  std::vector<ScoredPair> pairs;
  for (int f = 0; f < 3; ++f) pairs.insert(pairs.end(), {{1, true, f}, {0, false, f}});
  pairs.insert(pairs.end(), {{1, true, 3}, {1, false, 3}});
  const FoldAccuracy r = fold_accuracy(pairs);
  BOOST_TEST(r.mean == 0.875);
  BOOST_TEST(std::fabs(r.deviation - 0.25) < 1e-12);
}

BOOST_AUTO_TEST_CASE(fold_accuracy_matches_the_oracle) {
  const json& v = oracle().at("verification");
  const FoldAccuracy r = fold_accuracy(oracle_pairs());
  BOOST_REQUIRE(r.accuracy.size() == 10u);
  for (size_t f = 0; f < 10; ++f) {
    BOOST_TEST(std::fabs(r.threshold[f] - v["threshold"][f].get<double>()) < 1e-12);
    BOOST_TEST(std::fabs(r.accuracy[f] - v["accuracy"][f].get<double>()) < 1e-12);
  }
  BOOST_TEST(std::fabs(r.mean - v["mean"].get<double>()) < 1e-12);
  BOOST_TEST(std::fabs(r.deviation - v["deviation"].get<double>()) < 1e-12);
}

BOOST_AUTO_TEST_CASE(tar_at_far_by_hand) {
  // Impostors 1 2 2 3, genuine 2 2.5 3 4. One of four impostors may pass: all of the tie at 2 is rejected.
  const std::vector<ScoredPair> pairs = {{1}, {2}, {2}, {3}, {2, true}, {2.5, true}, {3, true}, {4, true}};
  OperatingPoint p = tar_at_far(pairs, 0.25);
  BOOST_TEST(p.threshold == std::nextafter(2.0, 3.0));
  BOOST_TEST(p.genuine_accepted == 3);
  BOOST_TEST(p.impostors_accepted == 1);
  p = tar_at_far(pairs, 0.5);  // two would be allowed, but the tie counts as two: the same threshold
  BOOST_TEST(p.impostors_accepted == 1);
  BOOST_TEST(p.far() == 0.25);
  p = tar_at_far(pairs, 0.75);
  BOOST_TEST(p.impostors_accepted == 3);
  BOOST_TEST(p.tar() == 1);
  p = tar_at_far(pairs, 0);
  BOOST_TEST(p.genuine_accepted == 1);
  BOOST_TEST(p.impostors_accepted == 0);
  p = at_threshold(pairs, 2);  // at the threshold is accepted
  BOOST_TEST(p.genuine_accepted == 4);
  BOOST_TEST(p.impostors_accepted == 3);
}

BOOST_AUTO_TEST_CASE(tar_and_eer_match_the_oracle) {
  const auto pairs = oracle_pairs();
  for (const json& row : oracle().at("verification").at("tar")) {
    const OperatingPoint p = tar_at_far(pairs, row[0].get<double>());
    BOOST_TEST_CONTEXT("far " << row[0]) {
      BOOST_TEST(p.threshold == row[1].get<double>());
      BOOST_TEST(p.tar() == row[2].get<double>());
      BOOST_TEST(p.far() == row[3].get<double>());
    }
  }
  BOOST_TEST(std::fabs(equal_error_rate(pairs) - oracle()["verification"]["eer"].get<double>()) < 1e-12);
}

BOOST_AUTO_TEST_CASE(roc_and_eer_by_hand) {
  const std::vector<ScoredPair> pairs = {{1}, {2}, {3, true}, {2, true}};
  const auto points = roc(pairs);
  BOOST_REQUIRE(points.size() == 4u);
  const double far[] = {0, 0, 0.5, 1}, tar[] = {0, 0.5, 1, 1};
  for (size_t i = 0; i < 4; ++i) {
    BOOST_TEST(points[i].far == far[i]);
    BOOST_TEST(points[i].tar == tar[i]);
  }
  // From (far 0, frr 0.5) to (far 0.5, frr 0): they meet half way.
  BOOST_TEST(equal_error_rate(pairs) == 0.25);
  BOOST_TEST(equal_error_rate(std::vector<ScoredPair>{{1}, {2, true}}) == 0);
  BOOST_TEST(equal_error_rate(std::vector<ScoredPair>{{2}, {1, true}}) == 1);
  BOOST_TEST(equal_error_rate(std::vector<ScoredPair>{{1}, {1, true}}) == 0.5);
}

BOOST_AUTO_TEST_CASE(allowed_matches_forgives_rounding) {
  BOOST_TEST(allowed_matches(1e-3, 3000) == 3);
  BOOST_TEST(allowed_matches(0.29, 100) == 29);
  BOOST_TEST(allowed_matches(0.07, 100) == 7);
  BOOST_TEST(allowed_matches(1e-3, 999) == 0);
  BOOST_TEST(allowed_matches(1e-3, 50'000'000) == 50'000);
}

BOOST_AUTO_TEST_CASE(threshold_at_fmr_lets_exactly_the_allowed_pass) {
  const Philox rng{3, 0};
  std::vector<double> scores(10'000);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = rng.normal(i);
  for (const double fmr : {0.0, 1e-3, 0.2, 0.9999}) {
    const double t = threshold_at_fmr(scores, fmr);
    const auto passing = std::count_if(scores.begin(), scores.end(), [&](double s) { return s >= t; });
    BOOST_TEST(passing == std::llround(fmr * 10'000));
  }
}

BOOST_AUTO_TEST_CASE(cross_identity_threshold_matches_the_oracle_at_any_number_of_threads) {
  const json& c = oracle().at("cross");
  std::vector<float> flat;
  for (const json& row : c.at("embeddings"))
    for (const json& v : row) flat.push_back(v.get<float>());
  const Tensor embeddings = Tensor::from(flat, {150, 20});
  const auto identity = c.at("identity").get<std::vector<int64_t>>();
  double first = 0;
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    const FmrThreshold r = cross_identity_threshold(embeddings, identity, c.at("fmr").get<double>());
    BOOST_TEST(r.impostor_pairs == c.at("pairs").get<int64_t>());
    BOOST_TEST(r.accepted == c.at("accepted").get<int64_t>());
    BOOST_TEST(std::fabs(r.threshold - c.at("limit").get<double>()) < 1e-6);
    if (threads == 1) first = r.threshold;
    BOOST_TEST(r.threshold == first);
  }
  set_num_threads(0);
}

BOOST_AUTO_TEST_CASE(bootstrap_matches_the_oracle) {
  const json& b = oracle().at("bootstrap");
  const Interval r =
      bootstrap_mean(b.at("values").get<std::vector<double>>(), b.at("identity").get<std::vector<int64_t>>(),
                     b.at("seed").get<uint64_t>(), b.at("resamples").get<int>());
  BOOST_TEST(std::fabs(r.mean - b["mean"].get<double>()) < 1e-12);
  BOOST_TEST(std::fabs(r.low - b["low"].get<double>()) < 1e-12);
  BOOST_TEST(std::fabs(r.high - b["high"].get<double>()) < 1e-12);
}

BOOST_AUTO_TEST_CASE(bootstrap_draws_people_not_records) {
  // 100 copies of each person's record add no knowledge: the interval stays as wide as with one record each.
  std::vector<double> few, many;
  std::vector<int64_t> few_id, many_id;
  for (int64_t i = 0; i < 20; ++i)
    for (int copy = 0; copy < 100; ++copy) {
      many.push_back(double(i)), many_id.push_back(i);
      if (copy == 0) few.push_back(double(i)), few_id.push_back(i);
    }
  const Interval a = bootstrap_mean(few, few_id, 1), b = bootstrap_mean(many, many_id, 1);
  BOOST_TEST(std::fabs(a.low - b.low) < 1e-9);
  BOOST_TEST(std::fabs(a.high - b.high) < 1e-9);
  // Standard error of the mean of 0..19 is sqrt(33.25 / 20) = 1.289; the interval is about 2 * 1.96 of it.
  BOOST_TEST(a.high - a.low > 4.4);
  BOOST_TEST(a.high - a.low < 5.7);
}

// What is peculiar to a person hits both sides of a paired difference alike, and falls out.
BOOST_AUTO_TEST_CASE(a_difference_of_the_same_people_is_paired) {
  std::vector<PersonSums> before, after, worse;
  std::vector<double> first, second, gain;
  std::vector<int64_t> id;
  const Philox rng{7, 0};
  for (int64_t i = 0; i < 30; ++i) {
    const double person = double(i), change = 0.1 + 0.05 * rng.normal(uint64_t(i));
    before.push_back({{3 * person}, {3}}), after.push_back({{3 * (person + 0.1)}, {3}});
    worse.push_back({{person + change}, {1}});
    first.push_back(person), second.push_back(person + change), gain.push_back(change), id.push_back(i);
  }
  const Interval same = bootstrap_difference(before, after, 1);
  BOOST_TEST(std::fabs(same.mean - 0.1) < 1e-9);
  BOOST_TEST(same.high - same.low < 1e-9);  // of the two means alone each interval is 6 wide
  // With a record each it is the bootstrap of the differences.
  std::vector<PersonSums> single = before;
  for (PersonSums& p : single) p = {{p.sum[0] / 3}, {1}};
  const Interval paired = bootstrap_difference(single, worse, 5), oracle = bootstrap_mean(gain, id, 5);
  BOOST_TEST(std::fabs(paired.mean - oracle.mean) < 1e-9);
  BOOST_TEST(std::fabs(paired.low - oracle.low) < 1e-9);
  BOOST_TEST(std::fabs(paired.high - oracle.high) < 1e-9);
  BOOST_TEST(paired.low > 0);
  // Of two classes the mean of their means; a person may have no records of one.
  std::vector<PersonSums> a{{{1, 0}, {2, 0}}, {{0, 3}, {0, 4}}, {{2, 2}, {2, 2}}}, b = a;
  for (PersonSums& p : b) p.sum[0] = 0;
  BOOST_TEST(std::fabs(bootstrap_difference(a, b, 1).mean + 0.5 * 3 / 4) < 1e-12);
  BOOST_CHECK_THROW(bootstrap_difference(before, worse, 1), Error);  // other records
  before.pop_back();
  BOOST_CHECK_THROW(bootstrap_difference(before, after, 1), Error);
  BOOST_CHECK_THROW(bootstrap_difference({before.data(), 1}, {before.data(), 1}, 1), Error);
}

BOOST_AUTO_TEST_CASE(moments_match_the_oracle) {
  const json& m = oracle().at("moments");
  const Tensor matched = match_moments(to_tensor(m.at("images"), {2, 3, 4, 4}),
                                       channel_moments(to_tensor(m.at("target"), {3, 4, 4})));
  BOOST_TEST(test::relative_error(matched, to_tensor(m.at("matched"), {2, 3, 4, 4})) < 1e-6);
}

BOOST_AUTO_TEST_CASE(a_constant_channel_becomes_the_target_mean_and_results_stay_in_range) {
  const ChannelMoments target{{0.4}, {10.0}};
  const std::vector<float> constant(9, 0.1f);
  for (float v : match_moments(Tensor::from(constant, {1, 1, 3, 3}), target).to_vector<float>())
    BOOST_TEST(v == 0.4f);
  const auto v =
      match_moments(Tensor::from(std::vector<float>{0.f, 1.f}, {1, 1, 1, 2}), target).to_vector<float>();
  BOOST_TEST(v[0] == 0.f);
  BOOST_TEST(v[1] == 1.f);
}

BOOST_AUTO_TEST_CASE(cosines_and_replay_by_hand) {
  const Tensor a = Tensor::from(std::vector<float>{1, 0, 3, 4}, {2, 2}),
               b = Tensor::from(std::vector<float>{0, 2, 4, 3}, {2, 2});
  const auto c = cosine_rows(a, b);
  BOOST_TEST(c[0] == 0);
  BOOST_TEST(std::fabs(c[1] - 0.96) < 1e-12);
  BOOST_TEST(replay_rate(std::vector<double>{0.1, 0.5, 0.6, 0.2}, 0.5) == 0.5);
}

// The mean of a person's other photographs, in the domain: of rows 0, 2, 4 (person 7), 1 (alone), 3, 5 (9).
BOOST_AUTO_TEST_CASE(identity_alone_by_hand) {
  const RowsByPerson person({7, 8, 7, 9, 7, 9});
  const FeatureRows vectors(
      Tensor::from(std::vector<float>{1, 0, 0.6f, 0.8f, 0, 1, 0, 1, -1, 0, 0.6f, -0.8f}, {6, 2}));
  constexpr int64_t kMemory = 1 << 20;
  const auto on_sphere = means_of_others(vectors, {3, 0, 5}, person, FeatureDomain::sphere, kMemory);
  const auto real = means_of_others(vectors, {0, 3, 4}, person, FeatureDomain::real, kMemory);
  // Of rows 0 and 4 nothing is left that has a direction.
  BOOST_CHECK_THROW(means_of_others(vectors, {2}, person, FeatureDomain::sphere, kMemory), Error);
  const auto s = on_sphere.range(0, 3).to_vector<float>(), r = real.range(0, 3).to_vector<float>();
  const float h = std::sqrt(0.5f);
  const std::vector<float> s_wanted = {0.6f, -0.8f, -h, h, 0, 1},
                           r_wanted = {-0.5f, 0.5f, 0.6f, -0.8f, 0.5f, 0.5f};
  for (size_t k = 0; k < 6; ++k) {
    BOOST_TEST(std::fabs(s[k] - s_wanted[k]) < 1e-6f, k);
    BOOST_TEST(std::fabs(r[k] - r_wanted[k]) < 1e-6f, k);
  }
  BOOST_CHECK_THROW(means_of_others(vectors, {1}, person, FeatureDomain::real, kMemory), Error);
  // Maps, and more rows than fit in memory.
  const Tensor maps = test::randn({6, 3, 4, 4}, 1, DType::f32);
  const auto means = means_of_others(maps, {4, 0, 5}, person, FeatureDomain::real, 64);
  BOOST_TEST(means.shape() == (Shape{3, 3, 4, 4}));
  const auto all = maps.to_vector<float>(), got = means.range(0, 3).to_vector<float>();
  for (size_t k = 0; k < 48; ++k) {
    BOOST_TEST(std::fabs(got[k] - (all[k] + all[2 * 48 + k]) / 2) < 1e-6f);
    BOOST_TEST(std::fabs(got[2 * 48 + k] - all[3 * 48 + k]) < 1e-6f);
  }
}

// Against all products, sorted; blocks that are not full, ties, and fewer rows than asked for.
BOOST_AUTO_TEST_CASE(nearest_rows_by_brute_force) {
  const int threads = num_threads();
  for (const auto& [n, m, most] :
       {std::tuple<int64_t, int64_t, int64_t>{4100, 70, 10}, {5, 3, 8}, {300, 1, 1}}) {
    // Small whole numbers: products are exact, and many are equal.
    const auto whole = [](int64_t rows, uint64_t seed) {
      std::vector<float> values = test::randn({rows, 6}, seed, DType::f32).to_vector<float>();
      for (float& v : values) v = std::round(2 * v);
      return Tensor::from(values, {rows, 6});
    };
    const Tensor stored = whole(n, 1), probes = whole(m, 2);
    const auto found = nearest_rows(stored, probes, most);
    BOOST_REQUIRE(int64_t(found.size()) == m);
    for (int64_t p = 0; p < m; ++p) {
      std::vector<std::pair<float, int64_t>> all;
      for (int64_t r = 0; r < n; ++r) {
        float sum = 0;
        for (int64_t k = 0; k < 6; ++k)
          sum += stored.data<float>()[r * 6 + k] * probes.data<float>()[p * 6 + k];
        all.emplace_back(-sum, r);
      }
      std::sort(all.begin(), all.end());
      all.resize(size_t(std::min(n, most)));
      const auto& mine = found[size_t(p)];
      BOOST_REQUIRE(mine.size() == all.size());
      for (size_t i = 0; i < all.size(); ++i)
        BOOST_TEST((mine[i].row == all[i].second && mine[i].score == -all[i].first), p << " " << i);
    }
    set_num_threads(threads == 1 ? 2 : 1);
    const auto again = nearest_rows(stored, probes, most);
    set_num_threads(threads);
    for (size_t p = 0; p < found.size(); ++p)
      for (size_t i = 0; i < found[p].size(); ++i) BOOST_TEST(again[p][i].row == found[p][i].row);
  }
  BOOST_CHECK_THROW(nearest_rows(Tensor::zeros({4, 3}), Tensor::zeros({2, 4}), 1), Error);
  BOOST_CHECK_THROW(nearest_rows(Tensor::zeros({4, 3}), Tensor::zeros({2, 3}), 0), Error);
}

BOOST_AUTO_TEST_CASE(enrolled_with_several_photographs_by_hand) {
  const RowsByPerson people({7, 8, 7, 9, 7, 7});
  BOOST_TEST(people.of(4) == (std::vector<int64_t>{0, 2, 4, 5}), boost::test_tools::per_element());
  BOOST_TEST(people.of(3) == (std::vector<int64_t>{3}), boost::test_tools::per_element());
  const auto with = [&](int64_t row, int64_t most, std::vector<int64_t> not_these) {
    return enrolled_with(row, people.of(row), most,
                         [&](int64_t r) { return std::count(not_these.begin(), not_these.end(), r) > 0; });
  };
  // Itself, then backwards, as a ring.
  BOOST_TEST(with(4, 1, {}) == (std::vector<int64_t>{4}), boost::test_tools::per_element());
  BOOST_TEST(with(2, 3, {}) == (std::vector<int64_t>{2, 0, 5}), boost::test_tools::per_element());
  BOOST_TEST(with(2, 0, {5}) == (std::vector<int64_t>{2, 0, 4}), boost::test_tools::per_element());
  BOOST_TEST(with(3, 0, {}) == (std::vector<int64_t>{3}), boost::test_tools::per_element());

  const FeatureRows vectors(Tensor::from(std::vector<float>{1, 0, 0, 1, 0.6f, 0.8f, -1, 0}, {4, 2}));
  const auto name = [](int64_t g) { return "group " + std::to_string(g); };
  const auto means = means_of(vectors, {{0, 1}, {2}, {0, 1, 3}}, FeatureDomain::sphere, 1 << 20, name);
  const auto got = means.range(0, 3).to_vector<float>();
  const float h = std::sqrt(0.5f);
  const std::vector<float> wanted = {h, h, 0.6f, 0.8f, 0, 1};
  for (size_t k = 0; k < wanted.size(); ++k) BOOST_TEST(std::fabs(got[k] - wanted[k]) < 1e-6f, k);
  BOOST_CHECK_EXCEPTION(means_of(vectors, {{1}, {0, 3}}, FeatureDomain::sphere, 1 << 20, name), Error,
                        [](const Error& e) { return std::string(e.what()).starts_with("group 1"); });
}

BOOST_AUTO_TEST_CASE(a_judge_of_some_images_keeps_what_belongs_to_them) {
  const Verifier all{"j",
                     nullptr,
                     0.4,
                     Tensor::from(std::vector<float>{0, 1, 2, 3, 4, 5}, {6, 1}),
                     Tensor::from(std::vector<float>{10, 30, 50}, {3, 1}),
                     {1, 3, 5}};
  const Verifier some = all.only({5, 0, 3});
  BOOST_TEST((some.same.to_vector<float>() == std::vector<float>{5, 0, 3}));
  BOOST_TEST((some.other.to_vector<float>() == std::vector<float>{50, 30}));
  BOOST_TEST((some.other_of == std::vector<int64_t>{0, 2}));
  BOOST_TEST((some.name == "j" && some.threshold == 0.4));
  BOOST_TEST(all.only({0, 2}).other_of.empty());
}

BOOST_AUTO_TEST_CASE(bad_input_is_an_error) {
  const std::vector<ScoredPair> one_kind = {{1, true, 0}, {2, true, 1}},
                                nan = {{NAN, true, 0}, {1, false, 1}},
                                gap = {{1, true, 0}, {0, false, 0}, {1, true, 2}, {0, false, 2}},
                                good = {{1, true}, {0}};
  BOOST_CHECK_THROW(fold_accuracy(one_kind), Error);
  BOOST_CHECK_THROW(equal_error_rate(nan), Error);
  BOOST_CHECK_THROW(fold_accuracy(gap), Error);
  BOOST_CHECK_THROW(fold_accuracy(good), Error);  // one fold
  BOOST_CHECK_THROW(tar_at_far(good, 1), Error);
  BOOST_CHECK_THROW(tar_at_far(good, -0.1), Error);
  BOOST_CHECK_THROW(threshold_at_fmr({}, 0.1), Error);
  const Tensor two = Tensor::from(std::vector<float>{1, 0, 0, 0}, {2, 2});
  BOOST_CHECK_THROW(cosine_rows(two, two), Error);  // a zero row
  const std::vector<int64_t> same = {5, 5}, different = {5, 6};
  BOOST_CHECK_THROW(cross_identity_threshold(two, different, 0.1), Error);
  const Tensor unit = Tensor::from(std::vector<float>{1, 0, 0, 1}, {2, 2});
  BOOST_CHECK_THROW(cross_identity_threshold(unit, same, 0.1), Error);
  BOOST_CHECK_THROW(bootstrap_mean(std::vector<double>{1, 2}, same, 1), Error);
  BOOST_CHECK_THROW(replay_rate({}, 0), Error);
}
