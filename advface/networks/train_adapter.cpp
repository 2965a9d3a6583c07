#include "advface/networks/train_adapter.h"

#include "autograd/tape.h"
#include "tensor/hash.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 64;  // of validation

std::string describe(const AdapterData& data) {
  return data.raw.shape().str() + " " + data.raw.sample_hash() + " " + data.guarded.sample_hash() + " " +
         hex(fnv1a(std::as_bytes(std::span(data.validation))));
}

}  // namespace

AdapterTrainer::AdapterTrainer(Adapter& adapter, const Recogniser& recogniser, const AdapterData& data,
                               const TrainSettings& settings)
    : Trainer({{"adapter", &adapter}}, data.train, settings, {}, describe(data)),
      adapter_(adapter),
      recogniser_(recogniser),
      data_(data) {
  const AdapterInfo& info = adapter.info();
  check(data.raw.shape() == data.guarded.shape(), "raw features of shape ", data.raw.shape(),
        " and protected ones of shape ", data.guarded.shape());
  adapter.check_fits(data.raw.row(), "", "", "the training set");
  adapter.check_fits(recogniser.feature_shape(info.cut), recogniser.fingerprint(), info.cut,
                     recogniser.card().path);
  check(!data.validation.empty(), "there are no validation images; use more people");
  const FeatureMoments moments = moments_of(data.guarded, data.train);
  adapter.net().set_input(moments.mean, moments.deviation);
}

Tensor AdapterTrainer::cosines(const Tensor& features, const std::vector<int64_t>& rows) const {
  Tensor wanted;
  {
    const NoTapeScope fixed;
    wanted = recogniser_.embed_from(data_.raw.batch(rows), adapter_.info().cut);
  }
  return reduce_sum(mul(recogniser_.embed_from(features, adapter_.info().cut), wanted), {1}, false);
}

Tensor AdapterTrainer::loss(const std::vector<int64_t>& rows) {
  return affine(mean_all(cosines(adapter_.forward(data_.guarded.batch(rows)), rows)), -1, 1);
}

double AdapterTrainer::mean_cosine(const std::function<Tensor(const Tensor& guarded)>& map) const {
  double sum = 0;
  for (int64_t begin = 0; begin < int64_t(data_.validation.size()); begin += kBatch) {
    const auto rows = part_of(data_.validation, begin, begin + kBatch);
    sum += sum_all(cosines(map(data_.guarded.batch(rows)), rows)).item();
  }
  return sum / double(data_.validation.size());
}

double AdapterTrainer::unaided() const {
  return mean_cosine([](const Tensor& z) { return z; });
}

std::pair<double, double> AdapterTrainer::validate() {
  const double cosine = mean_cosine([this](const Tensor& z) {
    const Tensor read = adapter_.forward(z);
    check_rows(read, adapter_.info().domain,
               "training diverged (use a smaller --lr): of what the adapter gives in epoch " +
                   std::to_string(history().size() + 1));
    return read;
  });
  return {1 - cosine, cosine};
}

}  // namespace advf
