#include "advface/networks/train_projection.h"

#include <functional>
#include <span>

#include "advface/core/enrolment.h"
#include "advface/networks/validation.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 64;  // of validation
constexpr double kDecay = 0.01;

std::string describe(const Projection& projection, const ProjectionTraining& data) {
  return data.features.shape().str() + " " + data.features.sample_hash() + " " +
         hex(fnv1a(std::as_bytes(std::span(data.validation)))) + " " + std::to_string(projection.dims());
}

}  // namespace

std::vector<int64_t> with_another(const std::vector<int64_t>& rows, const std::vector<int64_t>& person) {
  const RowsByPerson people(person);
  std::vector<int64_t> kept;
  for (const int64_t r : rows)
    if (people.of(r).size() > 1) kept.push_back(r);
  return kept;
}

ProjectionTrainer::ProjectionTrainer(Projection& projection, const ProjectionTraining& data,
                                     const TrainSettings& settings)
    : Trainer({{"projection", &projection.network()}}, data.train, settings,
              {.weight_decay = kDecay, .decoupled = true}, describe(projection, data)),
      projection_(projection),
      data_(data) {
  check(!data.validation.empty(), "no validation person has two photographs; use more people");
  const FeatureMoments moments = moments_of(data.features, data.train);
  projection.network().set_input(moments.mean, moments.deviation);
  std::vector<int64_t> rows = data.train;
  rows.insert(rows.end(), data.validation.begin(), data.validation.end());
  place_.assign(size_t(data.features.count()), -1);
  for (size_t i = 0; i < rows.size(); ++i) place_[size_t(rows[i])] = int64_t(i);
  constexpr int64_t kMemory = int64_t(1) << 30;
  const FeatureRows means = means_of_others(data.features, rows, RowsByPerson(data.person),
                                            projection.provenance().domain, kMemory);
  const NoTapeScope off;
  wanted_ = collect_rows(means.count(), kBatch, [&](int64_t begin, int64_t end) {
    return projection.fitted(means.batch(begin, end));
  });
}

Tensor ProjectionTrainer::cosines(const Tensor& made, const std::vector<int64_t>& rows) const {
  const int64_t dims = wanted_.dim(1);
  std::vector<float> values;
  for (const int64_t r : rows) {
    const float* row = wanted_.data<float>() + place_[size_t(r)] * dims;
    values.insert(values.end(), row, row + dims);
  }
  const Tensor wanted = Tensor::from(values, {int64_t(rows.size()), dims}).to(current_backend());
  return reduce_sum(mul(made, wanted), {1}, false);
}

Tensor ProjectionTrainer::loss(const std::vector<int64_t>& rows) {
  return affine(mean_all(cosines(projection_.forward(data_.features.batch(rows)), rows)), -1, 1);
}

namespace {

// The mean over the validation rows of f(rows) -> (n).
double mean_of(const std::vector<int64_t>& all,
               const std::function<Tensor(const std::vector<int64_t>& rows)>& f) {
  const auto sum_of = [&](const std::vector<int64_t>& rows, int64_t) -> std::vector<double> {
    return {sum_all(f(rows)).item()};
  };
  double sum = 0;
  for (const auto& said : of_batches<double>(all, kBatch, sum_of)) sum += said[0];
  return sum / double(all.size());
}

}  // namespace

std::pair<double, double> ProjectionTrainer::validate() {
  const double cosine = mean_of(data_.validation, [this](const std::vector<int64_t>& rows) {
    return cosines(projection_.forward(data_.features.batch(rows)), rows);
  });
  return {1 - cosine, cosine};
}

double ProjectionTrainer::unaided() const {
  const NoTapeScope off;
  const TeamScope alone(nullptr);  // one rank may ask for itself
  return mean_of(data_.validation, [this](const std::vector<int64_t>& rows) {
    return cosines(projection_.fitted(data_.features.batch(rows)), rows);
  });
}

}  // namespace advf
