#include "advface/audit/verification_audit.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "advface/core/feature_file.h"
#include "advface/networks/adapter.h"

namespace advf {
namespace {

// The protocol names .jpg files; other sets have the same names with another ending.
std::string find_file(const std::string& folder, const std::string& name) {
  namespace fs = std::filesystem;
  if (fs::exists(fs::path(folder) / name)) return name;
  for (const char* ending : {".png", ".jpeg", ".JPG", ".pgm", ".ppm"}) {
    const std::string other = fs::path(name).replace_extension(ending).string();
    if (fs::exists(fs::path(folder) / other)) return other;
  }
  fail(folder, "/", name, " does not exist, though the pairs name it");
}

// Features of the files that the pairs name, protected or not, as embeddings in host memory.
struct Embeddings {
  std::unordered_map<std::string, int64_t> row;
  Tensor raw, guarded;  // guarded is undefined without protection,
  Tensor adapted;       // and adapted, of protected features behind the adapter, without one
};

Tensor embed_rows(const Recogniser& recogniser, const FeatureRows& features, const std::string& cut,
                  Adapter* adapter = nullptr) {
  constexpr int64_t kBatch = 64;
  return collect_rows(features.count(), kBatch, [&](int64_t begin, int64_t end) {
    const Tensor rows = features.batch(begin, end);
    if (!adapter) return recogniser.embed_from(rows, cut);
    const Tensor read = adapter->forward(rows);
    check_rows(read, adapter->info().domain, "what the adapter gives, whose training has failed");
    return recogniser.embed_from(read, cut);
  });
}

// Protected features from a file, and whose they are.
struct GivenFeatures {
  FeatureRows rows;
  ProtectionId protection;
  std::unordered_map<std::string, int64_t> row_of;

