#include "advface/protections/attributes_protection.h"

#include <algorithm>
#include <cmath>

#include "advface/core/text_file.h"
#include "nn/nets/net_metadata.h"
#include "nn/state_dict.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr const char* kFormat = "advface-attributes-1";
constexpr int64_t kMostDims = 4096, kMostRounds = 1000, kBlock = 256;
constexpr size_t kMostNamed = 4;  // in a summary

void check_vectors(const FeatureSpace& space, const std::string& what) {
  check(space.row.rank() == 1, "the protection attributes takes vectors, but ", what, " are maps of shape ",
        space.row, "; cut the recogniser at its embedding with --cut");
  check(space.row[0] <= kMostDims, "the protection attributes takes vectors of at most ", kMostDims,
        " values, but ", what, " have ", space.row[0]);
  check(space.domain != FeatureDomain::non_negative,
        "the protection attributes takes vectors of any numbers, ", "but ", what,
        " are never negative and could not stay so; cut the recogniser at its embedding with --cut");
}

class AttributesProtection : public Protection {
 public:
  AttributesProtection(const AttributesSpec& spec, const ProtectionInput& input)
      : spec_(spec), fingerprint_(file_fingerprint(spec.file)), net_(Eraser::load(spec.file)) {
    net_->check_fits(input.space.row, input.recogniser, input.cut, input.what);
    space_ = {net_->feature(), net_->provenance().domain, input.space.moved};
    spec_.attributes = names_text(net_->info().attributes);
    spec_.erasure = net_->info().erasure;
    spec_.directions = net_->directions();
  }

  AppliedProtection applied() const override {
    return {"attributes", spec_.values(), {{"eraser", fingerprint_}}};
  }
  FeatureSpace out() const override { return space_; }
  std::vector<const Provenance*> networks() const override { return {&net_->provenance()}; }
  void check_never_saw(const std::vector<std::string>& identities) const override {
    net_->check_never_saw(identities);
  }

  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& /*photographs*/,
                      const Context& context) override {
    const Tensor host = features.on_host();
    check_records(host, records, space_.domain);
    const NoTapeScope off;
    ProtectedRows result;
    result.features = collect_rows(host.dim(0), kBlock, [&](int64_t begin, int64_t end) {
      context.check_stop();
      return net_->forward(host.slice_batch(begin, end).to(current_backend()));
    });
    check_records(result.features, records, space_.domain);
    const size_t d = size_t(space_.row[0]);
    for (size_t i = 0; i < records.size(); ++i)
      result.reports.push_back(
          report_of(records[i], {host.data<float>() + i * d, d}, {result.features.data<float>() + i * d, d}));
    return result;
  }
  Tensor apply_probe(const Tensor& features, std::span<const int64_t>) const override {
    return net_->forward(features);
  }

 private:
  AttributesSpec spec_;
  std::string fingerprint_;
  std::unique_ptr<Eraser> net_;
  FeatureSpace space_;
};

// What is true of every row: a column per attribute, 0 or 1.
using Columns = std::vector<std::vector<int64_t>>;

Columns columns_of(const Labels& labels, const std::vector<std::string>& names, int64_t rows) {
  std::vector<int64_t> all;
  for (int64_t r = 0; r < rows; ++r) all.push_back(r);
  Columns columns;
  for (const std::string& name : names) columns.push_back(attribute_classes(labels, all, name));
  return columns;
}

ErasureMoments moments_of(const FitData& data, const Columns& columns, const Context& context) {
  const size_t d = size_t(data.features.row()[0]), k = columns.size();
  const double n = double(data.train.size());
  ErasureMoments m{int64_t(data.train.size()), std::vector<double>(d), Matrix(d, d), Matrix(k, d)};
  std::vector<double> share(k), deviation(k);
  for (size_t a = 0; a < k; ++a) {
    for (int64_t r : data.train) share[a] += double(columns[a][size_t(r)]) / n;
    deviation[a] = std::sqrt(share[a] * (1 - share[a]));
  }
  each_vector(data, data.train, context, [&](int64_t, const std::vector<double>& x) {
    for (size_t j = 0; j < d; ++j) m.mean[j] += x[j] / n;
  });
  Scatter scatter(d);
  std::vector<double> off(d);
  each_vector(data, data.train, context, [&](int64_t r, const std::vector<double>& x) {
    for (size_t j = 0; j < d; ++j) off[j] = x[j] - m.mean[j];
    scatter.add(off);
    for (size_t a = 0; a < k; ++a) {
      const double z = (double(columns[a][size_t(r)]) - share[a]) / (deviation[a] * n);
      for (size_t j = 0; j < d; ++j) m.cross(a, j) += z * off[j];
    }
  });
  m.covariance = scatter.mean(n);
  return m;
}

