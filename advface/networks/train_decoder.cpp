#include "advface/networks/train_decoder.h"

#include "nn/loss.h"
#include "tensor/hash.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 64;  // of validation and the mean face

std::string describe(const Decoder& decoder, const DecoderData& data) {
  const Tensor faces = data.face(part_of(data.train, 0, kBatch)).on_host();
  const uint64_t seen = fnv1a({faces.raw(), faces.bytes()}, fnv1a(std::as_bytes(std::span(data.validation))));
  const std::string& loss = decoder.info().loss;
  return (loss == kPlainLoss ? "" : "loss " + loss + ", ") + data.features.shape().str() + " " +
         hex(fnv1a(data.features.sample_hash(), seen));
}

}  // namespace

DecoderTrainer::DecoderTrainer(Decoder& decoder, const DecoderData& data, const TrainSettings& settings,
                               const DecoderLoss* loss)
    : Trainer({{"decoder", &decoder}}, data.train, settings, {}, describe(decoder, data)),
      decoder_(decoder),
      data_(data),
      loss_(loss) {
  decoder.check_fits(data.features.row(), "", "", "the training set");
  check(!data.validation.empty(), "there are no validation images; use more people");
  set_statistics();
}

void DecoderTrainer::set_statistics() {
  auto& s = decoder_.statistics();
  const FeatureMoments moments = moments_of(data_.features, data_.train);
  s.feature_mean = moments.mean;
  s.feature_std = moments.deviation;
  std::vector<double> face(size_t(s.mean_face.numel()), 0.0);
  for (int64_t begin = 0; begin < int64_t(data_.train.size()); begin += kBatch) {
    const auto rows = part_of(data_.train, begin, begin + kBatch);
    const Tensor x = data_.face(rows).on_host();
    for (int64_t i = 0; i < x.dim(0); ++i)
      for (size_t k = 0; k < face.size(); ++k)
        face[k] += double(x.data<float>()[size_t(i) * face.size() + k]);
  }
  std::vector<float> mean;
  for (const double sum : face) mean.push_back(float(sum / double(data_.train.size())));
  s.mean_face = Tensor::from(mean, s.mean_face.shape());
}

Tensor DecoderTrainer::loss(const std::vector<int64_t>& rows) {
  const Tensor images = decoder_.forward(data_.features.batch(rows)), faces = data_.face(rows);
  return loss_ ? loss_->loss(images, faces, rows) : l1_loss(images, faces);
}

std::pair<double, double> DecoderTrainer::measure(
    const std::function<Tensor(const std::vector<int64_t>&)>& images) const {
  double l1 = 0, similarity = 0;
  for (int64_t begin = 0; begin < int64_t(data_.validation.size()); begin += kBatch) {
    const auto rows = part_of(data_.validation, begin, begin + kBatch);
    const Tensor x = data_.face(rows), y = images(rows);
    l1 += l1_loss(y, x).item() * double(rows.size());
    for (float s : ssim(y, x).to_vector<float>()) similarity += double(s);
  }
  const double n = double(data_.validation.size());
  return {l1 / n, similarity / n};
}

std::pair<double, double> DecoderTrainer::validate() {
  return measure(
      [&](const std::vector<int64_t>& rows) { return decoder_.reconstruct(data_.features.batch(rows)); });
}

double DecoderTrainer::mean_face_score() const {
  return measure([&](const std::vector<int64_t>& rows) { return decoder_.mean_faces(int64_t(rows.size())); })
      .second;
}

}  // namespace advf
