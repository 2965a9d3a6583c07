#include "nn/layers.h"

#include <cmath>

#include "autograd/tape.h"
#include "nn/team_batch_norm.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {
namespace {

// A fresh value in the type that the tensor has now.
void assign(Tensor& tensor, const Tensor& value) { tensor = value.to(tensor.dtype()); }

void initialise_weight_and_bias(Tensor& weight, Tensor& bias, Init rule, const Initialiser& init) {
  assign(weight, initial_weight(weight.shape(), rule, init.stream("weight")));
  if (!bias.defined()) return;
  const double bound = rule == Init::pytorch ? 1.0 / std::sqrt(double(fan_in(weight.shape()))) : 0.0;
  assign(bias, uniform(bias.shape(), -bound, bound, init.stream("bias")));
}

ConvAttrs conv_attrs(const ConvOptions& o) {
  return {.stride = {o.stride, o.stride},
          .pad = {o.pad, o.pad, o.pad, o.pad},
          .dilation = {o.dilation, o.dilation},
          .groups = o.groups};
}

void check_options(const char* layer, int64_t in, int64_t out, const ConvOptions& o) {
  check(in > 0 && out > 0 && o.kernel > 0 && o.stride > 0 && o.pad >= 0 && o.dilation > 0 && o.groups > 0 &&
            in % o.groups == 0 && out % o.groups == 0,
        layer, ": ", in, " -> ", out, " channels with kernel ", o.kernel, ", stride ", o.stride, ", padding ",
        o.pad, ", dilation ", o.dilation, " and ", o.groups, " groups");
}

}  // namespace

Linear::Linear(int64_t in, int64_t out, bool bias, Init init)
    : weight_(Tensor::zeros({out, in})), init_(init) {
  register_parameter("weight", weight_);
  if (bias) bias_ = Tensor::zeros({out});
  register_parameter("bias", bias_);
}
Tensor Linear::forward(const Tensor& x) const { return linear(x, weight_, bias_); }
void Linear::initialise_own(const Initialiser& init) {
  initialise_weight_and_bias(weight_, bias_, init_, init);
}

Conv2d::Conv2d(int64_t in, int64_t out, const ConvOptions& options) : options_(options) {
  check_options("Conv2d", in, out, options);
  check(options.output_pad == 0, "Conv2d: output_pad is for ConvTranspose2d");
  weight_ = Tensor::zeros({out, in / options.groups, options.kernel, options.kernel});
  if (options.bias) bias_ = Tensor::zeros({out});
  register_parameter("weight", weight_);
  register_parameter("bias", bias_);
}
Tensor Conv2d::forward(const Tensor& x) const { return conv2d(x, weight_, bias_, conv_attrs(options_)); }
void Conv2d::initialise_own(const Initialiser& init) {
  initialise_weight_and_bias(weight_, bias_, options_.init, init);
}

ConvTranspose2d::ConvTranspose2d(int64_t in, int64_t out, const ConvOptions& options) : options_(options) {
  check_options("ConvTranspose2d", in, out, options);
  weight_ = Tensor::zeros({in, out / options.groups, options.kernel, options.kernel});
  if (options.bias) bias_ = Tensor::zeros({out});
  register_parameter("weight", weight_);
  register_parameter("bias", bias_);
}
Tensor ConvTranspose2d::forward(const Tensor& x) const {
  check(x.shape().rank() == 4, "ConvTranspose2d: the input must be (N,C,H,W), not ", x.shape());
  const ConvOptions& o = options_;
  ConvAttrs attrs = conv_attrs(o);
  for (int axis = 0; axis < 2; ++axis)
    attrs.size[size_t(axis)] =
        (x.dim(2 + axis) - 1) * o.stride - 2 * o.pad + o.dilation * (o.kernel - 1) + o.output_pad + 1;
  return conv_transpose2d(x, weight_, bias_, attrs);
}
void ConvTranspose2d::initialise_own(const Initialiser& init) {
  initialise_weight_and_bias(weight_, bias_, options_.init, init);
}

namespace {
thread_local bool by_the_batch = false;
}

BatchStatisticsScope::BatchStatisticsScope() : before_(std::exchange(by_the_batch, true)) {}
BatchStatisticsScope::~BatchStatisticsScope() { by_the_batch = before_; }

BatchNorm::BatchNorm(int64_t channels, double eps, double momentum)
    : weight_(Tensor::full({channels}, 1)),
      bias_(Tensor::zeros({channels})),
      running_mean_(Tensor::zeros({channels})),
      running_var_(Tensor::full({channels}, 1)),
      num_batches_tracked_(Tensor::zeros({}, DType::i64)),
      eps_(eps),
      momentum_(momentum) {
  register_parameter("weight", weight_);
  register_parameter("bias", bias_);
  register_buffer("running_mean", running_mean_);
  register_buffer("running_var", running_var_);
  register_buffer("num_batches_tracked", num_batches_tracked_);
}

