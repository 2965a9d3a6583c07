// What the verbs of advface-train share: the set split by person, settings, the loop with its progress and
// checkpoints, the curve.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <numeric>
#include <set>
#include <tuple>

#include "advface/feature_file.h"
#include "tensor/io/plot.h"
#include "tools/progress.h"
#include "tools/train.h"

namespace advf::tools {

namespace {

// A file of features has one row per line of --list, and nobody may guess which image is which.
FeatureSet given_features(const std::string& path, const FaceOptions& options, const Recogniser& recogniser,
                          const FaceSource& faces, ProtectionId& protection) {
  FeatureFile file = open_feature_file(path);
  const std::string cut = options.cut_of(recogniser);
  check_comes_from(file.info, path, recogniser.fingerprint(), cut, options.recogniser);
  protection = file.info.protection;
  FeatureSet set;
  set.features = std::move(file.rows);
  check(set.features.count() == faces.size(), path, " has shape ", set.features.shape(), ", but ",
        options.list, " names ", faces.size(), " files");
  check_rows(set.features, recogniser.domain(cut), path);
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

// Who is on these files, and the split. Throws Error where it leaves nothing to train or to validate on.
std::pair<Labels, Split> split_files(const FaceOptions& options, const SplitOptions& split, int64_t batch,
                                     const std::vector<std::string>& files) {
  std::pair<Labels, Split> result{options.labels_of(files), {}};
  Split& parts = result.second;
  parts = split_by_identity(result.first, split.seed);
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
  std::vector<int64_t> indices;
  for (int64_t row : s.records) indices.push_back(s.set.indices[size_t(row)]);
  s.set = {std::move(indices), s.set.features.selected(s.records)};
  s.test_images = s.split.test.size();
  s.split.test.clear();
}

}  // namespace

TrainingSet open_training_set(const FaceOptions& options, const std::string& features,
                              const SplitOptions& split, int64_t batch, const Recogniser& recogniser,
                              FaceSource& faces) {
  const std::string cut = options.cut_of(recogniser);
  TrainingSet result;
  Provenance& from = result.provenance;
  if (!features.empty()) result.set = given_features(features, options, recogniser, faces, from.protection);
  split_files(options, split, batch, faces.names());  // told before the work; broken images then drop out
  if (!from.protection.known()) std::cerr << from.protection.unknown << "; this goes into the network\n";
  if (features.empty()) result.set = extract(options, recogniser, cut, faces);
  const Shape row = result.set.features.row();
  check(row == recogniser.feature_shape(cut), features, ": rows of shape ", row, ", but ", options.recogniser,
        " makes features of shape ", recogniser.feature_shape(cut), " at ", cut);
  std::vector<std::string> files;
  for (int64_t i : result.set.indices) files.push_back(faces.name(i));
  Labels labels;
  std::tie(labels, result.split) = split_files(options, split, batch, files);
  std::set<int64_t> people;
  for (int64_t r : result.split.train) people.insert(person_key(labels.identities[size_t(r)]));
  from.cut = cut;
  from.recogniser = recogniser.fingerprint();
  from.domain = recogniser.domain(cut);
  from.split_seed = split.seed;
  from.people.assign(people.begin(), people.end());
  keep_used(result);
  return result;
}

void check_resumable(bool resume, const std::string& checkpoint) {
  check(!resume || std::filesystem::exists(checkpoint), checkpoint,
        ": No such file or directory; there is nothing to go on from, leave --resume out");
}

FeatureRows protect_set(Protection& protection, const FaceOptions& options, const Recogniser& recogniser,
                        FaceSource& faces, TrainingSet& source) {
  source.provenance.protection = protection.id();
  const auto photographs =
      photographs_of(faces, source.set.indices, crop_for(recogniser, options.eye_centres()),
                     protection.info().spec.image_size);
  return protected_rows(protection, source.set.features, source.records, photographs,
                        options.memory_mib << 20);
}

void SplitOptions::add_to(CLI::App& app) {
  app.add_option("--split-seed", seed, "of the split by person: 80 % training, 10 % validation, 10 % test")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t(0), uint64_t(INT64_MAX)))
      ->check(CLI::NonNegativeNumber);
  app.add_option("--limit", limit, "train on at most this many images, the first ones; 0 = all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
}

void print_split(const TrainingSet& source) {
  std::cerr << source.split.train.size() << " images to train on, " << source.split.validation.size()
            << " to validate on, " << source.test_images << " left for tests; no person in two of them\n";
}

void add_training_options(CLI::App& app, TrainSettings& settings) {
  app.add_option("--epochs", settings.epochs, "passes over the training images")->capture_default_str();
  app.add_option("--batch", settings.batch, "images per step")->capture_default_str();
  app.add_option("--lr", settings.learning_rate, "peak learning rate (Adam, one cycle)")
      ->capture_default_str();
}

void run_training(Trainer& trainer, const TrainSettings& settings, const std::string& checkpoint,
                  const std::string& score, const std::function<void(const EpochResult&)>& after_epoch) {
  const int64_t per_epoch = trainer.batches_per_epoch();
  while (!trainer.done()) {
    const size_t epochs_before = trainer.history().size();
    const int64_t begin = trainer.steps_done() % per_epoch;
    Progress progress("epoch " + std::to_string(epochs_before + 1) + "/" + std::to_string(settings.epochs),
                      (per_epoch - begin) * settings.batch, "images");
    while (trainer.history().size() == epochs_before) {
      if (interrupted()) {
        progress.finish();
        trainer.save_checkpoint(checkpoint);
        std::cerr << "stopped after step " << trainer.steps_done()
                  << "; the same command with --resume goes on from " << checkpoint << "\n";
        throw Interrupted();
      }
      progress.advance(settings.batch, "loss " + short_number(trainer.step()));
    }
    progress.finish();
    const EpochResult& e = trainer.history().back();
    std::cerr << "  training loss " << short_number(e.train_loss) << ", validation loss "
              << short_number(e.validation_loss) << ", validation " << score << " "
              << short_number(e.validation_score) << "\n";
    trainer.save_checkpoint(checkpoint);
    after_epoch(e);
  }
}

void finish_training(const Trainer& trainer, const std::string& checkpoint, const std::string& curve,
                     const std::string& score) {
  Series train{"training loss", {}, {}}, validation{"validation loss", {}, {}},
      scores{"validation " + score, {}, {}};
  for (const EpochResult& e : trainer.history()) {
    for (Series* s : {&train, &validation, &scores}) s->xs.push_back(e.epoch);
    train.ys.push_back(e.train_loss);
    validation.ys.push_back(e.validation_loss);
    scores.ys.push_back(e.validation_score);
  }
  write_png(curve, line_plot("training", {train, validation, scores}, "epoch", ""));
  std::error_code ignored;
  std::filesystem::remove(checkpoint, ignored);
}

nlohmann::json history_json(const std::vector<EpochResult>& history, const std::string& score) {
  auto list = nlohmann::json::array();
  for (const EpochResult& e : history)
    list.push_back({{"epoch", e.epoch},
                    {"train_loss", e.train_loss},
                    {"validation_loss", e.validation_loss},
                    {"validation_" + score, e.validation_score},
                    {"seconds", e.seconds}});
  return list;
}

}  // namespace advf::tools
