#include "nn/nets/feature_net.h"

#include <algorithm>

#include "nn/nets/net_metadata.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int kMinWidth = 8, kMaxWidth = 4096, kMaxBlocks = 64;
constexpr int64_t kMaxFeature = 65536, kMaxChannels = 4096, kMaxSide = 512;
constexpr int kVectorWidth = 512, kMapWidth = 32;
constexpr double kLeastDeviation = 1e-6;  // of an input that never changes
constexpr double kLargestInput = 10;      // in deviations, for an input that changes after all

std::unique_ptr<Module> layer(const FeatureNetSpec& spec, int64_t in, int64_t out) {
  if (spec.feature.rank() == 1) return std::make_unique<Linear>(in, out);
  return std::make_unique<Conv2d>(in, out, ConvOptions{.kernel = 3, .pad = 1});
}

class ResidualBlock : public Module {
 public:
  explicit ResidualBlock(const FeatureNetSpec& spec)
      : first_(layer(spec, spec.width, spec.width)), second_(layer(spec, spec.width, spec.width)) {
    register_child("first", *first_);
    register_child("second", *second_);
  }
  Tensor forward(const Tensor& x) const override {
    return add(x, second_->forward(relu(first_->forward(relu(x)))));
  }

 private:
  std::unique_ptr<Module> first_, second_;
};

}  // namespace

FeatureNetSpec FeatureNetSpec::usual(const Shape& feature) {
  return {feature, feature.rank() == 1 ? kVectorWidth : kMapWidth, 2, 0};
}

void FeatureNetSpec::check_valid() const {
  const bool vector = feature.rank() == 1 && feature[0] > 0 && feature[0] <= kMaxFeature;
  const bool map = feature.rank() == 3 && feature[0] > 0 && feature[0] <= kMaxChannels &&
                   std::min(feature[1], feature[2]) >= 1 && std::max(feature[1], feature[2]) <= kMaxSide;
  check(vector || map, "a feature must be a vector of at most ", kMaxFeature, " numbers or a map of at most ",
        kMaxChannels, " channels with at most ", kMaxSide, " pixels a side, not ", feature);
  check(width >= kMinWidth && width <= kMaxWidth, "the width must lie between ", kMinWidth, " and ",
        kMaxWidth, ", not ", width);
  check(out >= 0 && out <= kMaxFeature, "the numbers of the result must be at most ", kMaxFeature, ", not ",
        out);
  check(blocks >= 0 && blocks <= kMaxBlocks, "the number of blocks must lie between 0 and ", kMaxBlocks,
        ", not ", blocks);
}

Metadata FeatureNetSpec::to_metadata() const {
  Metadata metadata{{"net.feature", shape_text(feature)},
                    {"net.width", std::to_string(width)},
                    {"net.blocks", std::to_string(blocks)}};
  if (out > 0) metadata["net.out"] = std::to_string(out);
  return metadata;
}

FeatureNetSpec FeatureNetSpec::from_metadata(const Metadata& metadata, const std::string& source) {
  return {metadata_shape(metadata, "net.feature", source),
          int(metadata_int(metadata, "net.width", kMinWidth, kMaxWidth, source)),
          int(metadata_int(metadata, "net.blocks", 0, kMaxBlocks, source)),
          metadata.contains("net.out") ? int(metadata_int(metadata, "net.out", 1, kMaxFeature, source)) : 0};
}

FeatureNet::FeatureNet(const FeatureNetSpec& spec, uint64_t seed) : spec_(spec) {
  spec.check_valid();
  const int64_t channels = spec.feature[0];
  mean_ = Tensor::zeros({channels});
  deviation_ = Tensor::full({channels}, 1);
  register_buffer("mean", mean_);
  register_buffer("deviation", deviation_);
  first_ = layer(spec, channels, spec.width);
  register_child("first", *first_);
  for (int i = 0; i < spec.blocks; ++i) {
    blocks_.push_back(std::make_unique<ResidualBlock>(spec));
    register_child("blocks." + std::to_string(i), *blocks_.back());
  }
  if (spec.out > 0)
    last_ = std::make_unique<Linear>(spec.width, spec.out);
  else
    last_ = layer(spec, spec.width, channels);
  register_child("last", *last_);
  initialise(seed);
}

Tensor FeatureNet::per_record(const Tensor& channels) const {
  return spec_.feature.rank() == 1 ? channels : reshape(channels, {1, channels.dim(0), 1, 1});
}

Tensor FeatureNet::in_input_units(const Tensor& y) const { return mul(y, per_record(deviation_)); }

Tensor FeatureNet::forward(const Tensor& x) const {
  const Tensor scaled = div(sub(x, per_record(mean_)), per_record(deviation_));
  Tensor y = first_->forward(clamp(scaled, -kLargestInput, kLargestInput));
  for (const auto& block : blocks_) y = block->forward(y);
  y = relu(y);
  if (spec_.out > 0 && spec_.feature.rank() == 3) y = reshape(global_avg_pool(y), {y.dim(0), y.dim(1)});
  return last_->forward(y);
}

void FeatureNet::set_input(const Tensor& mean, const Tensor& deviation) {
  check(mean.shape() == mean_.shape() && deviation.shape() == deviation_.shape(), "statistics of shapes ",
        mean.shape(), " and ", deviation.shape(), " for features of shape ", spec_.feature);
  std::vector<float> floored = deviation.to_vector<float>();
  for (float& v : floored) v = std::max(v, float(kLeastDeviation));
  mean_ = Tensor::from(mean.to_vector<float>(), mean.shape());
  deviation_ = Tensor::from(floored, deviation.shape());
}

void FeatureNet::silence() {
  for (const Named& n : last_->parameters()) *n.tensor = Tensor::zeros(n.tensor->shape(), n.tensor->dtype());
}

}  // namespace advf
