// Training a decoder: minimise a loss (decoder_loss.h) between S(z) and the face x that z was made from, on
// public faces. The shadow model (L1, as the paper has it) and the attackers are trained by this one class;
// their score is SSIM.
#pragma once
#include <functional>

#include "advface/core/feature_rows.h"
#include "advface/networks/decoder.h"
#include "advface/networks/decoder_loss.h"
#include "advface/networks/trainer.h"

namespace advf {

// What to train on. Row i of `features` belongs to face i; `face(indices)` gives (n,3,S,S) in [0,1]. Where
// there are mirrors, `features` has twice as many rows as there are faces, and row mirrors + i belongs to the
// mirror image of face i. In every epoch each training face then is, with equal chances, itself or its mirror
// image. Validation and the decoder's statistics are of the faces as they are: the mean face and the
// deviations that protections scale noise by mean the same with mirrors and without.
struct DecoderData {
  FeatureRows features;
  std::function<Tensor(const std::vector<int64_t>&)> face;
  std::vector<int64_t> train, validation;  // rows; no person in both
  int64_t mirrors = 0;                     // 0: none
  std::string from = {};                   // weights_hash() of those that it goes on from; none
};

class DecoderTrainer : public Trainer {
 public:
  // Sets the decoder's statistics from the training rows. `decoder` and `data` must outlive the trainer.
  // loss: null for l1; the caller's otherwise, and must outlive the trainer as well.
  DecoderTrainer(Decoder& decoder, const DecoderData& data, const TrainSettings& settings,
                 const DecoderLoss* loss = nullptr);

  // The score of the mean face of the training images, for every validation image alike: what a decoder has
  // that learned nothing of its features.
  double mean_face_score() const;

 private:
  Tensor loss(const std::vector<int64_t>& rows) override;
  std::pair<double, double> validate() override;
  void pass(const std::vector<int64_t>& rows) override;
  // Of the set with its mirrors: as the draws of this epoch say.
  std::vector<int64_t> drawn(const std::vector<int64_t>& rows) const;
  Tensor faces(const std::vector<int64_t>& drawn) const;
  // Mean L1 and SSIM of what `images` gives for the validation rows.
  std::pair<double, double> measure(
      const std::function<Tensor(const std::vector<int64_t>& rows)>& images) const;
  void set_statistics();

  Decoder& decoder_;
  const DecoderData& data_;
  const DecoderLoss* loss_;
  uint64_t seed_;
};

}  // namespace advf
