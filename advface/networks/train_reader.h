// Training a reader by distillation: 1 - cosine of what it reads in z_adv, as an embedding, to H(z), over
// pairs of a protected feature and the raw one. No labels take part, so that a good recogniser is not spoilt
// by few people.
#pragma once
#include <functional>
#include <optional>

#include "advface/core/feature_rows.h"
#include "advface/core/recogniser.h"
#include "advface/networks/reader.h"
#include "advface/networks/trainer.h"

namespace advf {

// Row i of both belongs to one image. Where the reader emits embeddings, they need not have one shape.
struct ReaderData {
  FeatureRows raw, guarded;
  std::vector<int64_t> train, validation;  // rows; no person in both
};

// Its score is the mean cosine on the validation rows.
class ReaderTrainer : public Trainer {
 public:
  // The reader's statistics become those of the protected training rows. All must outlive the trainer.
  ReaderTrainer(Reader& reader, const Recogniser& recogniser, const ReaderData& data,
                const TrainSettings& settings);
  // The score without a reader; nothing where the recogniser cannot take the protected features.
  std::optional<double> unaided();

 private:
  Tensor loss(const std::vector<int64_t>& rows) override;
  std::pair<double, double> validate() override;
  // (n): cosines of embeddings to those of the raw rows.
  Tensor cosines(const Tensor& embeddings, const std::vector<int64_t>& rows);
  double mean_cosine(const std::function<Tensor(const Tensor& guarded)>& embed);
  // Embeddings of raw rows. Each is made once, with the same rows beside it whoever asks, so that a resumed
  // training meets the same bits.
  Tensor wanted(const std::vector<int64_t>& rows);

  Reader& reader_;
  const Recogniser& recogniser_;
  const ReaderData& data_;
  std::vector<float> wanted_;       // (images, values of an embedding)
  std::vector<bool> wanted_known_;  // by blocks of rows
};

}  // namespace advf
