// The protections that others are measured against: noise with a guarantee, few bits, another order, channels
// or frequencies left out. What each does, against figures and rules from elsewhere.
#define BOOST_TEST_MODULE baselines
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "advface/core/dataset.h"
#include "advface/protections/duet_protection.h"
#include "advface/protections/noise_protection.h"
#include "advface/protections/protection_chain.h"
#include "advface/protections/registry.h"
#include "file_test_util.h"
#include "method_test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

using Values = std::map<std::string, std::string>;

std::shared_ptr<ProtectionSpec> spec_with(const std::string& name, const Values& values) {
  std::shared_ptr<ProtectionSpec> spec = protection_kind(name, "test").spec();
  const Settings settings = spec->settings();
  for (const Setting& s : settings)
    if (const auto found = values.find(s.name); found != values.end()) s.read(found->second);
  spec->check_valid();
  return spec;
}
ProtectionInput input_in(const Shape& row, FeatureDomain domain) {
  ProtectionInput input;
  input.space = {row, domain};
  input.what = "the rows";
  return input;
}
std::vector<int64_t> numbers(int64_t n) {
  std::vector<int64_t> records(static_cast<size_t>(n));
  std::iota(records.begin(), records.end(), int64_t(0));
  return records;
}
// What is stored of rows (n, row).
std::vector<float> stored(const std::string& name, const Values& values, const Tensor& rows,
                          FeatureDomain domain) {
  const Shape row(std::span<const int64_t>(rows.shape().begin() + 1, size_t(rows.shape().rank() - 1)));
  return spec_with(name, values)
      ->make(input_in(row, domain))
      ->apply(rows, numbers(rows.dim(0)), {}, {})
      .features.to_vector<float>();
}

struct Moments {
  double mean = 0, variance = 0, kurtosis = 0;
};
Moments moments(const std::vector<float>& values) {
  Moments m;
  const double n = double(values.size());
  for (const float v : values) m.mean += double(v) / n;
  for (const float v : values) m.variance += std::pow(double(v) - m.mean, 2) / n;
  for (const float v : values) m.kurtosis += std::pow(double(v) - m.mean, 4) / n;
  m.kurtosis /= m.variance * m.variance;
  return m;
}

}  // namespace

// From Theorem 8 of Balle and Wang solved by bisection on sigma itself, with 60 digits (Python, mpmath 1.3).
BOOST_AUTO_TEST_CASE(sigma_is_the_least_that_holds) {
  struct Figure {
    double epsilon, delta, sensitivity, sigma;
  };
  for (const Figure& f : {Figure{1, 1e-5, 1, 3.7306316348159418}, Figure{1, 1e-5, 2, 7.4612632696318837},
                          Figure{0.1, 1e-6, 2, 72.60938085239157}, Figure{8, 1e-5, 2, 1.2004581443979031},
                          Figure{50, 1e-5, 2, 0.29952121512167204}, Figure{0.5, 0.3, 1, 0.86586881694617934},
                          Figure{1, 0.5, 1, 0.50706503147633136}, Figure{0.01, 0.1, 2, 7.6188876122199691},
                          Figure{500, 1e-12, 2, 0.078775874755106642}, Figure{3, 0.9, 1, 0.22553850361280357},
                          Figure{0.001, 1e-12, 2, 10824.604387687854}}) {
    const double sigma = gaussian_sigma(f.epsilon, f.delta, f.sensitivity);
    BOOST_TEST(std::abs(sigma / f.sigma - 1) < 1e-6, f.epsilon << ", " << f.delta << ": " << sigma);
    BOOST_TEST(gaussian_delta(f.epsilon, sigma, f.sensitivity) <= f.delta * (1 + 1e-6));
    BOOST_TEST(gaussian_delta(f.epsilon, 0.99 * sigma, f.sensitivity) > f.delta);
  }
  BOOST_TEST(laplace_scale(0.5, 2) == 4);
}

