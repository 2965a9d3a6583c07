// Options that the programs share: which recogniser, which images, cut out how; and what becomes of them.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "advface/dataset.h"
#include "advface/decoder.h"
#include "advface/faces.h"
#include "advface/features.h"
#include "advface/recogniser.h"
#include "tools/cli.h"
#include "tools/progress.h"

namespace advf::tools {

struct FaceOptions {
  std::string recogniser, images, list, labels, cut, cache;
  std::vector<float> eyes;
  double max_broken = 0.01;
  int64_t extract_batch = 32;
  int64_t memory_mib = 1024;  // of features; more go to a temporary file

  void add_images_to(CLI::App& app);    // the images and their crop alone
  void add_features_to(CLI::App& app);  // and --recogniser and --cut: what a feature is
  void add_to(CLI::App& app);           // and --cache and --feature-memory: where a set of them is kept
  void add_labels_to(CLI::App& app);

  std::optional<Eyes> eye_centres() const;
  FaceSource open_images() const;
  // Labels of these files, from --labels or else from their folders' names.
  Labels labels_of(const std::vector<std::string>& files) const;
  // --cut, or else the card's default.
  std::string cut_of(const Recogniser& recogniser) const {
    return cut.empty() ? recogniser.card().default_cut : cut;
  }
};

// Progress of an extraction, the end on an interrupt, and the names of broken images on stderr.
ExtractOptions extract_options(const FaceOptions& options, Progress& progress);

// The features of all images of the options, with a progress line, from the cache where there is one.
FeatureSet extract(const FaceOptions& options, const Recogniser& recogniser, const std::string& cut,
                   FaceSource& faces);

}  // namespace advf::tools
