// How sure an accuracy is, and pairs that are told by scores turned round. Part of the suite `audit_rules`.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <sstream>

#include "advface/audit/linkage_audit.h"
#include "advface/core/dataset.h"
#include "advface/protections/noise_protection.h"
#include "file_test_util.h"
#include "tensor/rng.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/audit_verdict.h"
#include "tools/audit/pair_decisions.h"

using namespace advf;
using namespace advf::test;
using namespace advf::tools;
using nlohmann::json;

namespace {

// Pairs of eight people in two folds, a genuine one and an impostor each; `wrong` people's are decided
// wrongly by any threshold that is right of the others.
PairDecisions decided(int wrong, double sign = 1) {
  const TempDir dir;
  std::ostringstream text;
  text << "a\tb\tgenuine\tfold\tscore\n";
  for (int i = 0; i < 8; ++i) {
    const bool right = i / 2 >= wrong;  // as many in each fold
    const std::string who = "p" + std::to_string(i) + "/", other = "p" + std::to_string((i + 1) % 8) + "/";
    text << who << "1.png\t" << who << "2.png\t1\t" << i % 2 << '\t' << sign * (right ? 0.8 : 0.1) << '\n';
    text << who << "1.png\t" << other << "2.png\t0\t" << i % 2 << '\t' << sign * 0.2 << '\n';
  }
  write_bytes(dir / "scores.tsv", text.str());
  return PairDecisions::of(ScoreTable::read(dir / "scores.tsv"), FaceSettings());
}

json row(const std::string& protection, const std::string& attacker, const json& measures) {
  json r = {{"id", protection + "/" + attacker},
            {"protection", protection},
            {"attacker", attacker},
            {"features", protection == "none" ? "raw" : "protected"},
            {"measures", measures},
            {"counts", {{"linkability", true}}},
            {"converged", true},
            {"why_not", nullptr}};
  if (measures.contains("rank_1")) r["chance"] = {{"rank_1", {{"mean", 0.01}}}};
  return r;
}
json between(double low, double mean, double high) { return {{"mean", mean}, {"low", low}, {"high", high}}; }
json linkability(const json& on_raw, const json& on_protected) {
  return audit_verdicts({on_raw, on_protected}, {"none", "P"})[0]["leaks"]["linkability"];
}

}  // namespace

// Two folds of one accuracy deviate by nothing, which says nothing: people are what is drawn.
BOOST_AUTO_TEST_CASE(accuracy_has_the_interval_of_people) {
  const PairDecisions some = decided(1);
  BOOST_TEST(some.plain.accuracy.mean == 0.875);
  BOOST_TEST(some.plain.accuracy.deviation == 0);
  const json v = accuracy_interval(some, some.plain, 1);
  BOOST_TEST(v["mean"] == 0.875);
  // Of the eight two have one of two pairs right: of a binomial draw of eight, 0 to 5 are such in 95 %.
  BOOST_TEST((v["low"] >= 0.6 && v["low"] <= 0.76), v.dump());
  BOOST_TEST(v["high"] == 1.0);
  BOOST_TEST(accuracy_interval(some, some.plain, 1) == v);
  // All right: 0 of 8 people may be wrong and one in three of all others be so.
  const PairDecisions all = decided(0);
  const json whole = accuracy_interval(all, all.plain, 1);
  BOOST_TEST(whole["mean"] == 1.0);
  BOOST_CHECK_CLOSE(whole["low"].get<double>(), std::pow(0.025, 1.0 / 8), 1e-6);
  BOOST_TEST(!all.turns());
}

BOOST_AUTO_TEST_CASE(who_tries_both_signs_is_not_led_astray) {
  const PairDecisions turned = decided(0, -1);
  BOOST_TEST(turned.plain.accuracy.mean == 0.5);
  BOOST_TEST(turned.turns());
  BOOST_TEST(turned.either_way.accuracy.mean == 1.0);
  BOOST_TEST(accuracy_interval(turned, turned.either_way, 1)["low"] > 0.5);
  // The sign comes of the other folds alone: where they say the other one, this fold pays for it.
  std::vector<ScoredPair> pairs;
  for (const int fold : {0, 1})
    for (int i = 0; i < 3; ++i) {
      const double high = fold == 0 ? 1 : -1;
      pairs.push_back({high, true, fold});
      pairs.push_back({-high, false, fold});
    }
  const FoldAccuracy astray = fold_accuracy_either_way(pairs);
  BOOST_TEST(astray.mean == 0.0);
  BOOST_TEST((astray.turned == std::vector<bool>{true, false}));
  // As good either way: as similarities.
  const std::vector<ScoredPair> same = {{0, true, 0}, {0, false, 0}, {0, true, 1}, {0, false, 1}};
  BOOST_TEST((fold_accuracy_either_way(same).turned == std::vector<bool>{false, false}));
}

