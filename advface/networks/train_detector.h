// Training a small face detector on pictures whose faces are known, such as drawn scenes. Its score is the
// harmonic mean of recall and precision on pictures that it was not trained on.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "advface/detect/detection_score.h"
#include "advface/networks/trainer.h"
#include "nn/nets/detectors.h"

namespace advf {

struct DetectorData {
  // (n,3,H,W) in [0,1], all of one size, whose sides are multiples of DetectorNet's largest stride.
  std::function<Tensor(const std::vector<int64_t>&)> picture;
  std::vector<std::vector<Face>> faces;    // of every row, with five landmarks each
  std::vector<int64_t> train, validation;  // rows
};

class DetectorTrainer : public Trainer {
 public:
  static constexpr double kMean = 127.5, kScale = 1.0 / 128;  // the network is fed (255 x - mean) * scale
  static constexpr double kScore = 0.5, kOverlap = 0.3;       // of the card, and of the validation

  DetectorTrainer(DetectorNet& net, const DetectorData& data, const TrainSettings& settings,
                  int width_percent = 100);
  // Of the last validation.
  const DetectionScore& last_score() const { return score_; }

  static Tensor network_input(const Tensor& pictures01);

 private:
  Tensor loss(const std::vector<int64_t>& rows) override;
  std::pair<double, double> validate() override;
  void pass(const std::vector<int64_t>& rows) override;
  TensorMap more_state() override;
  void load_more(TensorMap tensors, const std::string& path) override;
  std::vector<std::vector<Face>> faces_of(const std::vector<int64_t>& rows) const;

  DetectorNet& net_;
  const DetectorData& data_;
  uint64_t seed_;
  DetectionScore score_;
};

// The trained network as an ONNX file that takes pictures of any size, and a detector's card beside it
// (detect/detector_card.h): OUT.json names OUT.onnx. trained_on: said in the card.
void write_detector(DetectorNet& net, const std::string& card_path, const std::string& trained_on);

}  // namespace advf
