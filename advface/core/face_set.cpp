#include "advface/core/face_set.h"

#include <filesystem>

#include "advface/detect/face_list.h"

namespace advf {

namespace {

Eyes eyes_of(const std::vector<float>& centres) {
  return {centres.at(0), centres.at(1), centres.at(2), centres.at(3)};
}

// Of the pictures of which there are landmarks, those that the folder lacks: a list may name a part of it.
std::string pictures_not_there(const FaceFinder& finder, const FaceSource& faces) {
  std::error_code none;
  std::string first;
  int64_t lost = 0, all = 0;
  for (const auto& [name, unused] : finder.landmarks()) {
    ++all;
    if (std::filesystem::exists(std::filesystem::path(faces.folder()) / name, none)) continue;
    if (lost++ == 0) first = name;
  }
  if (lost == 0) return "";
  return std::to_string(lost) + " of its " + std::to_string(all) + " pictures " + (lost == 1 ? "is" : "are") +
         " not in " + faces.folder() + ": " + first + (lost > 1 ? ", ..." : "");
}

}  // namespace

void FaceSettings::check_cut(bool several) const {
  try {
    if (!eyes.empty()) face_box(eyes_of(eyes));
    check(eyes.empty() || !detection.used(), "--eyes are for pictures that are aligned already, and ",
          detection.card.empty() ? "--landmarks" : "--detector", " for those that are not; give one of them");
    check(detection.card.empty() || detection.landmarks.empty(),
          "--detector finds the points that --landmarks names; give one of them");
    check(several || !detection.used() || detection.choice != FaceChoice::all,
          "--faces all gives several rows to a picture, which advface-extract and advface-align alone can "
          "use; give "
          "largest, central or only, or listed with --list to name the face");
  } catch (const Error& e) {
    throw WrongCall(e.what());
  }
}

FaceCut FaceSettings::face_cut(const FaceTemplate& face_template) const {
  if (!detection.used()) return eyes.empty() ? FaceCut() : FaceCut(face_box(eyes_of(eyes), face_template));
  return detected_cut(finder(), face_template, detection);
}

const std::shared_ptr<const FaceFinder>& FaceSettings::finder() const {
  if (!finder_) finder_ = FaceFinder::open(detection, cache);
  return finder_;
}

void FaceSettings::tell_of_cache(const Context& context) const {
  if (!finder_) return;
  for (const std::string& note : finder_->keep()) context.tell(note);
}

void FaceSettings::limit(FaceSource& faces) const {
  faces.set_max_broken_share(max_broken);
  faces.set_max_rejected_share(max_rejected);
  faces.set_left_out_file(rejected);
}

void FaceSettings::write_rejected(const FaceSource& faces) const {
  if (!rejected.empty()) write_left_out(rejected, faces);
}

FaceSource FaceSettings::open_images(const Context& context) const {
  FaceSource faces = FaceSource::open(images, list);
  limit(faces);
  for (const std::string& file : faces.passed_over().unusable) context.tell("passed over: " + file);
  if (const std::string others = faces.passed_over().summary(); !others.empty())
    context.tell(images + ": " + others);
  if (!detection.landmarks.empty())
    if (const std::string lost = pictures_not_there(*finder(), faces); !lost.empty())
      context.tell(detection.landmarks + ": " + lost);
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
  // Pictures without a face can be many: they are summed up in the end.
  result.broken = [&context](const BrokenFace& face) {
    if (face.is_broken()) context.tell("left out: " + face.why);
  };
  result.told = [&context](const std::string& what) { context.tell(what); };
  return result;
}

FeatureSet extract(const FaceSettings& settings, const Recogniser& recogniser, const std::string& cut,
                   FaceSource& faces, const Context& context) {
  const auto progress = context.begin("features", faces.size(), "images");
  FeatureSet set = extract_features(recogniser, cut, faces, settings.face_cut(recogniser), settings.cache,
                                    extract_options(settings, *progress, context));
  progress->finish();
  settings.tell_of_cache(context);
  settings.write_rejected(faces);
  const std::string rejected = left_out_summary(faces);
  if (!rejected.empty()) context.tell(rejected);
  if (const int64_t broken = faces.broken_count(); broken > 0)
    context.tell(std::to_string(broken) + " of " + std::to_string(faces.size()) +
                 " images could not be read and are left out");
  return set;
}

}  // namespace advf
