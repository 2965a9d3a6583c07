// Decoders turn a facial feature back into an image: the server's shadow model and the attackers. A decoder
// is found by name; its spec goes into the metadata of its weight file, from which it can be built again.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "nn/module.h"
#include "nn/state_dict.h"

namespace advf {

struct DecoderSpec {
  std::string name;     // one of decoder_names()
  Shape feature;        // of one record: [D] or [C,h,w]
  int image_size = 64;  // pixels a side: a multiple of 16, from 32 to 256
  int width = 256;  // channels on the grid of S/16, halved with every doubling: a multiple of 16, up to 1024

  Metadata to_metadata() const;  // keys "decoder", "decoder.feature", "decoder.image_size", "decoder.width"
  static DecoderSpec from_metadata(const Metadata& metadata, const std::string& source);
  bool operator==(const DecoderSpec&) const = default;
};

// (N, feature...) -> (N, 3, S, S) in (0, 1), in training mode, first values from `seed`. An unknown name
// throws, listing the known ones; so do a feature shape or image size that the decoder does not take.
//   deconv  transposed convolutions, 4x4 with stride 2, as NbNet (arXiv 1703.00832) has them
//   resup   residual blocks after nearest-neighbour upsampling
//   unet    for maps only: encoder and decoder with skips, then upsampling
// An image costs 38 M (deconv) and 119 M (resup) multiply-adds at D = 512 and S = 64, and the nets have 2.8 M
// and 2.7 M parameters, 2.1 M of them in the first linear layer. For a map [64,38,38] at S = 64: 124 M
// (deconv), 206 M (resup), 414 M (unet) multiply-adds, 0.1, 0.1 and 1 M parameters.
std::unique_ptr<Module> make_decoder(const DecoderSpec& spec, uint64_t seed);
std::unique_ptr<Module> make_decoder(const std::string& name, const Shape& feature, int image_size,
                                     uint64_t seed);
std::vector<std::string> decoder_names();

}  // namespace advf
