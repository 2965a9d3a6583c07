// The bounds on the error of pictures (docs/theory.md): traces of Jacobians against differences, the bounds
// against the least errors that there are. Part of the suite `theory`.
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "advface/audit/fisher_bound.h"
#include "method_test_util.h"
#include "tensor/rng.h"
#include "theory_test_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

BOOST_AUTO_TEST_CASE(the_prior_of_faces) {
  const Tensor photographs = toy_images(7, 3, 4);
  const FacePrior prior(photographs);
  const int64_t d = prior.values();
  BOOST_TEST((d == 48 && prior.mean().shape() == Shape({3, 4, 4})));
  std::vector<double> mean(size_t(d), 0), covariance(size_t(d * d), 0);
  for (int64_t i = 0; i < 7; ++i)
    for (int64_t k = 0; k < d; ++k) mean[size_t(k)] += double(row(photographs, i)[size_t(k)]) / 7;
  double trace = 0;
  for (int64_t k = 0; k < d; ++k)
    for (int64_t l = 0; l < d; ++l) {
      for (int64_t i = 0; i < 7; ++i)
        covariance[size_t(k * d + l)] += (double(row(photographs, i)[size_t(k)]) - mean[size_t(k)]) *
                                         (double(row(photographs, i)[size_t(l)]) - mean[size_t(l)]) / 6;
      if (k == l) trace += covariance[size_t(k * d + l)];
    }
  BOOST_TEST(std::abs(prior.variance() - trace / double(d)) < 1e-6 * trace);
  const Tensor rows = randn({3, d}, 5, DType::f32);
  const std::vector<double> squares = prior.weighted_squares(rows);
  for (int64_t i = 0; i < 3; ++i) {
    double square = 0;
    for (int64_t k = 0; k < d; ++k) {
      double sum = 0;
      for (int64_t l = 0; l < d; ++l) sum += covariance[size_t(k * d + l)] * double(row(rows, i)[size_t(l)]);
      square += sum * sum;
    }
    BOOST_TEST(std::abs(squares[size_t(i)] - square) < 1e-4 * square);
  }
  // Drawn faces have that mean and that variance, and each is the same whoever is drawn with it.
  const Tensor drawn = prior.draw(0, 4000, 9);
  double square = 0;
  for (int64_t i = 0; i < 4000; ++i)
    for (int64_t k = 0; k < d; ++k)
      square += std::pow(double(row(drawn, i)[size_t(k)]) - mean[size_t(k)], 2) / 4000;
  BOOST_TEST(std::abs(square / trace - 1) < 0.06);
  BOOST_TEST(same_bits(prior.draw(17, 19, 9), drawn.slice_batch(17, 19)));
  BOOST_CHECK_THROW(FacePrior(toy_images(1, 3, 4)), Error);
  BOOST_CHECK_THROW(FacePrior(Tensor::full({3, 3, 4, 4}, 0.5)), Error);
}

// Axis by axis the traces are those of a Jacobian by differences; along random signs they are so on average.
BOOST_AUTO_TEST_CASE(traces_of_the_jacobian) {
  const Recogniser recogniser = toy_recogniser(), precise = toy_recogniser(DType::f64);
  const Tensor images = toy_images(3, 11, 8);
  const FacePrior prior(toy_images(20, 12, 8));
  const int64_t d = prior.values();
  for (const NoiseMechanism mechanism : {NoiseMechanism::gaussian, NoiseMechanism::laplace}) {
    const auto encoder_of = [&](const Recogniser& r) -> Encoder {
      return [&r, mechanism](const Tensor& x) {
        return shortened(r.features(r.preprocess(x), "e"), mechanism, 0.7);
      };
    };
    const Encoder encoder = encoder_of(recogniser), in_f64 = encoder_of(precise);
    const JacobianTraces exact = jacobian_traces(encoder, images, &prior, {kToyDim, 2, 1}, {});
    for (int64_t i = 0; i < 3; ++i) {
      // Columns of the Jacobian, as rows.
      constexpr double kStep = 1e-5;
      std::vector<float> jacobian(size_t(kToyDim * d));
      for (int64_t k = 0; k < d; ++k) {
        std::vector<double> up(row(images, i).begin(), row(images, i).end()), down = up;
        up[size_t(k)] += kStep, down[size_t(k)] -= kStep;
        const auto a = in_f64(Tensor::from(up, {1, 3, 8, 8})).to_vector<double>(),
                   b = in_f64(Tensor::from(down, {1, 3, 8, 8})).to_vector<double>();
        for (int64_t o = 0; o < kToyDim; ++o)
          jacobian[size_t(o * d + k)] = float((a[size_t(o)] - b[size_t(o)]) / (2 * kStep));
      }
      double plain = 0, weighted = 0;
      for (const float v : jacobian) plain += double(v) * double(v);
      for (const double w : prior.weighted_squares(Tensor::from(jacobian, {kToyDim, d}))) weighted += w;
      BOOST_TEST(std::abs(exact.plain[size_t(i)] / plain - 1) < 1e-3, i);
      BOOST_TEST(std::abs(exact.weighted[size_t(i)] / weighted - 1) < 1e-3, i);
    }
    // More directions than values would be axes: many draws of a few instead.
    double plain = 0;
    for (uint64_t seed = 1; seed <= 60; ++seed)
      plain += jacobian_traces(encoder, images.slice_batch(0, 1), nullptr, {11, 1, seed}, {}).plain[0] / 60;
    BOOST_TEST(std::abs(plain / exact.plain[0] - 1) < 0.12);
    BOOST_TEST(jacobian_traces(encoder, images, nullptr, {4, 2, 1}, {}).weighted.empty());
  }
  // Shortened as the noise itself has it.
  const Tensor z = randn({2, 5}, 2, DType::f32);
  for (const NoiseMechanism mechanism : {NoiseMechanism::gaussian, NoiseMechanism::laplace})
    for (const double clip : {0.5, 100.0}) {
      const Tensor shorter = shortened(z, mechanism, clip);
      for (int64_t i = 0; i < 2; ++i) {
        std::vector<float> expected(5);
        add_private_noise(row(z, i), {mechanism, clip, 0}, 1, 1, expected);
        for (size_t k = 0; k < 5; ++k) BOOST_TEST(std::abs(row(shorter, i)[k] - expected[k]) < 1e-6f);
      }
    }
}