Tensor BatchNorm::forward(const Tensor& x) const {
  if (!training() && !by_the_batch)
    return batch_norm_eval(x, weight_, bias_, running_mean_, running_var_, eps_);
  check(x.shape().rank() >= 2, "BatchNorm: the input must be (N,C) or (N,C,H,W), not ", x.shape());
  const int64_t count = x.dim(1) > 0 ? x.numel() / x.dim(1) : 0;
  const bool tracks = training() && track_ && !MetaScope::active();
  Team* team = training() ? current_team() : nullptr;
  if (team && team->shares_batch_norm()) {
    const TeamBatchNormOut out = team_batch_norm(*team, x, weight_, bias_, eps_);
    if (tracks) update(out.statistics.mean, out.statistics.var, out.statistics.count);
    return out.y;
  }
  check(count > 1, "BatchNorm: training needs more than one value per channel; the input is ", x.shape());
  const BatchNormOut out = batch_norm_train(x, weight_, bias_, eps_);
  if (!tracks) return out.y;
  if (!team) {
    update(out.mean, out.var, count);
  } else {  // every rank remembers the same
    const TeamStatistics all = of_team(*team, out.mean, out.var, count);
    update(all.mean, all.var, all.count);
  }
  return out.y;
}

void BatchNorm::update(const Tensor& mean, const Tensor& var, int64_t count) const {
  const NoTapeScope no_tape;
  const double step = average_ ? 1.0 / double(++averaged_) : momentum_;
  const double unbiased = double(count) / double(count - 1);
  running_mean_ = add(affine(running_mean_, 1 - step, 0), affine(mean, step, 0));
  running_var_ = add(affine(running_var_, 1 - step, 0), affine(var, step * unbiased, 0));
  ++pending_;
}

void BatchNorm::settle() const {
  if (pending_ == 0) return;
  const int64_t total = num_batches_tracked_.to_vector<int64_t>()[0] + std::exchange(pending_, 0);
  const BackendScope here(num_batches_tracked_.backend());
  num_batches_tracked_ = Tensor::from(std::vector<int64_t>{total}, {});
}

void BatchNorm::average(bool on) {
  average_ = on;
  if (on) reset_statistics();
}

void BatchNorm::reset_statistics() {
  assign(running_mean_, Tensor::zeros(running_mean_.shape()));
  assign(running_var_, Tensor::full(running_var_.shape(), 1));
  num_batches_tracked_ = Tensor::zeros({}, DType::i64);
  averaged_ = pending_ = 0;
}

void BatchNorm::initialise_own(const Initialiser&) {
  assign(weight_, Tensor::full(weight_.shape(), 1));
  assign(bias_, Tensor::zeros(bias_.shape()));
  reset_statistics();
}

void recalibrate_batch_norm(Module& model, const std::vector<Tensor>& batches) {
  recalibrate_batch_norm(model, int64_t(batches.size()), [&](int64_t i) { return batches[size_t(i)]; });
}

void recalibrate_batch_norm(Module& model, int64_t batches, const std::function<Tensor(int64_t)>& batch) {
  recalibrate_batch_norm(std::vector<Module*>{&model}, batches, [&](int64_t i) { model.forward(batch(i)); });
}

void recalibrate_batch_norm(const std::vector<Module*>& models, int64_t batches,
                            const std::function<void(int64_t)>& pass) {
  check(batches > 0, "recalibrating batch norm needs at least one batch");
  const NoTapeScope no_tape;
  std::vector<BatchNorm*> norms;
  for (Module* model : models) {
    model->train(false);
    for (Module* m : model->modules())
      if (auto* norm = dynamic_cast<BatchNorm*>(m)) norms.push_back(norm);
  }
  for (BatchNorm* norm : norms) {
    norm->train();
    norm->average(true);
  }
  for (int64_t i = 0; i < batches; ++i) pass(i);
  for (BatchNorm* norm : norms) norm->average(false);
  for (Module* model : models) model->train(false);
}

Tensor ReLU::forward(const Tensor& x) const { return relu(x); }
Tensor LeakyReLU::forward(const Tensor& x) const { return leaky_relu(x, slope_); }
Tensor Sigmoid::forward(const Tensor& x) const { return sigmoid(x); }
Tensor Flatten::forward(const Tensor& x) const {
  return reshape(x, {x.dim(0), x.shape().numel(1, x.shape().rank())});
}

PReLU::PReLU(int64_t channels) : weight_(Tensor::full({channels}, 0.25)) {
  register_parameter("weight", weight_);
}
Tensor PReLU::forward(const Tensor& x) const { return prelu(x, weight_); }
void PReLU::initialise_own(const Initialiser&) { assign(weight_, Tensor::full(weight_.shape(), 0.25)); }

Tensor Sequential::forward(const Tensor& x) const {
  Tensor y = x;
  for (const auto& layer : layers_) y = layer->forward(y);
  return y;
}

}  // namespace advf
