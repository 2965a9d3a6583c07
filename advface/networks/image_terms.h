// Terms of a decoder's loss that look at the image and the face alone.
#pragma once
#include <memory>
#include <string>

#include "advface/networks/decoder_loss.h"

namespace advf {

inline constexpr const char* kPlainTerm = "l1";  // the pixels, and what they are called at weight 1

inline constexpr double kMostWeight = 1000;  // of a term
// "identity, weight 0.5"
std::string term_summary(const std::string& name, double weight);
// Throws Error that begins with `what` unless it lies above 0 and not above kMostWeight.
void check_term_weight(const std::string& what, double weight);

// weight x mean |image - face|. A weight of 0 leaves the pixels out.
struct PixelTermSpec : DecoderTermSpec {
  double weight = 1;

  Settings settings() override;
  void check_valid() const override;
  std::string summary() const override;
  std::unique_ptr<DecoderLoss> make(const DecoderLossInput& input) const override;
};

// weight x (1 - mean SSIM of image and face), as nn/loss.h has it.
struct StructureTermSpec : DecoderTermSpec {
  double weight = 0.5;

  Settings settings() override;
  void check_valid() const override;
  std::string summary() const override;
  std::unique_ptr<DecoderLoss> make(const DecoderLossInput& input) const override;
};

}  // namespace advf
