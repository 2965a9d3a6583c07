#include "advface/networks/train_probe.h"

#include <span>

#include "advface/networks/validation.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 64;  // of validation
constexpr double kDecay = 0.1;  // AdamW's: few people have many features

std::string describe(const AttributeProbe& probe, const ProbeTraining& data) {
  std::string text = data.features.shape().str() + " " + data.features.sample_hash();
  for (size_t a = 0; a < data.classes.size(); ++a)
    text += ", " + probe.info().attributes[a] + " " + hex(fnv1a(std::as_bytes(std::span(data.classes[a]))));
  return text;
}

}  // namespace

AttributeProbeTrainer::AttributeProbeTrainer(AttributeProbe& probe, const ProbeTraining& data,
                                             const TrainSettings& settings)
    : Trainer({{"probe", &probe}}, data.train, settings, {.weight_decay = kDecay, .decoupled = true},
              describe(probe, data)),
      probe_(probe),
      data_(data) {
  check(data.classes.size() == probe.info().attributes.size(), "labels of ", data.classes.size(),
        " attributes for a probe of ", probe.info().attributes.size());
  check(!data.validation.empty(), "there are no validation images; use more people");
  for (const std::vector<int64_t>& cls : data.classes) {
    double there = 0;
    for (const int64_t r : data.train) there += double(cls[size_t(r)]);
    const double all = double(data.train.size());
    weights_.emplace_back(all / (2 * (all - there)), all / (2 * there));
  }
  const FeatureMoments moments = moments_of(data.features, data.train);
  probe.net().set_input(moments.mean, moments.deviation);
}

// Class by class, as the op weighs all rows alike.
Tensor AttributeProbeTrainer::loss_of(size_t attribute, const std::vector<int64_t>& rows) const {
  Tensor sum;
  for (const int cls : {0, 1}) {
    std::vector<int64_t> mine;
    for (const int64_t r : rows)
      if (data_.classes[attribute][size_t(r)] == cls) mine.push_back(r);
    if (mine.empty()) continue;
    const Tensor labels =
        Tensor::from(std::vector<int32_t>(mine.size(), cls), {int64_t(mine.size())}).to(current_backend());
    const double weight = double(mine.size()) / double(rows.size()) *
                          (cls == 0 ? weights_[attribute].first : weights_[attribute].second);
    const Tensor term = affine(
        softmax_cross_entropy(probe_.classes(data_.features.batch(mine), attribute), labels), weight, 0);
    sum = sum.defined() ? add(sum, term) : term;
  }
  return sum;
}

Tensor AttributeProbeTrainer::loss(const std::vector<int64_t>& rows) {
  Tensor sum = loss_of(0, rows);
  for (size_t a = 1; a < data_.classes.size(); ++a) sum = add(sum, loss_of(a, rows));
  return affine(sum, 1 / double(data_.classes.size()), 0);
}

std::pair<double, double> AttributeProbeTrainer::validate() {
  const size_t attributes = data_.classes.size();
  // Of a batch: how many of each class it calls by their name, how many there are, and the losses.
  const auto counts = [&](const std::vector<int64_t>& rows, int64_t) {
    std::vector<double> said(5 * attributes);
    const std::vector<float> odds = probe_.forward(data_.features.batch(rows)).to_vector<float>();
    for (size_t i = 0; i < rows.size(); ++i)
      for (size_t a = 0; a < attributes; ++a) {
        const size_t cls = size_t(data_.classes[a][size_t(rows[i])]);
        said[2 * a + cls] += (odds[i * attributes + a] > 0) == (cls == 1);
        ++said[2 * (attributes + a) + cls];
      }
    for (size_t a = 0; a < attributes; ++a)
      said[4 * attributes + a] = loss_of(a, rows).item() * double(rows.size());
    return said;
  };
  std::vector<double> right(2 * attributes), all(2 * attributes);
  double loss = 0;
  for (const auto& said : of_batches<double>(data_.validation, kBatch, counts)) {
    for (size_t k = 0; k < all.size(); ++k) {
      right[k] += said[k];
      all[k] += said[all.size() + k];
    }
    for (size_t a = 0; a < attributes; ++a) loss += said[4 * attributes + a];
  }
  double told = 0;
  for (size_t k = 0; k < all.size(); ++k) told += all[k] > 0 ? right[k] / all[k] : 0.5;
  return {loss / double(attributes * data_.validation.size()), told / double(all.size())};
}

}  // namespace advf
