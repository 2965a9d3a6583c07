// A Module is a tree of named tensors with a forward function. Names are those of a PyTorch state_dict
// ("blocks.0.conv.weight"), which is what weight files hold. Members own the tensors and the children; the
// tree only points at them, so a module is neither copied nor moved.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace advf {

// A tensor of a module under its full name. The pointer stays right as long as the module lives; the tensor
// behind it is replaced by load_state_dict() and to(), and written in place by an optimiser's step().
struct Named {
  std::string name;
  Tensor* tensor;
};

// The random numbers of one parameter depend on the seed and on its full name alone, so that adding a layer
// leaves every other layer's first values as they were.
struct Initialiser {
  uint64_t seed = 0;
  std::string prefix;  // of the module being filled: "" or "blocks.0."
  Philox stream(const std::string& parameter) const;
};

class Module {
 public:
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  virtual Tensor forward(const Tensor& x) const = 0;

  // Training mode, of the whole tree: batch norm uses the batch's statistics and updates its running ones.
  void train(bool on = true);
  bool training() const { return training_; }

  std::vector<Named> parameters();  // what an optimiser changes, own tensors before those of the children
  std::vector<Named> state();       // parameters and buffers: what a weight file holds
  std::vector<std::pair<std::string, Tensor>> values() const;  // of the state, by name; the memory is shared
  std::vector<Module*> modules();                              // this module and all below it, parents first

  // Conversions of all floating point tensors (counters keep their type), and of all tensors' memory.
  void to(DType dtype);
  void to(Backend& backend);

  // Fills all parameters (by each layer's rule) and resets all buffers.
  void initialise(uint64_t seed);

 protected:
  Module() = default;
  // Called once each, from the constructor. Children and tensors are members, or owned by members.
  void register_parameter(std::string name, Tensor& tensor) {
    own_.push_back({std::move(name), &tensor, true});
  }
  void register_buffer(std::string name, Tensor& tensor) {
    own_.push_back({std::move(name), &tensor, false});
  }
  void register_child(std::string name, Module& child) { children_.push_back({std::move(name), &child}); }

  virtual void initialise_own(const Initialiser&) {}
  // Brings buffers up to date that forward() keeps in another form.
  virtual void settle() const {}

 private:
  struct Entry {
    std::string name;
    Tensor* tensor;
    bool trainable;
  };
  struct Child {
    std::string name;
    Module* module;
  };
  void collect(const std::string& prefix, bool with_buffers, std::vector<Named>& out) const;
  void initialise(const Initialiser& init);

  std::vector<Entry> own_;
  std::vector<Child> children_;
  bool training_ = true;
};

// The tensors themselves, in the same order: what backward() takes as `wrt`.
std::vector<Tensor> values(const std::vector<Named>& named);
int64_t count_elements(const std::vector<Named>& named);

}  // namespace advf
