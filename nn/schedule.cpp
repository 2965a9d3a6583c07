#include "nn/schedule.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"

namespace advf {
namespace {

// From a (at t = 0) to b (at t = 1) along half a cosine; flat outside.
double anneal(double a, double b, double t) {
  return b + (a - b) / 2 * (1 + std::cos(3.14159265358979323846 * std::clamp(t, 0.0, 1.0)));
}

}  // namespace

double OneCycle::at(int64_t step) const {
  check(steps > 0 && step >= 0 && warm_fraction >= 0 && warm_fraction <= 1, "one-cycle: step ", step, " of ",
        steps, " with a warm-up of ", warm_fraction);
  const double start = peak / start_divisor, end = start / end_divisor;
  const double top = warm_fraction * double(steps) - 1,
               last = double(steps - 1);  // steps where the pieces end
  if (double(step) <= top) return anneal(start, peak, top > 0 ? double(step) / top : 1.0);
  return anneal(peak, end, last > top ? (double(step) - top) / (last - top) : 1.0);
}

double CosineWarmup::at(int64_t step) const {
  check(steps > 0 && step >= 0 && warmup >= 0 && warmup <= steps, "cosine schedule: step ", step, " of ",
        steps, " with a warm-up of ", warmup);
  if (step < warmup) return peak * double(step + 1) / double(warmup);
  return anneal(peak, floor, steps > warmup ? double(step - warmup) / double(steps - warmup) : 1.0);
}

}  // namespace advf
