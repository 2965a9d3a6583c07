// The verbs of advface-train.
#pragma once
#include <functional>
#include <map>

#include "advface/networks/image_terms.h"
#include "advface/networks/reader.h"
#include "advface/networks/train_decoder.h"
#include "advface/networks/train_detector.h"
#include "advface/networks/train_recogniser.h"
#include "advface/networks/training_set.h"
#include "advface/protections/ascent/advface_protection.h"
#include "advface/synthetic/scene_set.h"
#include "nn/team.h"
#include "tensor/io/plot.h"
#include "tools/options/cli.h"
#include "tools/options/face_options.h"
#include "tools/options/protection_options.h"

namespace advf::tools {

struct SplitOptions : SplitSettings {
  void add_to(CLI::App& app);
};

struct DecoderOptions {
  Common common;
  FaceOptions faces;
  ProtectionOptions protect;
  TrainSettings settings;
  std::string decoder, features, from, out, samples, shorter;
  std::vector<std::string> loss{kPlainTerm};
  std::map<std::string, std::string> loss_settings;  // of these, as text
  double flat_within = kFlatWithin;
  int image_size = 64;
  SplitOptions split;
  bool mirror = false, resume = false;
};
CLI::App* add_decoder_verb(CLI::App& app, const std::string& verb, const std::string& help,
                           DecoderOptions& options, bool may_protect);
int train_decoder(DecoderOptions& options);

// Networks from features to features: what both verbs take.
struct FeatureNetOptions {
  Common common;
  FaceOptions faces;
  ProtectionOptions protect;  // of a reader
  AdvFaceSpec ascent;         // that a generator learns
  TrainSettings settings{.epochs = 20, .learning_rate = 1e-3};
  std::string features, out;
  std::string attributes;     // of a probe: names, with commas between them
  std::string projection;     // that a network is trained behind
  int width = 0, blocks = 2;  // width 0: as usual
  SplitOptions split;
  bool resume = false;
};
CLI::App* add_generator_verb(CLI::App& app, FeatureNetOptions& options);
int train_generator(FeatureNetOptions& options);
// Of protected features: the operator's adapter, or the linkage network of an attacker.
CLI::App* add_reader_verb(CLI::App& app, ReaderRole role, FeatureNetOptions& options);
int train_reader(ReaderRole role, FeatureNetOptions& options);
// Of attributes of raw or protected features: what the objective attribute is against.
CLI::App* add_probe_verb(CLI::App& app, FeatureNetOptions& options);
int train_probe(FeatureNetOptions& options);
// A network behind a projection that was fitted.
CLI::App* add_projection_verb(CLI::App& app, FeatureNetOptions& options);
int train_projection(FeatureNetOptions& options);

// Of what is fitted in closed form: protections and attackers that have a fit.
struct FitOptions {
  Common common;
  FaceOptions faces;
  ProtectionOptions protect;  // of what an attacker is fitted on
  std::string what, features, out;
  SplitOptions split;
  std::map<std::string, std::string> given;  // settings, as text
};
CLI::App* add_fit_verb(CLI::App& app, FitOptions& options);
int fit(FitOptions& options);

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

struct DetectorOptions {
  Common common;
  TrainSettings settings{.epochs = 15, .batch = 16};
  SceneSetSettings scenes;
  std::string out;
  int width_percent = 100;
  bool resume = false;
};
CLI::App* add_detector_verb(CLI::App& app, DetectorOptions& options);
int train_detector(DetectorOptions& options);

// Throws Error where --resume has nothing to go on from.
void check_resumable(bool resume, const std::string& checkpoint);
void print_split(const TrainingSet& source);

// Options of TrainSettings.
void add_training_options(CLI::App& app, TrainSettings& settings);
// Thrown by run_training() where another rank of the team writes what was trained: there is nothing left to
// do.
struct NotTheWriter {};

// The program, on a team where there is one.
int train_main(int argc, char** argv, Team* team);

// Trains to the end, with a progress line per epoch, a checkpoint after each and one when the user interrupts
// (then throws Interrupted); returns what Trainer::finish() does. `score` names the validation score, e.g.
// "SSIM".
EpochResult run_training(Trainer& trainer, const TrainSettings& settings, const std::string& checkpoint,
                         const std::string& score,
                         const std::function<void(const EpochResult&)>& after_epoch);
// Removes the checkpoint, draws the training curve, and `more` with it.
void finish_training(const Trainer& trainer, const std::string& checkpoint, const std::string& curve,
                     const std::string& score, const std::vector<Series>& more = {});
nlohmann::json history_json(const std::vector<EpochResult>& history, const std::string& score);

}  // namespace advf::tools
