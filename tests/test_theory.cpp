// The bounds of docs/theory.md: against figures found another way (tests/oracles/theory_oracle.py), and
// against attackers who do what they can in simulation. "Deviations" are those of the estimates.
#define BOOST_TEST_MODULE theory
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "advface/audit/certificate_audit.h"
#include "advface/audit/identity_floor.h"
#include "advface/core/normal_distribution.h"
#include "advface/protections/ascent/ascent_settings.h"
#include "advface/protections/protection_chain.h"
#include "advface/protections/registry.h"
#include "advface/protections/rotation.h"
#include "method_test_util.h"
#include "tensor/rng.h"
#include "theory_test_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

// n unit vectors of d values.
Tensor unit_rows(int64_t n, int64_t d, uint64_t seed) {
  return l2_normalise(randn({n, d}, seed, DType::f32)).on_host();
}
std::vector<int64_t> numbers(int64_t n, int64_t first = 0) {
  std::vector<int64_t> records(static_cast<size_t>(n));
  std::iota(records.begin(), records.end(), first);
  return records;
}

ProtectionSpecs specs(const std::vector<std::pair<std::string, std::map<std::string, std::string>>>& chain) {
  ProtectionSpecs list;
  for (const auto& [name, values] : chain) {
    std::shared_ptr<ProtectionSpec> spec = protection_kind(name, "test").spec();
    const Settings settings = spec->settings();
    for (const Setting& s : settings)
      if (const auto found = values.find(s.name); found != values.end()) s.read(found->second);
    spec->check_valid();
    list.push_back(spec);
  }
  return list;
}
ProtectionChain chain_of(const ProtectionSpecs& list, int64_t d,
                         FeatureDomain domain = FeatureDomain::sphere) {
  ProtectionInput input;
  input.space = {{d}, domain};
  input.what = "the rows";
  return {list, input};
}

// How often the nearest of the features is the record's own, over `rounds` of noise.
double named_by_nearest(ProtectionChain& chain, const Tensor& features, int rounds) {
  double named = 0;
  const int64_t n = features.dim(0);
  for (int r = 0; r < rounds; ++r)
    for (const double one :
         nearest_is_own(chain.apply(features, numbers(n, r * n), {}, {}).features, features))
      named += one / double(n * rounds);
  return named;
}
double error_of(double rate, double trials) { return std::sqrt(rate * (1 - rate) / trials); }

}  // namespace

BOOST_AUTO_TEST_CASE(the_normal_distribution) {
  for (const json& pair : theory_oracle().at("quantile")) {
    const double p = pair[0], x = pair[1];
    BOOST_TEST(std::abs(normal_quantile(p) - x) < 1e-9 * std::max(1.0, std::abs(x)), p);
    BOOST_TEST(std::abs(normal_cdf(x) - p) < 1e-9 * p);
  }
  BOOST_TEST(normal_quantile(0) == -INFINITY);
  BOOST_TEST(normal_quantile(1) == INFINITY);
  for (const double p : {-0.1, 1.1, double(NAN)}) BOOST_CHECK_THROW(normal_quantile(p), Error);
}

// The oracle takes the best event of all, cell by cell.
BOOST_AUTO_TEST_CASE(naming_is_bounded_by_the_best_event) {
  for (const json& c : theory_oracle().at("naming")) {
    const bool gaussian = c[0] == "gaussian";
    const PrivacyNoise noise{gaussian ? NoiseMechanism::gaussian : NoiseMechanism::laplace, c[1], c[2]};
    const double prior = c[3], best = c[4], bound = naming_bound(noise, prior);
    const double low = std::exp(-noise.clip / noise.scale) / 2;
    BOOST_TEST(bound >= best - 1e-6);
    if (gaussian || prior <= low || prior >= 0.5) BOOST_TEST(std::abs(bound - best) < 1e-6, c);
  }
  const PrivacyNoise noise{NoiseMechanism::gaussian, 1, 1};
  BOOST_TEST(naming_bound(noise, 1) == 1);
  for (const double prior : {0.0, -0.5, 1.5, double(NAN)})
    BOOST_CHECK_THROW(naming_bound(noise, prior), Error);
  BOOST_CHECK_THROW(naming_bound({NoiseMechanism::length, 1, 1}, 0.5), Error);
}

