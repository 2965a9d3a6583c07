// What the verbs of advface-train share: settings, the loop with its progress and checkpoints, the curve.
#include <filesystem>
#include <iostream>

#include "tensor/io/plot.h"
#include "tools/progress.h"
#include "tools/train.h"

namespace advf::tools {

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
