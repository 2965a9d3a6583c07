#include "advface/protections/projection_protection.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "nn/nets/net_metadata.h"
#include "nn/state_dict.h"
#include "tensor/backend.h"
#include "tensor/linear_algebra.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr const char* kFormat = "advface-projection-1";
constexpr int64_t kMostDims = 4096, kBlock = 256;
constexpr uint64_t kTurnSeed = 1;  // of the axes, which say nothing

class ProjectionProtection : public Protection {
 public:
  ProjectionProtection(const ProjectionSpec& spec, const ProtectionInput& input)
      : spec_(spec), fingerprint_(file_fingerprint(spec.file)), net_(Projection::load(spec.file)) {
    net_->check_fits(input.space.row, input.recogniser, input.cut, input.what);
    spec_.dims = net_->dims();
    in_ = {net_->feature(), net_->provenance().domain};
  }

  AppliedProtection applied() const override {
    return {"projection", spec_.values(), {{"projection", fingerprint_}}};
  }
  FeatureSpace out() const override { return {{net_->dims()}, FeatureDomain::sphere, true}; }
  std::vector<const Provenance*> networks() const override { return {&net_->provenance()}; }
  void check_never_saw(const std::vector<std::string>& identities) const override {
    net_->check_never_saw(identities);
  }

  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& /*photographs*/,
                      const Context& context) override {
    ProtectedRows result{projected(features, records, context), {}};
    for (int64_t record : records) result.reports.push_back({.record = record, .losses = {}});
    return result;
  }
  Tensor apply_probe(const Tensor& features, std::span<const int64_t>) const override {
    return net_->forward(features);
  }

 private:
  Tensor projected(const Tensor& features, std::span<const int64_t> records, const Context& context) const {
    const Tensor host = features.on_host();
    check_records(host, records, in_.domain);
    const NoTapeScope off;
    const Tensor rows = collect_rows(host.dim(0), kBlock, [&](int64_t begin, int64_t end) {
      context.check_stop();
      return net_->forward(host.slice_batch(begin, end).to(current_backend()));
    });
    check_records(rows, records, FeatureDomain::sphere);
    return rows;
  }

  ProjectionSpec spec_;
  std::string fingerprint_;
  std::unique_ptr<Projection> net_;
  FeatureSpace in_;
};

struct Means {
  std::vector<double> all;
  std::map<int64_t, std::vector<double>> of;  // by person
  std::map<int64_t, int64_t> photographs;
};

Means means_of(const FitData& data, const Context& context) {
  const size_t d = size_t(data.features.row()[0]);
  Means means{std::vector<double>(d), {}, {}};
  each_vector(data, data.train, context, [&](int64_t row, const std::vector<double>& x) {
    const int64_t person = data.person[size_t(row)];
    std::vector<double>& sum = means.of.try_emplace(person, d, 0.0).first->second;
    for (size_t k = 0; k < d; ++k) {
      sum[k] += x[k];
      means.all[k] += x[k];
    }
    ++means.photographs[person];
  });
  for (auto& [person, sum] : means.of)
    for (double& v : sum) v /= double(means.photographs[person]);
  for (double& v : means.all) v /= double(data.train.size());
  return means;
}

std::vector<double> minus(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out(a.size());
  for (size_t k = 0; k < a.size(); ++k) out[k] = a[k] - b[k];
  return out;
}

// Directions, as columns, along which people differ most for how much the photographs of one person do: the
// largest generalised eigenvectors of the scatter between and within people. With few photographs a person
// the directions of least scatter are chance, against which `shrinkage` stands.
Matrix discriminants(const FitData& data, const Means& means, size_t dims, double shrinkage,
                     const Context& context) {
  const size_t d = means.all.size();
  Scatter within(d), between(d);
  each_vector(data, data.train, context, [&](int64_t row, const std::vector<double>& x) {
    const std::vector<double>& mean = means.of.at(data.person[size_t(row)]);
    within.add(minus(x, mean));
    between.add(minus(mean, means.all));
  });
  Matrix w = within.mean(double(data.train.size()));
  double trace = 0;
  for (size_t k = 0; k < d; ++k) trace += w(k, k);
  check(trace > 0,
        "every person has one photograph, or photographs of one and the same feature; a "
        "projection learns from what differs between photographs of one person");
  for (size_t k = 0; k < d; ++k) w(k, k) += shrinkage * trace / double(d);
  return generalised_eigenvectors(between.mean(double(data.train.size())), w, dims,
                                  [&] { context.check_stop(); });
}

