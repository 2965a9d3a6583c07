// Attributes taken out of features: the closed form against numpy's reading of the papers, what it promises
// on planted data, and data, files and calls that do not do.
#define BOOST_TEST_MODULE erasure
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "advface/audit/attribute_audit.h"
#include "advface/audit/metrics.h"
#include "advface/core/text_file.h"
#include "advface/protections/attributes_protection.h"
#include "advface/protections/protection_chain.h"
#include "autograd/tape.h"
#include "file_test_util.h"
#include "method_test_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

using Rows = std::vector<std::vector<double>>;

ErasureMoments moments(const Rows& x, const Rows& attributes) {
  const size_t d = x[0].size(), n = x.size();
  ErasureMoments m{int64_t(n), std::vector<double>(d), Matrix(d, d), Matrix(attributes.size(), d)};
  for (const auto& row : x)
    for (size_t j = 0; j < d; ++j) m.mean[j] += row[j] / double(n);
  Scatter scatter(d);
  for (size_t i = 0; i < n; ++i) {
    std::vector<double> off = x[i];
    for (size_t j = 0; j < d; ++j) off[j] -= m.mean[j];
    scatter.add(off);
    for (size_t a = 0; a < attributes.size(); ++a) {
      const double share = std::accumulate(attributes[a].begin(), attributes[a].end(), 0.0) / double(n);
      for (size_t j = 0; j < d; ++j) m.cross(a, j) += (attributes[a][i] - share) * off[j] / double(n);
    }
  }
  m.covariance = scatter.mean(double(n));
  return m;
}

std::vector<double> erased(const ErasureMap& map, const std::vector<double>& x) {
  std::vector<double> out = x;
  for (size_t i = 0; i < map.read.rows(); ++i) {
    double along = 0;
    for (size_t j = 0; j < x.size(); ++j) along += map.read(i, j) * (x[j] - map.mean[j]);
    for (size_t j = 0; j < x.size(); ++j) out[j] -= along * map.write(i, j);
  }
  return out;
}

// Gaussians of one covariance, in kDim dimensions; two attributes move the mean, a quarter and half have
// them.
constexpr int64_t kDim = 16, kFitted = 3000, kAsked = 1600;
struct Mixture {
  Tensor x;
  Labels labels;

  explicit Mixture(int64_t rows = kFitted + kAsked) {
    const Tensor noise = randn({rows, kDim}, 31, DType::f32), mix = randn({kDim, kDim}, 32, DType::f32),
                 means = affine(randn({2, kDim}, 33, DType::f32), 2, 0);
    labels.source = "labels.csv";
    labels.attributes = {"Beard", "Hat, red", "Beard again", "Nobody"};
    std::vector<float> shown;
    for (int64_t i = 0; i < rows; ++i) {
      labels.files.push_back(std::to_string(i));
      labels.identities.push_back("person " + std::to_string(i / 2));
      const bool beard = Philox{7, 1}.uniform(uint64_t(i)) < 0.25,
                 hat = Philox{7, 2}.uniform(uint64_t(i)) < 0.5;
      for (bool v : {beard, hat}) shown.push_back(v ? 1 : 0);
      for (bool v : {beard, hat, beard, false}) labels.values.push_back(v);
    }
    x = affine(add(matmul(noise, mix), matmul(Tensor::from(shown, {rows, 2}), means)), 1, 3);
  }
  FitData data(FeatureDomain domain, int64_t fitted = kFitted) const {
    FitData d;
    d.features = domain == FeatureDomain::sphere ? l2_normalise(x) : x;
    for (int64_t i = 0; i < x.dim(0); ++i) {
      d.person.push_back(i / 2);
      (i < fitted ? d.train : d.validation).push_back(i);
    }
    d.labels = [this] { return labels; };
    d.provenance.cut = "e";
    d.provenance.recogniser = "0123456789abcdef";
    d.provenance.domain = domain;
    d.provenance.people = {person_key("anna")};
    return d;
  }
};
const Mixture& mixture() {
  static const Mixture m;
  return m;
}