// Half is guessing; what lies below tells as much as what lies above.
BOOST_AUTO_TEST_CASE(auc_below_half_is_no_protection) {
  const json raw =
      row("none", "linkage", {{"auc", between(0.97, 0.98, 0.99)}, {"rank_1", between(0.8, 0.9, 1)}});
  const auto of = [&](double low, double mean, double high) {
    return linkability(
        raw, row("P", "linkage", {{"auc", between(low, mean, high)}, {"rank_1", between(0, 0.0, 0.02)}}));
  };
  const json turned = of(0.01, 0.02, 0.03);
  BOOST_TEST(turned["state"] == "open", turned.dump());
  BOOST_TEST((turned["measure"] == "auc" && turned["turned"] == true));
  BOOST_CHECK_CLOSE(turned["value"]["mean"].get<double>(), 0.98, 1e-9);
  BOOST_CHECK_CLOSE(turned["value"]["low"].get<double>(), 0.97, 1e-9);
  BOOST_TEST(of(0.30, 0.35, 0.40)["state"] == "partly");
  BOOST_TEST(of(0.30, 0.40, 0.51)["state"] == "no conclusion");
  BOOST_TEST((of(0.48, 0.49, 0.50)["state"] == "closed" && of(0.50, 0.51, 0.52)["state"] == "closed"));
  // Near half, but for all that is known a fifth of the way, on either side.
  BOOST_TEST(of(0.38, 0.49, 0.60)["state"] == "no conclusion");
  BOOST_TEST(of(0.38, 0.505, 0.56)["state"] == "no conclusion");
  const json v = audit_verdicts(
      {raw, row("P", "linkage", {{"auc", between(0.01, 0.02, 0.03)}, {"rank_1", between(0, 0.0, 0.02)}})},
      {"none", "P"})[0];
  BOOST_TEST(v["sentence"].get<std::string>().find("auc 0.980 [0.970, 0.990] by scores turned round") !=
             std::string::npos);
  BOOST_TEST(v["verdict"] == "leaks");
}

BOOST_AUTO_TEST_CASE(the_matcher_is_asked_either_way) {
  const json raw = row("none", "accuracy", {{"accuracy", between(0.97, 0.98, 0.99)}});
  const json guesses = {{"accuracy", between(0.48, 0.50, 0.52)}};
  BOOST_TEST(linkability(raw, row("P", "accuracy", guesses))["state"] == "closed");
  json both = guesses;
  both[kAccuracyEitherWay] = between(0.96, 0.97, 0.98);
  const json told = linkability(raw, row("P", "accuracy", both));
  BOOST_TEST((told["state"] == "open" && told["turned"] == true && told["measure"] == "accuracy"));
  BOOST_TEST(linkability(raw, row("P", "accuracy", {{"accuracy", between(0.08, 0.1, 0.12)}}))["state"] ==
             "partly");
}

// Noise that all but turns a unit vector round: nobody is found first, and whoever takes the least alike
// finds everybody.
BOOST_AUTO_TEST_CASE(noise_that_turns_round_is_seen) {
  constexpr int64_t kPeople = 30, kDim = 32;
  std::vector<float> gallery, probes;
  std::vector<int64_t> rows, person, records;
  const Philox rng{7, 0};
  for (int64_t i = 0; i < 2 * kPeople; ++i) {  // a photograph near another of the same person
    std::vector<float> z(size_t{kDim});
    double squares = 0;
    for (int64_t k = 0; k < kDim; ++k) {
      const double of_person = rng.normal(uint64_t((i % kPeople) * kDim + k));
      const double of_picture = rng.normal(uint64_t(i * kDim + k) + 100'000);
      z[size_t(k)] = float(of_person + 0.4 * of_picture);
      squares += double(z[size_t(k)]) * double(z[size_t(k)]);
    }
    for (float& v : z) v = float(v / std::sqrt(squares));
    auto& to = i < kPeople ? gallery : probes;
    to.insert(to.end(), z.begin(), z.end());
    rows.push_back(i), person.push_back(i % kPeople);
    if (i >= kPeople) records.push_back(i);
  }
  const LinkageTask task = linkage_task(rows, person, "test");
  const Tensor in_gallery = Tensor::from(gallery, Shape{kPeople, kDim});
  const Tensor raw = Tensor::from(probes, Shape{kPeople, kDim});
  const auto measured = [&](const std::string& name, const Tensor& features) {
    const LinkageRow scored = score_linkage(task, in_gallery, features);
    const Interval auc = bootstrap_mean(scored.placement, task.people, 1);
    const Interval first = bootstrap_mean(scored.rank_1, task.people, 1);
    return row(name, "linkage",
               {{"auc", between(auc.low, auc.mean, auc.high)},
                {"rank_1", between(first.low, first.mean, first.high)}});
  };
  const auto with_noise = [&](double length) {
    NoiseSpec spec;
    spec.length = length;
    const FeatureSpace space{Shape{kDim}, FeatureDomain::sphere};
    return linkability(
        measured("none", raw),
        measured("P", NoiseProtection(spec, space).apply(raw, records, Tensor(), Context()).features));
  };
  for (const double length : {1.9, 1.999, 2.0}) {
    const json told = with_noise(length);
    BOOST_TEST((told["state"] == "open" || told["state"] == "partly"), length << ": " << told.dump());
    BOOST_TEST(told.value("turned", false), length << ": " << told.dump());
  }
  BOOST_TEST(!with_noise(0.4).contains("turned"));
  NoiseSpec spec;
  const FeatureSpace unit{Shape{kDim}, FeatureDomain::sphere},
      map{Shape{4, 3, 3}, FeatureDomain::non_negative};
  spec.length = 2;
  BOOST_TEST((!spec.idle_in(unit).empty() && spec.idle_in(map).empty()));
  spec.length = 1.999;
  BOOST_TEST(spec.idle_in(unit).empty());
}