BOOST_AUTO_TEST_CASE(nobody_names_more_often) {
  // Of two who lie as far apart as they can the bound is reached.
  std::vector<float> poles(2 * 16, 0.0f);
  poles[0] = 1, poles[16] = -1;
  const Tensor two = Tensor::from(poles, {2, 16});
  for (const char* mechanism : {"gaussian", "laplace"})
    for (const char* epsilon : {"1", "4"}) {
      const ProtectionSpecs noise = specs(
          {{"noise",
            {{"mechanism", mechanism}, {"privacy_epsilon", epsilon}, {"delta", "0.01"}, {"clip", "1"}}}});
      // Of Laplace noise both poles lie on one axis, where nothing else is of use.
      ProtectionChain chain = chain_of(noise, 16, FeatureDomain::real);
      const double bound = naming_bound(chain.guarantee().privacy->noise, 0.5), trials = 20000;
      double named = 0;
      for (int r = 0; r < int(trials) / 2; ++r) {
        const Tensor stored = chain.apply(two, numbers(2, 2 * r), {}, {}).features;
        named += ((row(stored, 0)[0] > 0) + (row(stored, 1)[0] < 0)) / trials;
      }
      BOOST_TEST(std::abs(named - bound) < 5 * error_of(bound, trials), mechanism << " " << epsilon);
    }
  // Of many, at random places and at right angles: below, and near.
  for (const int64_t people : {10, 100}) {
    std::vector<float> axes(size_t(people * people), 0.0f);
    for (int64_t i = 0; i < people; ++i) axes[size_t(i * (people + 1))] = 1;
    for (const Tensor& features : {unit_rows(people, 32, 4), Tensor::from(axes, {people, people})})
      for (const char* epsilon : {"2", "10", "30"}) {
        const ProtectionSpecs noise =
            specs({{"noise", {{"mechanism", "gaussian"}, {"privacy_epsilon", epsilon}}}});
        ProtectionChain chain = chain_of(noise, features.dim(1));
        const int rounds = int(4000 / people);
        const double bound = naming_bound(chain.guarantee().privacy->noise, 1 / double(people)),
                     named = named_by_nearest(chain, features, rounds);
        BOOST_TEST(named < bound + 4 * error_of(bound, 4000), people << " " << epsilon);
        BOOST_TEST(named > 0.5 * bound, people << " " << epsilon << ": " << named << " of " << bound);
      }
  }
}

// Whoever knows the features and the length finds the record's at its one angle: there is no privacy in it,
// though the nearest feature is another one.
BOOST_AUTO_TEST_CASE(noise_of_a_known_length_hides_nobody) {
  const Tensor features = unit_rows(200, 64, 6);
  ProtectionChain chain = chain_of(specs({{"noise", {{"noise_length", "1.3"}}}}), 64);
  BOOST_TEST((!chain.guarantee().privacy && chain.guarantee().largest_angle));
  const Tensor stored = chain.apply(features, numbers(200), {}, {}).features;
  const double angle = *chain.guarantee().largest_angle;
  double found = 0, nearest = 0;
  for (int64_t i = 0; i < 200; ++i) {
    int64_t best = 0;
    double least = INFINITY;
    for (int64_t k = 0; k < 200; ++k) {
      const double off = std::abs(cosine(row(stored, i), row(features, k)) - std::cos(angle));
      if (off < least) least = off, best = k;
    }
    found += best == i;
  }
  for (const double one : nearest_is_own(stored, features)) nearest += one;
  BOOST_TEST(found == 200);
  BOOST_TEST(nearest < 120);
}

BOOST_AUTO_TEST_CASE(what_is_proved_of_a_chain) {
  const std::map<std::string, std::string> gaussian{{"mechanism", "gaussian"}, {"privacy_epsilon", "8"}};
  const Guarantee one = chain_of(specs({{"noise", gaussian}}), 8).guarantee();
  BOOST_TEST((one.privacy->epsilon == 8 && one.privacy->delta == 1e-5 && !one.largest_angle));
  BOOST_TEST(chain_of(specs({{"noise", {{"mechanism", "laplace"}, {"privacy_epsilon", "8"}}}}), 8)
                 .guarantee()
                 .privacy->delta == 0);
  // What comes before or behind noise keeps its promise; of bits nothing is proved.
  for (const char* other : {"quantise", "shuffle"}) {
    BOOST_TEST(chain_of(specs({{"noise", gaussian}, {other, {}}}), 8).guarantee().privacy->epsilon == 8);
    BOOST_TEST(chain_of(specs({{other, {}}, {"noise", gaussian}}), 8).guarantee().privacy->epsilon == 8);
  }
  BOOST_TEST(chain_of(specs({{"quantise", {}}}), 8).guarantee().says_nothing());
  const std::map<std::string, std::string> chord{{"noise_length", "1"}};
  const double angle = std::numbers::pi / 3;
  BOOST_TEST(std::abs(*chain_of(specs({{"noise", chord}, {"shuffle", {}}}), 8).guarantee().largest_angle -
                      angle) < 1e-12);
  BOOST_TEST(!chain_of(specs({{"noise", chord}, {"quantise", {}}}), 8).guarantee().largest_angle);
  // The photograph brings back what noise has hidden, and what a key has.
  Guarantee locked;
  locked.without_key = WithoutKey::nothing;
  BOOST_TEST(!one.then({}, true).privacy);
  BOOST_TEST((one.then({}, false).privacy && !locked.then({}, true).without_key));
  BOOST_TEST((one.then(locked, false).without_key == WithoutKey::nothing));
  Guarantee far;
  far.largest_angle = 3;
  BOOST_TEST(*far.then(far, false).largest_angle == std::numbers::pi);
}

