// Face recognisers that can be trained here: aligned face (N,3,S,S) -> embedding (N,D), not normalised. What
// range the pixels have is the caller's choice (the recogniser's card states it); nothing in the network
// depends on it.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/module.h"
#include "nn/state_dict.h"

namespace advf {

struct RecogniserSpec {
  std::string name;         // one of recogniser_names()
  int image_size = 112;     // a multiple of 16, from 32 to 256
  int embedding = 128;      // up to 4096
  int width_percent = 100;  // of the standard channel counts (rounded to multiples of 8), 25 to 400

  Metadata to_metadata() const;  // keys "recogniser", "recogniser.image_size", ".embedding", ".width_percent"
  static RecogniserSpec from_metadata(const Metadata& metadata, const std::string& source);
  bool operator==(const RecogniserSpec&) const = default;
};

// In training mode, first values from `seed`. Errors as make_decoder.
//   mobilefacenet  Chen et al. 2018 (arXiv 1804.07573), table 1
//   cnn_small      four residual stages of 16 to 128 channels, for small images
// An image costs 221 M multiply-adds (mobilefacenet, S = 112, 1.0 M parameters) or 14 M (cnn_small, S = 64,
// 0.3 M parameters).
std::unique_ptr<Module> make_recogniser(const RecogniserSpec& spec, uint64_t seed);
std::vector<std::string> recogniser_names();

}  // namespace advf