// In one dimension the features 1 and -1 lie as far apart as two can after clipping at 1, and the events at
// which their results differ most are half lines: so the profile can be counted.
BOOST_AUTO_TEST_CASE(the_profile_of_what_is_stored) {
  constexpr int64_t n = 200000;
  const Tensor up = Tensor::full({n, 1}, 5), down = Tensor::full({n, 1}, -7);  // both are clipped
  const auto above = [](const std::vector<float>& values, double least) {
    return double(std::count_if(values.begin(), values.end(), [&](float v) { return double(v) >= least; })) /
           double(n);
  };
  Values values{{"mechanism", "gaussian"}, {"privacy_epsilon", "1"}, {"delta", "0.05"}, {"clip", "1"}};
  auto a = stored("noise", values, up, FeatureDomain::real);
  auto b = stored("noise", values, down, FeatureDomain::real);
  const double sigma = 2.6655566194837213;  // as above
  // The likelihood ratio exceeds e at sigma^2 / 2 and above.
  const double edge = sigma * sigma / 2;
  BOOST_TEST(std::abs(above(a, edge) - std::numbers::e * above(b, edge) - 0.05) < 0.005);

  values = {{"mechanism", "laplace"}, {"privacy_epsilon", "1"}, {"clip", "1"}};
  a = stored("noise", values, up, FeatureDomain::real);
  b = stored("noise", values, down, FeatureDomain::real);
  BOOST_TEST(std::abs(above(a, 1) - 0.5) < 0.006);
  BOOST_TEST(std::abs(above(a, 1) / above(b, 1) - std::numbers::e) < 0.06);
}

BOOST_AUTO_TEST_CASE(moments_of_the_noise) {
  const Tensor zero = Tensor::zeros({2000, 64});
  const Moments normal =
      moments(stored("noise", {{"mechanism", "gaussian"}, {"privacy_epsilon", "8"}, {"clip", "3"}}, zero,
                     FeatureDomain::real));
  const double sigma = 3 * 1.2004581443979031;
  BOOST_TEST(std::abs(normal.mean) < 0.06);
  BOOST_TEST(std::abs(normal.variance / (sigma * sigma) - 1) < 0.03);
  BOOST_TEST(std::abs(normal.kurtosis - 3) < 0.15);
  const Moments laplace =
      moments(stored("noise", {{"mechanism", "laplace"}, {"privacy_epsilon", "4"}, {"clip", "2"}}, zero,
                     FeatureDomain::real));
  BOOST_TEST(std::abs(laplace.mean) < 0.03);
  BOOST_TEST(std::abs(laplace.variance / 2 - 1) < 0.05);  // 2 b^2, b = 2 x 2 / 4
  BOOST_TEST(std::abs(laplace.kurtosis - 6) < 0.6);
}

BOOST_AUTO_TEST_CASE(clipping_is_by_the_mechanism_s_norm) {
  const std::vector<float> z{3, -4, 0, 0};
  std::vector<float> out(4);
  add_private_noise(z, {NoiseMechanism::gaussian, 2.5, 0}, 1, 1, out);
  BOOST_TEST((out == std::vector<float>{1.5f, -2, 0, 0}));
  add_private_noise(z, {NoiseMechanism::laplace, 3.5, 0}, 1, 1, out);
  BOOST_TEST((out == std::vector<float>{1.5f, -2, 0, 0}));
  add_private_noise(z, {NoiseMechanism::gaussian, 5, 0}, 1, 1, out);
  BOOST_TEST((out == z));
}

