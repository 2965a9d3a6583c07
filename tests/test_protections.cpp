// Every protection of the registry holds what protection.h promises, and the checks find planted mistakes;
// protections one behind the other; the projection's fit.
#define BOOST_TEST_MODULE protections
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <numeric>

#include "advface/core/dataset.h"
#include "advface/keys/key.h"
#include "advface/networks/generator.h"
#include "advface/protections/attributes_protection.h"
#include "advface/protections/duet_protection.h"
#include "advface/protections/noise_protection.h"
#include "advface/protections/projection_protection.h"
#include "advface/protections/protection_chain.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "protection_checks.h"
#include "tensor/backend.h"
#include "tensor/linear_algebra.h"
#include "tensor/parallel.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int64_t kRows = 9;

double largest_difference(std::span<const float> a, std::span<const float> b) {
  double most = 0;
  for (size_t k = 0; k < a.size(); ++k) most = std::max(most, std::abs(double(a[k]) - double(b[k])));
  return most;
}
double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) sum += (double(a[k]) - double(b[k])) * (double(a[k]) - double(b[k]));
  return std::sqrt(sum);
}

// People as unit vectors around one centre each, several photographs of each.
FitData toy_people(const Recogniser& r, int people, int photographs) {
  FitData data;
  const Tensor centres = randn({people, kToyDim}, 21, DType::f32);
  const Tensor scatter = affine(randn({people * photographs, kToyDim}, 22, DType::f32), 0.6, 0);
  std::vector<float> values;
  for (int p = 0; p < people; ++p)
    for (int i = 0; i < photographs; ++i) {
      for (int64_t k = 0; k < kToyDim; ++k) {
        const float noise = scatter.data<float>()[(p * photographs + i) * kToyDim + k];
        // The last half of the directions says nothing about who it is.
        values.push_back((k < kToyDim / 2 ? centres.data<float>()[p * kToyDim + k] : 3 * noise) + noise);
      }
      data.person.push_back(p);
      (p < people * 3 / 4 ? data.train : data.validation).push_back(int64_t(data.person.size()) - 1);
    }
  data.features = l2_normalise(Tensor::from(values, {int64_t(data.person.size()), kToyDim}));
  data.provenance.cut = "e";
  data.provenance.recogniser = r.fingerprint();
  data.provenance.domain = FeatureDomain::sphere;
  data.provenance.people = {person_key("anna")};
  return data;
}

// The same with labels: every other person is "Even".
FitData labelled_people(const Recogniser& r) {
  FitData data = toy_people(r, 24, 5);
  data.labels = [person = data.person] {
    Labels labels;
    labels.attributes = {"Even"};
    for (int64_t p : person) {
      labels.identities.push_back(std::to_string(p));
      labels.values.push_back(p % 2 == 0);
    }
    return labels;
  };
  return data;
}

// Everything that the residents need as files, at a cut.
struct Files {
  TempDir dir;
  Recogniser recogniser = toy_recogniser();
  std::string cut, shadow = dir / "shadow", generator = dir / "generator", projection = dir / "projection",
                   square = dir / "square", duet = dir / "duet", key = dir / "key", eraser = dir / "eraser";
  Tensor photographs = toy_images(kRows, 5), features;

