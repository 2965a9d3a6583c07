#include "advface/audit/identity_floor.h"

#include <cmath>
#include <limits>

#include "tensor/check.h"

namespace advf {
namespace {

constexpr double kError = 0.025;  // of each limit: both hold in 95 %

void check_rate(double rate, const char* name) {
  check(rate >= 0 && rate <= 1, name, " must lie between 0 and 1, not ", rate);
}

// p log2(p / q), 0 for p = 0.
double term(double p, double q) {
  if (p == 0) return 0;
  return q > 0 ? p * std::log2(p / q) : std::numeric_limits<double>::infinity();
}

// P[Binomial(trials, p) <= hits], p in (0, 1).
double at_most(int64_t hits, int64_t trials, double p) {
  double sum = 0;
  const double n = double(trials), all = std::lgamma(n + 1);
  for (int64_t i = 0; i <= hits; ++i) {
    const double k = double(i);
    sum += std::exp(all - std::lgamma(k + 1) - std::lgamma(n - k + 1) + k * std::log(p) +
                    (n - k) * std::log1p(-p));
  }
  return sum;
}

// The largest rate at which so few hits are no less likely than `error`.
double upper_limit(int64_t hits, int64_t trials, double error) {
  constexpr int kHalvings = 50;
  if (hits == trials) return 1;
  double low = 0, high = 1;
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (at_most(hits, trials, middle) > error ? low : high) = middle;
  }
  return high;
}

// Of one person of so many, drawn at random.
double rate_of_anybody(double tar, double far, int64_t people) {
  check_rate(tar, "a true accept rate");
  check_rate(far, "a false accept rate");
  check(people >= 0 && people != 1, "identity is told among two people or more, not ", people);
  return people == 0 ? far : far + (tar - far) / double(people);
}

}  // namespace

double coin_divergence(double p, double q) {
  check_rate(p, "a probability");
  check_rate(q, "a probability");
  return term(p, q) + term(1 - p, 1 - q);
}

double identity_bits(double tar, double far, int64_t people) {
  const double anybody = rate_of_anybody(tar, far, people);
  return tar > anybody ? coin_divergence(tar, anybody) : 0;
}

CandidateList candidates(double tar, double far, int64_t people) {
  check(people >= 2, "a list of candidates is of two people or more, not ", people);
  CandidateList list;
  list.length = double(people) * rate_of_anybody(tar, far, people);
  list.contains = tar;
  list.named = list.length > 0 ? tar * tar / list.length : 0;
  return list;
}

RateLimits rate_limits(int64_t hits, int64_t trials, double error) {
  check(trials > 0 && hits >= 0 && hits <= trials, hits, " hits of ", trials, " trials give no rate");
  check(error > 0 && error < 1, "the error of a limit must lie between 0 and 1, not ", error);
  return {1 - upper_limit(trials - hits, trials, error), upper_limit(hits, trials, error)};
}

IdentityFloor identity_floor(const OperatingPoint& point) {
  IdentityFloor floor;
  floor.tar = point.tar();
  floor.far = point.far();
  floor.tar_at_least = rate_limits(point.genuine_accepted, point.genuine, kError).low;
  floor.far_at_most = rate_limits(point.impostors_accepted, point.impostors, kError).high;
  floor.bits = identity_bits(floor.tar, floor.far);
  floor.bits_at_least = identity_bits(floor.tar_at_least, floor.far_at_most);
  return floor;
}

}  // namespace advf