// What stands in files: today's noise as ever, a guarantee with what it follows from and without its seed.
BOOST_AUTO_TEST_CASE(what_files_say_of_noise) {
  const auto values = [](const Values& v) { return spec_with("noise", v)->values(); };
  BOOST_TEST((values({}) == Metadata{{"noise_length", "0.4"}, {"seed", "1"}}));
  const Values gaussian{{"mechanism", "gaussian"}, {"privacy_epsilon", "8"}};
  const Metadata written = values(gaussian);
  BOOST_TEST(written.at("clip") == "1.0");
  BOOST_TEST(std::abs(std::stod(written.at("noise_scale")) - 1.2004581443979031) < 1e-9);
  BOOST_TEST((!written.contains("seed") && !written.contains("noise_length")));
  BOOST_TEST(spec_with("noise", gaussian)->summary() ==
             "gaussian, privacy epsilon 8, delta 1e-05, L2 clip 1, sigma 1.2");
  BOOST_TEST(spec_with("noise", {{"mechanism", "laplace"}, {"privacy_epsilon", "4"}})->summary() ==
             "laplace, privacy epsilon 4, L1 clip 1, scale 0.5");
  const std::string text = ProtectionId{{{"noise", written, {}}}, {}}.to_json();
  const auto changed = [&](const std::string& from, const std::string& to, const std::string& word) {
    std::string other = text;
    const size_t at = other.find(from);
    BOOST_REQUIRE(at != std::string::npos);
    refused([&] { ProtectionId::from_json(other.replace(at, from.size(), to), "f"); }, {"f", word});
  };
  changed("\"privacy_epsilon\":8.0", "\"privacy_epsilon\":9.0", "does not follow");
  changed("\"privacy_epsilon\":8.0", "\"privacy_epsilon\":0", "privacy_epsilon");
  changed("\"delta\":1e-05,", "", "delta");
  changed("\"delta\":1e-05", "\"delta\":1", "delta");
  changed("\"clip\":1.0", "\"clip\":1.0,\"noise_length\":0.4", "noise_length");
  changed("\"gaussian\"", "\"laplace\"", "delta");
  changed("\"privacy_epsilon\":8.0", "\"colour\":8.0", "colour");
  // Another seed is another secret, not another protection.
  Values other = gaussian;
  BOOST_TEST((values(other) == written));
  refused([] { spec_with("noise", {{"mechanism", "gaussian"}}); }, {"--privacy-epsilon"});
  refused([&] { spec_with("noise", gaussian)->make(input_in({3}, FeatureDomain::real)); }, {"--clip"});
}

BOOST_AUTO_TEST_CASE(bits_that_are_left) {
  const Tensor signs = Tensor::from(std::vector<float>{0.9f, -0.1f, 0.02f, -0.5f}, {1, 4});
  BOOST_TEST((stored("quantise", {{"bits", "1"}}, signs, FeatureDomain::real) ==
              std::vector<float>{0.45f, -0.45f, 0.45f, -0.45f}));
  // Four levels of width 0.45.
  const auto two = stored("quantise", {{"bits", "2"}}, signs, FeatureDomain::real);
  for (const auto& [k, v] : {std::pair{0, 0.675}, {1, -0.225}, {2, 0.225}, {3, -0.675}})
    BOOST_TEST(std::abs(double(two[size_t(k)]) - v) < 1e-6);
  const auto unit = stored("quantise", {{"bits", "1"}}, l2_normalise(signs), FeatureDomain::sphere);
  for (const float v : unit) BOOST_TEST(std::abs(std::abs(double(v)) - 0.5) < 1e-6);
  // A map has a scale for each channel, and zero stays zero.
  const Tensor map = Tensor::from(std::vector<float>{0, 3, 2, 1, 0, 0.3f, 0.2f, 0.12f}, {1, 2, 2, 2});
  const auto levels = stored("quantise", {{"bits", "1"}}, map, FeatureDomain::non_negative);
  BOOST_TEST((levels == std::vector<float>{0, 3, 3, 0, 0, 0.3f, 0.3f, 0}));
  const Tensor many = randn({5, 40}, 3, DType::f32);
  for (int bits = 1; bits <= 8; ++bits) {
    const auto x = stored("quantise", {{"bits", std::to_string(bits)}}, many, FeatureDomain::real);
    for (int64_t i = 0; i < 5; ++i) {
      const std::span<const float> z{many.data<float>() + i * 40, 40}, y{x.data() + i * 40, 40};
      std::vector<float> sorted(y.begin(), y.end());
      std::sort(sorted.begin(), sorted.end());
      sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
      BOOST_TEST(sorted.size() <= size_t(1) << bits);
      double most = 0, off = 0;
      for (size_t k = 0; k < 40; ++k) {
        most = std::max(most, std::abs(double(z[k])));
        off = std::max(off, std::abs(double(z[k]) - double(y[k])));
      }
      BOOST_TEST(off <= most * (1 / double(1 << bits) + 1e-6));  // half a step, and rounding
    }
  }
}

