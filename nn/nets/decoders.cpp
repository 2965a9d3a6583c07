// All decoders are stem -> blocks that double the grid up to S pixels -> 3x3 convolution -> sigmoid. A vector
// starts on S/16 with four blocks; a map on the S / 2^k that is nearest to its own size from below 3/2 of it.
#include "nn/nets/decoders.h"

#include <algorithm>

#include "nn/layers.h"
#include "nn/nets/net_metadata.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int kBlocks = 4;
constexpr int64_t kMaxFeature = 65536, kMaxChannels = 4096, kMaxSide = 512;
constexpr int64_t kSmallestGrid = 4;  // of the U-Net's inner levels
constexpr int kMaxDepth = 2;          // how often it halves its grid

// (N, D) -> (N, channels, grid, grid)
class VectorStem : public Module {
 public:
  VectorStem(int64_t features, int64_t channels, int64_t grid)
      : channels_(channels), grid_(grid), linear_(features, channels * grid * grid), bn_(channels) {
    register_child("linear", linear_);
    register_child("bn", bn_);
  }
  Tensor forward(const Tensor& x) const override {
    const Tensor y = linear_.forward(x);
    return relu(bn_.forward(reshape(y, {y.dim(0), channels_, grid_, grid_})));
  }

 private:
  int64_t channels_, grid_;
  Linear linear_;
  BatchNorm bn_;
};

// (N, in, h, w) -> (N, out, 2h, 2w)
class DeconvBlock : public Module {
 public:
  DeconvBlock(int64_t in, int64_t out)
      : conv_(in, out, {.kernel = 4, .stride = 2, .pad = 1, .bias = false}), bn_(out) {
    register_child("conv", conv_);
    register_child("bn", bn_);
  }
  Tensor forward(const Tensor& x) const override { return relu(bn_.forward(conv_.forward(x))); }

 private:
  ConvTranspose2d conv_;
  BatchNorm bn_;
};

Tensor upsample2(const Tensor& x) {
  return resize2d(x, {.size = {2 * x.dim(2), 2 * x.dim(3)},
                      .mode = ResizeMode::nearest,
                      .coordinates = ResizeCoordinates::asymmetric});
}

// (N, in, h, w) -> (N, out, 2h, 2w).  The 1x1 skip runs before its upsampling: they commute, and it costs a
// quarter.
class ResidualUpBlock : public Module {
 public:
  ResidualUpBlock(int64_t in, int64_t out)
      : conv1_(in, out, {.kernel = 3, .pad = 1, .bias = false}),
        bn1_(out),
        conv2_(out, out, {.kernel = 3, .pad = 1, .bias = false}),
        bn2_(out),
        skip_(in, out, {.kernel = 1, .bias = false}) {
    register_child("conv1", conv1_);
    register_child("bn1", bn1_);
    register_child("conv2", conv2_);
    register_child("bn2", bn2_);
    register_child("skip", skip_);
  }
  Tensor forward(const Tensor& x) const override {
    const Tensor y = relu(bn1_.forward(conv1_.forward(upsample2(x))));
    return relu(add(bn2_.forward(conv2_.forward(y)), upsample2(skip_.forward(x))));
  }

 private:
  Conv2d conv1_;
  BatchNorm bn1_;
  Conv2d conv2_;
  BatchNorm bn2_;
  Conv2d skip_;
};

// (N, in, h, w) -> (N, out, h, w)
class ConvBlock : public Module {
 public:
  ConvBlock(int64_t in, int64_t out) : conv_(in, out, {.kernel = 3, .pad = 1, .bias = false}), bn_(out) {
    register_child("conv", conv_);
    register_child("bn", bn_);
  }
  Tensor forward(const Tensor& x) const override { return relu(bn_.forward(conv_.forward(x))); }

 private:
  Conv2d conv_;
  BatchNorm bn_;
};

Tensor on_grid(const Tensor& x, int64_t grid) {
  return x.dim(2) == grid && x.dim(3) == grid ? x : resize2d(x, {.size = {grid, grid}});
}

// (N, in, h, w) -> (N, channels, grid, grid): one convolution on the map's own grid, one on the decoder's.
class MapStem : public Module {
 public:
  MapStem(int64_t in, int64_t channels, int64_t grid)
      : grid_(grid), own_(in, channels), inner_(channels, channels) {
    register_child("own", own_);
    register_child("inner", inner_);
  }
  Tensor forward(const Tensor& x) const override { return inner_.forward(on_grid(own_.forward(x), grid_)); }