// The same directions along axes turned at random: a times an orthogonal matrix, from normal numbers by
// Gram and Schmidt, twice for rounding.
Matrix turned(const Matrix& a) {
  const size_t k = a.columns();
  const Philox random{kTurnSeed, 0};
  Matrix axes(k, k);
  for (size_t i = 0; i < k; ++i) {
    const std::span row(axes.row(i), k);
    for (size_t j = 0; j < k; ++j) row[j] = random.normal(i * k + j);
    for (int round = 0; round < 2; ++round)
      for (size_t other = 0; other < i; ++other) {
        const double along = std::inner_product(row.begin(), row.end(), axes.row(other), 0.0);
        for (size_t j = 0; j < k; ++j) row[j] -= along * axes(other, j);
      }
    const double norm = std::sqrt(std::inner_product(row.begin(), row.end(), row.begin(), 0.0));
    for (double& v : row) v /= norm;
  }
  Matrix out(a.rows(), k);
  for (size_t i = 0; i < a.rows(); ++i)
    for (size_t j = 0; j < k; ++j) out(i, j) = std::inner_product(a.row(i), a.row(i) + k, axes.row(j), 0.0);
  return out;
}

// Over pairs of validation rows: mean cosine of one person's less that of different people's.
double separation(const Projection& net, const FitData& data) {
  const NoTapeScope off;
  const Tensor rows = collect_rows(int64_t(data.validation.size()), kBlock, [&](int64_t begin, int64_t end) {
    return net.forward(data.features.batch(
        std::vector<int64_t>(data.validation.begin() + begin, data.validation.begin() + end)));
  });
  double same = 0, other = 0;
  int64_t same_count = 0, other_count = 0;
  const size_t k = size_t(rows.dim(1));
  const auto row = [&](size_t i) { return std::span(rows.data<float>() + i * k, k); };
  for (size_t i = 0; i < data.validation.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      const bool one = data.person[size_t(data.validation[i])] == data.person[size_t(data.validation[j])];
      (one ? same : other) += dot(row(i), row(j));
      ++(one ? same_count : other_count);
    }
  return same / double(std::max<int64_t>(same_count, 1)) - other / double(std::max<int64_t>(other_count, 1));
}

}  // namespace

Projection::Projection(const Provenance& from, int64_t values, int64_t dims)
    : TrainedNetwork("projection"),
      from_(from),
      feature_({values}),
      matrix_(Tensor::zeros({values, dims})),
      mean_(Tensor::zeros({values})) {
  register_buffer("matrix", matrix_);
  register_buffer("mean", mean_);
  train(false);
}

Projection::Projection(const Projection& fitted, FeatureNetSpec spec, uint64_t seed)
    : Projection(fitted.from_, fitted.values(), fitted.dims()) {
  matrix_ = fitted.matrix_;
  mean_ = fitted.mean_;
  spec.feature = feature_;
  spec.out = int(dims());
  spec_ = spec;
  net_ = std::make_unique<FeatureNet>(spec, seed);
  net_->silence();
  register_child("net", *net_);
  train(false);
}

