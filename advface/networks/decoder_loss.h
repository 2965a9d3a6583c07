// What a decoder is trained to minimise, a row of the registry each. All take the decoder's images and the
// faces; some look at more.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/core/feature_rows.h"
#include "advface/core/recogniser.h"
#include "advface/core/setting.h"

namespace advf {

class DecoderLoss {
 public:
  virtual ~DecoderLoss() = default;
  // A scalar on the tape. images, faces: (n,3,S,S) in [0,1]; rows: which rows of the set they are.
  virtual Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>& rows) const = 0;
};

// What a loss may look at. Each is there as long as the loss.
struct DecoderLossInput {
  const Recogniser* recogniser = nullptr;
  std::string cut;
  FeatureRows
      raw;  // of the set, as the recogniser makes them; without rows where only protected ones are there
};

class DecoderLossSpec {
 public:
  virtual ~DecoderLossSpec() = default;
  virtual Settings settings() { return {}; }  // bound to this
  virtual void check_valid() const {}         // throws Error naming the setting
  virtual std::string summary() const = 0;    // "identity, weight 0.5": stands in the decoder's file
  // Throws Error where the input lacks what it needs.
  virtual std::unique_ptr<DecoderLoss> make(const DecoderLossInput& input) const = 0;
};

struct DecoderLossKind {
  std::string name;
  std::string help;  // a line: what it adds up
  std::unique_ptr<DecoderLossSpec> (*spec)();
};

const std::vector<DecoderLossKind>& decoder_losses();
// Throws Error that lists the known names, with the nearest, for another.
const DecoderLossKind& decoder_loss_kind(const std::string& name);

}  // namespace advf
