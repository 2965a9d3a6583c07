#include "advface/networks/training_set.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <tuple>

#include "advface/core/feature_file.h"
#include "advface/core/text_file.h"
#include "advface/protections/registry.h"

namespace advf {

namespace {

// A file of features has one row per line of --list, and nobody may guess which image is which.
FeatureSet given_features(const std::string& path, const FaceSettings& options, const Recogniser& recogniser,
                          const FaceSource& faces, ProtectionId& protection) {
  FeatureFile file = open_feature_file(path);
  const std::string cut = options.cut_of(recogniser);
  check_comes_from(file.info, path, recogniser.fingerprint(), cut, options.recogniser);
  protection = file.info.protection;
  FeatureSet set;
  set.features = std::move(file.rows);
  check(set.features.count() == faces.size(), path, " has shape ", set.features.shape(), ", but ",
        options.list, " names ", faces.size(), " files");
  check_rows(set.features, space_after(protection, {set.features.row(), recogniser.domain(cut)}).domain,
             path);
  set.indices.resize(size_t(faces.size()));
  std::iota(set.indices.begin(), set.indices.end(), int64_t(0));
  return set;
}

// The first `limit` images to train on, and validation people in proportion.
void cut_short(Split& split, int64_t limit) {
  if (limit == 0 || limit >= int64_t(split.train.size())) return;
  const double share = double(limit) / double(split.train.size());
  split.train.resize(size_t(limit));
  split.validation.resize(size_t(std::ceil(share * double(split.validation.size()))));
}

// So many of the training people, with all their images. Who is among them depends on the seed and the name
// alone, and fewer people are some of more, so that sets of several sizes can be compared.
void keep_people(Split& split, const Labels& labels, const SplitSettings& settings) {
  if (settings.people == 0) return;
  std::set<std::pair<double, std::string>> order;  // by a number that is the person's own
  for (int64_t r : split.train) {
    const std::string& name = labels.identities[size_t(r)];
    order.emplace(Philox{settings.seed, uint64_t(person_key(name))}.uniform(1), single_spaced(name));
  }
  check(settings.people <= int64_t(order.size()), "--people ", settings.people,
        ": the split by person leaves ", order.size(), " people to train on");
  std::set<std::string> kept;
  for (const auto& [number, name] : order)
    if (int64_t(kept.size()) < settings.people) kept.insert(name);
  std::erase_if(split.train,
                [&](int64_t r) { return !kept.contains(single_spaced(labels.identities[size_t(r)])); });
}

// Who is on these files, and the split. Throws Error where it leaves nothing to train or to validate on.
std::pair<Labels, Split> split_files(const FaceSettings& options, const SplitSettings& split, int64_t batch,
                                     const std::vector<std::string>& files) {
  std::pair<Labels, Split> result{options.labels_of(files), {}};
  Split& parts = result.second;
  parts = split_by_identity(result.first, split.seed);
  keep_people(parts, result.first, split);
  cut_short(parts, split.limit);
  check(int64_t(parts.train.size()) >= batch, options.images, ": the split by person leaves ",
        parts.train.size(), " images to train on, fewer than one batch of ", batch,
        "; use more people, or a smaller --batch");
  check(!parts.validation.empty(), options.images,
        ": the split by person leaves nobody to validate on; use more people, or another --split-seed");
  return result;
}

// Keeps the rows of the split's training and validation people, in order: nobody else is protected or read.
void keep_used(TrainingSet& s) {
  s.records = s.split.train;
  s.records.insert(s.records.end(), s.split.validation.begin(), s.split.validation.end());
  std::sort(s.records.begin(), s.records.end());
  for (std::vector<int64_t>* part : {&s.split.train, &s.split.validation})
    for (int64_t& row : *part)
      row = std::lower_bound(s.records.begin(), s.records.end(), row) - s.records.begin();
  std::vector<int64_t> indices, person;
  for (int64_t row : s.records) {
    indices.push_back(s.set.indices[size_t(row)]);
    person.push_back(s.person[size_t(row)]);
  }
  s.person = std::move(person);
  s.set = {std::move(indices), s.set.features.selected(s.records)};
  s.test_images = s.split.test.size();
  s.split.test.clear();
}

}  // namespace

TrainingSet open_training_set(const FaceSettings& options, const std::string& features,
                              const SplitSettings& split, int64_t batch, const Recogniser& recogniser,
                              FaceSource& faces, const Context& context) {
  const std::string cut = options.cut_of(recogniser);
  TrainingSet result;
  Provenance& from = result.provenance;
  if (!features.empty()) result.set = given_features(features, options, recogniser, faces, from.protection);
  split_files(options, split, batch, faces.names());  // told before the work; broken images then drop out
  if (!from.protection.known()) context.tell(from.protection.unknown + "; this goes into the network");
  if (features.empty()) result.set = extract(options, recogniser, cut, faces, context);
  // Some protections map to another space.
  const FeatureSpace space =
      space_after(from.protection, {recogniser.feature_shape(cut), recogniser.domain(cut)});
  const Shape row = result.set.features.row();
  check(row == space.row, features, ": rows of shape ", row, ", but features of ", options.recogniser, " at ",
        cut, " that are ", from.protection.describe(), " have shape ", space.row);
  std::vector<std::string> files;
  for (int64_t i : result.set.indices) files.push_back(faces.name(i));
  Labels labels;
  std::tie(labels, result.split) = split_files(options, split, batch, files);
  for (const std::string& name : labels.identities) result.person.push_back(person_key(name));
  std::set<int64_t> people;
  for (int64_t r : result.split.train) people.insert(result.person[size_t(r)]);
  from.cut = cut;
  from.recogniser = recogniser.fingerprint();
  from.domain = space.domain;
  from.split_seed = split.seed;
  from.people.assign(people.begin(), people.end());
  result.all_rows = result.set.features.count();
  keep_used(result);
  return result;
}

FeatureRows protect_set(ProtectionChain& protection, const FaceSettings& options,
                        const Recogniser& recogniser, FaceSource& faces, TrainingSet& source,
                        const Context& context) {
  source.provenance.protection = protection.id();
  source.provenance.domain = protection.out().domain;
  const auto photographs =
      photographs_of(faces, source.set.indices, options.face_cut(recogniser), protection.photograph_size());
  return protected_rows(protection, source.set.features, source.records, photographs,
                        options.memory_mib << 20, context);
}

FeatureRows mirrored_features(const FaceSettings& options, const Recogniser& recogniser,
                              const FaceSource& faces, const TrainingSet& source, const Context& context) {
  std::vector<std::string> names;
  for (int64_t i : source.set.indices) names.push_back(faces.name(i));
  FaceSource used(faces.folder(), std::move(names));
  used.set_max_broken_share(0);  // each has a feature as it is, and a row without a mirror would shift others
  const auto progress = context.begin("mirrored features", used.size(), "images");
  ExtractOptions extraction = extract_options(options, *progress, context);
  extraction.mirrored = true;
  const FeatureSet set = extract_features(recogniser, options.cut_of(recogniser), used,
                                          options.face_cut(recogniser), options.cache, extraction);
  progress->finish();
  check(set.features.count() == used.size(), options.images, ": of ", used.size(), " mirrored images ",
        set.features.count(), " have a feature");
  return set.features;
}

FeatureRows protect_mirrored(ProtectionChain& protection, const FaceSettings& options,
                             const Recogniser& recogniser, FaceSource& faces, const TrainingSet& source,
                             const FeatureRows& mirrored, const Context& context) {
  std::vector<int64_t> records;
  for (int64_t r : source.records) records.push_back(source.all_rows + r);
  const ReadPhotographs plain =
      photographs_of(faces, source.set.indices, options.face_cut(recogniser), protection.photograph_size());
  const auto turned = [&plain](int64_t begin, int64_t end) { return advf::mirrored(plain(begin, end)); };
  return protected_beside(protection, mirrored, records, turned, options.memory_mib << 20, context);
}

}  // namespace advf
