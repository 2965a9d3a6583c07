// What a loaded model consists of: its values by number, the constants among them, and the steps that make
// the others.
#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "nn/onnx/model.h"
#include "nn/onnx/problems.h"
#include "nn/onnx/value.h"

namespace advf {

struct OnnxModel::Step {
  std::string label, op_type;
  onnx::Emit emit;
  std::vector<int> in, out;  // value numbers; -1 = absent
};

struct OnnxModel::State {
  using Values = std::unordered_map<int, onnx::Value>;  // by number

  std::string source, producer, fingerprint;
  DType dtype = DType::f32;
  int64_t opset = 0, parameters = 0;
  std::vector<onnx::Declared> inputs;
  std::vector<std::string> outputs;
  std::map<std::string, std::string> metadata;
  std::map<std::string, int64_t> op_counts;

  std::vector<std::string> names;  // by value number
  std::unordered_map<std::string, int> number;
  std::unordered_map<int, onnx::Value> constants;
  std::vector<Step> steps;  // those that depend on an input
  std::vector<int> maker;   // by value number: its step, or -1

  // Requests whose sizes were found acceptable; run() need not look again.
  mutable std::mutex accepted_mutex;
  mutable std::set<std::string> accepted;

  int number_of(const std::string& name) const {
    const auto found = number.find(name);
    check(found != number.end(), source, ": there is no tensor named '", name, "'");
    return found->second;
  }

  // Running: model.cpp, where the templates are defined.

  // The steps, in order, that `wanted` takes where the values `fed` are given. Throws Error where they need
  // an input that is not.
  std::vector<int> needed_steps(const std::unordered_map<int, onnx::Value>& fed,
                                const std::vector<int>& wanted) const;
  // A declared input must fit its declaration, but for a batch that the file fixes at one. Throws Error with
  // both shapes.
  void check_feed(const std::string& name, const Shape& shape) const;
  // The outputs of one node, given all values that exist. Throws Error that names the node.
  std::vector<onnx::Value> run_step(const Step& step, const Values& values) const;
  // Runs the steps over `lanes`, of which each holds what was fed to it; usually there is one. `after(step,
  // made)` sees each step's results, by lane. A value goes after its last use.
  template <class After>
  void execute(std::span<Values> lanes, const std::vector<int>& order, const std::vector<int>& wanted,
               After after) const;
  // The same for one lane, with errors that name the file.
  template <class After>
  void execute_one(Values& values, const std::vector<int>& order, const std::vector<int>& wanted,
                   After after) const;
  // visit(step, live): after each step on the way to `output`, the values still needed by later ones.
  template <class Visit>
  void sweep(const std::string& output, Visit visit) const;

  // Becoming this from a file: model_compile.cpp.

  // Every node that can be compiled becomes a step, or constants where nothing of it depends on an input.
  // file_bytes: the length of the file.
  void compile(const onnx::Graph& graph, int64_t file_bytes, onnx::Problems& problems);
  // Steps that depend on constants only run now, once. They may not make more than the file is long (and a
  // little), so that a small file cannot ask for a large constant: budget, in elements, is what is left of
  // that. Throws Error where it does not suffice or the step fails.
  void fold(const Step& step, int64_t& budget);
  // Where the file fixes all sizes but the batch: every value's shape, for so many images, and the whole
  // numbers that are computed from shapes. Every node that does not fit is a problem. Empty where sizes are
  // open.
  std::unordered_map<int, onnx::Value> probe(int64_t images, onnx::Problems& problems) const;
  // What follows from the declared sizes is computed once: numbers that are the same for one image and for
  // two do not depend on the batch, and become constants. So they also do not go round a cut.
  void fold_shapes(const std::unordered_map<int, onnx::Value>& one_image);
};

}  // namespace advf
