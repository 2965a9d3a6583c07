// The verbs of advface-evaluate.
#pragma once
#include "tensor/io/plot.h"
#include "tools/options/cli.h"
#include "tools/options/face_options.h"
#include "tools/options/part.h"
#include "tools/options/protection_options.h"

namespace advf::tools {

struct RecognitionOptions {
  Common common;
  FaceOptions faces;
  ProtectionOptions protect;
  std::string pairs, protected_file, protected_list, adapter, side = "gallery", scores;
  std::optional<int64_t> average;
};
CLI::App* add_recognition_verb(CLI::App& app, RecognitionOptions& options);
int evaluate_recognition(RecognitionOptions& options);

struct PairsOptions {
  Common common;
  FaceOptions faces;
  std::string split = "test", out;
  int folds = 10;
  int64_t most = 3000;
  uint64_t split_seed = 1;
};
CLI::App* add_pairs_verb(CLI::App& app, PairsOptions& options);
int evaluate_pairs(PairsOptions& options);

struct ReconstructionOptions {
  Common common;
  FaceOptions faces;
  ProtectionOptions protect;
  PartOption share;
  std::vector<double> epsilons;
  std::vector<std::string> attackers, protected_files, sets;
  std::string second, thresholds, sheet, scores, out, called, split = "test";
  int64_t limit = 0;
  double fmr = 1e-3;
  std::optional<int64_t> average;
  uint64_t split_seed = 1;
  bool leaked_key = false, sheet_plain = false, spread = false;
};
CLI::App* add_reconstruction_verb(CLI::App& app, ReconstructionOptions& options);
int evaluate_reconstruction(ReconstructionOptions& options);
struct JoinOptions {
  Common common;
  std::string scores;
};
CLI::App* add_join_verb(CLI::App& app, JoinOptions& options);
int evaluate_join(JoinOptions& options);

struct LinkageOptions {
  Common common;
  FaceOptions faces;
  ProtectionOptions protect;
  std::vector<std::string> attackers, protected_files;
  std::vector<int64_t> known_pairs;
  std::string split = "test", scores;
  int64_t limit = 0;
  uint64_t split_seed = 1;
  bool leaked_key = false;
};
CLI::App* add_linkage_verb(CLI::App& app, LinkageOptions& options);
int evaluate_linkage(LinkageOptions& options);

struct UnlinkabilityOptions {
  Common common;
  FaceOptions faces;
  ProtectionOptions protect;
  std::vector<std::string> others, protected_files;
  std::string split = "test", out;
  int64_t limit = 0;
  double odds = 1;
  int epochs = 12;
  uint64_t split_seed = 1;
};
CLI::App* add_unlinkability_verb(CLI::App& app, UnlinkabilityOptions& options);
int evaluate_unlinkability(UnlinkabilityOptions& options);

struct AttributeOptions {
  Common common;
  FaceOptions faces;
  ProtectionOptions protect;
  std::vector<std::string> attributes, protected_files;
  std::string split = "test", scores;
  int epochs = 30, width = 64;
  uint64_t split_seed = 1;
  bool leaked_key = false, unseen = false;
};
// --average, of the audits that enrol people with several photographs.
void add_average(CLI::App& app, std::optional<int64_t>& average);
// Of the audits of who attacks.
void add_leaked_key(CLI::App& app, bool& leaked);
CLI::App* add_attributes_verb(CLI::App& app, AttributeOptions& options);
int evaluate_attributes(AttributeOptions& options);

struct CertificateOptions {
  Common common;
  FaceOptions faces;
  ProtectionOptions protect;
  std::vector<std::string> attackers;
  std::string split = "test";
  int64_t limit = 32, prior = 1024, image_size = 64, directions = 16;
  double pixel_noise = 0.02;
  uint64_t split_seed = 1;
};
CLI::App* add_certificate_verb(CLI::App& app, CertificateOptions& options);
int evaluate_certificate(CertificateOptions& options);

struct PlotOptions {
  Common common;
  std::vector<std::string> series;
  std::string out, title, x_label, y_label;
  PlotLayout layout;
};
CLI::App* add_plot_verb(CLI::App& app, PlotOptions& options);
int evaluate_plot(PlotOptions& options);

}  // namespace advf::tools