AttributesFit fit_of(const std::string& attributes) {
  AttributesFit fit;
  fit.attributes = attributes;
  fit.check_valid();
  return fit;
}

struct Fitted {
  Metadata measured;
  std::unique_ptr<Eraser> net;
  double number(const std::string& name) const { return std::stod(measured.at(name)); }
};
Fitted fitted(const AttributesFit& fit, const FitData& data) {
  const TempDir dir;
  Fitted result{fit.fit(data, dir / "e", {}), nullptr};
  result.net = Eraser::load(dir / "e");
  return result;
}

// A logistic regression trained anew on the first half of the rows that nothing was fitted on, asked about
// the second.
Interval asked_anew(const Tensor& features, const std::string& attribute) {
  const Tensor known = features.slice_batch(kFitted, kFitted + kAsked / 2),
               asked = features.slice_batch(kFitted + kAsked / 2, kFitted + kAsked);
  std::vector<int64_t> first(size_t(kAsked / 2)), second(first.size());
  std::iota(first.begin(), first.end(), kFitted);
  std::iota(second.begin(), second.end(), kFitted + kAsked / 2);
  const AttributeSettings settings;
  const ProbeData train{known, attribute_classes(mixture().labels, first, attribute)};
  const std::vector<int64_t> truth = attribute_classes(mixture().labels, second, attribute);
  const std::vector<int64_t> said = ask_probe("logistic", train, asked, settings, {});
  std::vector<double> correct;
  for (size_t i = 0; i < said.size(); ++i) correct.push_back(said[i] == truth[i] ? 1 : 0);
  return bootstrap_class_mean(correct, truth, 2, second, 1, 2000, 0.99);
}

// Largest covariance of a value and an attribute over the rows fitted on, beside the raw features' largest.
double cross_covariance(const Tensor& features, const std::string& attribute) {
  std::vector<int64_t> rows(static_cast<size_t>(kFitted));
  std::iota(rows.begin(), rows.end(), int64_t(0));
  const std::vector<int64_t> cls = attribute_classes(mixture().labels, rows, attribute);
  const double share = double(std::count(cls.begin(), cls.end(), int64_t(1))) / double(kFitted);
  const auto most = [&](const Tensor& t) {
    std::vector<double> sums(size_t(kDim), 0);
    for (size_t i = 0; i < cls.size(); ++i)
      for (size_t j = 0; j < size_t(kDim); ++j)
        sums[j] += (double(cls[i]) - share) * double(t.data<float>()[i * size_t(kDim) + j]) / double(kFitted);
    double largest = 0;
    for (double v : sums) largest = std::max(largest, std::abs(v));
    return largest;
  };
  return most(features) / most(mixture().x);
}

}  // namespace

BOOST_AUTO_TEST_CASE(as_the_papers_have_it) {
  for (const json& c : json::parse(read_bytes(ADVF_TEST_DATA "/erasure.json"))) {
    const size_t d = c["d"];
    const auto rows_of = [&](const std::string& name) {
      const std::vector<double> flat = c[name];
      Rows rows;
      for (size_t i = 0; i < flat.size(); i += d)
        rows.emplace_back(flat.begin() + std::ptrdiff_t(i), flat.begin() + std::ptrdiff_t(i + d));
      return rows;
    };
    const Rows x = rows_of("x");
    const ErasureMoments m = moments(x, c["z"].get<Rows>());
    BOOST_TEST(std::abs(covariance_shrinkage(m.covariance, m.rows) - c["shrinkage"].get<double>()) < 1e-12);
    const std::pair<std::string, ErasureMap> maps[] = {{"leace", leace(m)},
                                                       {"nullspace", nullspace(m, c["rounds"])}};
    for (const auto& [name, map] : maps) {
      const Rows expected = rows_of(name);
      double worst = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const std::vector<double> out = erased(map, x[i]);
        for (size_t j = 0; j < d; ++j) worst = std::max(worst, std::abs(out[j] - expected[i][j]));
      }
      BOOST_TEST(worst < 1e-8, name << " of " << d << " dimensions");
    }
  }
}

