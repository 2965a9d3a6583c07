// Options that the programs share: which recogniser, which images, cut out how; and what becomes of them.
#pragma once
#include "advface/core/face_set.h"
#include "tools/options/cli.h"

namespace advf::tools {

struct FaceOptions : FaceSettings {
  void add_images_to(CLI::App& app);    // the images and their crop alone
  void add_features_to(CLI::App& app);  // and --recogniser and --cut: what a feature is
  void add_to(CLI::App& app);           // and --cache and --feature-memory: where a set of them is kept
  void add_labels_to(CLI::App& app);
  void add_rejected_to(CLI::App& app);  // part of add_to()

 private:
  void add_detection_to(CLI::App& app);
};

}  // namespace advf::tools
