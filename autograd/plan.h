// A Plan is a frozen tape, bound to a backend: dead code removed, constants packed, every value at a fixed
// place in one arena. Running it is a flat loop over bound ops that allocates nothing. A Plan is immutable
// and may be run by several threads at once, each with a PlanState of its own.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "autograd/tape.h"
#include "tensor/backend.h"

namespace advf {

// A value that goes round: after a step the output is the input of the next one (delta -> delta).
struct Carry {
  Tensor input, output;
};

class Plan {
 public:
  struct Stats {
    size_t records = 0, steps = 0;  // on the tape; ops that run
    int64_t arena_bytes = 0;        // of one PlanState, without scratch
    int64_t arena_bound = 0;        // the most bytes alive at one step
    int64_t scratch_bytes = 0;      // the largest of any step
    int64_t constant_bytes = 0;     // of tensors that are kept alive
    int in_place = 0;               // steps that overwrite an input
  };
  const Stats& stats() const { return stats_; }
  Backend& backend() const { return backend_; }
  std::span<const ValueInfo> inputs() const { return inputs_; }
  std::span<const ValueInfo> outputs() const { return outputs_; }
  // What every step runs, in order.
  std::vector<OpCall> calls() const;

 private:
  friend class PlanState;
  friend class PlanCompiler;

  // Where a value lives: an arena offset, a constant, or nowhere (an absent optional input).
  struct Place {
    enum class Kind { absent, constant, arena } kind = Kind::absent;
    size_t at = 0;  // index into constants_, or bytes into the arena
    ValueInfo info;
  };
  struct Step {
    OpCall call;
    std::unique_ptr<BoundOp> bound;
    std::vector<Place> in, out;
  };

  explicit Plan(Backend& backend) : backend_(backend) {}

  Backend& backend_;
  std::vector<Step> steps_;
  std::vector<Tensor> constants_;
  std::vector<Place> input_places_, output_places_;
  std::vector<ValueInfo> inputs_, outputs_;
  Stats stats_;
};

// Compiles what the outputs need. Leaves of the tape with storage that are not inputs are constants: their
// values must not change as long as the plan lives. Trace under a MetaScope, with Tape::Keep::everything;
// backward(..., retain = true) under the same scopes appends the gradient. A carry's output must be computed,
// not an input or a constant. Throws Error where a value is neither computed, nor given, nor constant, or
// where the backend has no kernel.
std::shared_ptr<const Plan> compile(const Tape& tape, std::span<const Tensor> inputs,
                                    std::span<const Tensor> outputs, std::span<const Carry> carries = {},
                                    Backend& backend = current_backend());

// One thread's arena for a plan. Inputs keep their values from run to run, except carried ones.
class PlanState {
 public:
  explicit PlanState(std::shared_ptr<const Plan> plan);

  const Plan& plan() const { return *plan_; }
  // Copies the value of input i in; its shape and type must be the input's.
  void set(size_t i, const Tensor& value);
  // Runs `times` times, carried values going round. Allocates nothing; a backend that records iterations does
  // so at the second one ever.
  void run(int times = 1) const;
  // One run, timed: seconds of each step, in the order of plan().calls().
  std::vector<double> profile() const;
  // A copy of output i as the last run left it, on the plan's backend.
  Tensor get(size_t i) const;
  // The same into a tensor that exists.
  void get(size_t i, Tensor& into) const;
  // In place, for a caller on the same backend. Valid while the state lives.
  const View& input(size_t i) const { return inputs_[i]; }
  const View& output(size_t i) const { return outputs_[i]; }

 private:
  struct Step {
    const BoundOp* bound;
    std::span<const View> in, out;
  };
  View view_of(const Plan::Place& place) const;
  void run_steps() const;

  std::shared_ptr<const Plan> plan_;
  Storage arena_, scratch_;
  std::vector<View> views_;  // of all steps, one after the other
  std::vector<Step> steps_;
  std::vector<View> inputs_, outputs_;
  // One iteration as the backend recorded it, at the second one.
  mutable std::unique_ptr<Replay> replay_;
  mutable bool warm_ = false, recorded_ = false;
};

}  // namespace advf
