// advface-evaluate recognition: the LFW protocol, with the gallery, the probe or both protected. The first
// image of a pair is the gallery's, the second the probe's.
#include <filesystem>
#include <iostream>
#include <unordered_map>

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

// Features of the files that the pairs name, protected or not, as embeddings.
struct Embeddings {
  std::unordered_map<std::string, int64_t> row;
  Tensor raw, guarded;  // guarded is undefined without protection
};

Tensor embed_rows(const Recogniser& recogniser, const FeatureRows& features, const std::string& cut) {
  constexpr int64_t kBatch = 64;
  std::vector<float> values;
  for (int64_t begin = 0; begin < features.count(); begin += kBatch) {
    const Tensor rows = features.range(begin, std::min(features.count(), begin + kBatch));
    const auto part = recogniser.embed_from(rows, cut).to_vector<float>();
    values.insert(values.end(), part.begin(), part.end());
  }
  return Tensor::from(values, {features.count(), recogniser.card().embedding.dimension});
}

// Protected features from a file, in the order of our rows.
FeatureRows given_rows(const RecognitionOptions& o, const std::vector<std::string>& files,
                       const Shape& like) {
  const FeatureRows rows = FeatureRows::open(o.protected_file);
  FaceSource listed = FaceSource::open(o.faces.images, o.protected_list);
  check(rows.count() == listed.size(), o.protected_file, " has shape ", rows.shape(), ", but ",
        o.protected_list, " names ", listed.size(), " files");
  std::unordered_map<std::string, int64_t> at;
  for (int64_t i = 0; i < listed.size(); ++i) at[listed.name(i)] = i;
  check(rows.row() == like, o.protected_file, ": rows of shape ", rows.row(), " for features of shape ",
        like);
  std::vector<int64_t> order;
  for (const std::string& file : files) {
    const auto found = at.find(file);
    check(found != at.end(), o.protected_list, " does not name ", file, ", which the pairs need");
    order.push_back(found->second);
  }
  return rows.selected(order);
}

// The rows that advface-extract would give these files of the folder (or of --list): a record is protected
// under its number there, whichever of them the pairs name. Unreadable images have no row, so all are looked
// at.
std::vector<int64_t> record_numbers(const RecognitionOptions& o, const std::vector<std::string>& files) {
  constexpr int64_t kChunk = 256;
  FaceSource all = o.faces.open_images();
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
  FaceSource faces(o.faces.images, names);
  faces.set_max_broken_share(o.faces.max_broken);
  const std::string cut = o.faces.cut_of(recogniser);
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
  if (o.protect.asked()) {
    o.protect.settings.seed = o.common.seed;
    Protection protection(o.protect, &recogniser, recogniser.feature_shape(cut), o.faces.recogniser, cut);
    const auto photographs = photographs_of(faces, set.indices, crop_for(recogniser, o.faces.eye_centres()),
                                            protection.info().spec.image_size);
    guarded = protected_rows(protection, set.features, record_numbers(o, files), photographs,
                             o.faces.memory_mib << 20);
  } else if (!o.protected_file.empty()) {
    guarded = given_rows(o, files, set.features.row());
  }
  if (guarded.count() > 0) e.guarded = embed_rows(recogniser, guarded, cut);
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

}  // namespace

int evaluate_recognition(RecognitionOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  o.protect.check_valid();
  o.faces.eye_centres();  // judged before the work
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  PairList pairs = load_pairs(o.pairs);
  const Embeddings e = embed_pairs(o, recogniser, pairs);
  const bool guarded = e.guarded.defined();
  const Tensor& gallery = guarded && o.side != "probe" ? e.guarded : e.raw;
  const Tensor& probe = guarded && o.side != "gallery" ? e.guarded : e.raw;

  std::vector<ScoredPair> scores;
  int64_t lost = 0;
  for (const Pair& p : pairs.pairs) {
    const auto a = e.row.find(p.a), b = e.row.find(p.b);
    if (a == e.row.end() || b == e.row.end()) {
      ++lost;
      continue;
    }
    scores.push_back({dot(gallery, a->second, probe, b->second), p.genuine, p.fold});
  }
  const FoldAccuracy accuracy = fold_accuracy(scores);
  const double eer = equal_error_rate(scores);
  const std::string side = guarded ? o.side : "none";
  nlohmann::json tar;
  for (const auto& [name, far] : {std::pair{"1e-2", 1e-2}, std::pair{"1e-3", 1e-3}})
    tar[name] = operating_point(scores, far);
  nlohmann::json result = {{"accuracy", {{"mean", accuracy.mean}, {"std", accuracy.deviation}}},
                           {"tar_at_far", {{"1e-2", tar["1e-2"]["tar"]}, {"1e-3", tar["1e-3"]["tar"]}}},
                           {"operating_points", tar},
                           {"eer", eer},
                           {"pairs", scores.size()},
                           {"pairs_left_out", lost},
                           {"protected", side},
                           {"recogniser", o.faces.recogniser},
                           {"cut", o.faces.cut_of(recogniser)}};
  if (guarded && o.protect.asked()) {
    result["epsilon"] = o.protect.settings.epsilon;
    result["protection"] = settings_json(o.protect.settings);
  }
  o.common.write_json(result);
  std::printf(
      "accuracy %.4f +- %.4f   TAR@FAR 1e-2 %.4f   1e-3 %.4f   EER %.4f   (%zu pairs, protected: %s)\n",
      accuracy.mean, accuracy.deviation, tar["1e-2"]["tar"].get<double>(), tar["1e-3"]["tar"].get<double>(),
      eer, scores.size(), side.c_str());
  if (lost > 0)
    std::printf("%lld pairs left out because an image could not be read\n", static_cast<long long>(lost));
  return 0;
}

CLI::App* add_recognition_verb(CLI::App& app, RecognitionOptions& o) {
  CLI::App* sub =
      app.add_subcommand("recognition", "verification accuracy on a list of pairs (LFW protocol)");
  o.faces.add_to(*sub);
  sub->add_option("--pairs", o.pairs, "pairs in the format of LFW's pairs.txt")->required();
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
  sub->add_option("--side", o.side, "which side of a pair is protected: gallery, probe or both")
      ->capture_default_str()
      ->check(CLI::IsMember({"gallery", "probe", "both"}))
      ->group("Protection");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
