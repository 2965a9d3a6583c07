// The photographs that a call works on: where they lie, how faces are cut out of them, who is on them, and
// the features that a recogniser makes of them.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "advface/core/context.h"
#include "advface/core/dataset.h"
#include "advface/core/faces.h"
#include "advface/core/features.h"
#include "advface/core/recogniser.h"
#include "advface/detect/detected_cut.h"

namespace advf {

struct FaceSettings {
  std::string recogniser;  // its card
  std::string images, list,
      labels;               // folder; list of its files, or all; who is on them, or else their folders' names
  std::string cut, cache;   // the card's default; none
  std::vector<float> eyes;  // centres x1, y1, x2, y2 in pixels; none: the whole image, unless
  DetectionSettings detection;  // says how the face of each is found
  std::string rejected;         // where the list of what was left out goes (face_list.h); "" for none
  double max_broken = 0.01;     // share of unreadable images that is borne,
  double max_rejected = 0.5;    // and of those that give no face
  int64_t extract_batch = 32;
  int64_t memory_mib = 1024;  // of features; more go to a temporary file

  // Throws WrongCall for eyes that cannot be a face's, eyes beside a detector, and all faces of a picture
  // where `several` is not set: a row stands for a picture.
  void check_cut(bool several = false) const;
  // Writes `rejected`, where it is asked for.
  void write_rejected(const FaceSource& faces) const;
  // How faces are cut out for this recogniser, or for this template. A detector is loaded at the first call;
  // copies made afterwards share it, and what it found. Not for several threads at once.
  FaceCut face_cut(const Recogniser& recogniser) const { return face_cut(recogniser.card().crop); }
  FaceCut face_cut(const FaceTemplate& face_template) const;
  bool whole_pictures() const { return eyes.empty() && !detection.used(); }
  // Tells of what is passed over, and of landmarks whose picture is not there.
  FaceSource open_images(const Context& context) const;
  // What may be left out of a source, and where that is listed.
  void limit(FaceSource& faces) const;
  // Tells what there is to tell of the faces kept in the cache, once, and keeps those that were found.
  void tell_of_cache(const Context& context) const;
  // Of these files. Throws Error naming the first without a label.
  Labels labels_of(const std::vector<std::string>& files) const;
  // All whom the labels name, or the folders of these files.
  std::vector<std::string> names_known(const std::vector<std::string>& files) const;
  std::string cut_of(const Recogniser& recogniser) const {
    return cut.empty() ? recogniser.card().default_cut : cut;
  }

 private:
  const std::shared_ptr<const FaceFinder>& finder() const;

  mutable std::shared_ptr<const FaceFinder> finder_;
};

// Shows progress on the line, ends where the context says so, and tells the names of broken images.
ExtractOptions extract_options(const FaceSettings& settings, ProgressLine& progress, const Context& context);

// The features of all images, from the cache where there is one.
FeatureSet extract(const FaceSettings& settings, const Recogniser& recogniser, const std::string& cut,
                   FaceSource& faces, const Context& context);

}  // namespace advf
