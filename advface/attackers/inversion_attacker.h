// The resident `inversion`: trains nothing. An image that begins as the mean face is changed by gradient
// steps until the recogniser finds in it the feature that was stolen (white box; as Mahendran and Vedaldi,
// arXiv 1412.0035, invert networks). The image is the mean face, or what a trained decoder makes of a
// feature, and a smooth correction of it; it is shifted, stretched and mirrored at random before the
// recogniser sees it, the steps become small towards the end, and its total variation is kept small; so that
// it becomes a face and not a pattern that only looks like one to this recogniser. A protection without a key
// is no obstacle where it can be looked through (AttackerInput::through); where not, a reader that was
// trained on what is stored says what to look for.
#pragma once
#include <memory>
#include <string>

#include "advface/attackers/attacker.h"

namespace advf {

struct InversionSpec : AttackerSpec {
  int64_t steps = 60, restarts = 1;
  int64_t image_size = 0;  // side of the image in pixels; 0: that of the other attackers
  int64_t grid = 32;       // and of the correction, which is enlarged
  double rate = 0.1;       // of Adam
  double smoothness = 5;  // of the mean total variation, beside 1 for the cosine: chosen on validation people
  double latent_rate = 0;  // and of the decoder's input, in standard deviations; 0: it stays
  std::string decoder;     // file of one that makes the image; none: the mean face is corrected
  std::string reader;  // file of one that leads what is stored back to where features live; none: as stored
  uint64_t seed = 1;   // of the shifts, and of where a further restart begins

  std::unique_ptr<AttackerSpec> clone() const override { return std::make_unique<InversionSpec>(*this); }
  Settings settings() override;
  void check_valid() const override;
  bool knows_size() const override { return image_size > 0 || !decoder.empty(); }
  bool needs_people() const override { return decoder.empty(); }
  bool looks_through(const ProtectionChain& chain) const override {
    return reader.empty() && AttackerSpec::looks_through(chain);
  }
  std::unique_ptr<Attacker> make(const AttackerInput& input) const override;
};

}  // namespace advf
