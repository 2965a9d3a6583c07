// Training a probe of attributes: cross-entropy in which both classes of an attribute weigh alike, whatever
// their numbers.
#pragma once
#include <utility>
#include <vector>

#include "advface/core/feature_rows.h"
#include "advface/networks/attribute_probe.h"
#include "advface/networks/trainer.h"

namespace advf {

struct ProbeTraining {
  FeatureRows features;
  std::vector<std::vector<int64_t>> classes;  // of each attribute: 0 or 1 for every row
  std::vector<int64_t> train, validation;     // rows; no person in both
};

// Its score is the balanced accuracy on the validation rows, the mean over attributes; a class that is not
// there counts as told by half.
class AttributeProbeTrainer : public Trainer {
 public:
  // The probe's statistics become those of the training rows. All must outlive the trainer.
  AttributeProbeTrainer(AttributeProbe& probe, const ProbeTraining& data, const TrainSettings& settings);

 private:
  Tensor loss(const std::vector<int64_t>& rows) override;
  std::pair<double, double> validate() override;
  Tensor loss_of(size_t attribute, const std::vector<int64_t>& rows) const;

  AttributeProbe& probe_;
  const ProbeTraining& data_;
  std::vector<std::pair<double, double>> weights_;  // of each attribute, of classes 0 and 1
};

}  // namespace advf