// The least error that there is lies above the bound: for linear encoders in closed form, for a curved one by
// integration.
BOOST_AUTO_TEST_CASE(the_best_attacker_stays_above_the_bound) {
  for (const json& c : theory_oracle().at("linear")) {
    const size_t d = c["values"], outputs = c["outputs"];
    const auto prior = c["prior"].get<std::vector<double>>(),
               encoder = c["encoder"].get<std::vector<double>>();
    double trace = 0, weighted = 0, plain = 0;
    for (size_t k = 0; k < d; ++k) trace += prior[k * d + k];
    for (size_t o = 0; o < outputs; ++o)
      for (size_t k = 0; k < d; ++k) {
        double sum = 0;
        for (size_t l = 0; l < d; ++l) sum += encoder[o * d + l] * prior[l * d + k];
        weighted += sum * sum;
        plain += encoder[o * d + k] * encoder[o * d + k];
      }
    const double sigma = c["sigma"], error = c["error"],
                 bound = prior_bound(trace / double(d), weighted / (sigma * sigma * trace));
    BOOST_TEST(bound <= error);
    BOOST_TEST(bound > 0.02 * error);
    // With fewer outputs than values nobody is unbiased.
    if (!c["unbiased"].is_null())
      BOOST_TEST(unbiased_bound(plain / (sigma * sigma * double(d))) < c["unbiased"].get<double>());
  }
  for (const json& c : theory_oracle().at("curved")) {
    const double sigma = c[0], slope = c[1], least = c[2];
    BOOST_TEST(prior_bound(1, slope / (sigma * sigma)) <= least, sigma);
    // A density with noise of its own: here the prior is nothing but that.
    BOOST_TEST(std::abs(pixel_noise_bound(slope / (sigma * sigma), 1) -
                        prior_bound(1, slope / (sigma * sigma))) < 1e-12);
  }
  // Values that do not hang together, an encoder of each by itself: simulated, and the bound is the error
  // where all are alike.
  for (const bool alike : {true, false}) {
    const std::vector<double> variance = alike ? std::vector(4, 0.5) : std::vector{0.1, 0.3, 1.0, 2.0};
    constexpr double kSlope = 2, kSigma = 0.9;
    constexpr int kDraws = 20000;
    double error = 0, trace = 0, weighted = 0;
    for (size_t k = 0; k < 4; ++k) {
      const Philox rng{k, 5};
      trace += variance[k];
      weighted += std::pow(kSlope * variance[k], 2);
      for (uint64_t i = 0; i < kDraws; ++i) {
        const double x = std::sqrt(variance[k]) * rng.normal(2 * i),
                     z = kSlope * x + kSigma * rng.normal(2 * i + 1);
        const double guess = kSlope * variance[k] * z / (kSlope * kSlope * variance[k] + kSigma * kSigma);
        error += (guess - x) * (guess - x) / kDraws / 4;
      }
    }
    const double bound = prior_bound(trace / 4, weighted / (kSigma * kSigma * trace));
    BOOST_TEST(bound < 1.02 * error);
    BOOST_TEST((bound > 0.98 * error) == alike);
  }
  const Estimate e = estimate({1, 2, 3, 6});
  BOOST_TEST((e.mean == 3 && std::abs(e.error - std::sqrt(14.0 / 3 / 4)) < 1e-12));
  BOOST_CHECK_THROW(estimate({}), Error);
}
