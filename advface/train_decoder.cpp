#include "advface/train_decoder.h"

#include <cmath>

#include "nn/loss.h"
#include "tensor/hash.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 64;  // of validation and statistics

// Mean and deviation per dimension 1 of (N,C,...), over blocks of rows.
class Moments {
 public:
  explicit Moments(int64_t channels) : sum_(size_t(channels), 0.0), squares_(size_t(channels), 0.0) {}
  void add(const Tensor& rows) {
    const int64_t inner = rows.shape().numel(2, rows.shape().rank());
    const float* p = rows.data<float>();
    for (int64_t r = 0; r < rows.dim(0); ++r)
      for (size_t c = 0; c < sum_.size(); ++c)
        for (int64_t i = 0; i < inner; ++i) {
          const double v = double(*p++);
          sum_[c] += v;
          squares_[c] += v * v;
        }
    count_ += double(rows.dim(0)) * double(inner);
  }
  std::pair<Tensor, Tensor> result() const {
    std::vector<float> mean, deviation;
    for (size_t c = 0; c < sum_.size(); ++c) {
      const double m = sum_[c] / count_;
      mean.push_back(float(m));
      deviation.push_back(float(std::sqrt(std::max(0.0, squares_[c] / count_ - m * m))));
    }
    const Shape shape{int64_t(sum_.size())};
    return {Tensor::from(mean, shape), Tensor::from(deviation, shape)};
  }

 private:
  std::vector<double> sum_, squares_;
  double count_ = 0;
};

std::string describe(const DecoderData& data) {
  const Tensor faces = data.face(part_of(data.train, 0, kBatch));
  const uint64_t seen = fnv1a({faces.raw(), faces.bytes()}, fnv1a(std::as_bytes(std::span(data.validation))));
  return data.features.shape().str() + " " + hex(fnv1a(data.features.fingerprint(), seen));
}

}  // namespace

DecoderTrainer::DecoderTrainer(Decoder& decoder, const DecoderData& data, const TrainSettings& settings)
    : Trainer({{"decoder", &decoder}}, data.train, settings, {}, describe(data)),
      decoder_(decoder),
      data_(data) {
  decoder.check_fits(data.features.row(), "", "", "the training set");
  check(!data.validation.empty(), "there are no validation images; use more people");
  set_statistics();
}

void DecoderTrainer::set_statistics() {
  auto& s = decoder_.statistics();
  Moments moments(s.feature_mean.numel());
  std::vector<double> face(size_t(s.mean_face.numel()), 0.0);
  for (int64_t begin = 0; begin < int64_t(data_.train.size()); begin += kBatch) {
    const auto rows = part_of(data_.train, begin, begin + kBatch);
    moments.add(data_.features.at(rows));
    const Tensor x = data_.face(rows);
    for (int64_t i = 0; i < x.dim(0); ++i)
      for (size_t k = 0; k < face.size(); ++k)
        face[k] += double(x.data<float>()[size_t(i) * face.size() + k]);
  }
  std::tie(s.feature_mean, s.feature_std) = moments.result();
  for (size_t k = 0; k < face.size(); ++k)
    s.mean_face.mutable_data<float>()[k] = float(face[k] / double(data_.train.size()));
}

Tensor DecoderTrainer::loss(const std::vector<int64_t>& rows) {
  return l1_loss(decoder_.forward(data_.features.at(rows)), data_.face(rows));
}

std::pair<double, double> DecoderTrainer::validate() {
  double l1 = 0, similarity = 0;
  for (int64_t begin = 0; begin < int64_t(data_.validation.size()); begin += kBatch) {
    const auto rows = part_of(data_.validation, begin, begin + kBatch);
    const Tensor x = data_.face(rows), y = decoder_.reconstruct(data_.features.at(rows));
    l1 += l1_loss(y, x).item() * double(rows.size());
    for (float s : ssim(y, x).to_vector<float>()) similarity += double(s);
  }
  const double n = double(data_.validation.size());
  return {l1 / n, similarity / n};
}

}  // namespace advf
