#include "advface/core/face_set.h"

namespace advf {

std::optional<Eyes> FaceSettings::eye_centres() const {
  if (eyes.empty()) return std::nullopt;
  const Eyes centres{eyes.at(0), eyes.at(1), eyes.at(2), eyes.at(3)};
  try {
    face_box(centres);
  } catch (const Error& e) {
    throw WrongCall(e.what());
  }
  return centres;
}

FaceSource FaceSettings::open_images(const Context& context) const {
  FaceSource faces = FaceSource::open(images, list);
  faces.set_max_broken_share(max_broken);
  for (const std::string& file : faces.passed_over().unusable) context.tell("passed over: " + file);
  if (const std::string others = faces.passed_over().summary(); !others.empty())
    context.tell(images + ": " + others);
  return faces;
}

Labels FaceSettings::labels_of(const std::vector<std::string>& files) const {
  return labels.empty() ? labels_from_folders(files) : select(load_labels(labels), files);
}

std::vector<std::string> FaceSettings::names_known(const std::vector<std::string>& files) const {
  return (labels.empty() ? labels_from_folders(files) : load_labels(labels)).identities;
}

ExtractOptions extract_options(const FaceSettings& settings, ProgressLine& progress, const Context& context) {
  ExtractOptions result;
  result.batch = settings.extract_batch;
  result.memory_bytes = settings.memory_mib << 20;
  result.progress = [&progress, &context, before = int64_t(0)](int64_t done) mutable {
    progress.advance(done - before);
    before = done;
    return !context.stopped();
  };
  result.broken = [&context](const BrokenFace& face) { context.tell("left out: " + face.why); };
  return result;
}

FeatureSet extract(const FaceSettings& settings, const Recogniser& recogniser, const std::string& cut,
                   FaceSource& faces, const Context& context) {
  const auto progress = context.begin("features", faces.size(), "images");
  FeatureSet set = extract_features(recogniser, cut, faces, crop_for(recogniser, settings.eye_centres()),
                                    settings.cache, extract_options(settings, *progress, context));
  progress->finish();
  if (const int64_t lost = faces.size() - int64_t(set.indices.size()); lost > 0)
    context.tell(std::to_string(lost) + " of " + std::to_string(faces.size()) +
                 " images could not be read and are left out");
  return set;
}

}  // namespace advf
