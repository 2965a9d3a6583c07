// Optimisers change parameters in place: call step() after backward(), when no tape and no Plan needs the old
// values. The learning rate is an argument, so that a schedule (schedule.h) is a pure function of the step.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/module.h"
#include "nn/state_dict.h"

namespace advf {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // gradients[i] belongs to parameters()[i]; shapes must agree.
  void step(const std::vector<Tensor>& gradients, double learning_rate);
  int64_t steps() const { return steps_; }  // taken so far
  const std::vector<Named>& parameters() const { return parameters_; }

  // For resuming: "step" (i64) and "<slot>.<parameter>" for every slot, e.g. "m.stem.linear.weight". The
  // tensors of state() share memory with the optimiser's: save before the next step. load_state is strict, as
  // load_state_dict.
  TensorMap state();
  void load_state(const TensorMap& tensors, const std::string& source);

 protected:
  // `slots` zero tensors per parameter.
  Optimizer(std::vector<Named> parameters, std::vector<std::string> slots);
  // What the op reads of step number t = 1, 2, ...; one vector for all parameters.
  virtual std::vector<double> hyper(double learning_rate, int64_t t) const = 0;
  virtual void update(Tensor& parameter, const Tensor& gradient, std::vector<Tensor>& slots,
                      const Tensor& hyper) = 0;

 private:
  std::vector<Named> slot_tensors();
  std::vector<Named> parameters_;
  std::vector<std::string> slot_names_;
  std::vector<std::vector<Tensor>> slots_;  // per parameter
  int64_t steps_ = 0;
};

struct SgdOptions {
  double momentum = 0, weight_decay = 0;  // decay is added to the gradient (L2)
  bool nesterov = false;
};
class Sgd : public Optimizer {
 public:
  Sgd(std::vector<Named> parameters, const SgdOptions& options);

 private:
  std::vector<double> hyper(double learning_rate, int64_t t) const override;
  void update(Tensor& p, const Tensor& g, std::vector<Tensor>& slots, const Tensor& hyper) override;
  SgdOptions options_;
};

// Adam (arXiv 1412.6980). decoupled = true is AdamW (arXiv 1711.05101): the decay acts on the weights
// themselves.
struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  bool decoupled = false;
};
class Adam : public Optimizer {
 public:
  Adam(std::vector<Named> parameters, const AdamOptions& options = {});

 private:
  std::vector<double> hyper(double learning_rate, int64_t t) const override;
  void update(Tensor& p, const Tensor& g, std::vector<Tensor>& slots, const Tensor& hyper) override;
  AdamOptions options_;
};

// Scales all gradients so that their joint Euclidean norm is at most max_norm; returns the norm before. A
// norm that is not finite throws: training has diverged, and a step would destroy the weights.
double clip_gradients(std::vector<Tensor>& gradients, double max_norm);

}  // namespace advf
