#include "advface/train_decoder.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <sstream>

#include "autograd/tape.h"
#include "nn/loss.h"
#include "nn/nets/net_metadata.h"
#include "nn/schedule.h"
#include "nn/state_dict.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr int64_t kValidationBatch = 64;

// Mean and deviation over rows, per dimension 1 of (N,C,...).
std::pair<Tensor, Tensor> moments(const Tensor& features, const std::vector<int64_t>& rows) {
  const int64_t channels = features.dim(1), inner = features.shape().numel(2, features.shape().rank());
  std::vector<double> sum(size_t(channels), 0.0), squares(size_t(channels), 0.0);
  const float* p = features.data<float>();
  for (int64_t r : rows)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t i = 0; i < inner; ++i) {
        const double v = double(p[(r * channels + c) * inner + i]);
        sum[size_t(c)] += v;
        squares[size_t(c)] += v * v;
      }
  const double count = double(rows.size()) * double(inner);
  std::vector<float> mean, deviation;
  for (size_t c = 0; c < sum.size(); ++c) {
    const double m = sum[c] / count;
    mean.push_back(float(m));
    deviation.push_back(float(std::sqrt(std::max(0.0, squares[c] / count - m * m))));
  }
  return {Tensor::from(mean, {channels}), Tensor::from(deviation, {channels})};
}

std::vector<int64_t> part(const std::vector<int64_t>& items, int64_t begin, int64_t end) {
  return {items.begin() + begin, items.begin() + std::min<int64_t>(end, int64_t(items.size()))};
}

}  // namespace

void TrainSettings::check_valid() const {
  check(epochs >= 1 && epochs <= 100000, "the number of epochs must lie between 1 and 100000, not ", epochs);
  check(batch >= 2 && batch <= 65536, "the batch must lie between 2 and 65536 (batch norm needs two), not ",
        batch);
  check(std::isfinite(learning_rate) && learning_rate > 0, "the learning rate must be positive, not ",
        learning_rate);
}

Tensor gather_rows(const Tensor& rows, const std::vector<int64_t>& indices) {
  Shape shape = rows.shape();
  shape.set(0, int64_t(indices.size()));
  Tensor out = Tensor::empty(shape, rows.dtype());
  const size_t bytes = rows.bytes() / size_t(std::max<int64_t>(rows.dim(0), 1));
  for (size_t i = 0; i < indices.size(); ++i)
    std::memcpy(out.raw() + i * bytes, rows.raw() + size_t(indices[i]) * bytes, bytes);
  return out;
}

std::vector<int64_t> shuffled(std::vector<int64_t> items, uint64_t seed, uint64_t stream) {
  const Philox rng{seed, stream};
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[rng.below(i, i)]);
  return items;
}

DecoderTrainer::DecoderTrainer(Decoder& decoder, const TrainData& data, const TrainSettings& settings)
    : decoder_(decoder), data_(data), settings_(settings), optimizer_(decoder.parameters()) {
  settings.check_valid();
  decoder.check_fits(
      Shape(std::span(data.features.shape().begin() + 1, size_t(data.features.shape().rank() - 1))), "", "",
      "the training set");
  check(int64_t(data.train.size()) >= settings.batch, "there are ", data.train.size(),
        " training images, fewer than one batch of ", settings.batch);
  check(!data.validation.empty(), "there are no validation images; use more people");
  // The last, smaller batch of an epoch is dropped: every epoch drops others.
  batches_ = int64_t(data.train.size()) / settings.batch;
  set_statistics();
  order_ = shuffled(data_.train, settings_.seed, 0);
}

void DecoderTrainer::set_statistics() {
  auto& s = decoder_.statistics();
  std::tie(s.feature_mean, s.feature_std) = moments(data_.features, data_.train);
  const int64_t size = decoder_.info().spec.image_size, plane = size * size;
  std::vector<double> face(size_t(3 * plane), 0.0);
  for (int64_t begin = 0; begin < int64_t(data_.train.size()); begin += kValidationBatch) {
    const Tensor x = data_.face(part(data_.train, begin, begin + kValidationBatch));
    for (int64_t k = 0; k < x.numel(); ++k) face[size_t(k % (3 * plane))] += double(x.data<float>()[k]);
  }
  for (int64_t k = 0; k < 3 * plane; ++k)
    s.mean_face.mutable_data<float>()[k] = float(face[size_t(k)] / double(data_.train.size()));
}

double DecoderTrainer::step() {
  check(!done(), "training is complete");
  const auto start = std::chrono::steady_clock::now();
  const auto rows = part(order_, next_batch_ * settings_.batch, (next_batch_ + 1) * settings_.batch);
  const Tensor features = gather_rows(data_.features, rows), faces = data_.face(rows);
  decoder_.train();
  Tape tape;
  Tensor loss;
  {
    TapeScope scope(tape);
    loss = l1_loss(decoder_.forward(features), faces);
  }
  const double value = loss.item();
  check(std::isfinite(value), "training diverged: the loss is ", value, " after ", steps_done(),
        " steps; use a smaller --lr");
  const OneCycle schedule{.peak = settings_.learning_rate, .steps = batches_ * settings_.epochs};
  optimizer_.step(backward(tape, loss, values(optimizer_.parameters())), schedule.at(steps_done()));
  loss_sum_ += value;
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (++next_batch_ == batches_) finish_epoch();
  return value;
}

