// advface-evaluate recognition: the LFW protocol, with the gallery, the probe or both protected. The first
// image of a pair is the gallery's, the second the probe's.
#include <filesystem>
#include <iostream>
#include <unordered_map>
#include <unordered_set>

#include "advface/adapter.h"
#include "advface/feature_file.h"
#include "advface/metrics.h"
#include "tools/evaluate.h"
#include "tools/progress.h"

namespace advf::tools {
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

GivenFeatures open_protected(const RecognitionOptions& o, const Recogniser& recogniser,
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
std::vector<int64_t> record_numbers(const RecognitionOptions& o, FaceSource& all,
                                    const std::vector<std::string>& files) {
  constexpr int64_t kChunk = 256;
  std::unordered_map<std::string, int64_t> number;
  Progress progress("number", all.size(), "images");
  for (int64_t begin = 0; begin < all.size(); begin += kChunk) {
    if (interrupted()) throw Interrupted();
    const int64_t end = std::min(all.size(), begin + kChunk);
    for (int64_t i : all.load(begin, end, std::nullopt, 1).good)
      number.try_emplace(all.name(i), int64_t(number.size()));
    progress.advance(end - begin);
  }
  progress.finish();
  std::vector<int64_t> records;
  for (const std::string& file : files) {
    const auto found = number.find(file);
    check(found != number.end(), o.faces.list, " does not name ", file, ", which the pairs need");
    records.push_back(found->second);
  }
  return records;
}

Embeddings embed_pairs(RecognitionOptions& o, const Recogniser& recogniser, PairList& pairs) {
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
  if (o.protect.asked()) {
    o.protect.settings.seed = o.common.seed;
    protection.emplace(o.protect, &recogniser, row, o.faces.recogniser, cut);
  }
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
    all.emplace(o.faces.open_images());
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
  if (!given.protection.known()) std::cerr << given.protection.unknown << "\n";
  const FeatureSet set = extract(o.faces, recogniser, cut, faces);
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
    guarded = protected_rows(*protection, set.features, record_numbers(o, *all, files), photographs,
                             o.faces.memory_mib << 20);
  } else if (!o.protected_file.empty()) {
    guarded = given.of(files, o.protected_list);
  }
  if (guarded.count() > 0) e.guarded = embed_rows(recogniser, guarded, cut);
  if (adapter) e.adapted = embed_rows(recogniser, guarded, cut, adapter.get());
  return e;
}

double dot(const Tensor& a, int64_t i, const Tensor& b, int64_t j) {
  const int64_t d = a.dim(1);
  const float *x = a.data<float>() + i * d, *y = b.data<float>() + j * d;
  double sum = 0;
  for (int64_t k = 0; k < d; ++k) sum += double(x[k]) * double(y[k]);
  return sum;  // embed_from gives unit vectors
}

nlohmann::json operating_point(const std::vector<ScoredPair>& scores, double far) {
  const OperatingPoint p = tar_at_far(scores, far);
  return {{"tar", p.tar()}, {"far", p.far()}, {"threshold", p.threshold}};
}

// Pairs whose images were read, scored.
std::vector<ScoredPair> score(const PairList& pairs, const Embeddings& e, const Tensor& gallery,
                              const Tensor& probe) {
  std::vector<ScoredPair> scores;
  for (const Pair& p : pairs.pairs) {
    const auto a = e.row.find(p.a), b = e.row.find(p.b);
    if (a != e.row.end() && b != e.row.end())
      scores.push_back({dot(gallery, a->second, probe, b->second), p.genuine, p.fold});
  }
  return scores;
}

nlohmann::json measure(const std::vector<ScoredPair>& scores) {
  const FoldAccuracy accuracy = fold_accuracy(scores);
  const nlohmann::json points = {{"1e-2", operating_point(scores, 1e-2)},
                                 {"1e-3", operating_point(scores, 1e-3)}};
  return {{"accuracy", {{"mean", accuracy.mean}, {"std", accuracy.deviation}}},
          {"tar_at_far", {{"1e-2", points["1e-2"]["tar"]}, {"1e-3", points["1e-3"]["tar"]}}},
          {"operating_points", points},
          {"eer", equal_error_rate(scores)}};
}

void print(const nlohmann::json& m, size_t pairs, const std::string& side) {
  const nlohmann::json &accuracy = m["accuracy"], &tar = m["tar_at_far"];
  std::printf(
      "accuracy %.4f +- %.4f   TAR@FAR 1e-2 %.4f   1e-3 %.4f   EER %.4f   (%zu pairs, protected: %s)\n",
      accuracy["mean"].get<double>(), accuracy["std"].get<double>(), tar["1e-2"].get<double>(),
      tar["1e-3"].get<double>(), m["eer"].get<double>(), pairs, side.c_str());
}

void check_options(const RecognitionOptions& o) {
  o.protect.check_valid();
  o.faces.eye_centres();  // judged before the work
  as_usage([&] {
    check(o.adapter.empty() || o.protect.asked() || !o.protected_file.empty(),
          "--adapter reads protected features: give --shadow or --protected");
  });
}

}  // namespace

