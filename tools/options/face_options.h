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
  // The base's, and that nothing is said about finding faces where none are looked for.
  void check_cut(bool several = false) const;

 private:
  void add_detection_to(CLI::App& app);

  std::vector<const CLI::Option*> finding_;  // options of no use without a detector or landmarks
};

}  // namespace advf::tools