// Of the affine maps A x + b that make the means of the classes equal, A S = 0, it moves features least.
BOOST_AUTO_TEST_CASE(any_other_map_moves_features_more) {
  const std::vector<float> flat = mixture().x.to_vector<float>();
  Rows x, z(1);
  for (size_t i = 0; i < size_t(kFitted); ++i) {
    x.emplace_back(flat.begin() + std::ptrdiff_t(i * kDim), flat.begin() + std::ptrdiff_t((i + 1) * kDim));
    z[0].push_back(mixture().labels.has(int64_t(i), 0));
  }
  const ErasureMoments m = moments(x, z);
  const Matrix sigma = shrunk(m.covariance, covariance_shrinkage(m.covariance, m.rows));
  const size_t d = size_t(kDim);
  const double* s = m.cross.row(0);
  // Mean square of what x - write (read . (x - mean)) + extra moves, by the covariance: trace of C sigma C^T.
  const auto moved = [&](const Matrix& change) {
    double sum = 0;
    for (size_t i = 0; i < d; ++i)
      for (size_t j = 0; j < d; ++j)
        for (size_t k = 0; k < d; ++k) sum += change(i, j) * sigma(j, k) * change(i, k);
    return sum;
  };
  const ErasureMap map = leace(m);
  BOOST_REQUIRE(map.read.rows() == 1u);
  Matrix least(d, d);
  for (size_t i = 0; i < d; ++i)
    for (size_t j = 0; j < d; ++j) least(i, j) = map.write(0, i) * map.read(0, j);
  double s_squared = 0;
  for (size_t j = 0; j < d; ++j) s_squared += s[j] * s[j];
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    // A = N (1 - s s^T / |s|^2), N random and near the identity (the first: the identity itself), or
    // 1 - s c^T / (c . s), c random.
    const auto noise = randn({kDim, kDim}, seed).to_vector<double>();
    Matrix near(d, d), oblique(d, d);
    double c_s = 0;
    for (size_t j = 0; j < d; ++j) c_s += noise[j] * s[j];
    for (size_t i = 0; i < d; ++i) {
      double along = 0;
      std::vector<double> row(d);
      for (size_t j = 0; j < d; ++j) {
        row[j] = (i == j ? 1 : 0) + (seed == 1 ? 0 : 0.05 * noise[i * d + j]);
        along += row[j] * s[j] / s_squared;
      }
      for (size_t j = 0; j < d; ++j) {
        near(i, j) = (i == j ? 1 : 0) - (row[j] - along * s[j]);
        oblique(i, j) = s[i] * noise[j] / c_s;
      }
    }
    BOOST_TEST(moved(near) > moved(least) * (1 + 1e-3));
    BOOST_TEST(moved(oblique) > moved(least) * (1 + 1e-3));
  }
}

BOOST_AUTO_TEST_CASE(a_probe_trained_anew_is_at_chance) {
  const FitData data = mixture().data(FeatureDomain::real);
  BOOST_TEST(asked_anew(mixture().x, "Beard").mean > 0.85);
  const Fitted one = fitted(fit_of("Beard"), data);
  const Tensor alone = one.net->forward(mixture().x);
  BOOST_TEST(cross_covariance(alone, "Beard") < 1e-5);
  const Interval left = asked_anew(alone, "Beard");
  BOOST_TEST((left.low <= 0.5 && 0.5 <= left.high), left.low << " " << left.high);
  BOOST_TEST(asked_anew(alone, "Hat, red").low > 0.8);  // the other one is left as it was
  BOOST_TEST((one.measured.at("directions") == "1" && one.number("train_separation") < 1e-5));

  const Fitted both = fitted(fit_of("Beard,\"Hat, red\""), data);
  BOOST_TEST((both.net->info().attributes == std::vector<std::string>{"Beard", "Hat, red"}));
  const Tensor none = both.net->forward(mixture().x);
  for (const char* name : {"Beard", "Hat, red"}) {
    BOOST_TEST(cross_covariance(none, name) < 1e-5);
    const Interval i = asked_anew(none, name);
    BOOST_TEST((i.low <= 0.5 && 0.5 <= i.high), name << " " << i.low << " " << i.high);
  }
}

