// What the verbs of advface-train share: the set split by person, settings, the loop with its progress and
// checkpoints, the curve.
#include <filesystem>
#include <iostream>
#include <numeric>
#include <set>

#include "tensor/io/grid.h"
#include "tools/progress.h"
#include "tools/train.h"

namespace advf::tools {

namespace {

// A file of features has one row per line of --list, and nobody may guess which image is which.
FeatureSet given_features(const std::string& path, const FaceOptions& options, const FaceSource& faces) {
  FeatureSet set;
  set.features = FeatureRows::open(path);
  check(set.features.count() == faces.size(), path, " has shape ", set.features.shape(), ", but ",
        options.list, " names ", faces.size(), " files");
  set.indices.resize(size_t(faces.size()));
  std::iota(set.indices.begin(), set.indices.end(), int64_t(0));
  return set;
}

}  // namespace

TrainingSet open_training_set(const FaceOptions& options, const std::string& features, uint64_t split_seed,
                              const Recogniser& recogniser, FaceSource& faces) {
  const std::string cut = options.cut_of(recogniser);
  TrainingSet result;
  result.set =
      features.empty() ? extract(options, recogniser, cut, faces) : given_features(features, options, faces);
  const Shape row = result.set.features.row();
  check(row == recogniser.feature_shape(cut), features, ": rows of shape ", row, ", but ", options.recogniser,
        " makes features of shape ", recogniser.feature_shape(cut), " at ", cut);
  std::vector<std::string> files;
  for (int64_t i : result.set.indices) files.push_back(faces.name(i));
  const Labels labels = options.labels_of(files);
  result.split = split_by_identity(labels, split_seed);
  std::set<int64_t> people;
  for (int64_t r : result.split.train) people.insert(person_key(labels.identities[size_t(r)]));
  Provenance& from = result.provenance;
  from.cut = cut;
  from.recogniser = recogniser.fingerprint();
  from.trained_on = features.empty() ? "raw" : features;
  from.domain = recogniser.domain(cut);
  from.split_seed = split_seed;
  from.people.assign(people.begin(), people.end());
  return result;
}

FeatureRows protected_set(ProtectOptions& options, const Common& common, const FaceOptions& face_options,
                          const Recogniser& recogniser, FaceSource& faces, const FeatureSet& set) {
  options.settings.seed = common.seed;
  Protection protection(options, &recogniser, set.features.row(), face_options.recogniser);
  const auto photographs =
      photographs_of(faces, set.indices, crop_for(recogniser, face_options.eye_centres()),
                     protection.info().spec.image_size);
  return protected_rows(protection, set.features, {}, photographs, face_options.memory_mib << 20);
}

CLI::Option* add_split_seed(CLI::App& app, uint64_t& seed) {
  return app
      .add_option("--split-seed", seed, "of the split by person: 80 % training, 10 % validation, 10 % test")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t(0), uint64_t(INT64_MAX)))
      ->check(CLI::NonNegativeNumber);
}

void print_split(const Split& split) {
  std::cerr << split.train.size() << " images to train on, " << split.validation.size() << " to validate on, "
            << split.test.size() << " left for tests; no person in two of them\n";
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
