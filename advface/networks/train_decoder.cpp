#include "advface/networks/train_decoder.h"

#include "advface/core/faces.h"
#include "advface/networks/mean_face.h"
#include "advface/networks/validation.h"
#include "nn/loss.h"
#include "tensor/hash.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 64;                      // of validation and the mean face
constexpr uint64_t kMirrorStream = 0x6d6972726f72;  // and the epoch; no other draws of a training are near

std::string describe(const Decoder& decoder, const DecoderData& data) {
  const Tensor faces = data.face(part_of(data.train, 0, kBatch)).on_host();
  const uint64_t seen = fnv1a({faces.raw(), faces.bytes()}, fnv1a(std::as_bytes(std::span(data.validation))));
  const std::string& loss = decoder.info().loss;
  return (data.from.empty() ? "" : "from " + data.from + ", ") +
         (loss == kPlainLoss ? "" : "loss " + loss + ", ") + data.features.shape().str() + " " +
         hex(fnv1a(data.features.sample_hash(), seen));
}

}  // namespace

DecoderTrainer::DecoderTrainer(Decoder& decoder, const DecoderData& data, const TrainSettings& settings,
                               const DecoderLoss* loss)
    : Trainer({{"decoder", &decoder}}, data.train, settings, {}, describe(decoder, data)),
      decoder_(decoder),
      data_(data),
      loss_(loss),
      seed_(settings.seed) {
  decoder.check_fits(data.features.row(), "", "", "the training set");
  check(!data.validation.empty(), "there are no validation images; use more people");
  check(data.mirrors == 0 || 2 * data.mirrors == data.features.count(), "of ", data.features.count(),
        " features ", data.mirrors, " are of mirror images; half of them must be");
  set_statistics();
}

void DecoderTrainer::set_statistics() {
  auto& s = decoder_.statistics();
  const FeatureMoments moments = moments_of(data_.features, data_.train);
  s.feature_mean = moments.mean;
  s.feature_std = moments.deviation;
  s.mean_face = mean_face_of(data_.face, data_.train);
}

std::vector<int64_t> DecoderTrainer::drawn(const std::vector<int64_t>& rows) const {
  std::vector<int64_t> out = rows;
  const Philox rng{seed_, kMirrorStream + uint64_t(history().size())};
  if (data_.mirrors > 0)
    for (int64_t& row : out)
      if ((rng.bits(uint64_t(row)) & 1u) != 0) row += data_.mirrors;
  return out;
}

Tensor DecoderTrainer::faces(const std::vector<int64_t>& drawn) const {
  if (data_.mirrors == 0) return data_.face(drawn);
  std::vector<int64_t> rows = drawn;
  std::vector<uint8_t> turned(rows.size());
  for (size_t i = 0; i < rows.size(); ++i)
    if (rows[i] >= data_.mirrors) {
      rows[i] -= data_.mirrors;
      turned[i] = 1;
    }
  return mirrored(data_.face(rows), turned);
}

Tensor DecoderTrainer::loss(const std::vector<int64_t>& rows) {
  const std::vector<int64_t> all = drawn(rows);
  const Tensor images = decoder_.forward(data_.features.batch(all)), wanted = faces(all);
  return loss_ ? loss_->loss(images, wanted, all) : l1_loss(images, wanted);
}

void DecoderTrainer::pass(const std::vector<int64_t>& rows) {
  decoder_.forward(data_.features.batch(drawn(rows)));
}

std::pair<double, double> DecoderTrainer::measure(
    const std::function<Tensor(const std::vector<int64_t>&)>& images) const {
  const auto l1_and_similarities = [&](const std::vector<int64_t>& rows, int64_t) {
    const Tensor x = data_.face(rows), y = images(rows);
    std::vector<double> said{l1_loss(y, x).item() * double(rows.size())};
    for (float s : ssim(y, x).to_vector<float>()) said.push_back(double(s));
    return said;
  };
  double l1 = 0, similarity = 0;
  for (const auto& said : of_batches<double>(data_.validation, kBatch, l1_and_similarities)) {
    l1 += said[0];
    for (size_t i = 1; i < said.size(); ++i) similarity += said[i];
  }
  const double n = double(data_.validation.size());
  return {l1 / n, similarity / n};
}

std::pair<double, double> DecoderTrainer::validate() {
  return measure(
      [&](const std::vector<int64_t>& rows) { return decoder_.reconstruct(data_.features.batch(rows)); });
}

double DecoderTrainer::mean_face_score() const {
  const TeamScope alone(nullptr);  // one rank may ask for itself
  return measure([&](const std::vector<int64_t>& rows) { return decoder_.mean_faces(int64_t(rows.size())); })
      .second;
}

}  // namespace advf
