#include "tools/options/face_options.h"

namespace advf::tools {

void FaceOptions::add_features_to(CLI::App& app) {
  app.add_option("--recogniser", recogniser, "recogniser card (.json beside its .onnx)")->required();
  add_images_to(app);
  app.add_option("--cut", cut, "the recogniser's tensor that is the feature (default: what its card says)");
}

void FaceOptions::add_to(CLI::App& app) {
  add_features_to(app);
  app.add_option("--cache", cache, "folder where computed features are kept and found again");
  app.add_option("--feature-memory", memory_mib,
                 "MiB of features to hold in memory; more are kept in a temporary file (in TMPDIR)")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(0), int64_t(1) << 24));
}

void FaceOptions::add_images_to(CLI::App& app) {
  app.add_option("--images", images, "folder of photographs (JPEG, PNG, BMP, PGM), searched through")
      ->required();
  app.add_option("--list", list, "use the files of this list, one path below --images per line");
  app.add_option("--eyes", eyes,
                 "mean eye centres x1,y1,x2,y2 in pixels of the photographs: crops by the card's template; "
                 "without it the whole image is used")
      ->delimiter(',')
      ->expected(4);
  app.add_option("--max-broken", max_broken, "share of unreadable images above which the run ends")
      ->capture_default_str()
      ->check(number_in(0, 1));
}

void FaceOptions::add_labels_to(CLI::App& app) {
  app.add_option("--labels", labels,
                 "CSV with the columns file,identity; without it a person is the folder an image lies in");
}

}  // namespace advf::tools
