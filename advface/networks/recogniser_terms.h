// Terms of a decoder's loss that ask a recogniser. Identity is for whoever knows the recogniser (white box,
// as NbNet's perceptual loss and later attacks have it): 1 - cosine of its embedding of the image to that of
// the feature itself. A second recogniser sees the image and the face: what two of them take for one person
// is one, and no pattern that pleases the first alone.
#pragma once
#include <memory>
#include <string>

#include "advface/networks/decoder_loss.h"

namespace advf {

struct IdentityTermSpec : DecoderTermSpec {
  double weight = 0.5;  // of 1 - cosine, beside 1 for the pixels' mean absolute difference

  Settings settings() override;
  void check_valid() const override;
  std::string summary() const override;
  std::unique_ptr<DecoderLoss> make(const DecoderLossInput& input) const override;
};

struct SecondTermSpec : DecoderTermSpec {
  std::string card;
  double weight = 0.5;

  Settings settings() override;
  void check_valid() const override;
  void open(const Recogniser& deployed) override;
  std::string summary() const override;  // names the model by its fingerprint
  std::unique_ptr<DecoderLoss> make(const DecoderLossInput& input) const override;

 private:
  std::shared_ptr<const Recogniser> recogniser_;
};

}  // namespace advf
