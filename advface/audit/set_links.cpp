#include "advface/audit/set_links.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "advface/audit/feature_sets.h"
#include "advface/audit/linear_reader.h"
#include "advface/networks/reader.h"
#include "advface/protections/registry.h"
#include "autograd/tape.h"
#include "tensor/parallel.h"

namespace advf {
namespace {

constexpr int64_t kQuantiles = 64;

std::span<const float> row_of(const Tensor& rows, int64_t i) {
  const size_t d = size_t(rows.dim(1));
  return {rows.data<float>() + size_t(i) * d, d};
}

// To who has no key; see NamedFeatures.
bool recogniser_takes(const StoredSet& set) { return !features_moved(set.protection.without_key()); }

// (n,D) unit vectors in host memory: the rows asked about of one set, as the recogniser or nobody changes
// them.
Tensor as_vectors(const LinkInput& in, const StoredSet& set) {
  const FeatureRows rows = set.rows.selected(in.asked);
  if (recogniser_takes(set)) return embed_rows(in.recogniser, rows, in.cut);
  return unit_rows(rows.range(0, rows.count()).to_vector<float>(), rows.row().numel());
}

// Rows of both sets in one space.
PairScore cosines(Tensor first, Tensor second) {
  return [a = std::move(first), b = std::move(second)](const RecordPair& pair) {
    return dot(row_of(a, pair.first), row_of(b, pair.second));
  };
}

std::optional<std::string> shapes_differ(const LinkInput& in) {
  if (recogniser_takes(in.first) && recogniser_takes(in.second)) return {};
  if (in.first.rows.row() == in.second.rows.row()) return {};
  return "records of both sets have other shapes: " + in.first.rows.row().str() + " and " +
         in.second.rows.row().str();
}

std::optional<std::string> knows_nobody(const LinkInput& in) {
  if (!in.known.empty()) return {};
  return "there is nobody but the people under test to know; take another --split";
}

std::optional<std::string> no_linear_map(const LinkInput& in) {
  if (const auto why = knows_nobody(in)) return why;
  for (const StoredSet* set : {&in.first, &in.second})
    if (set->rows.row().rank() != 1 || set->rows.row()[0] > LinearReader::kMostValues)
      return "a linear map is for vectors of at most " + std::to_string(LinearReader::kMostValues) +
             " values, not for " + set->rows.row().str();
  return {};
}

Tensor read_by_line(const LinkInput& in, const StoredSet& set) {
  const Tensor wanted = embed_rows(in.recogniser, in.raw.selected(in.known), in.cut);
  return LinearReader(set.rows.at(in.known), wanted).read(set.rows.at(in.asked));
}

std::optional<std::string> no_network(const LinkInput& in) {
  if (in.training.epochs == 0) return "--epochs 0";
  if (const auto why = knows_nobody(in)) return why;
  if (int64_t(in.known.size()) < in.training.batch)
    return "of " + std::to_string(in.known.size()) + " photographs of known people no batch of " +
           std::to_string(in.training.batch) + " can be made";
  return {};
}

// What advface-train linkage makes of the same people.
Tensor read_by_network(const LinkInput& in, const StoredSet& set, const std::string& which) {
  const FeatureRows guarded = set.rows.selected(in.known), raw = in.raw.selected(in.known);
  ReaderInfo info;
  static_cast<Provenance&>(info) = in.known_from;
  info.role = ReaderRole::linkage;
  info.protection = set.protection;
  const FeatureSpace space =
      space_after(set.protection, {in.recogniser.feature_shape(in.cut), in.recogniser.domain(in.cut)});
  info.domain = space.domain;
  info.spec = FeatureNetSpec::usual(guarded.row());
  if (space.moved) info.spec.out = int(in.recogniser.card().embedding.dimension);
  ReaderData data{raw, guarded, {}, {}};
  data.train.resize(size_t(guarded.count()));
  std::iota(data.train.begin(), data.train.end(), int64_t(0));
  data.validation = {0};  // nothing is chosen by it
  Reader reader(info, in.training.seed);
  ReaderTrainer trainer(reader, in.recogniser, data, in.training);
  const int64_t steps = trainer.batches_per_epoch() * in.training.epochs;
  const auto progress = in.context.begin("network of the " + which + " set", steps, "steps");
  while (!trainer.done()) {
    in.context.check_stop();
    trainer.step();
    progress->advance(1);
  }
  progress->finish();
  reader.train(false);
  const NoTapeScope off;
  return embed_rows(in.recogniser, set.rows.selected(in.asked), in.cut, &reader);
}

PairScore profile_score(const LinkInput& in) {
  const Tensor a = neighbour_profiles(as_vectors(in, in.first)),
               b = neighbour_profiles(as_vectors(in, in.second));
  return [a, b](const RecordPair& pair) {
    const auto x = row_of(a, pair.first), y = row_of(b, pair.second);
    double sum = 0;
    for (size_t k = 0; k < x.size(); ++k)
      sum += (double(x[k]) - double(y[k])) * (double(x[k]) - double(y[k]));
    return -std::sqrt(sum);
  };
}

}  // namespace

Tensor neighbour_profiles(const Tensor& rows) {
  const int64_t n = rows.dim(0);
  check(n >= 2, "profiles of ", n, " records, which have no neighbours");
  std::vector<float> out(size_t(n * kQuantiles));
  parallel_for(n, [&](int64_t i) {
    std::vector<double> others;
    for (int64_t j = 0; j < n; ++j)
      if (j != i) others.push_back(dot(row_of(rows, i), row_of(rows, j)));
    std::sort(others.begin(), others.end());
    for (int64_t k = 0; k < kQuantiles; ++k) {
      const double share = double(k) / double(kQuantiles - 1);
      out[size_t(i * kQuantiles + k)] =
          float(others.size() < 2 ? others[0] : quantile_of_sorted(others, share));
    }
  });
  return Tensor::from(out, {n, kQuantiles}).on_host();
}

const std::vector<SetLinker>& set_linkers() {
  static const std::vector<SetLinker> rows{
      {"none", "cosine of what is stored, through the recogniser where it can take it", false, shapes_differ,
       [](const LinkInput& in) { return cosines(as_vectors(in, in.first), as_vectors(in, in.second)); }},
      {"profile", "how alike a record is to the others of its own set", false,
       [](const LinkInput&) { return std::optional<std::string>(); }, profile_score},
      {"linear", "a linear map for each set, fitted on known people", true, no_linear_map,
       [](const LinkInput& in) { return cosines(read_by_line(in, in.first), read_by_line(in, in.second)); }},
      {"network", "a linkage network for each set, trained on known people", true, no_network,
       [](const LinkInput& in) {
         return cosines(read_by_network(in, in.first, "first"), read_by_network(in, in.second, "second"));
       }},
  };
  return rows;
}

}  // namespace advf
