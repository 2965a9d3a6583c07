// A face detector as a plug-in: a card (detector_card.h) and its network. Runs on the CPU whatever the
// current backend, so that the faces of a picture are the same for every device.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/core/face.h"
#include "advface/detect/detector_card.h"
#include "nn/onnx/model.h"
#include "tensor/io/image.h"

namespace advf {

// At which sizes a detector looks at a picture: its longer side becomes so many pixels, where it is longer,
// or where that enlarges it by no more than `enlarge`; else it is enlarged by that much.
struct DetectorView {
  std::vector<int64_t> sides = {640};
  double enlarge = 1;
};

class Detector {
 public:
  // Loads the card and its network and checks by a trial that they fit: the names of outputs, and their
  // sizes. least_score: of a face, where it is not what the card says.
  static Detector load(const std::string& card_path, double least_score = 0);
  static Detector from_bytes(DetectorCard card, std::string_view model);

  const DetectorCard& card() const { return card_; }
  const OnnxModel& model() const { return model_; }
  const std::string& fingerprint() const { return model_.fingerprint(); }

  // The faces of a picture by falling score. It is looked at once for each side, and what was found twice is
  // suppressed. Pixels are resampled as crop_resize() does and filled up with 0 to the right and below. From
  // several threads at once; the same faces whatever their number.
  std::vector<Face> find(const Image& image, const DetectorView& view = {}) const;
  // Every candidate before suppression, in the pixels of the network's input (1,3,height,width).
  std::vector<Face> candidates(const Tensor& input) const;
  // The network's input of a picture that is resampled to width x height.
  Tensor input_of(const Image& image, int width, int height) const;

 private:
  class Runs;
  Detector(DetectorCard card, OnnxModel model);
  struct Kind {
    const std::vector<std::string>* names;
    int64_t each;
  };
  std::vector<Kind> kinds() const;
  std::vector<std::string> wanted() const;
  std::vector<Face> decode(const std::vector<Tensor>& outputs, int64_t height, int64_t width) const;
  void check_outputs(const std::vector<Tensor>& outputs, int64_t height, int64_t width) const;

  DetectorCard card_;
  OnnxModel model_;
  std::shared_ptr<Runs> runs_;  // copies share it
};

}  // namespace advf
