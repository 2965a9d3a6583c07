// Training an adapter by distillation: 1 - cosine of H(adapter(z_adv)) to H(z), over pairs of a protected
// feature and the raw one. No labels take part, so that a good recogniser is not spoilt by few people.
#pragma once
#include "advface/core/feature_rows.h"
#include "advface/core/recogniser.h"
#include "advface/networks/adapter.h"
#include "advface/networks/trainer.h"

namespace advf {

// Row i of both belongs to one image.
struct AdapterData {
  FeatureRows raw, guarded;
  std::vector<int64_t> train, validation;  // rows; no person in both
};

// Its score is the mean cosine on the validation rows.
class AdapterTrainer : public Trainer {
 public:
  // The adapter's statistics become those of the protected training rows. All must outlive the trainer.
  AdapterTrainer(Adapter& adapter, const Recogniser& recogniser, const AdapterData& data,
                 const TrainSettings& settings);
  // The score without an adapter.
  double unaided() const;

 private:
  Tensor loss(const std::vector<int64_t>& rows) override;
  std::pair<double, double> validate() override;
  // (n): cosines of H(features) to H of the raw rows.
  Tensor cosines(const Tensor& features, const std::vector<int64_t>& rows) const;
  double mean_cosine(const std::function<Tensor(const Tensor& guarded)>& map) const;

  Adapter& adapter_;
  const Recogniser& recogniser_;
  const AdapterData& data_;
};

}  // namespace advf