  explicit Files(const std::string& where) : cut(where), features(toy_features(recogniser, where, kRows)) {
    if (has_keys()) Key::fresh().write_new(key);
    const auto decoder = toy_decoder(recogniser, cut);
    decoder->save(shadow);
    GeneratorInfo info;
    static_cast<Provenance&>(info) = decoder->info();
    const Shape& row = recogniser.feature_shape(cut);
    info.spec = {row, row.rank() == 1 ? 64 : 16, 1};
    info.settings = {.epsilon = cut == "e" ? 0.1 : 0.5};
    if (cut == "e") info.settings.norm = Norm::l2;
    Generator net(info, 1);
    const auto& statistics = decoder->statistics();
    net.net().set_input(statistics.feature_mean, statistics.feature_std);
    net.save(generator);
    if (cut == "e") {
      ProjectionFit fit;
      fit.dims = 4;
      fit.fit(toy_people(recogniser, 24, 5), projection, {});
      fit.dims = kToyDim;
      fit.fit(toy_people(recogniser, 24, 5), square, {});
      AttributesFit erasure;
      erasure.attributes = "Even";
      erasure.fit(labelled_people(recogniser), eraser, {});
    } else {
      FitData data;
      data.features = toy_features(recogniser, cut, 30, 8);
      for (int64_t i = 0; i < 30; ++i) (i < 20 ? data.train : data.validation).push_back(i);
      data.provenance = decoder->info();
      DuetFit().fit(data, duet, {});
    }
  }
  ProtectionInput input() const { return input_of(recogniser, cut, "the features"); }
  // A spec with the files and settings that are given by name.
  std::unique_ptr<ProtectionSpec> spec(const std::string& name,
                                       const std::map<std::string, std::string>& values = {}) const {
    auto spec = protection_kind(name, "test").spec();
    std::map<std::string, std::string> all = values;
    all.insert({{"shadow", shadow},
                {"generator", generator},
                {"projection", projection},
                {"duet", duet},
                {"key", key},
                {"eraser", eraser}});
    for (const Setting& s : spec->settings())
      if (const auto found = all.find(s.name); found != all.end() && s.source != Setting::Source::derived)
        s.read(found->second == "square" ? square : found->second);
    spec->check_valid();
    spec->check_complete();
    return spec;
  }
};

using Within = std::function<bool(std::span<const float>, std::span<const float>)>;

// What each resident is run with. One that stands in the registry and not here fails the test.
struct Case {
  std::string name, cut;
  std::map<std::string, std::string> values;
  Within within;
};
std::vector<Case> cases() {
  const auto linf = [](double radius) {
    return [radius](auto z, auto x) { return largest_difference(z, x) <= radius * (1 + 1e-4); };
  };
  const auto l2 = [](double radius) {
    return [radius](auto z, auto x) { return distance(z, x) <= radius * (1 + 1e-4); };
  };
  const auto moved_by = [](double share) {
    return [share](auto z, auto x) { return std::abs(distance(z, x) / norm(z) - share) < 1e-3; };
  };
  const auto same_values = [](auto z, auto x) {
    std::vector<float> a(z.begin(), z.end()), b(x.begin(), x.end());
    const bool moved = a != b;
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    return moved && a == b;
  };
  const auto same_norm = [](auto z, auto x) {
    return std::abs(norm(x) - norm(z)) < 1e-6 && distance(z, x) > 0.01;
  };
  const auto l2_shorter = [](auto z, auto x) { return norm(x) < norm(z); };
  return {{"advface", "e", {{"epsilon", "0.3"}, {"norm", "l2"}, {"steps", "3"}}, l2(0.3)},
          {"advface", "e", {{"epsilon", "0.1"}, {"steps", "2"}}, {}},
          {"advface", "c", {{"epsilon", "0.5"}, {"steps", "2"}}, {}},
          {"advface", "e", {{"objective", "original"}, {"steps", "2"}}, {}},
          {"advface", "p", {{"epsilon", "0.5"}, {"steps", "2"}, {"keep_recognition", "0.9"}}, {}},
          {"generator", "e", {}, l2(0.1)},
          {"generator", "p", {}, {}},
          {"noise", "e", {{"noise_length", "0.5"}}, moved_by(0.5)},
          {"noise", "c", {{"noise_length", "0.2"}}, moved_by(0.2)},
          {"noise", "p", {}, [](auto z, auto x) { return distance(z, x) <= 0.4 * norm(z) * (1 + 1e-4); }},
          {"noise", "e", {{"mechanism", "laplace"}, {"privacy_epsilon", "100"}}, {}},
          {"noise", "e", {{"mechanism", "gaussian"}, {"privacy_epsilon", "20"}}, {}},
          {"noise", "c", {{"mechanism", "laplace"}, {"privacy_epsilon", "5"}, {"clip", "100"}}, {}},
          {"noise", "p", {{"mechanism", "gaussian"}, {"privacy_epsilon", "5"}, {"clip", "10"}}, {}},
          {"quantise", "e", {{"bits", "8"}}, l2(0.05)},
          {"quantise", "c", {{"bits", "1"}}, {}},
          {"quantise", "p", {}, {}},
          {"rotation", "e", {}, same_norm},
          {"rotation", "e", {{"key_mode", "per-set"}}, same_norm},
          {"shuffle", "e", {}, same_values},
          {"shuffle", "c", {}, same_values},
          {"shuffle", "p", {}, same_values},
          {"duet", "c", {{"duet_fill", "mean"}}, {}},
          {"duet", "p", {{"hidden_share", "0.5"}}, l2_shorter},
          {"frequency", "c", {}, l2_shorter},
          {"frequency", "p", {{"low_frequencies", "3"}}, {}},
          {"attributes", "e", {}, l2(2)},
          {"projection", "e", {}, {}},
          {"projection", "e", {{"projection", "square"}}, {}},
          {"advface", "c", {{"epsilon", "1e-3"}, {"steps", "2"}, {"norm", "linf"}}, linf(1)}};
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_resident_holds_every_rule) {
  std::map<std::string, std::unique_ptr<Files>> files;
  for (const Case& c : cases()) {
    if (c.name == "rotation" && !has_keys()) continue;
    auto& here = files[c.cut];
    if (!here) here = std::make_unique<Files>(c.cut);
    const auto spec = here->spec(c.name, c.values);
    ProtectionScene scene{[&] { return spec->make(here->input()); }, here->features, {}, c.within};
    scene.needs_key = spec->needs_key();
    if (scene.make()->photograph_size() > 0) scene.photographs = here->photographs;
    std::string all;
    for (const std::string& rule : broken_rules(scene)) all += rule + ", ";
    BOOST_TEST(all == "", c.name << " at " << c.cut << ", " << spec->summary());
  }
  const auto tried = cases();
  for (const ProtectionKind& kind : protections())
    BOOST_TEST(std::any_of(tried.begin(), tried.end(), [&](const Case& c) { return c.name == kind.name; }),
               "no test of the protection " << kind.name);
}