std::unique_ptr<Projection> Projection::load(const std::string& path) {
  NetworkFile file = load_network(path, kFormat, "a projection made by advface-train fit projection");
  const int64_t values = metadata_int(file.metadata, "values", 1, kMostDims, path),
                dims = metadata_int(file.metadata, "dims", 1, kMostDims, path);
  auto net = std::make_unique<Projection>(file.provenance, values, dims);
  if (file.metadata.contains("net.feature")) {
    const FeatureNetSpec spec = FeatureNetSpec::from_metadata(file.metadata, path);
    check(spec.feature == Shape{values} && spec.out == dims, path, ": a network from ", spec.feature, " to ",
          spec.out, " numbers behind a projection from ", values, " to ", dims);
    net = std::make_unique<Projection>(*net, spec, 0);
  }
  load_state_dict(*net, file.tensors, path);
  net->set_source(path);
  return net;
}

Metadata Projection::description() const {
  Metadata metadata = net_ ? spec_.to_metadata() : Metadata();
  metadata.merge(
      Metadata{{"format", kFormat}, {"values", std::to_string(values())}, {"dims", std::to_string(dims())}});
  return metadata;
}

void Projection::set(const Tensor& matrix, const Tensor& mean) {
  check(matrix.shape() == matrix_.shape() && mean.shape() == mean_.shape(), "projection: a matrix of shape ",
        matrix.shape(), " for one of ", matrix_.shape());
  matrix_ = matrix;
  mean_ = mean;
}

Tensor Projection::forward(const Tensor& features) const {
  return net_ ? l2_normalise(add(fitted(features), net_->forward(features))) : fitted(features);
}

Tensor Projection::fitted(const Tensor& features) const {
  return l2_normalise(matmul(sub(features, mean_), matrix_));
}

Settings ProjectionSpec::settings() {
  return {file_setting("projection", file, "what advface-train fit projection has written"),
          derived(whole_setting("dims", dims, {0, kMostDims}, "directions that are kept"))};
}

void ProjectionSpec::check_valid() const {
  check(dims >= 0 && dims <= kMostDims, "dims must lie between 0 and ", kMostDims, ", not ", dims);
}

void ProjectionSpec::check_complete() const {
  check(!file.empty(),
        "the protection projection needs --projection FILE, which advface-train fit "
        "projection makes");
}

std::string ProjectionSpec::summary() const { return "dims " + std::to_string(dims); }

std::unique_ptr<Protection> ProjectionSpec::make(const ProtectionInput& input) const {
  return std::make_unique<ProjectionProtection>(*this, input);
}

Settings ProjectionFit::settings() {
  return {
      whole_setting("dims", dims, {2, kMostDims}, "directions that are kept, fewer than there are people"),
      number_setting("shrinkage", shrinkage, {0, 1e6, true},
                     "of the mean variance within people, added in every direction: much of it trusts the "
                     "features, little of it the training people")};
}

void ProjectionFit::check_valid() const {
  check(dims >= 2 && dims <= kMostDims, "dims must lie between 2 and ", kMostDims, ", not ", dims);
  check(shrinkage > 0 && shrinkage <= 1e6, "shrinkage must lie above 0 and up to 1e6, not ", shrinkage);
}

Metadata ProjectionFit::fit(const FitData& data, const std::string& path, const Context& context) const {
  const Shape& row = data.features.row();
  check(row.rank() == 1, "a projection takes vectors, not maps of shape ", row);
  check(dims <= row[0], "--dims ", dims, " is more than a feature has, ", row[0]);
  const Means means = means_of(data, context);
  check(int64_t(means.of.size()) > dims, "--dims ", dims, " takes more people than ", means.of.size(),
        ": that many directions are at most one fewer than people");
  const Matrix w = turned(discriminants(data, means, size_t(dims), shrinkage, context));
  std::vector<float> matrix;
  for (size_t i = 0; i < w.rows(); ++i)
    for (size_t j = 0; j < w.columns(); ++j) matrix.push_back(float(w(i, j)));
  Projection net(data.provenance, row[0], dims);
  net.set(Tensor::from(matrix, {row[0], dims}),
          Tensor::from(std::vector<float>(means.all.begin(), means.all.end()), {row[0]}));
  net.save(path);
  return {{"people", std::to_string(means.of.size())},
          {"validation_separation", std::to_string(separation(net, data))}};
}

}  // namespace advf
