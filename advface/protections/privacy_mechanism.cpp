#include "advface/protections/privacy_mechanism.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "advface/core/normal_distribution.h"
#include "tensor/check.h"
#include "tensor/rng.h"

namespace advf {
namespace {

// Where `below` turns from true to false on [0, inf): the last number at which it holds and the first at
// which it does not, neighbours among doubles. It holds at 0.
std::array<double, 2> turning_point(const auto& below) {
  double low = 0, high = 1;
  while (below(high)) {
    low = high;
    high *= 2;
  }
  for (double middle = (low + high) / 2; middle > low && middle < high; middle = (low + high) / 2)
    (below(middle) ? low : high) = middle;
  return {low, high};
}

// Two numbers in (0, 1) with 53 bits each, so that tails are as long as those of doubles: with 24 bits a
// normal number would end at 5.8 deviations, which a small delta notices.
std::array<double, 2> uniform53(const Philox& rng, uint64_t i) {
  const auto bits = rng.block(i);
  const auto one = [](uint32_t high, uint32_t low) {
    return (double(((uint64_t(high) << 32) | low) >> 11) + 0.5) * 0x1p-53;
  };
  return {one(bits[0], bits[1]), one(bits[2], bits[3])};
}

double normal_draw(const Philox& rng, uint64_t i) {
  const auto [u, v] = uniform53(rng, i);
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
}

double laplace_draw(const Philox& rng, uint64_t i) {
  const auto [u, v] = uniform53(rng, i);
  return v < 0.5 ? std::log(u) : -std::log(u);
}

}  // namespace

double gaussian_delta(double epsilon, double sigma, double sensitivity) {
  const double half = sensitivity / (2 * sigma), shift = epsilon * sigma / sensitivity;
  return normal_cdf(half - shift) - std::exp(epsilon) * normal_cdf(-half - shift);
}

// With v = (D/(2 sigma) - epsilon sigma/D)^2 / epsilon, or u where the bracket is negative, the condition has
// one variable, monotone, and sigma = alpha D / sqrt(2 epsilon). Which side it is, delta at the bracket's
// zero tells.
double gaussian_sigma(double epsilon, double delta, double sensitivity) {
  const double exp_epsilon = std::exp(epsilon);
  const auto at = [&](double sign, double v) {
    return normal_cdf(sign * std::sqrt(epsilon * v)) -
           exp_epsilon * normal_cdf(-std::sqrt(epsilon * (v + 2)));
  };
  double alpha = 1;
  if (delta >= at(1, 0)) {
    const double v = turning_point([&](double x) { return at(1, x) <= delta; })[0];
    alpha = 1 / (std::sqrt(1 + v / 2) + std::sqrt(v / 2));
  } else {
    const double u = turning_point([&](double x) { return at(-1, x) > delta; })[1];
    alpha = std::sqrt(1 + u / 2) + std::sqrt(u / 2);
  }
  return alpha * sensitivity / std::sqrt(2 * epsilon);
}

double laplace_scale(double epsilon, double sensitivity) { return sensitivity / epsilon; }

double naming_bound(const PrivacyNoise& noise, double prior) {
  check(noise.mechanism != NoiseMechanism::length, "noise of a given length bounds nobody's success");
  check(prior > 0 && prior <= 1, "the success of a guess must lie above 0 and not above 1, not ", prior);
  const double reach = noise.clip / noise.scale;
  if (noise.mechanism == NoiseMechanism::gaussian) return normal_cdf(normal_quantile(prior) + reach);
  return std::min(std::exp(reach) * prior, 1 - std::exp(-reach) * (1 - prior));
}

void add_private_noise(std::span<const float> feature, const PrivacyNoise& noise, uint64_t seed,
                       uint64_t stream, std::span<float> out) {
  const Philox rng{seed, stream};
  const bool laplace = noise.mechanism == NoiseMechanism::laplace;
  double length = 0;
  for (const float v : feature) length += laplace ? std::abs(double(v)) : double(v) * double(v);
  if (!laplace) length = std::sqrt(length);
  const double share = length > noise.clip ? noise.clip / length : 1;
  for (size_t k = 0; k < feature.size(); ++k) {
    const double draw = laplace ? laplace_draw(rng, k) : normal_draw(rng, k);
    out[k] = float(share * double(feature[k]) + noise.scale * draw);
  }
}

}  // namespace advf