BOOST_AUTO_TEST_CASE(an_order_drawn_from_the_seed) {
  const Tensor rows = randn({4, 20}, 1, DType::f32);
  const auto input = input_in({20}, FeatureDomain::real);
  const auto a = spec_with("shuffle", {{"seed", "1"}}), b = spec_with("shuffle", {{"seed", "2"}});
  const auto protection = a->make(input);
  const Tensor x = protection->apply(rows, numbers(4), {}, {}).features;
  BOOST_TEST(same_bits(x, protection->apply_probe(rows, numbers(4))));
  BOOST_TEST(!same_bits(x, b->make(input)->apply(rows, numbers(4), {}, {}).features));
  const auto product = [](const Tensor& t) { return matmul(t, t, {}, {.transpose_b = true}); };
  BOOST_TEST(relative_error(product(x), product(rows)) < 1e-6);
  // One order for all records: columns moved as wholes.
  for (int64_t k = 0; k < 20; ++k) {
    int64_t from = 0;
    while (from < 20 && rows.data<float>()[from] != x.data<float>()[k]) ++from;
    BOOST_REQUIRE(from < 20);
    for (int64_t i = 0; i < 4; ++i)
      BOOST_TEST(rows.data<float>()[i * 20 + from] == x.data<float>()[i * 20 + k]);
  }
  // A map's channels stay whole.
  const Tensor map = randn({1, 8, 3, 3}, 2, DType::f32);
  const auto moved = stored("shuffle", {}, map, FeatureDomain::real);
  for (size_t c = 0; c < 8; ++c) {
    const float* found = std::find(map.data<float>(), map.data<float>() + 72, moved[c * 9]);
    BOOST_TEST((found - map.data<float>()) % 9 == 0);
    BOOST_TEST(std::equal(found, found + 9, moved.data() + c * 9));
  }
  refused([&] { spec_with("shuffle", {})->make(input_in({1}, FeatureDomain::real)); }, {"--seed 1", "[1]"});

  // An attacker may have drawn another order, but a network that protects stands in the space it knows.
  const auto id = [&](const ProtectionSpec& spec) {
    return ProtectionId{{{"shuffle", spec.values(), {}}}, {}};
  };
  BOOST_TEST((id(*a).is_like(id(*b)) && !id(*a).same_space(id(*b)) && id(*a).same_space(id(*a))));
  BOOST_TEST((changes_probe(id(*a)) && space_after(id(*a), {{20}, FeatureDomain::sphere}).moved));
}

BOOST_AUTO_TEST_CASE(a_network_behind_another_order_is_refused) {
  const TempDir dir;
  const Recogniser r = toy_recogniser();
  auto decoder = toy_decoder(r, "e");
  DecoderInfo info = decoder->info();
  info.protection = {{{"shuffle", spec_with("shuffle", {{"seed", "1"}})->values(), {}}}, {}};
  Decoder(info, 1).save(dir / "shadow");
  const auto ascent = spec_with("advface", {{"shadow", dir / "shadow"}, {"steps", "1"}});
  const ProtectionInput input = input_of(r, "e", "the features");
  ProtectionChain({spec_with("shuffle", {{"seed", "1"}}), ascent}, input);
  refused(
      [&] {
        ProtectionChain({spec_with("shuffle", {{"seed", "2"}}), ascent}, input);
      },
      {"shuffle seed 1", "shuffle seed 2", "another seed"});
}

