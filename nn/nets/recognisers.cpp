// Both networks are stacks of convolution - batch norm - PReLU on S/2 .. S/16 pixels, closed by a depthwise
// convolution over the whole last grid, which weighs the places of a face as average pooling cannot.
#include "nn/nets/recognisers.h"

#include <algorithm>

#include "nn/nets/conv_unit.h"
#include "nn/nets/net_metadata.h"
#include "tensor/ops.h"

namespace advf {
namespace {

// Inverted residual of MobileNetV2 with PReLU: 1x1 expand, 3x3 depthwise, 1x1 linear projection.
class Bottleneck : public Module {
 public:
  Bottleneck(int64_t in, int64_t out, int64_t expansion, int stride)
      : expand_(in, in * expansion, {.kernel = 1}),
        depthwise_(in * expansion, in * expansion,
                   {.kernel = 3, .stride = stride, .pad = 1, .groups = int(in * expansion)}),
        project_(in * expansion, out, {.kernel = 1}, true),
        residual_(stride == 1 && in == out) {
    register_child("expand", expand_);
    register_child("depthwise", depthwise_);
    register_child("project", project_);
  }
  Tensor forward(const Tensor& x) const override {
    const Tensor y = project_.forward(depthwise_.forward(expand_.forward(x)));
    return residual_ ? add(x, y) : y;
  }

 private:
  ConvUnit expand_, depthwise_, project_;
  bool residual_;
};

// "body.0", "body.1", ..., then "global" (depthwise over the last grid), "embed" and its batch norm "bn".
class Recogniser : public Module {
 public:
  Recogniser(std::vector<std::unique_ptr<Module>> body, int64_t channels, int grid, int64_t embedding)
      : body_(std::move(body)),
        global_(channels, channels, {.kernel = grid, .groups = int(channels)}, true),
        embed_(channels, embedding, false),
        bn_(embedding) {
    for (size_t i = 0; i < body_.size(); ++i) register_child("body." + std::to_string(i), *body_[i]);
    register_child("global", global_);
    register_child("embed", embed_);
    register_child("bn", bn_);
  }
  Tensor forward(const Tensor& x) const override {
    Tensor y = x;
    for (const auto& block : body_) y = block->forward(y);
    y = global_.forward(y);
    check(y.dim(2) == 1 && y.dim(3) == 1, "the recogniser was built for another image size than that of ",
          x.shape());
    return bn_.forward(embed_.forward(reshape(y, {y.dim(0), y.dim(1)})));
  }

 private:
  std::vector<std::unique_ptr<Module>> body_;
  ConvUnit global_;
  Linear embed_;
  BatchNorm bn_;
};

int64_t scaled(const RecogniserSpec& spec, int64_t channels) {
  return std::max<int64_t>(8, (channels * spec.width_percent + 400) / 800 * 8);
}

std::unique_ptr<Module> make_mobilefacenet(const RecogniserSpec& spec) {
  struct Row {
    int64_t expansion, channels;
    int repeats, stride;
  };
  constexpr Row kTable[] = {{2, 64, 5, 2}, {4, 128, 1, 2}, {2, 128, 6, 1}, {4, 128, 1, 2}, {2, 128, 2, 1}};
  std::vector<std::unique_ptr<Module>> body;
  int64_t in = scaled(spec, 64);
  body.push_back(std::make_unique<ConvUnit>(3, in, ConvOptions{.kernel = 3, .stride = 2, .pad = 1}));
  body.push_back(std::make_unique<ConvUnit>(in, in, ConvOptions{.kernel = 3, .pad = 1, .groups = int(in)}));
  for (const Row& row : kTable)
    for (int i = 0; i < row.repeats; ++i) {
      const int64_t out = scaled(spec, row.channels);
      body.push_back(std::make_unique<Bottleneck>(in, out, row.expansion, i == 0 ? row.stride : 1));
      in = out;
    }
  const int64_t last = scaled(spec, 512);
  body.push_back(std::make_unique<ConvUnit>(in, last, ConvOptions{.kernel = 1}));
  return std::make_unique<Recogniser>(std::move(body), last, spec.image_size / 16, spec.embedding);
}

std::unique_ptr<Module> make_cnn_small(const RecogniserSpec& spec) {
  std::vector<std::unique_ptr<Module>> body;
  int64_t in = 3;
  for (const int64_t channels : {16, 32, 64, 128}) {
    body.push_back(std::make_unique<SmallStage>(in, scaled(spec, channels)));
    in = scaled(spec, channels);
  }
  return std::make_unique<Recogniser>(std::move(body), in, spec.image_size / 16, spec.embedding);
}

struct Entry {
  const char* name;
  std::unique_ptr<Module> (*make)(const RecogniserSpec& spec);
};
constexpr Entry kRecognisers[] = {{"mobilefacenet", make_mobilefacenet}, {"cnn_small", make_cnn_small}};

}  // namespace

std::vector<std::string> recogniser_names() {
  std::vector<std::string> names;
  for (const Entry& e : kRecognisers) names.push_back(e.name);
  return names;
}

std::unique_ptr<Module> make_recogniser(const RecogniserSpec& spec, uint64_t seed) {
  const Entry* entry = nullptr;
  std::string known;
  for (const Entry& e : kRecognisers) {
    if (spec.name == e.name) entry = &e;
    known += (known.empty() ? "" : ", ") + std::string(e.name);
  }
  check(entry != nullptr, "no recogniser named \"", spec.name, "\"; there are: ", known);
  check(spec.image_size % 16 == 0 && spec.image_size >= 32 && spec.image_size <= 256, "recogniser ",
        spec.name, ": the image size must be a multiple of 16 from 32 to 256, not ", spec.image_size);
  check(spec.embedding > 0 && spec.embedding <= 4096 && spec.width_percent >= 25 && spec.width_percent <= 400,
        "recogniser ", spec.name, ": an embedding of ", spec.embedding, " numbers (1 to 4096) at ",
        spec.width_percent, " % width (25 to 400)");
  auto recogniser = entry->make(spec);
  recogniser->initialise(seed);
  return recogniser;
}

Metadata RecogniserSpec::to_metadata() const {
  return {{"recogniser", name},
          {"recogniser.image_size", std::to_string(image_size)},
          {"recogniser.embedding", std::to_string(embedding)},
          {"recogniser.width_percent", std::to_string(width_percent)}};
}

RecogniserSpec RecogniserSpec::from_metadata(const Metadata& metadata, const std::string& source) {
  RecogniserSpec spec;
  spec.name = metadata_text(metadata, "recogniser", source);
  spec.image_size = int(metadata_int(metadata, "recogniser.image_size", 32, 256, source));
  spec.embedding = int(metadata_int(metadata, "recogniser.embedding", 1, 4096, source));
  spec.width_percent = int(metadata_int(metadata, "recogniser.width_percent", 25, 400, source));
  return spec;
}

}  // namespace advf
