// The bound on recognition: how much of its noise a record keeps, so that the cosine of its embedding to the
// raw one stays at or above a least value.
#pragma once
#include <optional>
#include <vector>

#include "autograd/named_plan.h"

namespace advf {

class RecognitionBound {
 public:
  // finish: a plan with all its inputs set but "factor" (n,1,...), by which a record's noise is multiplied;
  // under a bound it gives the "embedding" (n, D). least: none, and all noise is kept.
  RecognitionBound(NamedPlan& finish, std::optional<double> least, int64_t n)
      : finish_(finish), least_(least), factors_(size_t(n), 1) {}

  // Bisection, with a factor that holds at its lower end; a record whose whole noise is within the bound
  // keeps it. Leaves the plan run with the factors found.
  void search();
  std::vector<double> factors() const { return {factors_.begin(), factors_.end()}; }
  double recognition(size_t i) const;  // the cosine of record i; 0 without a bound

 private:
  bool holds(size_t i) const { return recognition(i) >= *least_; }
  void run(const std::vector<float>& factors);

  NamedPlan& finish_;
  std::optional<double> least_;
  std::vector<float> factors_, plain_, now_;  // embeddings without noise, and as last run
};

}  // namespace advf