// Noise in a ball turns a unit vector by no more than the bound, and some noise by as much.
BOOST_AUTO_TEST_CASE(balls_and_caps) {
  constexpr int64_t n = 24;
  for (const double epsilon : {0.02, 0.1, 0.2}) {
    AscentSettings settings;
    settings.epsilon = epsilon;
    const double bound = *settings.largest_angle({n}, FeatureDomain::sphere), radius = epsilon * std::sqrt(n);
    double most = 0;
    for (uint64_t trial = 0; trial < 2000; ++trial) {
      const Philox rng{trial, 1};
      std::vector<float> z(n), x(n);
      // The worst case: the ball's tangent from 0 touches it at a corner of the cube, which is at -sin of the
      // angle along z; half of the trials look there.
      const double into = trial % 2 ? std::sin(bound) : 0;
      double length = 0;
      std::vector<double> corner(n), across(n);
      for (size_t k = 0; k < n; ++k) corner[k] = rng.bits(k) & 1 ? 1 : -1;
      double along = 0;
      for (size_t k = 0; k < n; ++k) across[k] = rng.normal(100 + k), along += across[k] * corner[k] / n;
      for (size_t k = 0; k < n; ++k) across[k] -= along * corner[k], length += across[k] * across[k];
      for (size_t k = 0; k < n; ++k)
        z[k] = float(-into * corner[k] / std::sqrt(double(n)) +
                     std::sqrt(1 - into * into) * across[k] / std::sqrt(length));
      for (size_t k = 0; k < n; ++k) x[k] = float(double(z[k]) + epsilon * corner[k]);
      most = std::max(most, std::acos(cosine(z, x)));
    }
    BOOST_TEST(most < bound + 1e-5);
    BOOST_TEST(most > bound - 1e-4);
    BOOST_TEST(std::abs(std::sin(bound) - radius) < 1e-12);
    settings.norm = Norm::l2;
    BOOST_TEST(std::abs(std::cos(*settings.largest_angle({n}, FeatureDomain::sphere)) -
                        (1 - epsilon * epsilon / 2)) < 1e-12);
    settings.keep_recognition = 0.9999;
    BOOST_TEST(std::abs(std::cos(*settings.largest_angle({n}, FeatureDomain::sphere)) -
                        std::max(0.9999, 1 - epsilon * epsilon / 2)) < 1e-12);
    // Of a map only the bound on recognition says something.
    BOOST_TEST(std::abs(std::cos(*settings.largest_angle({2, 3, 3}, FeatureDomain::real)) - 0.9999) < 1e-12);
    settings.keep_recognition.reset();
    BOOST_TEST(!settings.largest_angle({2, 3, 3}, FeatureDomain::real));
  }
  AscentSettings wide;
  wide.epsilon = 0.21;  // a ball of radius 1.03, which reaches round
  BOOST_TEST(!wide.largest_angle({n}, FeatureDomain::sphere));
  BOOST_CHECK_THROW(angle_of_chord(2.1), Error);
}

BOOST_AUTO_TEST_CASE(scores_move_by_the_angle_at_most) {
  const Tensor z = unit_rows(300, 8, 1), p = unit_rows(300, 8, 2), other = unit_rows(300, 8, 3);
  for (const double angle : {0.1, 0.7, 2.0}) {
    double tightest = INFINITY;
    for (int64_t i = 0; i < 300; ++i) {
      // Turned by the angle: towards the probe, away from it, or anywhere.
      const std::span<const float> a = row(z, i), b = i % 3 ? row(p, i) : row(other, i);
      const double c = cosine(a, b), s = std::sqrt(1 - c * c) * (i % 3 == 1 ? -1 : 1);
      std::vector<float> turned(8);
      for (size_t k = 0; k < 8; ++k)
        turned[k] =
            float(std::cos(angle) * double(a[k]) + std::sin(angle) * (double(b[k]) - c * double(a[k])) / s);
      const ScoreRange range = score_range(cosine(a, row(p, i)), angle);
      const double score = cosine(turned, row(p, i));
      BOOST_TEST((score > range.least - 1e-5 && score < range.most + 1e-5));
      tightest = std::min({tightest, score - range.least, range.most - score});
    }
    BOOST_TEST(tightest < 1e-5);
  }
  BOOST_TEST(score_range(1, 0.5).most == 1);
  BOOST_TEST(score_range(-0.9, 1).least == -1);
}

