// A frozen function of rows, run through plans. Callers bring any number of rows; a plan has one batch size.
// So rows are taken in powers of two, at most 32 at a time (256 on a device), and few plans serve every call.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "autograd/plan.h"
#include "tensor/tensor.h"

namespace advf {

class RowPlans {
 public:
  static constexpr int64_t kLargestBatch = 32, kLargestDeviceBatch = 256;
  static constexpr size_t kPlans = 4;  // kept; the one that was not used for the longest time goes first

  // largest_batch > 0: no plan takes more rows, for a function that holds for so many only.
  explicit RowPlans(int64_t largest_batch = 0) : largest_batch_(largest_batch) {}

  // (N, ...) -> (N, ...), where row i of the result depends on row i of x alone. What it reads besides x is
  // constant: it must not change as long as this object lives.
  using Function = std::function<Tensor(const Tensor& x)>;

  // f(x), with evaluation-mode batch norm folded into the weights (nn/freeze.h). `name` stands for f: one
  // name, one function. A row's result is the same, bit for bit, whatever rows are beside it, as far as the
  // backend's kernels keep rows apart. From any thread, one call at a time.
  Tensor run(const std::string& name, const Function& f, const Tensor& x);

 private:
  struct Entry {
    std::string name;
    ValueInfo input;
    Backend* backend;
    std::unique_ptr<PlanState> state;
  };
  PlanState& state_for(const std::string& name, const Function& f, const ValueInfo& input);

  int64_t next_batch(int64_t rest) const;

  int64_t largest_batch_;
  std::mutex mutex_;
  std::list<Entry> entries_;  // the latest used first
};

}  // namespace advf
