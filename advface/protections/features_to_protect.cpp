#include "advface/protections/features_to_protect.h"

#include <algorithm>
#include <numeric>
#include <sstream>

#include "advface/core/dataset.h"
#include "advface/core/enrolment.h"
#include "advface/protections/registry.h"

namespace advf {
namespace {

// Why the first rows are no unit vectors, for files of which nobody says where their features live; "" where
// they look like ones. Throws Error, naming the row, for values that no feature has.
std::string why_no_unit_vectors(const FeatureRows& rows, const std::string& file) {
  constexpr int64_t kLook = 64;
  if (rows.count() == 0) return "there are none";
  const Tensor first = rows.range(0, std::min(rows.count(), kLook));
  check_rows(first, FeatureDomain::real, file);
  if (rows.row().rank() != 1) return "they are maps";
  const size_t d = size_t(rows.row()[0]);
  for (int64_t i = 0; i < first.dim(0); ++i) {
    const double length = norm({first.data<float>() + size_t(i) * d, d});
    if (is_unit_norm(length)) continue;
    std::ostringstream why;
    why << "row " << i << " has norm " << length << ", so that they are no unit vectors";
    return why.str();
  }
  return "";
}

}  // namespace

FeaturesToProtect FeaturesToProtect::of_file(const std::string& path) {
  FeatureFile file = open_feature_file(path);
  check(!file.info.part, path, ": is one part of several; put them together with advface-inspect --join");
  FeaturesToProtect input;
  input.what_ = path;
  input.features_ = std::move(file.rows);
  input.row_ = input.features_.row();
  input.info_ = std::move(file.info);
  input.is_file_ = true;
  ProtectionId& before = input.info_.protection;
  if (!before.known())
    input.note_ = before.unknown + "; they are taken for raw ones";
  else if (!before.is_raw())
    input.note_ =
        path + ": its features are protected already (" + before.describe() + "), and now once more";
  if (!before.known()) before = {};
  return input;
}

FeaturesToProtect FeaturesToProtect::of_photographs(const FaceSettings& faces, const Recogniser& recogniser,
                                                    const std::vector<std::string>& files,
                                                    const std::vector<std::string>& names) {
  FeaturesToProtect input;
  input.what_ = faces.recogniser;
  input.info_ = {recogniser.fingerprint(), faces.cut_of(recogniser), {}, feeding_hash(recogniser.card())};
  input.row_ = recogniser.feature_shape(input.info_.cut);
  input.faces_.emplace("", files);
  input.faces_->set_max_broken_share(1);
  input.names_ = names.empty() ? files : names;
  return input;
}

ProtectionInput FeaturesToProtect::input(const Recogniser* recogniser) const {
  ProtectionInput input;
  input.recogniser = info_.recogniser;
  input.cut = info_.cut;
  input.card = info_.card;
  input.what = what_;
  input.space.row = row_;
  input.before = info_.protection;
  input.space.moved = space_after(info_.protection, {row_}).moved;
  if (recogniser)
    check_comes_from(info_, what_, recogniser->fingerprint(), info_.cut, recogniser->card().path);
  if (recogniser && !input.space.moved) input.network = recogniser;
  // Where nobody has said at which cut, only a shadow may know more than the card's default.
  const std::string cut = !info_.cut.empty() || !recogniser ? info_.cut : recogniser->card().default_cut;
  if (input.network && recogniser->feature_shape(cut) == row_) {
    input.space.domain = recogniser->domain(cut);
  } else {
    input.why_domain_unknown = why_no_unit_vectors(features_, what_);
    if (input.domain_known()) input.space.domain = FeatureDomain::sphere;
  }
  return input;
}

void FeaturesToProtect::add_photographs(const FaceSettings& faces, const Context& context) {
  faces_.emplace(faces.open_images(context));
  check(faces_->size() == features_.count(), faces.list, " names ", faces_->size(), " files, but ", what_,
        " has ", features_.count(), " rows");
}

void FeaturesToProtect::extract(const FaceSettings& faces, const Recogniser& recogniser,
                                const Context& context) {
  ExtractOptions options;
  options.broken = [](const BrokenFace& face) { fail(face.why, "; nothing was written"); };
  options.progress = [&](int64_t) { return !context.stopped(); };
  FeatureSpool rows(row_, options.memory_bytes);
  for_each_feature_batch(recogniser, info_.cut, *faces_, faces.face_cut(recogniser), options,
                         [&](const FeatureBatch& batch) {
                           rows.append(batch.features);
                           found_.insert(found_.end(), batch.found.begin(), batch.found.end());
                         });
  features_ = rows.finish();
  faces.tell_of_cache(context);
}

void FeaturesToProtect::average(const std::vector<std::string>& people, int64_t most, FeatureDomain domain) {
  check(info_.protection.is_raw(), what_, ": its features are protected already (",
        info_.protection.describe(), "), and their mean means nothing; average the raw ones");
  check(int64_t(people.size()) == features_.count(), "there are names for ", people.size(), " rows, but ",
        what_, " has ", features_.count());
  std::vector<int64_t> keys;
  for (const std::string& who : people) keys.push_back(person_key(who));
  const std::vector<std::vector<int64_t>> rows = RowsByPerson(keys).first(most);
  std::vector<std::string> names;
  for (const auto& mine : rows) {
    names.push_back(people[size_t(mine[0])]);
    averaged_.push_back(int64_t(mine.size()));
  }
  constexpr int64_t kMemory = int64_t(1) << 30;
  features_ = means_of(features_, rows, domain, kMemory, [&](int64_t g) {
    return what_ + ": the mean of the photographs of " + names[size_t(g)];
  });
  names_ = std::move(names);
}

ReadPhotographs FeaturesToProtect::photographs(const FaceSettings& faces, const Recogniser* recogniser,
                                               int size) {
  if (size == 0) return {};
  std::vector<int64_t> all(size_t(features_.count()));
  std::iota(all.begin(), all.end(), int64_t(0));
  return photographs_of(*faces_, all, faces.whole_pictures() ? FaceCut() : faces.face_cut(*recogniser), size);
}

std::vector<std::string> FeaturesToProtect::names(int64_t begin, int64_t end) const {
  if (!names_.empty()) return {names_.begin() + begin, names_.begin() + end};
  std::vector<std::string> rows;
  for (int64_t r = begin; r < end; ++r) rows.push_back(what_ + ":" + std::to_string(r));
  return rows;
}

}  // namespace advf
