// The loss of decoders that know the recogniser (white box, as NbNet's perceptual loss and later attacks have
// it): pixels, and 1 - cosine of the recogniser's embedding of the image to that of the feature itself.
#pragma once
#include <memory>
#include <string>

#include "advface/networks/decoder_loss.h"

namespace advf {

struct IdentityLossSpec : DecoderLossSpec {
  double weight = 0.5;  // of 1 - cosine, beside 1 for the pixels' mean absolute difference

  Settings settings() override;
  void check_valid() const override;
  std::string summary() const override;
  std::unique_ptr<DecoderLoss> make(const DecoderLossInput& input) const override;
};

}  // namespace advf