 private:
  int64_t grid_;
  ConvBlock own_, inner_;
};

// (N, in, h, w) -> (N, channels, grid, grid) by an encoder that halves the grid, and a decoder that takes
// each level of it again (arXiv 1505.04597, with batch norm): what lies far apart in the map meets inside.
class UNetStem : public Module {
 public:
  UNetStem(int64_t in, int64_t channels, int64_t grid) : grid_(grid) {
    add("encode.0", in, channels, encoder_);
    add("encode.0b", channels, channels, encoder_);
    int64_t inner = channels;
    for (int level = 1; level <= kMaxDepth && grid % 2 == 0 && grid / 2 >= kSmallestGrid;
         ++level, grid /= 2) {
      const std::string number = std::to_string(level);
      add("encode." + number, inner, 2 * channels, encoder_);
      add("encode." + number + "b", 2 * channels, 2 * channels, encoder_);
      widths_.push_back(inner);
      inner = 2 * channels;
    }
    for (size_t level = widths_.size(); level-- > 0; inner = widths_[level])
      add("decode." + std::to_string(level), inner + widths_[level], widths_[level], decoder_);
  }
  Tensor forward(const Tensor& x) const override {
    std::vector<Tensor> skips;
    Tensor y = encode(0, on_grid(x, grid_));
    for (size_t level = 1; level <= widths_.size(); ++level) {
      skips.push_back(y);
      y = encode(level, max_pool2d(y, {.kernel = {2, 2}, .stride = {2, 2}}));
    }
    for (auto& block : decoder_) {
      y = block->forward(concat({upsample2(y), skips.back()}, 1));
      skips.pop_back();
    }
    return y;
  }

 private:
  void add(const std::string& name, int64_t in, int64_t out, std::vector<std::unique_ptr<ConvBlock>>& to) {
    to.push_back(std::make_unique<ConvBlock>(in, out));
    register_child(name, *to.back());
  }
  Tensor encode(size_t level, const Tensor& x) const {
    return encoder_[2 * level + 1]->forward(encoder_[2 * level]->forward(x));
  }

  int64_t grid_;
  std::vector<int64_t> widths_;                                // of each level but the innermost
  std::vector<std::unique_ptr<ConvBlock>> encoder_, decoder_;  // two a level; the innermost level first
};

// (N, in, h, w) -> (N, out, 2h, 2w)
class UpBlock : public Module {
 public:
  UpBlock(int64_t in, int64_t out) : block_(in, out) { register_child("block", block_); }
  Tensor forward(const Tensor& x) const override { return block_.forward(upsample2(x)); }

 private:
  ConvBlock block_;
};

// "stem", "up.0" .., "head"
class DecoderNet : public Module {
 public:
  DecoderNet(std::unique_ptr<Module> stem, std::vector<std::unique_ptr<Module>> up, int64_t last_channels)
      : stem_(std::move(stem)), up_(std::move(up)), head_(last_channels, 3, {.kernel = 3, .pad = 1}) {
    register_child("stem", *stem_);
    for (size_t i = 0; i < up_.size(); ++i) register_child("up." + std::to_string(i), *up_[i]);
    register_child("head", head_);
  }
  Tensor forward(const Tensor& x) const override {
    Tensor y = stem_->forward(x);
    for (const auto& block : up_) y = block->forward(y);
    return sigmoid(head_.forward(y));
  }

 private:
  std::unique_ptr<Module> stem_;
  std::vector<std::unique_ptr<Module>> up_;
  Conv2d head_;
};

using MakeBlock = std::unique_ptr<Module> (*)(int64_t in, int64_t out);
template <class Block>
std::unique_ptr<Module> make_block(int64_t in, int64_t out) {
  return std::make_unique<Block>(in, out);
}

using MakeStem = std::unique_ptr<Module> (*)(int64_t in, int64_t channels, int64_t grid);
template <class Stem>
std::unique_ptr<Module> make_stem(int64_t in, int64_t channels, int64_t grid) {
  return std::make_unique<Stem>(in, channels, grid);
}

