#include "tools/face_options.h"

#include <iostream>

#include "tools/progress.h"

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

std::optional<Eyes> FaceOptions::eye_centres() const {
  if (eyes.empty()) return std::nullopt;
  const Eyes centres{eyes[0], eyes[1], eyes[2], eyes[3]};
  as_usage([&] { face_box(centres); });
  return centres;
}

FaceSource FaceOptions::open_images() const {
  FaceSource faces = FaceSource::open(images, list);
  faces.set_max_broken_share(max_broken);
  for (const std::string& file : faces.passed_over().unusable) std::cerr << "passed over: " << file << "\n";
  if (const std::string others = faces.passed_over().summary(); !others.empty())
    std::cerr << images << ": " << others << "\n";
  return faces;
}

Labels FaceOptions::labels_of(const std::vector<std::string>& files) const {
  return labels.empty() ? labels_from_folders(files) : select(load_labels(labels), files);
}

ExtractOptions extract_options(const FaceOptions& options, Progress& progress) {
  ExtractOptions result;
  result.batch = options.extract_batch;
  result.memory_bytes = options.memory_mib << 20;
  result.progress = [&progress, before = int64_t(0)](int64_t done) mutable {
    progress.advance(done - before);
    before = done;
    return !interrupted();
  };
  result.broken = [](const BrokenFace& face) { std::cerr << "left out: " << face.why << "\n"; };
  return result;
}

FeatureSet extract(const FaceOptions& options, const Recogniser& recogniser, const std::string& cut,
                   FaceSource& faces) {
  Progress progress("features", faces.size(), "images");
  FeatureSet set = extract_features(recogniser, cut, faces, crop_for(recogniser, options.eye_centres()),
                                    options.cache, extract_options(options, progress));
  progress.finish();
  if (int64_t(set.indices.size()) < faces.size())
    std::cerr << faces.size() - int64_t(set.indices.size()) << " of " << faces.size()
              << " images could not be read and are left out\n";
  return set;
}

}  // namespace advf::tools
