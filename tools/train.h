// The verbs of advface-train.
#pragma once
#include "advface/train_decoder.h"
#include "tools/cli.h"
#include "tools/face_options.h"

namespace advf::tools {

struct DecoderOptions {
  Common common;
  FaceOptions faces;
  ProtectOptions protect;
  TrainSettings settings;
  std::string decoder, features, out, samples;
  int image_size = 64;
  uint64_t split_seed = 1;
  bool resume = false;
};
CLI::App* add_decoder_verb(CLI::App& app, const std::string& verb, const std::string& help,
                           DecoderOptions& options, bool may_protect);
int train_decoder(DecoderOptions& options);

struct RecogniserOptions {
  Common common;
  FaceOptions faces;
  std::string architecture = "mobilefacenet", out;
  int image_size = 112, embedding = 128, epochs = 20;
  int64_t batch = 64;
  double learning_rate = 2e-3, scale = 32, margin = 0.3;
  uint64_t split_seed = 1;
};
CLI::App* add_recogniser_verb(CLI::App& app, RecogniserOptions& options);
int train_recogniser(RecogniserOptions& options);

}  // namespace advf::tools
