// What a detector's card says: JSON beside an ONNX file that finds faces.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "advface/core/channels.h"

namespace advf {

// Its keys are the fields' names; every key is required but those marked optional, and no other is allowed.
struct DetectorCard {
  struct Input {
    std::string name;
    std::string channels;  // "RGB" or "BGR"
    // The network is fed (pixel - mean) * scale, pixels from 0 to 255; one number for all channels, or three
    // in the order of `channels`.
    std::array<double, 3> mean = all_channels(0), scale = all_channels(1);
    // Optional: the only size that the network takes. Where they are absent, its sizes are open and pictures
    // are filled up to the largest stride.
    int64_t width = 0, height = 0;
  };
  // Names of tensors, one for each stride; or one for all of them, whose rows follow each other.
  struct Outputs {
    std::vector<std::string> score;
    std::vector<std::string> object;  // of decodings that have it
    std::vector<std::string> box, landmarks;
  };
  std::string path, model;  // of the card; of the ONNX file (in the card: relative to the card)
  Input input;
  std::string decoding;          // "yunet" or "scrfd" (decoding.h)
  std::vector<int64_t> strides;  // pixels from cell to cell of each output, rising
  Outputs outputs;
  // Of a decoding that has priors: "min_sizes", a list of sides in pixels for each stride, as long for each,
  // and two "variances".
  std::vector<std::vector<double>> priors;
  double offset_variance = 0, size_variance = 0;
  int64_t anchors = 1;     // optional: to a cell; as many as there are priors
  int64_t points = 5;      // optional: landmarks of a face, 5 or 2 (the eyes alone)
  double score = 0.6;      // optional: the least score of a face
  double overlap = 0.3;    // optional: of two faces that overlap by more the better one stays
  std::string trained_on;  // optional, for people: "drawn scenes; not for real photographs"
};

// Throws Error naming the file and the key.
DetectorCard load_detector_card(const std::string& path);
DetectorCard parse_detector_card(const std::string& text, const std::string& path);
// Whether the file is a detector's card rather than a recogniser's. Throws Error where it is no JSON.
bool is_detector_card(const std::string& path);

}  // namespace advf