namespace {

// Adds 0.01 in a record's own direction and normalises; with one mistake.
class Planted : public Protection {
 public:
  explicit Planted(std::string mistake) : mistake_(std::move(mistake)) {}
  AppliedProtection applied() const override {
    NoiseSpec spec;
    if (mistake_ == "id") return {"nobody", {}, {}};
    return {"noise", spec.values(), {}};
  }
  FeatureSpace out() const override {
    return {{mistake_ == "shape" ? kToyDim + 1 : kToyDim}, FeatureDomain::sphere};
  }
  bool draws_by_record() const override { return mistake_ != "draw"; }
  Guarantee guarantee() const override {
    Guarantee proved;
    proved.largest_angle = mistake_ == "angle" ? 0.001 : 0.1;
    return proved;
  }
  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor&,
                      const Context&) override {
    if (mistake_ != "bad feature") check_records(features, records, FeatureDomain::sphere);
    static int calls = 0;
    ++calls;
    std::vector<float> values = features.to_vector<float>();
    ProtectedRows result;
    for (size_t i = 0; i < records.size(); ++i) {
      int64_t key = records[i];
      if (mistake_ == "number") key = int64_t(i);
      if (mistake_ == "company") key = records[0] + int64_t(records.size());
      if (mistake_ == "threads") key += num_threads();
      if (mistake_ == "again") key += calls;
      const std::vector<float> z(values.begin() + std::ptrdiff_t(i * kToyDim),
                                 values.begin() + std::ptrdiff_t((i + 1) * kToyDim));
      const std::span<float> x = std::span(values).subspan(i * kToyDim, kToyDim);
      x[size_t(key) % kToyDim] += mistake_ == "ball" ? 0.5f : 0.01f;
      const double length = norm(x);
      for (float& v : x) v = float(double(v) / length) * (mistake_ == "domain" ? 1.01f : 1.0f);
      result.reports.push_back(report_of(records[i], z, x));
      if (mistake_ == "report") result.reports.back().noise_l2 *= 2;
    }
    result.features = Tensor::from(values, features.shape());
    return result;
  }
  Tensor apply_probe(const Tensor& features, std::span<const int64_t>) const override {
    if (mistake_ != "probe") return features;
    return mul(features, Tensor::full({1, kToyDim}, 2).to(current_backend()));
  }

