// A plan whose inputs and outputs go by name, for one thread.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "autograd/plan.h"

namespace advf {

// What goes in or comes out, in order; no name may stand twice.
class NamedTensors {
 public:
  void add(const std::string& name, const Tensor& tensor) {
    check(std::find(names_.begin(), names_.end(), name) == names_.end(), "two tensors are called ", name);
    names_.push_back(name);
    tensors_.push_back(tensor);
  }
  // As prefix.0, prefix.1, ...
  void add_all(const std::string& prefix, const std::vector<Tensor>& tensors) {
    for (size_t i = 0; i < tensors.size(); ++i) add(prefix + "." + std::to_string(i), tensors[i]);
  }
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }

 private:
  std::vector<std::string> names_;
  std::vector<Tensor> tensors_;
};

class NamedPlan {
 public:
  // As compile() has it.
  NamedPlan(const Tape& tape, const NamedTensors& in, const NamedTensors& out,
            std::span<const Carry> carries = {})
      : inputs_(in.names()),
        outputs_(out.names()),
        state_(compile(tape, in.tensors(), out.tensors(), carries)) {}

  const Plan& plan() const { return state_.plan(); }
  const std::vector<std::string>& outputs() const { return outputs_; }
  // Throw Error for a name that the plan does not have.
  void set(const std::string& name, const Tensor& value) { state_.set(place(inputs_, name), value); }
  Tensor get(const std::string& name) const { return state_.get(place(outputs_, name)); }
  const Shape& input_shape(const std::string& name) const {
    return plan().inputs()[place(inputs_, name)].shape;
  }
  void run(int times = 1) const { state_.run(times); }

 private:
  static size_t place(const std::vector<std::string>& names, const std::string& name) {
    for (size_t i = 0; i < names.size(); ++i)
      if (names[i] == name) return i;
    fail("the plan has nothing called ", name);
  }
  std::vector<std::string> inputs_, outputs_;
  PlanState state_;
};

}  // namespace advf