// Where the energy is, is known of these maps.
BOOST_AUTO_TEST_CASE(channels_with_the_most_energy) {
  const TempDir dir;
  const std::string path = dir / "duet";
  const std::vector<float> gains{1, 3, 0.5f, 2};
  FitData data;
  data.features = mul(abs(randn({20, 4, 3, 3}, 4, DType::f32)), Tensor::from(gains, {1, 4, 1, 1}));
  for (int64_t i = 0; i < 20; ++i) (i < 15 ? data.train : data.validation).push_back(i);
  data.provenance.domain = FeatureDomain::non_negative;
  data.provenance.people = {person_key("anna")};
  const Metadata measured = DuetFit().fit(data, path, {});
  BOOST_TEST(measured.at("channels") == "4");
  const double share = std::stod(measured.at("validation_energy_share"));
  BOOST_TEST((share > 0.5 && share < 0.75));  // 9 of 14.25
  const auto net = ChannelEnergies::load(path);
  BOOST_TEST((net->strongest(4) == std::vector<size_t>{1, 3, 0, 2}));
  BOOST_TEST(std::abs(double(net->mean(1)) - 3 * std::sqrt(2 / std::numbers::pi)) < 0.4);

  const Tensor rows = data.features.range(0, 3);
  const auto input = input_in({4, 3, 3}, FeatureDomain::non_negative);
  for (const auto& [count, hidden, fill] : {std::tuple{"0.25", std::vector<size_t>{1}, "zero"},
                                            {"0.01", {1}, "zero"},
                                            {"0.6", {1, 3}, "mean"},
                                            {"0.99", {0, 1, 3}, "mean"}}) {
    const auto spec = spec_with("duet", {{"duet", path}, {"hidden_share", count}, {"duet_fill", fill}});
    const auto protection = spec->make(input);
    BOOST_TEST(protection->applied().settings.at("hidden_channels") == std::to_string(hidden.size()));
    const Tensor x = protection->apply(rows, numbers(3), {}, {}).features;
    BOOST_TEST(same_bits(x, protection->apply_probe(rows, numbers(3))));
    for (size_t i = 0; i < x.to_vector<float>().size(); ++i) {
      const size_t c = i / 9 % 4;
      const bool gone = std::find(hidden.begin(), hidden.end(), c) != hidden.end();
      const float there = std::string(fill) == "mean" ? net->mean(c) : 0.0f;
      BOOST_TEST(x.data<float>()[i] == (gone ? there : rows.data<float>()[i]));
    }
    refused([&] { protection->check_never_saw({"anna"}); }, {"anna"});
  }
  refused(
      [&] {
        spec_with("duet", {{"duet", path}})->make(input_in({36}, FeatureDomain::sphere));
      },
      {"duet", "maps", "[36]", "--cut"});
  refused(
      [&] {
        spec_with("duet", {{"duet", path}})->make(input_in({4, 2, 3}, FeatureDomain::real));
      },
      {"[4,2,3]", "[4,3,3]"});
  const auto wrong = [&](const Shape& row, const std::vector<std::string>& words) {
    FitData other = data;
    other.features = Tensor::full(with_rows(20, row), 1);
    refused([&] { DuetFit().fit(other, dir / "no", {}); }, words);
    BOOST_TEST(!std::filesystem::exists(dir / "no"));
  };
  wrong({7}, {"maps", "[7]"});
  wrong({1, 3, 3}, {"[1,3,3]", "one channel"});
  survive(
      read_bytes(path),
      [&](const std::string& text) {
        write_bytes(dir / "damaged", text);
        ChannelEnergies::load(dir / "damaged");
      },
      100);
}

BOOST_AUTO_TEST_CASE(low_frequencies_are_taken_away) {
  // Cosines of the DCT, one a channel: those below go, the others stay as they are.
  constexpr int h = 5, w = 7;
  std::vector<float> values;
  for (int u = 0; u < 3; ++u)
    for (int v = 0; v < 3; ++v)
      for (int i = 0; i < h; ++i)
        for (int j = 0; j < w; ++j)
          values.push_back(float(2 * std::cos(std::numbers::pi * (i + 0.5) * u / h) *
                                 std::cos(std::numbers::pi * (j + 0.5) * v / w)));
  const Tensor map = Tensor::from(values, {1, 9, h, w});
  for (int low = 1; low <= 2; ++low) {
    const auto x = stored("frequency", {{"low_frequencies", std::to_string(low)}}, map, FeatureDomain::real);
    for (size_t i = 0; i < x.size(); ++i) {
      const int channel = int(i / (h * w));
      const bool gone = channel / 3 < low && channel % 3 < low;
      BOOST_TEST(std::abs(double(x[i]) - (gone ? 0 : double(values[i]))) < 1e-6);
    }
  }
  const Tensor any = abs(randn({2, 3, h, w}, 9, DType::f32));
  const auto clipped = stored("frequency", {}, any, FeatureDomain::non_negative),
             free = stored("frequency", {}, any, FeatureDomain::real);
  for (size_t i = 0; i < free.size(); ++i) BOOST_TEST(clipped[i] == std::max(free[i], 0.0f));
  const auto refuse_row = [](const Values& values, const Shape& row, const std::vector<std::string>& words) {
    refused([&] { spec_with("frequency", values)->make(input_in(row, FeatureDomain::real)); }, words);
  };
  refuse_row({}, {12}, {"frequency", "maps", "[12]", "--cut"});
  refuse_row({}, {8, 1, 1}, {"--low-frequencies 1", "[8,1,1]"});
  refuse_row({{"low_frequencies", "7"}}, {8, 7, 7}, {"--low-frequencies 7", "fewer than 7"});
  spec_with("frequency", {{"low_frequencies", "6"}})->make(input_in({8, 7, 7}, FeatureDomain::real));
}