// A rotation for a whole set: what is stored depends on the features through their inner products alone. Of
// two features with inner product c, E (w . R a)^2 (w . R b)^2 = (1 + 2 c^2) / (n (n + 2)).
BOOST_AUTO_TEST_CASE(a_rotated_set_tells_inner_products) {
  constexpr int64_t n = 6;
  constexpr int kSets = 4000;
  const Tensor axes = unit_rows(2, n, 8);
  for (const double c : {0.0, 0.5, 1.0}) {
    double mean = 0;
    for (int set = 0; set < kSets; ++set) {
      std::vector<std::byte> stream(rotation_stream_bytes(RotationKind::exact, n));
      const Philox rng{uint64_t(set), 3};
      for (size_t i = 0; i < stream.size(); ++i) stream[i] = std::byte(rng.bits(i) & 255);
      // a and b in a plane of their own for every c: c must be all that shows.
      std::vector<float> a(row(axes, 0).begin(), row(axes, 0).end()),
          b(row(axes, 1).begin(), row(axes, 1).end());
      const double along = dot(a, b);
      double length = 0;
      for (size_t k = 0; k < n; ++k) b[k] -= float(along) * a[k], length += double(b[k]) * double(b[k]);
      for (size_t k = 0; k < n; ++k)
        b[k] = float(c * double(a[k]) + std::sqrt(1 - c * c) * double(b[k]) / std::sqrt(length));
      turn(RotationKind::exact, stream, a, false);
      turn(RotationKind::exact, stream, b, false);
      BOOST_REQUIRE(std::abs(dot(a, b) - c) < 1e-6);
      mean += std::pow(double(a[2]) * double(b[2]), 2) / kSets;
    }
    const double expected = (1 + 2 * c * c) / (n * (n + 2));
    BOOST_TEST(std::abs(mean - expected) < 5 * 2 * expected / std::sqrt(kSets), c);
  }
}

// --rotation fast: the mean and the second moments are those of Haar's measure, the fourth are not.
BOOST_AUTO_TEST_CASE(moments_of_the_fast_rotation) {
  constexpr size_t n = 8;
  constexpr int kDraws = 60000;
  double means[n] = {}, seconds[n][n] = {}, fourth = 0;
  for (int d = 0; d < kDraws; ++d) {
    std::vector<std::byte> stream(rotation_stream_bytes(RotationKind::fast, n));
    const Philox rng{uint64_t(d), 4};
    for (size_t i = 0; i < stream.size(); ++i) stream[i] = std::byte(rng.bits(i) & 255);
    std::vector<float> y(n, 0.0f);
    y[0] = 1;
    turn(RotationKind::fast, stream, y, false);
    for (size_t i = 0; i < n; ++i) {
      means[i] += double(y[i]) / kDraws;
      fourth += std::pow(double(y[i]), 4) / kDraws / n;
      for (size_t k = 0; k < n; ++k) seconds[i][k] += double(y[i]) * double(y[k]) / kDraws;
    }
  }
  for (size_t i = 0; i < n; ++i) {
    BOOST_TEST(std::abs(means[i]) < 5 / std::sqrt(n * double(kDraws)));
    for (size_t k = 0; k < n; ++k)
      BOOST_TEST(std::abs(seconds[i][k] - (i == k ? 1.0 / n : 0)) < 5 * 0.2 / std::sqrt(kDraws));
  }
  // (3 - 2 (3 n - 2) / n^2) / n^2 of an axis; Haar's is 3 / (n (n + 2)).
  const double expected = (3 - 2 * (3.0 * n - 2) / (n * n)) / (n * n), haar = 3.0 / (n * (n + 2));
  BOOST_TEST(std::abs(fourth - expected) < 0.0004);
  BOOST_TEST(std::abs(fourth - haar) > 0.0008);
}

