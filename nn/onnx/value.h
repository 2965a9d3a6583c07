// What flows between nodes at run time, and what a node is compiled to.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "nn/onnx/graph.h"
#include "tensor/tensor.h"

namespace advf::onnx {

// Floats are a Tensor. Whole numbers (shapes, axes, indices) always lie on the host, so that arithmetic on
// shapes works while tensors have no storage. Short constant floats (scales, limits) have a copy on the host
// as well.
struct Value {
  Tensor tensor;
  Shape int_shape;
  std::optional<std::vector<int64_t>> ints;
  std::optional<std::vector<float>> host;
  // Dimension 0 counts images. An emit function clears it where it moves that dimension away; whether it was
  // set in the first place follows from the inputs.
  bool batched = true;

  Value() = default;
  explicit Value(Tensor t) : tensor(std::move(t)) {}
};

// The inputs of one node, with errors that say which input is wrong.
class Inputs {
 public:
  explicit Inputs(std::vector<const Value*> values) : values_(std::move(values)) {}

  bool has(size_t i) const { return i < values_.size() && values_[i] != nullptr; }
  size_t count() const { return values_.size(); }
  const Tensor& tensor(size_t i) const {
    check(has(i), "input ", i, " is missing");
    check(values_[i]->tensor.defined(), "input ", i, " holds whole numbers where a float tensor is needed");
    return values_[i]->tensor;
  }
  Tensor optional(size_t i) const { return has(i) ? tensor(i) : Tensor(); }
  const std::vector<int64_t>& ints(size_t i) const {
    check(has(i) && values_[i]->ints, "input ", i, " must be constant whole numbers");
    return *values_[i]->ints;
  }
  const std::vector<float>& floats(size_t i) const {
    check(has(i) && values_[i]->host, "input ", i, " must be a short constant");
    return *values_[i]->host;
  }
  double scalar(size_t i) const {
    check(floats(i).size() == 1, "input ", i, " must be one constant number");
    return floats(i)[0];
  }
  const Value& value(size_t i) const {
    check(has(i), "input ", i, " is missing");
    return *values_[i];
  }
  bool batched(size_t i) const { return has(i) && values_[i]->batched; }

 private:
  std::vector<const Value*> values_;  // null: absent
};

// Runs a node: through apply() for floats. Throws Error, which the caller completes with the node's name.
using Emit = std::function<std::vector<Value>(const Inputs&)>;

// A constant of the file as a value: floats become a tensor of `dtype` on the current backend.
Value to_value(const Constant& constant, DType dtype);
// Gives a computed constant its copy on the host, where it is short.
void note_host(Value& value);

}  // namespace advf::onnx