void DecoderTrainer::finish_epoch() {
  double l1 = 0, similarity = 0;
  for (int64_t begin = 0; begin < int64_t(data_.validation.size()); begin += kValidationBatch) {
    const auto rows = part(data_.validation, begin, begin + kValidationBatch);
    const Tensor x = data_.face(rows), y = decoder_.reconstruct(gather_rows(data_.features, rows));
    l1 += l1_loss(y, x).item() * double(rows.size());
    for (float s : ssim(y, x).to_vector<float>()) similarity += double(s);
  }
  const double n = double(data_.validation.size());
  history_.push_back({++epoch_, loss_sum_ / double(batches_), l1 / n, similarity / n, seconds_});
  loss_sum_ = seconds_ = 0;
  next_batch_ = 0;
  order_ = shuffled(data_.train, settings_.seed, uint64_t(epoch_));
}

std::string DecoderTrainer::fingerprint() const {
  // FNV-1a over the rows and a sample of the features' bytes; settings stand in plain text.
  uint64_t hash = 0xcbf29ce484222325u;
  auto mix = [&hash](const void* data, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i)
      hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3u;
  };
  mix(data_.train.data(), data_.train.size() * sizeof(int64_t));
  mix(data_.validation.data(), data_.validation.size() * sizeof(int64_t));
  mix(data_.features.raw(), std::min<size_t>(data_.features.bytes(), size_t(1) << 20));
  std::ostringstream text;
  text << "epochs " << settings_.epochs << ", batch " << settings_.batch << ", lr " << settings_.learning_rate
       << ", seed " << settings_.seed << ", data " << std::hex << hash;
  return text.str();
}

void DecoderTrainer::save_checkpoint(const std::string& path) {
  TensorMap all;
  for (const auto& [name, tensor] : state_dict(decoder_)) all["decoder." + name] = tensor;
  for (const auto& [name, tensor] : optimizer_.state()) all["optimizer." + name] = tensor;
  std::vector<double> past;
  for (const EpochResult& e : history_)
    past.insert(past.end(), {e.train_l1, e.validation_l1, e.validation_ssim, e.seconds});
  all["history"] = Tensor::from(past, {int64_t(history_.size()), 4});
  all["position"] =
      Tensor::from(std::vector<double>{double(epoch_), double(next_batch_), loss_sum_, seconds_}, {4});
  Metadata metadata = decoder_.info().to_metadata();
  metadata["format"] = "advface-checkpoint-1";
  metadata["run"] = fingerprint();
  save_safetensors(path, all, metadata);
}

void DecoderTrainer::load_checkpoint(const std::string& path) {
  TensorFile file = load_safetensors(path);
  check(metadata_text(file.metadata, "format", path) == "advface-checkpoint-1", path, ": not a checkpoint");
  check(metadata_text(file.metadata, "run", path) == fingerprint(), path,
        ": the checkpoint is of another run (", file.metadata["run"], "), this one has ", fingerprint(),
        "; use the same settings and data, or no --resume");
  TensorMap decoder, optimizer;
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with("decoder.")) decoder[name.substr(8)] = tensor;
    if (name.starts_with("optimizer.")) optimizer[name.substr(10)] = tensor;
  }
  const Tensor &past = file.tensors["history"], &position = file.tensors["position"];
  check(past.defined() && past.dtype() == DType::f64 && past.shape().rank() == 2 && past.dim(1) == 4 &&
            position.defined() && position.dtype() == DType::f64 && position.shape() == Shape{4},
        path, ": the checkpoint has no position; it is damaged");
  const double* at = position.data<double>();
  check(at[0] >= 0 && at[0] <= settings_.epochs && at[1] >= 0 && at[1] < double(batches_) &&
            past.dim(0) == int64_t(at[0]),
        path, ": the checkpoint's position ", at[0], ", ", at[1], " lies outside this run");
  load_state_dict(decoder_, decoder, path);
  optimizer_.load_state(optimizer, path);
  epoch_ = int(at[0]);
  next_batch_ = int64_t(at[1]);
  loss_sum_ = at[2];
  seconds_ = at[3];
  history_.clear();
  for (int64_t e = 0; e < past.dim(0); ++e) {
    const double* row = past.data<double>() + e * 4;
    history_.push_back({int(e) + 1, row[0], row[1], row[2], row[3]});
  }
  order_ = shuffled(data_.train, settings_.seed, uint64_t(epoch_));
}

}  // namespace advf