struct Entry {
  const char* name;
  MakeStem vector_stem, map_stem;  // null: such features are not taken
  MakeBlock block;
};
constexpr Entry kDecoders[] = {
    {"deconv", make_stem<VectorStem>, make_stem<MapStem>, make_block<DeconvBlock>},
    {"resup", make_stem<VectorStem>, make_stem<MapStem>, make_block<ResidualUpBlock>},
    {"unet", nullptr, make_stem<UNetStem>, make_block<UpBlock>}};

// Doublings from the first grid to the image.
int blocks_for(const DecoderSpec& spec) {
  if (spec.feature.rank() == 1) return kBlocks;
  const int64_t side = std::min(spec.feature[1], spec.feature[2]);
  int blocks = 1;
  while (blocks < kBlocks && 2 * (spec.image_size >> blocks) > 3 * side) ++blocks;
  return blocks;
}

void check_feature(const DecoderSpec& spec, const Entry& entry) {
  const Shape& f = spec.feature;
  const bool vector = f.rank() == 1 && f[0] > 0 && f[0] <= kMaxFeature;
  const bool map = f.rank() == 3 && f[0] > 0 && f[0] <= kMaxChannels && std::min(f[1], f[2]) >= 2 &&
                   std::max(f[1], f[2]) <= kMaxSide;
  check(vector || map, "decoder ", spec.name, ": a feature must be a vector of at most ", kMaxFeature,
        " numbers or a map of at most ", kMaxChannels, " channels with 2 to ", kMaxSide,
        " pixels a side, not ", f);
  check(!vector || entry.vector_stem, "decoder ", spec.name, " takes maps, not a vector of shape ", f,
        "; use deconv or resup");
}

}  // namespace

std::vector<std::string> decoder_names() {
  std::vector<std::string> names;
  for (const Entry& e : kDecoders) names.push_back(e.name);
  return names;
}

std::unique_ptr<Module> make_decoder(const DecoderSpec& spec, uint64_t seed) {
  const Entry* entry = nullptr;
  std::string known;
  for (const Entry& e : kDecoders) {
    if (spec.name == e.name) entry = &e;
    known += (known.empty() ? "" : ", ") + std::string(e.name);
  }
  check(entry != nullptr, "no decoder named \"", spec.name, "\"; there are: ", known);
  check(spec.image_size % 16 == 0 && spec.image_size >= 32 && spec.image_size <= 256, "decoder ", spec.name,
        ": the image size must be a multiple of 16 from 32 to 256, not ", spec.image_size);
  check(spec.width % 16 == 0 && spec.width >= 16 && spec.width <= 1024, "decoder ", spec.name,
        ": the width must be a multiple of 16 from 16 to 1024, not ", spec.width);
  check_feature(spec, *entry);
  const int blocks = blocks_for(spec);
  const bool vector = spec.feature.rank() == 1;
  // Grids near the image's size have few channels; a map needs some for its first convolutions.
  const int64_t first = vector ? spec.width : std::max(spec.width >> (kBlocks - blocks), spec.width / 4);
  std::vector<std::unique_ptr<Module>> up;
  int64_t channels = first;
  for (int i = 0; i < blocks; ++i, channels /= 2) up.push_back(entry->block(channels, channels / 2));
  auto stem =
      (vector ? entry->vector_stem : entry->map_stem)(spec.feature[0], first, spec.image_size >> blocks);
  auto decoder = std::make_unique<DecoderNet>(std::move(stem), std::move(up), channels);
  decoder->initialise(seed);
  return decoder;
}

std::unique_ptr<Module> make_decoder(const std::string& name, const Shape& feature, int image_size,
                                     uint64_t seed) {
  return make_decoder(DecoderSpec{.name = name, .feature = feature, .image_size = image_size}, seed);
}

Metadata DecoderSpec::to_metadata() const {
  return {{"decoder", name},
          {"decoder.feature", shape_text(feature)},
          {"decoder.image_size", std::to_string(image_size)},
          {"decoder.width", std::to_string(width)}};
}

DecoderSpec DecoderSpec::from_metadata(const Metadata& metadata, const std::string& source) {
  DecoderSpec spec;
  spec.name = metadata_text(metadata, "decoder", source);
  spec.feature = metadata_shape(metadata, "decoder.feature", source);
  spec.image_size = int(metadata_int(metadata, "decoder.image_size", 32, 256, source));
  spec.width = int(metadata_int(metadata, "decoder.width", 16, 1024, source));
  return spec;
}

}  // namespace advf
