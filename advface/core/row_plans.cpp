#include "advface/core/row_plans.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "nn/freeze.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {
namespace {

std::shared_ptr<const Plan> compile_rows(const RowPlans::Function& f, const ValueInfo& input) {
  Tape tape(Tape::Keep::everything);
  const Tensor x = Tensor::meta(input.shape, input.dtype);
  Tensor y;
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    y = f(x);
  }
  for (const Record& r : tape.records())
    for (const Tensor& t : r.in)
      check(!t.has_storage() || t.is_on(current_backend()), r.op->name, ": a weight of shape ", t.shape(),
            " lives on another backend than ", current_backend().name());
  return compile(fold_batch_norm(tape, std::span(&y, 1)), std::span(&x, 1), std::span(&y, 1));
}

}  // namespace

// The batch of the plan that takes the next of `rest` rows. A batch may stay partly empty where three
// quarters of it are full: that costs less than another plan or two for what is left.
int64_t RowPlans::next_batch(int64_t rest) const {
  int64_t largest = current_backend().is_host() ? kLargestBatch : kLargestDeviceBatch;
  if (largest_batch_ > 0) largest = std::min(largest, largest_batch_);
  if (4 * rest >= 3 * largest) return largest;
  const int64_t up = int64_t(std::bit_ceil(uint64_t(rest)));
  return 4 * rest >= 3 * up ? up : up / 2;
}

PlanState& RowPlans::state_for(const std::string& name, const Function& f, const ValueInfo& input) {
  for (auto e = entries_.begin(); e != entries_.end(); ++e) {
    if (e->name != name || e->input != input || e->backend != &current_backend()) continue;
    entries_.splice(entries_.begin(), entries_, e);
    return *e->state;
  }
  while (entries_.size() >= kPlans) entries_.pop_back();  // before the next one takes memory
  auto state = std::make_unique<PlanState>(compile_rows(f, input));
  entries_.push_front({name, input, &current_backend(), std::move(state)});
  return *entries_.front().state;
}

Tensor RowPlans::run(const std::string& name, const Function& f, const Tensor& x) {
  const int64_t n = x.dim(0);
  check(x.has_storage() && x.is_on(current_backend()), name, ": rows of shape ", x.shape(),
        x.has_storage() ? " live on another backend than " : " have no storage on ",
        current_backend().name());
  if (n == 0) return f(x);
  const NoTapeScope off;
  const std::lock_guard lock(mutex_);
  std::vector<Tensor> parts;
  for (int64_t begin = 0, batch = 0; begin < n; begin += batch) {
    batch = next_batch(n - begin);
    const int64_t rows = std::min(batch, n - begin);
    Tensor part = x.slice_batch(begin, begin + rows);
    if (rows < batch)
      part = concat({part, Tensor::zeros(with_rows(batch - rows, row_of(x.shape())), x.dtype())}, 0);
    PlanState& state = state_for(name, f, {part.shape(), part.dtype()});
    state.set(0, part);
    state.run();
    const Tensor y = state.get(0);
    parts.push_back(rows < batch ? y.slice_batch(0, rows) : y);
  }
  return parts.size() == 1 ? parts[0] : concat(parts, 0);
}

}  // namespace advf
