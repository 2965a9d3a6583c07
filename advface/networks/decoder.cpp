#include "advface/networks/decoder.h"

#include <algorithm>

#include "advface/protections/ascent/noise.h"
#include "autograd/tape.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {
constexpr const char* kFormat = "advface-decoder-1";
constexpr const char* kLoss = "decoder.loss";
constexpr const char* kMirrored = "decoder.mirrored";
}  // namespace

Decoder::Decoder(const DecoderInfo& info, uint64_t seed)
    : TrainedNetwork("decoder"), info_(info), net_(make_decoder(info.spec, seed)) {
  const int64_t channels = info.spec.feature[0], size = info.spec.image_size;
  statistics_ = {Tensor::zeros({channels}), Tensor::full({channels}, 1), Tensor::full({3, size, size}, 0.5)};
  register_child("net", *net_);
  register_buffer("statistics.feature_mean", statistics_.feature_mean);
  register_buffer("statistics.feature_std", statistics_.feature_std);
  register_buffer("statistics.mean_face", statistics_.mean_face);
  train(false);
}

std::unique_ptr<Decoder> Decoder::load(const std::string& path) {
  NetworkFile file = load_network(path, kFormat, "a decoder made by advface-train");
  DecoderInfo info{std::move(file.provenance), DecoderSpec::from_metadata(file.metadata, path)};
  if (const auto loss = file.metadata.find(kLoss); loss != file.metadata.end()) info.loss = loss->second;
  info.mirrored = file.metadata.contains(kMirrored);
  info.training = TrainingRecord::from_metadata(file.metadata, path);
  auto decoder = std::make_unique<Decoder>(info, 0);
  load_state_dict(*decoder, file.tensors, path);
  decoder->set_source(path);
  decoder->train(false);
  return decoder;
}

Metadata Decoder::description() const {
  Metadata metadata = info_.spec.to_metadata();
  metadata["format"] = kFormat;
  if (info_.loss != kPlainLoss) metadata[kLoss] = info_.loss;
  if (info_.mirrored) metadata[kMirrored] = "yes";
  if (info_.training) metadata.merge(info_.training->to_metadata());
  return metadata;
}

void Decoder::check_sees() const {
  const NoTapeScope off;
  const Shape& feature = info_.spec.feature;
  const Philox rng{0x5ee5, 0};
  const auto mean = statistics_.feature_mean.to_vector<float>(),
             deviation = statistics_.feature_std.to_vector<float>();
  const size_t inner = size_t(feature.numel(1, feature.rank()));
  std::vector<float> values;
  for (size_t i = 0; i < 2 * mean.size() * inner; ++i) {
    const size_t c = i / inner % mean.size();
    values.push_back(mean[c] + deviation[c] * float(rng.normal(i)));
  }
  const Tensor features = into_domain(info_.domain, Tensor::from(values, with_rows(2, feature)));
  const auto images = forward(features).to_vector<float>();
  const auto half = images.begin() + std::ptrdiff_t(images.size() / 2);
  check(
      !std::equal(images.begin(), half, half), source(),
      ": makes the same image of different features, so nothing can be protected against it; train it again");
}

Tensor Decoder::mean_faces(int64_t n) const { return repeat(statistics_.mean_face, n); }

Tensor Decoder::reconstruct(const Tensor& features, int64_t batch) const {
  check(!training(), source(), ": reconstructs in evaluation mode only");
  const NoTapeScope off;
  const int64_t n = features.dim(0), size = info_.spec.image_size;
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < n; begin += batch)
    parts.push_back(forward(features.slice_batch(begin, std::min(n, begin + batch))));
  if (parts.empty()) return Tensor::empty({0, 3, size, size});
  return parts.size() == 1 ? parts[0] : concat(parts, 0);
}

}  // namespace advf
