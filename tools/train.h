// The verbs of advface-train.
#pragma once
#include <functional>

#include "advface/train_decoder.h"
#include "advface/train_recogniser.h"
#include "tools/cli.h"
#include "tools/face_options.h"
#include "tools/protect_options.h"

namespace advf::tools {

struct DecoderOptions {
  Common common;
  FaceOptions faces;
  ProtectOptions protect;
  TrainSettings settings;
  std::string decoder, features, from, out, samples;
  int64_t limit = 0;
  int image_size = 64;
  uint64_t split_seed = 1;
  bool resume = false;
};
CLI::App* add_decoder_verb(CLI::App& app, const std::string& verb, const std::string& help,
                           DecoderOptions& options, bool may_protect);
int train_decoder(DecoderOptions& options);

struct RecalibrateOptions {
  Common common;
  std::string shadow, in, out;
};
CLI::App* add_recalibrate_verb(CLI::App& app, RecalibrateOptions& options);
int recalibrate_decoder(RecalibrateOptions& options);

struct RecogniserOptions {
  Common common;
  FaceOptions faces;
  TrainSettings settings{.epochs = 20};
  RecogniserSpec spec{.name = "mobilefacenet"};
  ArcFaceSettings arcface;
  std::string out;
  uint64_t split_seed = 1;
  bool resume = false;
};
CLI::App* add_recogniser_verb(CLI::App& app, RecogniserOptions& options);
int train_recogniser(RecogniserOptions& options);

// Options of TrainSettings.
void add_training_options(CLI::App& app, TrainSettings& settings);
// Trains to the end, with a progress line per epoch, a checkpoint after each and one when the user interrupts
// (then throws Interrupted). `score` names the validation score, e.g. "SSIM".
void run_training(Trainer& trainer, const TrainSettings& settings, const std::string& checkpoint,
                  const std::string& score, const std::function<void(const EpochResult&)>& after_epoch);
// Removes the checkpoint, draws the training curve.
void finish_training(const Trainer& trainer, const std::string& checkpoint, const std::string& curve,
                     const std::string& score);
nlohmann::json history_json(const std::vector<EpochResult>& history, const std::string& score);

}  // namespace advf::tools
