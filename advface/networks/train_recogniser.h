// Training a recogniser with ArcFace (arXiv 1801.07698) on labelled faces. Its score is verification accuracy
// on pairs of people it was not trained on.
#pragma once
#include <functional>
#include <memory>

#include "advface/audit/metrics.h"
#include "advface/core/dataset.h"
#include "advface/networks/augment.h"
#include "advface/networks/trainer.h"
#include "nn/loss.h"
#include "nn/nets/recognisers.h"

namespace advf {

struct RecogniserData {
  std::function<Tensor(const std::vector<int64_t>&)> face;  // (n,3,S,S) in [0,1]
  std::vector<int64_t> person;                              // of every row: any numbers
  std::vector<int64_t> train, validation;                   // rows; no person in both
};

struct RecogniserSettings {
  double scale = 32, margin = 0.3;  // of ArcFace
  Augmentation augmentation;        // of the training images
};

class RecogniserTrainer : public Trainer {
 public:
  static constexpr double kMean = 127.5, kScale = 1.0 / 128;  // the network is fed (255 x - mean) * scale

  RecogniserTrainer(Module& net, const RecogniserSpec& spec, const RecogniserData& data,
                    const TrainSettings& settings, const RecogniserSettings& recogniser);
  // Throws Error, before any image is read, where the people do not suffice: data.face may be empty.
  static void check_people(const RecogniserData& data, uint64_t seed);
  int64_t classes() const { return int64_t(class_of_.size()); }
  int64_t validation_pairs() const { return int64_t(pairs_.size()); }

  static Tensor network_input(const Tensor& images01);

 private:
  // A person's class number, and the head that needs their count, exist before the base class takes the
  // modules.
  struct Head {
    std::vector<std::pair<int64_t, int32_t>> classes;  // sorted by person
    std::unique_ptr<ArcFaceHead> module;
    RecogniserSettings settings;
    Head(const RecogniserData& data, const RecogniserSpec& spec, uint64_t seed,
         const RecogniserSettings& settings);
  };
  RecogniserTrainer(Module& net, const RecogniserSpec& spec, const RecogniserData& data,
                    const TrainSettings& settings, Head head);
  Tensor loss(const std::vector<int64_t>& rows) override;
  std::pair<double, double> validate() override;

  Module& net_;
  const RecogniserData& data_;
  uint64_t seed_;
  Augmentation augmentation_;
  std::vector<std::pair<int64_t, int32_t>> class_of_;
  std::unique_ptr<ArcFaceHead> head_;
  std::vector<RowPair> pairs_;  // positions in data.validation
};

// The trained network as an ONNX file and a card beside it: OUT.json names OUT.onnx.
void write_recogniser(Module& net, const RecogniserSpec& spec, const std::string& card_path);

}  // namespace advf