 private:
  std::string mistake_;
};

}  // namespace

// The checks see each mistake that they are there for, and none where there is none.
BOOST_AUTO_TEST_CASE(planted_mistakes_are_found) {
  const Recogniser recogniser = toy_recogniser();
  const Tensor features = toy_features(recogniser, "e", kRows).on_host();
  const auto rules_of = [&](const std::string& mistake) {
    return broken_rules({[&] { return std::make_unique<Planted>(mistake); },
                         features,
                         {},
                         [](auto z, auto x) { return distance(z, x) < 0.1; }});
  };
  BOOST_TEST(rules_of("").empty());
  for (const std::string mistake : {"shape", "domain", "ball", "angle", "report", "number", "draw", "company",
                                    "threads", "again", "bad feature", "id", "probe"}) {
    const std::vector<std::string> found = rules_of(mistake);
    std::string all;
    for (const std::string& rule : found) all += rule + ", ";
    BOOST_TEST(std::count(found.begin(), found.end(), mistake) == 1, mistake << ": " << all);
  }
}

// Every setting goes to files and back, and each text that its option takes.
BOOST_AUTO_TEST_CASE(settings_are_read_as_they_are_written) {
  for (const ProtectionKind& kind : protections()) {
    const auto spec = kind.spec(), other = kind.spec();
    BOOST_TEST(!kind.help.empty());
    read_values(other->settings(), spec->values(), "f");
    BOOST_TEST((other->values() == spec->values()));
    for (const Setting& s : spec->settings()) {
      BOOST_TEST(!s.help.empty(), s.name);
      if (!s.choices.empty()) {
        for (const std::string& choice : s.choices) {
          s.read(choice);
          BOOST_TEST(s.text() == choice);
        }
        refused([&] { s.read("nonsense"); }, {s.name, "nonsense"});
      } else if (s.word) {
        const bool digits = s.name.starts_with("key_") || s.name == "set_check";
        if (digits) refused([&] { s.read("a,b"); }, {s.name, "a,b", "hexadecimal"});
        const std::string text = digits ? std::string(32, 'a') : "a,b";
        s.read(text);
        BOOST_TEST(s.text() == text);
      } else if (s.source != Setting::Source::file) {
        for (const char* text : {"", "x", "0.5x", " 1"}) refused([&] { s.read(text); }, {s.name});
      }
    }
    refused([&] { read_values(spec->settings(), {{"colour", "3"}}, "f"); }, {"f", "colour"});
  }
  refused([] { protection_kind("nose", "--protect"); },
          {"--protect", "nose", "did you mean noise?", "advface"});
}

