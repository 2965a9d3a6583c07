#include "nn/optim.h"

#include <cmath>
#include <map>

#include "autograd/tape.h"
#include "tensor/ops.h"

namespace advf {

Optimizer::Optimizer(std::vector<Named> parameters, std::vector<std::string> slots)
    : parameters_(std::move(parameters)), slot_names_(std::move(slots)) {
  check(!parameters_.empty(), "an optimiser without parameters");
  for (const Named& p : parameters_) {
    auto& own = slots_.emplace_back();
    for (size_t s = 0; s < slot_names_.size(); ++s)
      own.push_back(Tensor::zeros(p.tensor->shape(), p.tensor->dtype()));
  }
}

void Optimizer::step(const std::vector<Tensor>& gradients, double learning_rate) {
  check(gradients.size() == parameters_.size(), "an optimiser step with ", gradients.size(),
        " gradients for ", parameters_.size(), " parameters");
  check(std::isfinite(learning_rate) && learning_rate >= 0, "a learning rate of ", learning_rate);
  for (size_t i = 0; i < gradients.size(); ++i)
    check(gradients[i].defined() && gradients[i].shape() == parameters_[i].tensor->shape(),
          "the gradient of ", parameters_[i].name, " has shape ", gradients[i].shape(), ", the parameter ",
          parameters_[i].tensor->shape());
  const std::vector<double> fields = hyper(learning_rate, ++steps_);
  std::map<DType, Tensor> hyper_of;  // made once per element type
  for (size_t i = 0; i < gradients.size(); ++i) {
    Tensor& parameter = *parameters_[i].tensor;
    Tensor& h = hyper_of[parameter.dtype()];
    if (!h.defined())
      h = parameter.dtype() == DType::f64
              ? Tensor::from(fields, {int64_t(fields.size())})
              : Tensor::from(std::vector<float>(fields.begin(), fields.end()), {int64_t(fields.size())});
    update(parameter, gradients[i], slots_[i], h);
  }
}

std::vector<Named> Optimizer::slot_tensors() {
  std::vector<Named> out;
  for (size_t i = 0; i < parameters_.size(); ++i)
    for (size_t s = 0; s < slot_names_.size(); ++s)
      out.push_back({slot_names_[s] + "." + parameters_[i].name, &slots_[i][s]});
  return out;
}

TensorMap Optimizer::state() {
  TensorMap out = to_map(slot_tensors());
  out["step"] = Tensor::from(std::vector<int64_t>{steps_}, {});
  return out;
}

void Optimizer::load_state(const TensorMap& tensors, const std::string& source) {
  std::vector<Named> targets = slot_tensors();
  Tensor step = Tensor::from(std::vector<int64_t>{steps_}, {});
  targets.push_back({"step", &step});
  load_named(targets, tensors, source);
  steps_ = step.to_vector<int64_t>()[0];
}

Sgd::Sgd(std::vector<Named> parameters, const SgdOptions& options)
    : Optimizer(std::move(parameters), {"momentum"}), options_(options) {
  check(options.momentum >= 0 && options.momentum < 1 && options.weight_decay >= 0, "SGD with momentum ",
        options.momentum, " and weight decay ", options.weight_decay);
  check(!options.nesterov || options.momentum > 0, "Nesterov's rule needs a momentum");
}
std::vector<double> Sgd::hyper(double learning_rate, int64_t) const {
  return {learning_rate, options_.momentum, options_.weight_decay, options_.nesterov ? 1.0 : 0.0};
}
void Sgd::update(Tensor& p, const Tensor& g, std::vector<Tensor>& slots, const Tensor& hyper) {
  sgd_step_(p, g, slots[0], hyper);
}

Adam::Adam(std::vector<Named> parameters, const AdamOptions& options)
    : Optimizer(std::move(parameters), {"m", "v"}), options_(options) {
  check(options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1 &&
            options.eps > 0 && options.weight_decay >= 0,
        "Adam with betas ", options.beta1, " and ", options.beta2, ", eps ", options.eps,
        " and weight decay ", options.weight_decay);
}
std::vector<double> Adam::hyper(double learning_rate, int64_t t) const {
  const AdamOptions& o = options_;
  return {learning_rate,
          o.beta1,
          o.beta2,
          o.eps,
          o.decoupled ? 0 : o.weight_decay,
          o.decoupled ? o.weight_decay : 0,
          1 - std::pow(o.beta1, double(t)),
          1 - std::pow(o.beta2, double(t))};
}
void Adam::update(Tensor& p, const Tensor& g, std::vector<Tensor>& slots, const Tensor& hyper) {
  adam_step_(p, g, slots[0], slots[1], hyper);
}

double clip_gradients(std::vector<Tensor>& gradients, double max_norm) {
  check(max_norm > 0, "gradients clipped to a norm of ", max_norm);
  const NoTapeScope no_tape;
  double squares = 0;
  for (const Tensor& g : gradients) squares += sum_all(mul(g, g)).item();
  const double norm = std::sqrt(squares);
  check(std::isfinite(norm), "the gradient is not finite: training diverged; lower the learning rate");
  if (norm > max_norm)
    for (Tensor& g : gradients) g = affine(g, max_norm / norm, 0);
  return norm;
}

}  // namespace advf
