// Layers: modules around one op each, with PyTorch's tensor names, defaults and first values. A constructor
// leaves weights zero; initialise() of the whole model fills them, because the random stream needs the full
// name.
#pragma once
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "nn/init.h"
#include "nn/module.h"
#include "tensor/attrs.h"

namespace advf {

// (N, in) -> (N, out).  weight (out, in), bias (out).
class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, bool bias = true, Init init = Init::pytorch);
  Tensor forward(const Tensor& x) const override;

 private:
  void initialise_own(const Initialiser& init) override;
  Tensor weight_, bias_;
  Init init_;
};

// Square kernels; lengths in pixels, the same for both axes and sides.
struct ConvOptions {
  int kernel = 3, stride = 1, pad = 0, dilation = 1, groups = 1;
  int output_pad = 0;  // ConvTranspose2d: rows and columns added at the bottom and right
  bool bias = true;
  Init init = Init::pytorch;
};

// (N, in, H, W) -> (N, out, h, w).  weight (out, in/groups, k, k), bias (out).
class Conv2d : public Module {
 public:
  Conv2d(int64_t in, int64_t out, const ConvOptions& options);
  Tensor forward(const Tensor& x) const override;

 private:
  void initialise_own(const Initialiser& init) override;
  ConvOptions options_;
  Tensor weight_, bias_;
};

// (N, in, h, w) -> (N, out, H, W), H = (h-1) stride - 2 pad + dilation (k-1) + output_pad + 1.
// weight (in, out/groups, k, k), bias (out).
class ConvTranspose2d : public Module {
 public:
  ConvTranspose2d(int64_t in, int64_t out, const ConvOptions& options);
  Tensor forward(const Tensor& x) const override;

 private:
  void initialise_own(const Initialiser& init) override;
  ConvOptions options_;
  Tensor weight_, bias_;
};

// Over dimension 1 of (N, C) or (N, C, H, W): PyTorch's BatchNorm1d and BatchNorm2d.
// weight, bias, running_mean, running_var (C); num_batches_tracked, one i64.
class BatchNorm : public Module {
 public:
  explicit BatchNorm(int64_t channels, double eps = 1e-5, double momentum = 0.1);
  // In training mode normalises by the batch (more than one value per channel, or Error) and moves the
  // running statistics by `momentum` towards it, with the unbiased variance; the update is not on the tape.
  Tensor forward(const Tensor& x) const override;
  // false: training mode leaves the running statistics as they are.
  void track(bool on) { track_ = on; }
  // Running statistics start again as plain averages of all batches to come, until average(false).
  void average(bool on);

 private:
  void initialise_own(const Initialiser& init) override;
  void settle() const override;
  void update(const Tensor& mean, const Tensor& var, int64_t count) const;
  void reset_statistics();
  Tensor weight_, bias_;
  // What training mode remembers of the batches that it has seen; evaluation changes nothing.
  mutable Tensor running_mean_, running_var_, num_batches_tracked_;
  double eps_, momentum_;
  bool track_ = true, average_ = false;
  mutable int64_t averaged_ = 0;  // batches in a plain average
  mutable int64_t pending_ =
      0;  // batches not yet in num_batches_tracked_: spares a device a round trip per step
};

// While it lives, batch norm in evaluation mode normalises by the batch at hand, on this thread; running
// statistics stay as they are.
class BatchStatisticsScope {
 public:
  BatchStatisticsScope();
  ~BatchStatisticsScope();
  BatchStatisticsScope(const BatchStatisticsScope&) = delete;
  BatchStatisticsScope& operator=(const BatchStatisticsScope&) = delete;

 private:
  bool before_;
};

// Estimates the running statistics of every batch norm of `model` again, as the average over `batches`, and
// leaves the model in evaluation mode. With several layers one pass is exact only for those fed by unchanged
// layers, as each normalises by its batch while it is measured; this is the usual procedure nevertheless.
void recalibrate_batch_norm(Module& model, const std::vector<Tensor>& batches);
// The same for batches that are made when it is their turn.
void recalibrate_batch_norm(Module& model, int64_t batches, const std::function<Tensor(int64_t)>& batch);
// The same for several models that one call of `pass` takes through batch number i.
void recalibrate_batch_norm(const std::vector<Module*>& models, int64_t batches,
                            const std::function<void(int64_t)>& pass);

class ReLU : public Module {
 public:
  ReLU() = default;
  Tensor forward(const Tensor& x) const override;
};

class LeakyReLU : public Module {
 public:
  explicit LeakyReLU(double slope = 0.01) : slope_(slope) {}
  Tensor forward(const Tensor& x) const override;

 private:
  double slope_;
};

// One slope per channel (dimension 1), or a single one.  weight (channels), at first 0.25.
class PReLU : public Module {
 public:
  explicit PReLU(int64_t channels = 1);
  Tensor forward(const Tensor& x) const override;

 private:
  void initialise_own(const Initialiser& init) override;
  Tensor weight_;
};

class Sigmoid : public Module {
 public:
  Sigmoid() = default;
  Tensor forward(const Tensor& x) const override;
};

// (N, ...) -> (N, D)
class Flatten : public Module {
 public:
  Flatten() = default;
  Tensor forward(const Tensor& x) const override;
};

// Children "0", "1", ... one after the other.
class Sequential : public Module {
 public:
  Sequential() = default;
  template <class M, class... Args>
  M& add(Args&&... args) {
    auto child = std::make_unique<M>(std::forward<Args>(args)...);
    M& added = *child;
    register_child(std::to_string(layers_.size()), added);
    layers_.push_back(std::move(child));
    return added;
  }
  size_t size() const { return layers_.size(); }
  Tensor forward(const Tensor& x) const override;

 private:
  std::vector<std::unique_ptr<Module>> layers_;
};

}  // namespace advf
