// Training the network of a projection (protections/projection_protection.h): what it makes of one photograph
// comes near to what the fitted projection makes of the mean of the person's other photographs.
#pragma once
#include <utility>
#include <vector>

#include "advface/core/feature_rows.h"
#include "advface/networks/trainer.h"
#include "advface/protections/projection_protection.h"

namespace advf {

struct ProjectionTraining {
  FeatureRows features;
  std::vector<int64_t> person;             // of each row
  std::vector<int64_t> train, validation;  // rows; no person in both, and each with another photograph
};

// The rows whose person has another photograph.
std::vector<int64_t> with_another(const std::vector<int64_t>& rows, const std::vector<int64_t>& person);

// Minimises 1 - cosine of forward(z) to fitted(unit mean of the others). Its score is that cosine on the
// validation rows.
class ProjectionTrainer : public Trainer {
 public:
  // The network's statistics become those of the training rows. All must outlive the trainer.
  ProjectionTrainer(Projection& projection, const ProjectionTraining& data, const TrainSettings& settings);
  double unaided() const;  // the score of the fitted projection alone

 private:
  Tensor loss(const std::vector<int64_t>& rows) override;
  std::pair<double, double> validate() override;
  Tensor cosines(const Tensor& made, const std::vector<int64_t>& rows) const;

  Projection& projection_;
  const ProjectionTraining& data_;
  Tensor wanted_;               // (rows of train and validation, dims)
  std::vector<int64_t> place_;  // of each row of the set among them, -1: none
};

}  // namespace advf