BOOST_AUTO_TEST_CASE(limits_of_rates) {
  for (const json& c : theory_oracle().at("limits")) {
    const RateLimits limits = rate_limits(c[0], c[1], 0.025);
    BOOST_TEST(std::abs(limits.low - c[2].get<double>()) < 1e-9, c);
    BOOST_TEST(std::abs(limits.high - c[3].get<double>()) < 1e-9, c);
  }
  BOOST_CHECK_THROW(rate_limits(1, 0, 0.1), Error);
  BOOST_CHECK_THROW(rate_limits(3, 2, 0.1), Error);
  BOOST_CHECK_THROW(rate_limits(1, 2, 0), Error);
}

BOOST_AUTO_TEST_CASE(the_floor_of_identity) {
  // Of a channel that says a name and errs evenly the floor is all that there is.
  for (const json& c : theory_oracle().at("channel")) {
    const double tar = c[1], far = c[2], bits = c[3];
    BOOST_TEST(std::abs(identity_bits(tar, far, c[0]) - bits) < 1e-9);
    BOOST_TEST(std::abs(identity_bits(tar, far, c[0]) - coin_divergence(tar, 1 / c[0].get<double>())) < 1e-9);
  }
  BOOST_TEST(identity_bits(0.1, 0.2) == 0);
  BOOST_TEST(identity_bits(1, 0.25) == 2);
  BOOST_TEST(std::isinf(identity_bits(0.9, 0)));
  BOOST_TEST(std::abs(identity_bits(1, 0, 1024) - 10) < 1e-12);
  const CandidateList list = candidates(0.5, 0.01, 101);
  BOOST_TEST((std::abs(list.length - 1.5) < 1e-12 && list.contains == 0.5));
  BOOST_TEST(std::abs(list.named - 1.0 / 6) < 1e-12);
  const IdentityFloor floor = identity_floor({0.5, 3000, 2970, 3000, 3});
  BOOST_TEST(std::abs(floor.bits - coin_divergence(0.99, 0.001)) < 1e-12);
  BOOST_TEST(std::abs(floor.bits_at_least - coin_divergence(0.985754925826242, 0.0029196164652532663)) <
             1e-6);
  for (const double bad : {-0.1, 1.1, double(NAN)}) {
    BOOST_CHECK_THROW(identity_bits(bad, 0.1), Error);
    BOOST_CHECK_THROW(identity_bits(0.1, bad), Error);
  }
  BOOST_CHECK_THROW(identity_bits(0.5, 0.1, 1), Error);
  BOOST_CHECK_THROW(candidates(0.5, 0.1, 0), Error);
}

// People as directions, with photographs around them; the record is protected by noise. Whoever asks the
// verifier of everybody's photograph is left with a list as long as the bound has it, and names at least so
// many.
BOOST_AUTO_TEST_CASE(the_floor_in_simulation) {
  constexpr int64_t people = 400, d = 16;
  for (const double noise : {0.6, 1.2}) {
    const std::vector<float> centres = randn({people, d}, 1, DType::f32).to_vector<float>();
    const auto photographs = [&](uint64_t seed, double spread) {
      std::vector<float> v = randn({people, d}, seed, DType::f32).to_vector<float>();
      for (size_t i = 0; i < v.size(); ++i) v[i] = centres[i] + float(spread) * v[i];
      return l2_normalise(Tensor::from(v, {people, d})).on_host();
    };
    const Tensor gallery = photographs(2, 0.4), records = photographs(3, noise);
    std::vector<ScoredPair> pairs;
    for (int64_t i = 0; i < people; ++i)
      for (int64_t k = 0; k < people; ++k) pairs.push_back({dot(row(records, i), row(gallery, k)), i == k});
    const OperatingPoint point = tar_at_far(pairs, 0.01);
    double length = 0, named = 0;
    for (int64_t i = 0; i < people; ++i) {
      double accepted = 0;
      for (int64_t k = 0; k < people; ++k) accepted += pairs[size_t(i * people + k)].score >= point.threshold;
      length += accepted / people;
      if (pairs[size_t(i * (people + 1))].score >= point.threshold) named += 1 / accepted / people;
    }
    const CandidateList list = candidates(point.tar(), point.far(), people);
    BOOST_TEST(std::abs(length - list.length) < 1e-9);
    BOOST_TEST(named > list.named);
    BOOST_TEST(named < 3 * list.named);  // it is no empty word
    // Counting alone: who the record is, given the answers of all, is told by more bits than the floor.
    BOOST_TEST(identity_bits(point.tar(), point.far(), people) < std::log2(people));
    BOOST_TEST(identity_bits(point.tar(), point.far(), people) > 0.5);
  }
}