BOOST_AUTO_TEST_CASE(protections_go_one_behind_the_other) {
  const Files files("e");
  const std::shared_ptr<ProtectionSpec> noise = files.spec("noise", {{"noise_length", "0.3"}}),
                                        erasure = files.spec("attributes"),
                                        projection = files.spec("projection"),
                                        ascent = files.spec("advface", {{"steps", "2"}});
  std::vector<int64_t> records(kRows);
  std::iota(records.begin(), records.end(), 3);
  const auto alone = [&](const ProtectionSpec& spec, const Tensor& z) {
    return spec.make(files.input())->apply(z, records, {}, {}).features;
  };
  ProtectionChain two({noise, projection}, files.input());
  BOOST_TEST((two.out() == FeatureSpace{{4}, FeatureDomain::sphere, true}));
  BOOST_TEST((two.moves() && two.changes_probe()));
  BOOST_TEST(two.id().describe() == "protected, noise length 0.3, then projection dims 4");
  const ProtectedRows both = two.apply(files.features, records, {}, {});
  BOOST_TEST(same_bits(both.features, alone(*projection, alone(*noise, files.features))));
  BOOST_TEST(both.reports.size() == size_t(kRows));
  BOOST_TEST((both.reports[0].record == 3 && both.reports[0].noise_l2 == 0));
  // A probe goes through the projection alone.
  BOOST_TEST(same_bits(two.apply_probe(files.features, records), alone(*projection, files.features)));

  // The report of two that keep the shape is of the whole way; the ascent's losses stay its own.
  ProtectionChain more({ascent, noise}, files.input());
  const ProtectedRows moved = more.apply(files.features, records, {}, {});
  BOOST_TEST(!more.changes_probe());
  for (int64_t i = 0; i < kRows; ++i) {
    const RecordReport& r = moved.reports[size_t(i)];
    BOOST_TEST(r.losses.size() == 3u);
    const auto z = files.features.slice_batch(i, i + 1).to_vector<float>(),
               x = moved.features.slice_batch(i, i + 1).to_vector<float>();
    BOOST_TEST(std::abs(r.noise_l2 - distance(z, x)) < 1e-9);
  }
  // Attributes taken out before the ascent and before a projection; the probe goes through both.
  BOOST_TEST(ProtectionChain({erasure, ascent}, files.input()).out().row == Shape({kToyDim}));
  ProtectionChain less({erasure, projection}, files.input());
  BOOST_TEST(less.id().describe() == "protected, attributes Even, then projection dims 4");
  BOOST_TEST(same_bits(less.apply(files.features, records, {}, {}).features,
                       less.apply_probe(files.features, records)));
  BOOST_TEST((less.saw(person_key("anna")) && !less.saw(person_key("berta"))));

  // What does not fit is told before the work, with both sides.
  refused(
      [&] {
        ProtectionChain({projection, ascent}, files.input());
      },
      {"[4]", "[12]", "projection dims 4"});
  refused([&] { ProtectionChain({projection, projection}, files.input()); }, {"[4]", "[12]"});
  refused([&] { ProtectionChain({}, files.input()); }, {"no protection"});
  ProtectionInput unknown = files.input();
  unknown.network = nullptr;
  unknown.why_domain_unknown = "row 0 has norm 2";
  refused([&] { ProtectionChain({noise}, unknown); }, {"noise", "--recogniser"});
  // Behind a network that knows it, the domain is known.
  ProtectionChain({ascent, noise}, unknown);
  refused([&] { two.check_never_saw({"anna"}); }, {"projection", "anna"});
}

// The directions that tell people apart are found, and nothing of what does not.
BOOST_AUTO_TEST_CASE(a_projection_keeps_what_tells_people_apart) {
  const TempDir dir;
  const Recogniser r = toy_recogniser();
  const FitData data = toy_people(r, 40, 6);
  ProjectionFit fit;
  fit.dims = 5;
  const Metadata measured = fit.fit(data, dir / "p", {});
  BOOST_TEST(std::stod(measured.at("validation_separation")) > 0.5);
  const auto net = Projection::load(dir / "p");
  BOOST_TEST((net->values() == kToyDim && net->dims() == 5));
  // Features that differ only in the directions of no identity become nearly the same.
  std::vector<float> a(kToyDim, 0.2f), b(kToyDim, 0.2f);
  b[kToyDim - 1] = -0.2f;
  const auto project = [&](const std::vector<float>& v) {
    return net->forward(l2_normalise(Tensor::from(v, {1, kToyDim}))).to_vector<float>();
  };
  std::vector<float> c = a;
  c[0] = -0.2f;
  BOOST_TEST(cosine(project(a), project(b)) > cosine(project(a), project(c)));
  BOOST_TEST(cosine(project(a), project(b)) > 0.95);
  // No axis carries more than another.
  const Tensor rows = net->forward(data.features.batch(0, data.features.count()));
  std::vector<double> power(5);
  for (int64_t i = 0; i < rows.numel(); ++i) power[size_t(i % 5)] += std::pow(rows.data<float>()[i], 2);
  BOOST_TEST(std::ranges::max(power) < 2 * std::ranges::min(power));
  // The same data, the same bits.
  fit.fit(data, dir / "q", {});
  BOOST_TEST((read_bytes(dir / "p") == read_bytes(dir / "q")));

  const auto wrong = [&](auto change, const std::vector<std::string>& words) {
    FitData other = data;
    ProjectionFit f = fit;
    change(other, f);
    refused([&] { f.fit(other, dir / "no", {}); }, words);
    BOOST_TEST(!std::filesystem::exists(dir / "no"));
  };
  wrong([](FitData&, ProjectionFit& f) { f.dims = 13; }, {"13", "12"});
  for (const double shrinkage : {0.0, -1.0, std::nan("")}) {
    ProjectionFit f;
    f.shrinkage = shrinkage;
    refused([&] { f.check_valid(); }, {"shrinkage"});
  }
  wrong([](FitData& d, ProjectionFit&) { std::fill(d.person.begin(), d.person.end(), 1); },
        {"--dims 5", "people"});
  wrong([](FitData& d, ProjectionFit&) { std::iota(d.person.begin(), d.person.end(), 0); },
        {"one photograph"});
  wrong([](FitData& d, ProjectionFit&) { d.features = Tensor::zeros({9, 8, 7, 7}); }, {"maps", "[8,7,7]"});
  survive(
      read_bytes(dir / "p"),
      [&](const std::string& text) {
        write_bytes(dir / "damaged", text);
        Projection::load(dir / "damaged");
      },
      100);
}