// Bringing unit vectors back to norm 1 costs some of it, and says how much.
BOOST_AUTO_TEST_CASE(unit_vectors_stay_so) {
  const FitData data = mixture().data(FeatureDomain::sphere);
  const Tensor z = data.features.range(0, data.features.count());
  const Fitted f = fitted(fit_of("Beard"), data);
  BOOST_TEST(cross_covariance(f.net->before_norm(z), "Beard") < 1e-5);
  BOOST_TEST(f.number("train_separation") < 0.1 * f.number("train_separation_raw"));
  BOOST_TEST(f.number("train_separation") > 1e-5);
  BOOST_TEST((f.number("validation_cosine") > 0.8 && f.number("validation_cosine") < 1));
  const Tensor erased = f.net->forward(z);
  for (int64_t i = 0; i < 50; ++i)
    BOOST_REQUIRE(is_unit_norm(norm({erased.data<float>() + i * kDim, size_t(kDim)})));
  BOOST_TEST(asked_anew(erased, "Beard").mean < 0.56);
}

BOOST_AUTO_TEST_CASE(nullspace_takes_a_direction_a_round) {
  const FitData data = mixture().data(FeatureDomain::real);
  AttributesFit fit = fit_of("Beard");
  fit.erasure = Erasure::nullspace;
  double before = INFINITY;
  for (const int64_t rounds : {1, 3, 6}) {
    fit.rounds = rounds;
    const Fitted f = fitted(fit, data);
    BOOST_TEST(f.net->directions() == rounds);
    BOOST_TEST((f.net->info().erasure == Erasure::nullspace));
    BOOST_TEST(f.number("train_separation") < before);
    before = f.number("train_separation");
    // What is erased twice is erased once.
    const Tensor once = f.net->forward(mixture().x);
    BOOST_TEST(relative_error(f.net->forward(once), once) < 1e-5);
  }
  BOOST_TEST(asked_anew(fitted(fit, data).net->forward(mixture().x), "Beard").mean < 0.6);
}

BOOST_AUTO_TEST_CASE(columns_that_say_the_same_and_few_rows) {
  const FitData data = mixture().data(FeatureDomain::real);
  const Fitted one = fitted(fit_of("Beard"), data), twice = fitted(fit_of("Beard,Beard again"), data);
  BOOST_TEST(twice.net->directions() == 1);
  BOOST_TEST(relative_error(twice.net->forward(mixture().x), one.net->forward(mixture().x)) < 1e-5);
  AttributesFit rounds = fit_of("Beard,Beard again");
  rounds.erasure = Erasure::nullspace;
  rounds.rounds = 3;
  BOOST_TEST(fitted(rounds, data).net->directions() == 3);
  BOOST_TEST(fitted(fit_of("\"Hat, red\",Beard again,Beard"), data).net->directions() == 2);

  // Ten rows in 16 dimensions: still nothing is left of it on these.
  const Fitted few = fitted(fit_of("Beard"), mixture().data(FeatureDomain::real, 10));
  BOOST_TEST(few.number("train_separation") < 1e-5 * few.number("train_separation_raw"));
}

