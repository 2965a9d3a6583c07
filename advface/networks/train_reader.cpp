#include "advface/networks/train_reader.h"

#include <algorithm>

#include "advface/networks/validation.h"
#include "autograd/tape.h"
#include "tensor/hash.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 64;  // of validation, and of the embeddings that are wanted

std::string describe(const ReaderData& data) {
  return data.raw.shape().str() + " " + data.raw.sample_hash() + " " + data.guarded.sample_hash() + " " +
         hex(fnv1a(std::as_bytes(std::span(data.validation))));
}

}  // namespace

ReaderTrainer::ReaderTrainer(Reader& reader, const Recogniser& recogniser, const ReaderData& data,
                             const TrainSettings& settings)
    : Trainer({{reader.info().role == ReaderRole::adapter ? "adapter" : "linkage", &reader}}, data.train,
              settings, {}, describe(data)),
      reader_(reader),
      recogniser_(recogniser),
      data_(data),
      wanted_(size_t(data.raw.count() * recogniser.card().embedding.dimension)),
      wanted_known_(size_t((data.raw.count() + kBatch - 1) / kBatch)) {
  const ReaderInfo& info = reader.info();
  check(data.raw.count() == data.guarded.count(), "raw features of shape ", data.raw.shape(),
        " and protected ones of shape ", data.guarded.shape());
  reader.check_fits(data.guarded.row(), "", "", "the training set");
  if (reader.emits_embeddings()) {
    check_takes(info, data.raw.row(), "the " + reader.source(), recogniser.feature_shape(info.cut),
                recogniser.fingerprint(), info.cut, recogniser.card().path);
    check(info.spec.out == recogniser.card().embedding.dimension, "the network emits ", info.spec.out,
          " numbers, but embeddings of ", recogniser.card().path, " have ",
          recogniser.card().embedding.dimension);
  } else {
    check(data.raw.row() == data.guarded.row(), "raw features of shape ", data.raw.shape(),
          " and protected ones of shape ", data.guarded.shape());
    reader.check_fits(recogniser.feature_shape(info.cut), recogniser.fingerprint(), info.cut,
                      recogniser.card().path);
  }
  check(!data.validation.empty(), "there are no validation images; use more people");
  const FeatureMoments moments = moments_of(data.guarded, data.train);
  reader.net().set_input(moments.mean, moments.deviation);
}

Tensor ReaderTrainer::wanted(const std::vector<int64_t>& rows) {
  const NoTapeScope fixed;
  const int64_t values = recogniser_.card().embedding.dimension;
  std::vector<float> found;
  for (const int64_t row : rows) {
    const int64_t begin = row / kBatch * kBatch;
    if (!wanted_known_[size_t(row / kBatch)]) {
      const int64_t end = std::min(begin + kBatch, data_.raw.count());
      const Tensor made = recogniser_.embed_from(data_.raw.batch(begin, end), reader_.info().cut).on_host();
      std::copy_n(made.data<float>(), made.numel(), wanted_.begin() + begin * values);
      wanted_known_[size_t(row / kBatch)] = true;
    }
    found.insert(found.end(), wanted_.begin() + row * values, wanted_.begin() + (row + 1) * values);
  }
  return Tensor::from(found, {int64_t(rows.size()), values});
}

Tensor ReaderTrainer::cosines(const Tensor& embeddings, const std::vector<int64_t>& rows) {
  return reduce_sum(mul(embeddings, wanted(rows)), {1}, false);
}

Tensor ReaderTrainer::loss(const std::vector<int64_t>& rows) {
  const Tensor read = reader_.forward(data_.guarded.batch(rows));
  return affine(mean_all(cosines(reader_.embed(read, recogniser_), rows)), -1, 1);
}

double ReaderTrainer::mean_cosine(const std::function<Tensor(const Tensor& guarded)>& embed) {
  const auto cosine = [&](const std::vector<int64_t>& rows, int64_t) -> std::vector<double> {
    return {sum_all(cosines(embed(data_.guarded.batch(rows)), rows)).item()};
  };
  double sum = 0;
  for (const auto& said : of_batches<double>(data_.validation, kBatch, cosine)) sum += said[0];
  return sum / double(data_.validation.size());
}

std::optional<double> ReaderTrainer::unaided() {
  if (reader_.emits_embeddings()) return {};
  const TeamScope alone(nullptr);  // one rank may ask for itself
  return mean_cosine([this](const Tensor& z) { return recogniser_.embed_from(z, reader_.info().cut); });
}

std::pair<double, double> ReaderTrainer::validate() {
  const double cosine = mean_cosine([this](const Tensor& z) {
    const Tensor read = reader_.forward(z);
    check_rows(read, reader_.out_domain(),
               "training diverged (use a smaller learning rate (--lr of advface-train)): of what the network "
               "gives in epoch " +
                   std::to_string(history().size() + 1));
    return reader_.embed(read, recogniser_);
  });
  return {1 - cosine, cosine};
}

}  // namespace advf