// The sums of the features of either class, for how far apart their means are.
class ClassSums {
 public:
  explicit ClassSums(size_t d) : sums_{std::vector<double>(d), std::vector<double>(d)} {}
  void add(int64_t cls, const float* x) {
    std::vector<double>& sum = sums_[cls];
    for (size_t j = 0; j < sum.size(); ++j) sum[j] += double(x[j]);
    ++counts_[cls];
  }
  double apart() const {  // 0 where a class has nobody
    if (counts_[0] == 0 || counts_[1] == 0) return 0;
    double squares = 0;
    for (size_t j = 0; j < sums_[0].size(); ++j) {
      const double difference = sums_[0][j] / double(counts_[0]) - sums_[1][j] / double(counts_[1]);
      squares += difference * difference;
    }
    return std::sqrt(squares);
  }

 private:
  std::vector<double> sums_[2];
  int64_t counts_[2] = {0, 0};
};

// Of these rows, as AttributesFit has it; with the part of the names.
Metadata measure(const Eraser& net, const FitData& data, const std::vector<int64_t>& rows,
                 const Columns& columns, const std::string& part, const Context& context) {
  const NoTapeScope off;
  const size_t d = size_t(data.features.row()[0]);
  std::vector<ClassSums> before(columns.size(), ClassSums(d)), after = before;
  double cosines = 0;
  for (size_t begin = 0; begin < rows.size(); begin += size_t(kBlock)) {
    context.check_stop();
    const std::vector<int64_t> block(
        rows.begin() + std::ptrdiff_t(begin),
        rows.begin() + std::ptrdiff_t(std::min(rows.size(), begin + size_t(kBlock))));
    const Tensor raw = data.features.at(block), stored = net.forward(data.features.batch(block)).on_host();
    for (size_t i = 0; i < block.size(); ++i) {
      const float *x = raw.data<float>() + i * d, *y = stored.data<float>() + i * d;
      cosines += cosine({x, d}, {y, d});
      for (size_t a = 0; a < columns.size(); ++a) {
        before[a].add(columns[a][size_t(block[i])], x);
        after[a].add(columns[a][size_t(block[i])], y);
      }
    }
  }
  const auto most = [](const std::vector<ClassSums>& list) {
    double value = 0;
    for (const ClassSums& sums : list) value = std::max(value, sums.apart());
    return std::to_string(value);
  };
  return {{part + "_separation_raw", most(before)},
          {part + "_separation", most(after)},
          {part + "_cosine", std::to_string(cosines / double(rows.size()))}};
}

Tensor as_tensor(const Matrix& m, bool transposed) {
  const size_t rows = transposed ? m.columns() : m.rows(), columns = transposed ? m.rows() : m.columns();
  std::vector<float> values;
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j) values.push_back(float(transposed ? m(j, i) : m(i, j)));
  return Tensor::from(values, {int64_t(rows), int64_t(columns)});
}

std::vector<std::string> names_of(const AttributesFit& fit) {
  return parse_names(fit.attributes, "--attributes");
}

}  // namespace

template <>
const std::vector<Choice<Erasure>>& choices<Erasure>() {
  static const std::vector<Choice<Erasure>> list = {{Erasure::leace, "leace"},
                                                    {Erasure::nullspace, "nullspace"}};
  return list;
}

Eraser::Eraser(const EraserInfo& info, int64_t values, int64_t directions)
    : TrainedNetwork("eraser"),
      info_(info),
      feature_({values}),
      read_(Tensor::zeros({values, directions})),
      write_(Tensor::zeros({directions, values})),
      mean_(Tensor::zeros({values})) {
  register_buffer("read", read_);
  register_buffer("write", write_);
  register_buffer("mean", mean_);
  train(false);
}

std::unique_ptr<Eraser> Eraser::load(const std::string& path) {
  NetworkFile file = load_network(path, kFormat, "an eraser made by advface-train fit attributes");
  const int64_t values = metadata_int(file.metadata, "values", 1, kMostDims, path),
                directions = metadata_int(file.metadata, "directions", 1, values, path);
  EraserInfo info;
  static_cast<Provenance&>(info) = file.provenance;
  info.attributes = parse_names(metadata_text(file.metadata, "attributes", path), path + ": attributes");
  Erasure erasure = Erasure::leace;
  const std::string& how = metadata_text(file.metadata, "erasure", path);
  try {
    choice_setting("erasure", erasure, "").read(how);
  } catch (const Error& e) {
    fail(path, ": ", e.what());
  }
  info.erasure = erasure;
  check(info.domain != FeatureDomain::non_negative, path, ": is for features that are never negative, ",
        "which an eraser does not take; fit it again");
  auto net = std::make_unique<Eraser>(info, values, directions);
  load_state_dict(*net, file.tensors, path);
  net->set_source(path);
  return net;
}

