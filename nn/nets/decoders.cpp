// All decoders are stem -> four blocks that double the grid -> 3x3 convolution -> sigmoid, on S/16 .. S
// pixels. The stem depends on the feature's shape alone, the blocks on the decoder's name alone.
#include "nn/nets/decoders.h"

#include "nn/layers.h"
#include "nn/nets/net_metadata.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int kBlocks = 4;
constexpr int64_t kMaxFeature = 65536;

// (N, D) -> (N, channels, grid, grid)
class VectorStem : public Module {
 public:
  VectorStem(int64_t features, int64_t channels, int64_t grid)
      : channels_(channels), grid_(grid), linear_(features, channels * grid * grid), bn_(channels) {
    register_child("linear", linear_);
    register_child("bn", bn_);
  }
  Tensor forward(const Tensor& x) override {
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
  Tensor forward(const Tensor& x) override { return relu(bn_.forward(conv_.forward(x))); }

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
  Tensor forward(const Tensor& x) override {
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

// "stem", "up.0" .. "up.3", "head"
class Decoder : public Module {
 public:
  Decoder(std::unique_ptr<Module> stem, std::vector<std::unique_ptr<Module>> up, int64_t last_channels)
      : stem_(std::move(stem)), up_(std::move(up)), head_(last_channels, 3, {.kernel = 3, .pad = 1}) {
    register_child("stem", *stem_);
    for (size_t i = 0; i < up_.size(); ++i) register_child("up." + std::to_string(i), *up_[i]);
    register_child("head", head_);
  }
  Tensor forward(const Tensor& x) override {
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

struct Entry {
  const char* name;
  MakeBlock block;
};
constexpr Entry kDecoders[] = {{"deconv", make_block<DeconvBlock>}, {"resup", make_block<ResidualUpBlock>}};

std::unique_ptr<Module> make_stem(const DecoderSpec& spec, int64_t grid) {
  check(spec.feature.rank() == 1 && spec.feature[0] > 0 && spec.feature[0] <= kMaxFeature, "decoder ",
        spec.name, ": a feature must be a vector of at most ", kMaxFeature, " numbers, not ", spec.feature);
  return std::make_unique<VectorStem>(spec.feature[0], spec.width, grid);
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
  std::vector<std::unique_ptr<Module>> up;
  int64_t channels = spec.width;
  for (int i = 0; i < kBlocks; ++i, channels /= 2) up.push_back(entry->block(channels, channels / 2));
  auto decoder =
      std::make_unique<Decoder>(make_stem(spec, spec.image_size >> kBlocks), std::move(up), channels);
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