  // In the order of these files, all of which it must have.
  FeatureRows of(const std::vector<std::string>& files, const std::string& list) const {
    std::vector<int64_t> order;
    for (const std::string& file : files) {
      const auto found = row_of.find(file);
      check(found != row_of.end(), list, " does not name ", file, ", which the pairs need");
      order.push_back(found->second);
    }
    return rows.selected(order);
  }
};

GivenFeatures open_protected(const VerificationSettings& o, const Recogniser& recogniser,
                             const std::string& cut) {
  FeatureFile file = open_feature_file(o.protected_file);
  check_comes_from(file.info, o.protected_file, recogniser.fingerprint(), cut, o.faces.recogniser);
  const Shape& like = recogniser.feature_shape(cut);
  GivenFeatures given{std::move(file.rows), std::move(file.info.protection), {}};
  const FeatureRows& rows = given.rows;
  const FaceSource listed = FaceSource::open(o.faces.images, o.protected_list);
  check(rows.count() == listed.size(), o.protected_file, " has shape ", rows.shape(), ", but ",
        o.protected_list, " names ", listed.size(), " files");
  check(rows.row() == like, o.protected_file, ": rows of shape ", rows.row(), " for features of shape ",
        like);
  check_rows(rows, recogniser.domain(cut), o.protected_file);
  for (int64_t i = 0; i < listed.size(); ++i) given.row_of[listed.name(i)] = i;
  return given;
}

// The rows that advface-extract would give these files of the folder (or of --list): a record is protected
// under its number there, whichever of them the pairs name. Unreadable images have no row, so all are looked
// at.
std::vector<int64_t> record_numbers(FaceSource& all, const std::vector<std::string>& files,
                                    const std::string& list, const Context& context) {
  constexpr int64_t kChunk = 256;
  std::unordered_map<std::string, int64_t> number;
  const auto progress = context.begin("number", all.size(), "images");
  for (int64_t begin = 0; begin < all.size(); begin += kChunk) {
    context.check_stop();
    const int64_t end = std::min(all.size(), begin + kChunk);
    for (int64_t i : all.load(begin, end, std::nullopt, 1).good)
      number.try_emplace(all.name(i), int64_t(number.size()));
    progress->advance(end - begin);
  }
  progress->finish();
  std::vector<int64_t> records;
  for (const std::string& file : files) {
    const auto found = number.find(file);
    check(found != number.end(), list, " does not name ", file, ", which the pairs need");
    records.push_back(found->second);
  }
  return records;
}

Embeddings embed_pairs(const VerificationSettings& o, const Recogniser& recogniser, PairList& pairs,
                       const Context& context) {
  std::unordered_map<std::string, std::string> actual;
  std::vector<std::string> names;
  for (Pair& p : pairs.pairs)
    for (std::string* name : {&p.a, &p.b}) {
      auto [it, fresh] = actual.try_emplace(*name);
      if (fresh) {
        it->second = find_file(o.faces.images, *name);
        names.push_back(it->second);
      }
      *name = it->second;
    }
  std::sort(names.begin(), names.end());
  const std::string cut = o.faces.cut_of(recogniser);
  const Shape& row = recogniser.feature_shape(cut);
  std::optional<Protection> protection;
  std::unique_ptr<Adapter> adapter;
  if (!o.protected_by.shadows.empty())
    protection.emplace(o.protected_by, o.protection, &recogniser, row, o.faces.recogniser, cut);
  if (!o.adapter.empty()) {
    adapter = Adapter::load(o.adapter);
    adapter->check_fits(row, recogniser.fingerprint(), cut, o.faces.recogniser);
    if (protection) adapter->check_trained_on(protection->id());
  }
  if (protection || adapter) {
    const std::vector<std::string> people = o.faces.labels_of(names).identities;
    if (protection) protection->check_never_saw(people);
    if (adapter) adapter->check_never_saw(people);
  }
  std::optional<FaceSource> all;  // among which the files of the pairs have their numbers
  if (protection) {
    all.emplace(o.faces.open_images(context));
    const std::unordered_set<std::string> known(all->names().begin(), all->names().end());
    for (const std::string& name : names)
      check(known.contains(name), o.faces.list.empty() ? o.faces.images : o.faces.list, " does not name ",
            name, ", which the pairs need");
  }
  GivenFeatures given;
  if (!o.protected_file.empty()) given = open_protected(o, recogniser, cut);
  // Of a file that nobody described only its owner knows how it was protected.
  if (adapter && !o.protected_file.empty() && given.protection.known())
    adapter->check_trained_on(given.protection);
  FaceSource faces(o.faces.images, names);
  faces.set_max_broken_share(1);  // of the few that are looked at here
  for (size_t i = 0; i < names.size() && !o.protected_file.empty(); ++i)
    check(given.row_of.contains(names[i]) ||
              faces.load(int64_t(i), int64_t(i) + 1, std::nullopt, 1).good.empty(),
          o.protected_list, " does not name ", names[i], ", which the pairs need");
  faces.set_max_broken_share(o.faces.max_broken);
  if (!given.protection.known()) context.tell(given.protection.unknown);
  const FeatureSet set = extract(o.faces, recogniser, cut, faces, context);
  check(!set.indices.empty(), o.faces.images, ": no image could be read");
  Embeddings e;
  std::vector<std::string> files;
  for (size_t r = 0; r < set.indices.size(); ++r) {
    files.push_back(faces.name(set.indices[r]));
    e.row[files.back()] = int64_t(r);
  }
  e.raw = embed_rows(recogniser, set.features, cut);
  FeatureRows guarded;
  if (protection) {
    const auto photographs = photographs_of(faces, set.indices, crop_for(recogniser, o.faces.eye_centres()),
                                            protection->info().spec.image_size);
    guarded = protected_rows(*protection, set.features, record_numbers(*all, files, o.faces.list, context),
                             photographs, o.faces.memory_mib << 20, context);
  } else if (!o.protected_file.empty()) {
    guarded = given.of(files, o.protected_list);
  }
  if (guarded.count() > 0) e.guarded = embed_rows(recogniser, guarded, cut);
  if (adapter) e.adapted = embed_rows(recogniser, guarded, cut, adapter.get());
  return e;
}

// Of row i of a matrix.
std::span<const float> row(const Tensor& rows, int64_t i) {
  const size_t d = size_t(rows.dim(1));
  return {rows.data<float>() + size_t(i) * d, d};
}

// Pairs whose images were read, scored.
std::vector<ScoredPair> score(const PairList& pairs, const Embeddings& e, const Tensor& gallery,
                              const Tensor& probe) {
  std::vector<ScoredPair> scores;
  for (const Pair& p : pairs.pairs) {
    const auto a = e.row.find(p.a), b = e.row.find(p.b);
    if (a != e.row.end() && b != e.row.end())
      scores.push_back({dot(row(gallery, a->second), row(probe, b->second)), p.genuine, p.fold});
  }
  return scores;
}

}  // namespace

VerificationScores verify_pairs(const VerificationSettings& o, const Context& context) {
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  PairList pairs = load_pairs(o.pairs);
  const Embeddings e = embed_pairs(o, recogniser, pairs, context);
  VerificationScores result;
  result.guarded = e.guarded.defined();
  result.cut = o.faces.cut_of(recogniser);
  const auto scored = [&](const Tensor& stored) {
    return score(pairs, e, result.guarded && o.side != "probe" ? stored : e.raw,
                 result.guarded && o.side != "gallery" ? stored : e.raw);
  };
  result.scores = scored(e.guarded);
  result.left_out = pairs.pairs.size() - result.scores.size();
  if (e.adapted.defined()) result.adapted = scored(e.adapted);
  return result;
}

}  // namespace advf
