#include "advface/core/normal_distribution.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "tensor/check.h"

namespace advf {

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

double normal_quantile(double p) {
  check(p >= 0 && p <= 1, "a probability must lie between 0 and 1, not ", p);
  if (p == 0) return -std::numeric_limits<double>::infinity();
  if (p > 0.5) return -normal_quantile(1 - p);
  double low = -40, high = 0;  // below -39 Phi is no double above 0
  for (double middle = (low + high) / 2; middle > low && middle < high; middle = (low + high) / 2)
    (normal_cdf(middle) < p ? low : high) = middle;
  return high;
}

}  // namespace advf
