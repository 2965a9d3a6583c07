// The PGD iteration of W2, W5 and W6, eager and as a plan, and what such work costs at least.
#pragma once
#include <memory>

#include "advface/networks/decoder.h"
#include "autograd/plan.h"
#include "autograd/tape.h"
#include "tools/bench/bench_report.h"

namespace advf::tools {

// The products that `body` runs on a tape of its own: their operations, and the bytes of their operands if
// everything else were free. `body` may call backward() with retain.
Cost cost_of(const std::function<void(Tape&)>& body);

// f as a frozen plan with input x; evaluation-mode batch norm is folded.
std::shared_ptr<PlanState> frozen(const std::function<Tensor(const Tensor&)>& f, const Tensor& x);

// Ascent on |S(P(z + d)) - base|^2 in d, step by step; P normalises where features are unit vectors, and base
// is S(z). Carries d from run to run.
class Pgd {
 public:
  static constexpr double kAlpha = 0.005, kEpsilon = 0.02;

  Pgd(std::shared_ptr<Module> net, const Tensor& z, FeatureDomain domain);

  void eager();
  std::shared_ptr<PlanState> plan() const;        // one iteration; d goes round
  std::shared_ptr<PlanState> image_plan() const;  // S(z)
  Cost cost() const;                              // of an iteration

 private:
  Tensor feature(const Tensor& z, const Tensor& delta) const;
  Tensor forward(const Tensor& z, const Tensor& delta) const;
  Tensor step(const Tensor& z, const Tensor& delta, const Tensor& base, Tape& tape, bool frozen) const;

  std::shared_ptr<Module> net_;
  FeatureDomain domain_;
  Tensor z_, base_, delta_;
};

}  // namespace advf::tools
