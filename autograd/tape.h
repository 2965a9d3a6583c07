// The tape: what apply() ran, in order. Backward and the planner read the same record.
#pragma once
#include <vector>

#include "tensor/op.h"
#include "tensor/tensor.h"

namespace advf {

struct Record {
  const OpDef* op = nullptr;
  Attrs attrs;
  std::vector<Tensor> in, out;
};

class Tape : public Recorder {
 public:
  // needed_by_gradients: values that no gradient rule reads lose their bytes as soon as nobody else holds
  // them. everything: for tracing, where a pass may want any value.
  enum class Keep { needed_by_gradients, everything };
  explicit Tape(Keep keep = Keep::needed_by_gradients) : keep_(keep) {}

  void record(const OpDef& op, const Attrs& attrs, std::span<const Tensor> in,
              std::span<const Tensor> out) override;
  const std::vector<Record>& records() const { return records_; }
  void clear() { records_.clear(); }

 private:
  friend std::vector<Tensor> backward(Tape&, std::span<const Tensor>, std::span<const Tensor>,
                                      const std::vector<Tensor>&, bool);
  Keep keep_;
  std::vector<Record> records_;
};

// Records every apply() of this thread onto the tape.
class TapeScope {
 public:
  explicit TapeScope(Tape& tape) : previous_(set_recorder(&tape)) {}
  ~TapeScope() { set_recorder(previous_); }
  TapeScope(const TapeScope&) = delete;

 private:
  Recorder* previous_;
};

// Records nothing inside.
class NoTapeScope {
 public:
  NoTapeScope() : previous_(set_recorder(nullptr)) {}
  ~NoTapeScope() { set_recorder(previous_); }
  NoTapeScope(const NoTapeScope&) = delete;

 private:
  Recorder* previous_;
};

// Reverse mode. outputs[i] receives the cotangent cotangents[i] (same shape); the result holds one gradient
// per tensor of `wrt`, zeros where no path leads there. Records are released as they are passed, so that
// activations are freed early, unless `retain`. Runs under the caller's recorder: with a TapeScope the
// gradient itself is recorded. Throws, naming the op, where a needed path has no gradient rule.
std::vector<Tensor> backward(Tape& tape, std::span<const Tensor> outputs, std::span<const Tensor> cotangents,
                             const std::vector<Tensor>& wrt, bool retain = false);
// Of a scalar loss (one element), with cotangent 1.
std::vector<Tensor> backward(Tape& tape, const Tensor& loss, const std::vector<Tensor>& wrt,
                             bool retain = false);

}  // namespace advf