int evaluate_recognition(RecognitionOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  check_options(o);
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  PairList pairs = load_pairs(o.pairs);
  const Embeddings e = embed_pairs(o, recogniser, pairs);
  const bool guarded = e.guarded.defined();
  const auto scored = [&](const Tensor& stored) {
    return score(pairs, e, guarded && o.side != "probe" ? stored : e.raw,
                 guarded && o.side != "gallery" ? stored : e.raw);
  };
  const std::vector<ScoredPair> scores = scored(e.guarded);
  const size_t lost = pairs.pairs.size() - scores.size();
  const std::string side = guarded ? o.side : "none";
  nlohmann::json result = measure(scores);
  result.update({{"pairs", scores.size()},
                 {"pairs_left_out", lost},
                 {"protected", side},
                 {"recogniser", o.faces.recogniser},
                 {"cut", o.faces.cut_of(recogniser)}});
  if (guarded && o.protect.asked()) {
    result["epsilon"] = o.protect.settings.epsilon;
    result["protection"] = settings_json(o.protect.settings);
  }
  if (e.adapted.defined()) {
    result["offline"] = measure(scored(e.adapted));
    result["offline"]["adapter"] = o.adapter;
  }
  o.common.write_json(result);
  print(result, scores.size(), side);
  if (e.adapted.defined()) print(result["offline"], scores.size(), side + ", offline: behind " + o.adapter);
  if (lost > 0) std::printf("%zu pairs left out because an image could not be read\n", lost);
  return 0;
}

CLI::App* add_recognition_verb(CLI::App& app, RecognitionOptions& o) {
  CLI::App* sub =
      app.add_subcommand("recognition", "verification accuracy on a list of pairs (LFW protocol)");
  o.faces.add_to(*sub);
  o.faces.add_labels_to(*sub);
  sub->add_option("--pairs", o.pairs, "pairs: LFW's pairs.txt, or CSV (a,b,genuine,fold)")->required();
  o.protect.add_to(*sub, "Protection");
  CLI::Option* file =
      sub->add_option("--protected", o.protected_file, "protected features from this file (.npy) instead")
          ->excludes(sub->get_option("--shadow"))
          ->group("Protection");
  CLI::Option* list = sub->add_option("--protected-list", o.protected_list,
                                      "the files that the rows of --protected belong to")
                          ->needs(file)
                          ->group("Protection");
  file->needs(list);
  sub->add_option("--adapter", o.adapter,
                  "also measure offline mode: protected features go through this adapter first")
      ->group("Protection");
  sub->add_option("--side", o.side, "which side of a pair is protected: gallery, probe or both")
      ->capture_default_str()
      ->check(CLI::IsMember({"gallery", "probe", "both"}))
      ->group("Protection");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
