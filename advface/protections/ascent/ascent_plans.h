// The ascent of one batch size, compiled: where it begins, one step, and what comes of it.
#pragma once
#include "advface/protections/ascent/ascent.h"
#include "advface/protections/ascent/noise.h"
#include "autograd/named_plan.h"

namespace advf {

// The ball of noise of these networks and settings.
NoiseSpace space_of(const AscentNetworks& networks, const AscentSettings& settings);

struct AscentPlans {
  AscentPlans(const AscentNetworks& networks, const AscentSettings& settings, int64_t batch);

  // z, start, photograph -> u, with a fused step also x = P(z + d), target.*
  NamedPlan prepare;
  // z, target.*, u, x, memory.*, trace, position -> u, trace. All but z and the targets go round.
  NamedPlan step;
  // z, target.*, u, factor -> z_adv, losses, embedding (under a bound on recognition)
  NamedPlan finish;
  NamedTensors first;  // values of what goes round beside the point

 private:
  struct Tracer;
  explicit AscentPlans(Tracer tracer);
};

}  // namespace advf
