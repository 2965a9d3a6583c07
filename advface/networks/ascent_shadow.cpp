#include "advface/networks/ascent_shadow.h"

#include <cmath>

#include "nn/nets/net_metadata.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr const char *kFormat = "advface-first-step-1", *kWhat = "a shadow made by advface-train fit advface";
constexpr int kMostValues = 8192, kMostSide = 4096;
constexpr double kRidge = 1e-6;  // of the mean diagonal

}  // namespace

FirstStep::FirstStep(FirstStepInfo info, Tensor factor)
    : TrainedNetwork("first step"), info_(std::move(info)), factor_(std::move(factor)) {
  const int64_t d = info_.feature.numel();
  check(factor_.shape() == Shape({d, d}), "a first step of features of shape ", info_.feature,
        " with a factor of shape ", factor_.shape());
  register_buffer("factor", factor_);
}

std::unique_ptr<FirstStep> FirstStep::of_gram(FirstStepInfo info, Matrix gram) {
  const size_t d = size_t(info.feature.numel());
  check(gram.rows() == d && gram.columns() == d, "a matrix of ", gram.rows(), " x ", gram.columns(),
        " numbers for ", d, " values");
  double trace = 0;
  for (size_t i = 0; i < d; ++i) trace += gram(i, i);
  check(std::isfinite(trace) && trace > 0,
        "the recogniser has no gradient at the mean face; nobody climbs from there");
  for (size_t i = 0; i < d; ++i) gram(i, i) += kRidge * trace / double(d);
  const Matrix l = cholesky(gram);
  // Of length 1 on average, whatever the pictures' units are.
  const double scale = std::sqrt(double(d) / trace);
  std::vector<float> values(d * d, 0.0f);
  for (size_t i = 0; i < d; ++i)
    for (size_t j = 0; j <= i; ++j) values[i * d + j] = float(scale * l(i, j));
  return std::make_unique<FirstStep>(std::move(info), Tensor::from(values, {int64_t(d), int64_t(d)}));
}

std::unique_ptr<FirstStep> FirstStep::load(const std::string& path) {
  NetworkFile file = load_network(path, kFormat, kWhat);
  FirstStepInfo info{std::move(file.provenance), {}, 0};
  const int64_t d = metadata_int(file.metadata, "values", 1, kMostValues, path);
  info.feature = {d};
  info.image_size = metadata_int(file.metadata, "image_size", 1, kMostSide, path);
  auto step = std::make_unique<FirstStep>(std::move(info), Tensor::zeros({d, d}));
  load_state_dict(*step, file.tensors, path);
  step->set_source(path);
  step->train(false);
  return step;
}

Metadata FirstStep::description() const {
  return {{"format", kFormat},
          {"values", std::to_string(info_.feature.numel())},
          {"image_size", std::to_string(info_.image_size)}};
}

Tensor FirstStep::forward(const Tensor& features) const {
  return matmul(reshape(features, {features.dim(0), info_.feature.numel()}), factor_);
}

Tensor AscentShadow::deviation() const { return Tensor::full({step_->feature()[0]}, 1.0); }

Tensor AscentShadow::reference(const Tensor& z) const { return l2_normalise(step_->forward(z)); }

Tensor AscentShadow::loss(const Tensor& x, const Tensor& reference) const {
  return affine(reduce_sum(mul(l2_normalise(step_->forward(x)), reference), {1}, false), -1, 1);
}

}  // namespace advf