BOOST_AUTO_TEST_CASE(eigenvectors) {
  constexpr size_t n = 23;
  const auto symmetric = [&](uint64_t seed, double ridge) {
    const auto v = randn({int64_t(n), int64_t(n)}, seed).to_vector<double>();
    Matrix m(n, n);
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < n; ++j) {
        for (size_t k = 0; k < n; ++k) m(i, j) += v[i * n + k] * v[j * n + k];
        if (i == j) m(i, j) += ridge;
      }
    return m;
  };
  const Matrix a = symmetric(1, 0), b = symmetric(2, 1);
  const Eigen eigen = symmetric_eigen(a);
  for (size_t i = 0; i < n; ++i) {
    if (i > 0) BOOST_TEST(eigen.values[i] <= eigen.values[i - 1]);
    for (size_t j = 0; j < n; ++j) {
      double product = 0, dots = 0;
      for (size_t k = 0; k < n; ++k) {
        product += a(j, k) * eigen.vectors(i, k);
        dots += eigen.vectors(i, k) * eigen.vectors(j, k);
      }
      BOOST_TEST(std::abs(product - eigen.values[i] * eigen.vectors(i, j)) < 1e-8 * eigen.values[0]);
      BOOST_TEST(std::abs(dots - (i == j)) < 1e-8);
    }
  }
  const Matrix w = generalised_eigenvectors(a, b, 3);
  for (size_t c = 0; c < 3; ++c) {
    std::vector<double> left(n), right(n);
    double lambda = 0, unit = 0;
    for (size_t i = 0; i < n; ++i)
      for (size_t k = 0; k < n; ++k) {
        left[i] += a(i, k) * w(k, c);
        right[i] += b(i, k) * w(k, c);
      }
    for (size_t i = 0; i < n; ++i) {
      lambda += left[i] * w(i, c);
      unit += right[i] * w(i, c);
    }
    BOOST_TEST(std::abs(unit - 1) < 1e-8);
    for (size_t i = 0; i < n; ++i) BOOST_TEST(std::abs(left[i] - lambda * right[i]) < 1e-7 * lambda);
  }
  // Of low rank, as the scatter between few people is: the vectors that mean something are still found.
  Matrix thin(n, n);
  for (size_t i = 0; i < n; ++i)
    for (size_t j = 0; j < n; ++j) thin(i, j) = double(i + 1) * double(j + 1);
  const Eigen one = symmetric_eigen(thin);
  BOOST_TEST(std::abs(one.values[0] - 4324) < 1e-6);  // 1 + 4 + 9 + ... + 529
  BOOST_TEST(one.values[1] < 1e-9);
  BOOST_TEST(one.vectors(0, n - 1) > 0);
  Matrix negative(n, n);
  refused([&] { generalised_eigenvectors(a, negative, 1); }, {"positive definite"});
}
