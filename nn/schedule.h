// Learning rates as pure functions of the step number (0 = the first step).
#pragma once
#include <cstdint>

namespace advf {

// Smith's one-cycle policy as in PyTorch's OneCycleLR with cosine annealing: from peak / start_divisor up to
// peak during warm_fraction of the steps, then down to peak / start_divisor / end_divisor at the last one.
struct OneCycle {
  double peak = 1e-3;
  int64_t steps = 1;  // total
  double warm_fraction = 0.3, start_divisor = 25, end_divisor = 1e4;
  double at(int64_t step) const;
};

// Linear warm-up to `peak` (first step: peak / warmup), then half a cosine down to `floor` at `steps`.
struct CosineWarmup {
  double peak = 1e-3;
  int64_t steps = 1, warmup = 0;
  double floor = 0;
  double at(int64_t step) const;
};

struct ConstantRate {
  double rate = 1e-3;
  double at(int64_t) const { return rate; }
};

}  // namespace advf