Metadata Eraser::description() const {
  return {{"format", kFormat},
          {"values", std::to_string(feature_[0])},
          {"directions", std::to_string(directions())},
          {"attributes", names_text(info_.attributes)},
          {"erasure", name_of(info_.erasure)}};
}

void Eraser::set(const ErasureMap& map) {
  const Tensor read = as_tensor(map.read, true), write = as_tensor(map.write, false);
  check(read.shape() == read_.shape() && write.shape() == write_.shape(), "eraser: a map of ", write.shape(),
        " for one of ", write_.shape());
  read_ = read;
  write_ = write;
  mean_ = Tensor::from(std::vector<float>(map.mean.begin(), map.mean.end()), feature_);
}

Tensor Eraser::before_norm(const Tensor& features) const {
  return sub(features, matmul(matmul(sub(features, mean_), read_), write_));
}

Tensor Eraser::forward(const Tensor& features) const {
  const Tensor erased = before_norm(features);
  return info_.domain == FeatureDomain::sphere ? l2_normalise(erased) : erased;
}

Settings AttributesSpec::settings() {
  return {file_setting("eraser", file, "what advface-train fit attributes has written"),
          derived(text_setting("attributes", attributes, "what is taken out")),
          derived(choice_setting("erasure", erasure, "how")),
          derived(whole_setting("directions", directions, {0, kMostDims}, "that are taken out"))};
}

void AttributesSpec::check_valid() const {
  check(directions >= 0 && directions <= kMostDims, "directions must lie between 0 and ", kMostDims, ", not ",
        directions);
  if (!attributes.empty()) parse_names(attributes, "attributes");
}

void AttributesSpec::check_complete() const {
  check(!file.empty(),
        "the protection attributes needs --eraser FILE, which advface-train fit attributes makes");
}

std::string AttributesSpec::summary() const {
  const std::vector<std::string> names =
      attributes.empty() ? std::vector<std::string>{} : parse_names(attributes, "attributes");
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kMostNamed); ++i) text += (i > 0 ? ", " : "") + names[i];
  if (names.size() > kMostNamed) text += " and " + std::to_string(names.size() - kMostNamed) + " more";
  if (erasure != Erasure::leace)
    text += ", " + std::string(name_of(erasure)) + " " + std::to_string(directions);
  return text;
}

std::unique_ptr<Protection> AttributesSpec::make(const ProtectionInput& input) const {
  check_vectors(input.space, input.what);
  return std::make_unique<AttributesProtection>(*this, input);
}

Settings AttributesFit::settings() {
  return {text_setting("attributes", attributes,
                       "columns of --labels that are taken out, with commas between them"),
          choice_setting("erasure", erasure,
                         "leace: the least change after which no linear classifier tells them; nullspace: "
                         "direction by direction"),
          going_with(
              "--erasure nullspace", [this] { return erasure == Erasure::nullspace; },
              whole_setting("rounds", rounds, {1, kMostRounds}, "directions taken out for each attribute"))};
}

void AttributesFit::check_valid() const {
  check(!attributes.empty(), "fit attributes needs --attributes, columns of --labels");
  names_of(*this);
  check(rounds >= 1 && rounds <= kMostRounds, "rounds must lie between 1 and ", kMostRounds, ", not ",
        rounds);
}

void AttributesFit::check_labels(const Labels& labels) const { check_attributes(labels, names_of(*this)); }

Metadata AttributesFit::fit(const FitData& data, const std::string& path, const Context& context) const {
  const Shape& row = data.features.row();
  check_vectors({row, data.provenance.domain}, "the features");
  EraserInfo info;
  static_cast<Provenance&>(info) = data.provenance;
  info.attributes = names_of(*this);
  info.erasure = erasure;
  const Labels labels = data.labels();
  check_attributes(labels, info.attributes);
  check_both_classes(labels, data.train, info.attributes, "trained on");
  const Columns columns = columns_of(labels, info.attributes, data.features.count());
  const ErasureMoments moments = moments_of(data, columns, context);
  const ErasureMap map =
      erasure == Erasure::leace ? leace(moments) : nullspace(moments, rounds, [&] { context.check_stop(); });
  Eraser net(info, row[0], int64_t(map.read.rows()));
  net.set(map);
  Metadata measured{{"directions", std::to_string(net.directions())}};
  measured.merge(measure(net, data, data.train, columns, "train", context));
  if (!data.validation.empty())
    measured.merge(measure(net, data, data.validation, columns, "validation", context));
  net.save(path);
  return measured;
}

}  // namespace advf