// An attacker who knows the map looks through it on a tape.
BOOST_AUTO_TEST_CASE(a_gradient_goes_through) {
  const Fitted f = fitted(fit_of("Beard"), mixture().data(FeatureDomain::sphere));
  const Tensor z = l2_normalise(mixture().x.slice_batch(0, 3)), weights = randn({3, kDim}, 8, DType::f32);
  const auto value = [&](const Tensor& x) { return sum_all(mul(f.net->forward(x), weights)); };
  Tape tape;
  Tensor gradient;
  {
    const TapeScope scope(tape);
    const Tensor out = value(z);
    gradient = backward(tape, out, {z})[0];
  }
  const Tensor along = randn({3, kDim}, 9, DType::f32);
  constexpr double kStep = 1e-2;
  const double up = double(value(add(z, affine(along, kStep, 0))).data<float>()[0]),
               down = double(value(add(z, affine(along, -kStep, 0))).data<float>()[0]),
               expected = double(sum_all(mul(gradient, along)).data<float>()[0]);
  BOOST_TEST(std::abs((up - down) / (2 * kStep) - expected) < 0.02 * std::abs(expected) + 1e-2);
}

BOOST_AUTO_TEST_CASE(what_does_not_do) {
  const TempDir dir;
  const auto wrong = [&](auto change, const std::vector<std::string>& words) {
    FitData data = mixture().data(FeatureDomain::real, 100);
    AttributesFit fit = fit_of("Beard");
    change(data, fit);
    refused([&] { fit.fit(data, dir / "no", {}); }, words);
    BOOST_TEST(!std::filesystem::exists(dir / "no"));
  };
  wrong([](FitData&, AttributesFit& f) { f.attributes = "Bear"; }, {"labels.csv", "Bear", "mean Beard?"});
  wrong([](FitData&, AttributesFit& f) { f.attributes = "Nobody"; },
        {"labels.csv", "Nobody is 1 for 0 of the people trained on"});
  wrong([](FitData& d, AttributesFit&) { d.train.resize(2); }, {"Beard", "2 are needed"});
  wrong([](FitData& d, AttributesFit&) { d.labels = [] { return Labels{}; }; }, {"--labels"});
  wrong([](FitData& d, AttributesFit&) { d.provenance.domain = FeatureDomain::non_negative; },
        {"attributes", "never negative"});
  wrong([](FitData& d, AttributesFit&) { d.features = Tensor::zeros({9, 8, 7, 7}); }, {"maps", "[8,7,7]"});
  wrong(
      [](FitData& d, AttributesFit&) {
        d.features = Tensor::zeros({kFitted + kAsked, kDim});
      },
      {"all features are the same"});
  wrong(
      [](FitData&, AttributesFit& f) {
        f.erasure = Erasure::nullspace;
        f.rounds = 16;
      },
      {"16 rounds", "16 dimensions"});
  refused([] { fit_of(""); }, {"--attributes"});
  refused([] { fit_of("A,,B"); }, {"--attributes", "empty"});
  refused([] { fit_of("A,B,A"); }, {"--attributes", "A", "twice"});
  refused([] { fit_of("\"A"); }, {"--attributes", "quote"});
  refused([] { fit_of("A\xff"); }, {"--attributes", "UTF-8"});
  BOOST_TEST(names_text(parse_names(" A , \"B, \"\"b\"\"\" ", "n")) == "A,\"B, \"\"b\"\"\"");

  fit_of("Beard").fit(mixture().data(FeatureDomain::real), dir / "e", {});
  const auto make = [&](const Shape& row, FeatureDomain domain) {
    AttributesSpec spec;
    spec.file = dir / "e";
    ProtectionInput input;
    input.space = {row, domain};
    input.what = "the features";
    return spec.make(input);
  };
  refused([&] { make({8, 7, 7}, FeatureDomain::real); }, {"attributes", "the features", "[8,7,7]", "--cut"});
  refused([&] { make({kDim}, FeatureDomain::non_negative); }, {"attributes", "never negative"});
  refused([&] { make({kDim + 1}, FeatureDomain::real); }, {"[17]", "[16]"});
  refused([&] { make({kDim}, FeatureDomain::real)->check_never_saw({"anna"}); }, {"anna"});
  survive(
      read_bytes(dir / "e"),
      [&](const std::string& text) {
        write_bytes(dir / "damaged", text);
        Eraser::load(dir / "damaged");
      },
      100);
}
