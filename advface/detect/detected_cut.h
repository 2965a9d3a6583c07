// Faces cut out of raw pictures: found by a detector, or told by a file of landmarks; chosen, judged, turned
// upright and brought to a recogniser's template.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "advface/core/face_cut.h"
#include "advface/detect/detector.h"
#include "advface/detect/found_faces.h"

namespace advf {

// Which of the faces of a picture: the one with the largest box, the one nearest to the picture's middle, the
// only one (none or several is a reason to leave the picture out), all, or the first by its score, as in the
// lists that `all` makes. A name with a number ("a.jpg#2") means that face whatever the choice.
enum class FaceChoice { largest, central, only, all, listed };
FaceChoice face_choice(const std::string& name);  // throws Error listing the known ones
const std::vector<std::string>& face_choice_names();

struct DetectionSettings {
  std::string card;       // of a detector; or
  std::string landmarks;  // a file (landmark_file.h)
  FaceChoice choice = FaceChoice::largest;
  DetectorView view;
  double min_score = 0;   // of the detector; 0: what its card says
  double min_face = 20;   // the longer side of a box, in pixels of the picture
  double max_angle = 90;  // of roll, yaw and pitch, in degrees
  // What may help where nothing is found, for messages.
  const char* where_none = "a lower --min-score or another --detect-side may find one";

  bool used() const { return !card.empty() || !landmarks.empty(); }
};

// Where the faces of a picture are. What was found is kept by file, so that a program that cuts faces at
// several sizes looks for them once; for several threads at once.
class FaceFinder {
 public:
  // By the detector, or the file of landmarks, that the settings name. cache: a folder in which what a
  // detector finds is kept for other programs as well (found_faces.h); "" for none.
  static std::shared_ptr<const FaceFinder> open(const DetectionSettings& settings,
                                                const std::string& cache = "");
  // cache: as above.
  explicit FaceFinder(Detector detector, DetectorView view = {}, const std::string& cache = "");
  explicit FaceFinder(std::map<std::string, std::vector<Face>> landmarks, std::string fingerprint);
  // Keeps what was found since the last time, also where the work ended early.
  ~FaceFinder();
  FaceFinder(const FaceFinder&) = delete;

  // By falling score. name: of the picture's file, as a list names it; path: what is kept goes by it.
  std::vector<Face> find(const Image& image, const std::string& name, const std::string& path) const;
  // Names the detector's weights and how it looks, or the landmarks.
  const std::string& key() const { return key_; }
  const Detector* detector() const { return detector_.get(); }
  // By picture; none of a detector.
  const std::map<std::string, std::vector<Face>>& landmarks() const { return landmarks_; }
  // Saves what was found since the last time. Returns what is to be told of the cache, each once: damage that
  // it had, and why nothing could be saved, which loses nothing but time.
  std::vector<std::string> keep() const;

 private:
  std::unique_ptr<const Detector> detector_;
  DetectorView view_;
  std::map<std::string, std::vector<Face>> landmarks_;
  std::string key_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::vector<Face>> kept_;
  mutable std::unique_ptr<FoundFaces> cache_;
};

// The cut: of each picture the chosen face, aligned to the template. Left out, with the reason: a picture
// without a face, or with several where it may have one only; faces below min_face; turned by more than
// max_angle; of which an eye or more than half of the crop lies outside the picture. Faces that are left out
// so beside one that is used are CutResult::refused. Faces are numbered by falling score (or as the lines of
// a file of landmarks stand), all that were found.
FaceCut detected_cut(std::shared_ptr<const FaceFinder> finder, const FaceTemplate& face_template,
                     const DetectionSettings& settings);

}  // namespace advf
