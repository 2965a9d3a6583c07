// What the verbs of advface-train share: the set split by person, settings, the loop with its progress and
// checkpoints, the curve.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <numeric>
#include <set>
#include <tuple>

#include "advface/core/feature_file.h"
#include "nn/team.h"
#include "tensor/io/atomic_file.h"
#include "tools/options/progress.h"
#include "tools/train/train.h"

namespace advf::tools {

namespace {

bool writes() { return !current_team() || current_team()->rank() == 0; }

// All ranks stop behind the same step.
bool told_to_stop() { return current_team() ? current_team()->any(interrupted()) : interrupted(); }

// All ranks wait for the one who writes, so that none is ahead of a checkpoint that then fails.
void save_checkpoint(Trainer& trainer, const std::string& path) {
  if (writes()) trainer.save_checkpoint(path);
  if (current_team()) current_team()->any(false);
}

}  // namespace

void check_resumable(bool resume, const std::string& checkpoint) {
  check(!resume || std::filesystem::exists(checkpoint), checkpoint,
        ": No such file or directory; there is nothing to go on from, leave --resume out");
}

void SplitOptions::add_to(CLI::App& app) {
  app.add_option("--split-seed", seed, "of the split by person: 80 % training, 10 % validation, 10 % test")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t(0), uint64_t(INT64_MAX)))
      ->check(not_negative());
  app.add_option("--limit", limit, "train on at most this many images, the first ones; 0 = all")
      ->capture_default_str()
      ->check(not_negative());
  app.add_option("--people", people,
                 "train on so many of the training people (fewer are some of more); 0 = all of them")
      ->capture_default_str()
      ->check(not_negative());
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
  app.add_flag("--bn-per-rank", settings.batch_norm_per_rank,
               "of several ranks (advface-train-mpi) each normalises by its own share of a batch");
}

EpochResult run_training(Trainer& trainer, const TrainSettings& settings, const std::string& checkpoint,
                         const std::string& score,
                         const std::function<void(const EpochResult&)>& after_epoch) {
  const int64_t per_epoch = trainer.batches_per_epoch();
  while (!trainer.done()) {
    const size_t epochs_before = trainer.history().size();
    const int64_t begin = trainer.steps_done() % per_epoch;
    Progress progress("epoch " + std::to_string(epochs_before + 1) + "/" + std::to_string(settings.epochs),
                      (per_epoch - begin) * settings.batch, "images");
    while (trainer.history().size() == epochs_before) {
      if (told_to_stop()) {
        progress.finish();
        save_checkpoint(trainer, checkpoint);
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
    save_checkpoint(trainer, checkpoint);
    if (writes()) after_epoch(e);
  }
  const EpochResult result = trainer.finish();
  if (settings.average > 1)
    std::cerr << "the average of the last " << settings.average << " epochs: validation loss "
              << short_number(result.validation_loss) << ", validation " << score << " "
              << short_number(result.validation_score) << "\n";
  if (const Team* team = current_team()) {
    const double steps = double(trainer.steps_done());
    std::cerr << team->size() << " ranks: each sent "
              << short_number(double(team->bytes_sent()) / steps / 1e6)
              << " MB a step, and sent or waited for " << short_number(1e3 * team->seconds() / steps)
              << " ms of it\n";
  }
  if (!writes()) throw NotTheWriter();
  return result;
}

void finish_training(const Trainer& trainer, const std::string& checkpoint, const std::string& curve,
                     const std::string& score, const std::vector<Series>& more) {
  Series train{"training loss", {}, {}}, validation{"validation loss", {}, {}},
      scores{"validation " + score, {}, {}};
  for (const EpochResult& e : trainer.history()) {
    for (Series* s : {&train, &validation, &scores}) s->xs.push_back(e.epoch);
    train.ys.push_back(e.train_loss);
    validation.ys.push_back(e.validation_loss);
    scores.ys.push_back(e.validation_score);
  }
  std::vector<Series> all{train, validation, scores};
  all.insert(all.end(), more.begin(), more.end());
  write_svg(curve, svg_plot("training", all, "epoch", "loss; " + score));
  std::error_code ignored;
  std::filesystem::remove(checkpoint, ignored);
  // Of a run that was killed, before this one went on.
  for (const std::string& file : {checkpoint, curve}) remove_stale_temporaries(file);
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
