// A trained decoder (feature -> image) with everything that must fit it: which recogniser's features it
// takes, cut where, from which domain; the statistics of the features and faces it was trained on. The
// server's shadow model and every attacker are decoders; they differ only in what they were trained on.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/networks/flatness.h"
#include "advface/networks/trained_network.h"
#include "nn/module.h"
#include "nn/nets/decoders.h"

namespace advf {

// What decoders were trained to minimise before there was a choice.
inline constexpr const char* kPlainLoss = "l1";

struct DecoderInfo : Provenance {
  DecoderSpec spec;
  std::string loss = kPlainLoss;                // what it was trained to minimise: for people
  bool mirrored = false;                        // whether mirror images of the faces were among them
  std::optional<TrainingRecord> training = {};  // none of an older version, or before the training's end
};

// forward: (N, feature...) -> (N,3,S,S) in (0,1).
class Decoder : public TrainedNetwork {
 public:
  // In evaluation mode, as loaded ones are; whoever trains it says so.
  Decoder(const DecoderInfo& info, uint64_t seed);
  static std::unique_ptr<Decoder> load(const std::string& path);  // in evaluation mode

  Tensor forward(const Tensor& features) const override { return net_->forward(features); }
  const DecoderInfo& info() const { return info_; }
  void set_training(const TrainingRecord& record) { info_.training = record; }
  const Provenance& provenance() const override { return info_; }
  const Shape& feature() const override { return info_.spec.feature; }

  // Of the training features, per element of a vector or per channel of a map: (D) or (C). The mean of the
  // training faces (3,S,S) is what an attacker knows who has no feature at all.
  struct Statistics {
    Tensor feature_mean, feature_std, mean_face;
  };
  Statistics& statistics() { return statistics_; }
  const Statistics& statistics() const { return statistics_; }
  Tensor mean_faces(int64_t n) const;  // (n,3,S,S)

  // Throws an Error that names the file where it makes the very same image of different features: whoever
  // protects against it, protects against nothing.
  void check_sees() const;

  // Off the tape, `batch` rows at a time, in evaluation mode.
  Tensor reconstruct(const Tensor& features, int64_t batch = 64) const;

 private:
  Metadata description() const override;

  DecoderInfo info_;
  std::unique_ptr<Module> net_;
  Statistics statistics_;
};

}  // namespace advf
