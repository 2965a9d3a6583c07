// The verbs of advface-train.
#pragma once
#include <functional>

#include "advface/provenance.h"
#include "advface/train_decoder.h"
#include "advface/train_recogniser.h"
#include "tools/cli.h"
#include "tools/face_options.h"
#include "tools/protect_options.h"

namespace advf::tools {

struct SplitOptions {
  uint64_t seed = 1;
  int64_t limit = 0;  // images to train on; 0: all
  void add_to(CLI::App& app);
};

struct DecoderOptions {
  Common common;
  FaceOptions faces;
  ProtectOptions protect;
  TrainSettings settings;
  std::string decoder, features, from, out, samples;
  int image_size = 64;
  SplitOptions split;
  bool resume = false;
};
CLI::App* add_decoder_verb(CLI::App& app, const std::string& verb, const std::string& help,
                           DecoderOptions& options, bool may_protect);
int train_decoder(DecoderOptions& options);

// Networks from features to features: what both verbs take.
struct FeatureNetOptions {
  Common common;
  FaceOptions faces;
  ProtectOptions protect;
  TrainSettings settings{.epochs = 20, .learning_rate = 1e-3};
  std::string features, out;
  int width = 0, blocks = 2;  // width 0: as usual
  SplitOptions split;
  bool resume = false;
};
CLI::App* add_generator_verb(CLI::App& app, FeatureNetOptions& options);
int train_generator(FeatureNetOptions& options);
CLI::App* add_adapter_verb(CLI::App& app, FeatureNetOptions& options);
int train_adapter(FeatureNetOptions& options);

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
  RecogniserSettings recogniser;
  std::string out;
  uint64_t split_seed = 1;
  bool resume = false;
};
CLI::App* add_recogniser_verb(CLI::App& app, RecogniserOptions& options);
int train_recogniser(RecogniserOptions& options);

// A set to train on, split by person: whom a network is trained on goes into its file.
struct TrainingSet {
  FeatureSet set;                // of the training and the validation people
  std::vector<int64_t> records;  // row -> row of the whole set, by which a record's noise is keyed
  Provenance provenance;         // protection: none, what their file says, or that of protect_set()
  Split split;                   // of the set's rows
  size_t test_images = 0;        // left alone
};
// features: a file of them, one row for each line of --list; empty: they are extracted. Before that, throws
// Error where the names and labels tell that there are not the people, or not the images of one batch.
TrainingSet open_training_set(const FaceOptions& options, const std::string& features,
                              const SplitOptions& split, int64_t batch, const Recogniser& recogniser,
                              FaceSource& faces);
// The set's features, protected, which its provenance then says.
FeatureRows protect_set(Protection& protection, const FaceOptions& options, const Recogniser& recogniser,
                        FaceSource& faces, TrainingSet& source);
// Throws Error where --resume has nothing to go on from.
void check_resumable(bool resume, const std::string& checkpoint);
void print_split(const TrainingSet& source);

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
