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
  // Saves what was found since the last time, also where the work ended early. A disk that is full by then
  // loses nothing but time.
  ~FaceFinder();
  FaceFinder(const FaceFinder&) = delete;

  // By falling score. name: of the picture's file, as a list names it; path: what is kept goes by it.
  std::vector<Face> find(const Image& image, const std::string& name, const std::string& path) const;
  // Names the detector's weights and how it looks, or the landmarks.
  const std::string& key() const { return key_; }
  const Detector* detector() const { return detector_.get(); }

 private:
  std::unique_ptr<const Detector> detector_;
  DetectorView view_;
  std::map<std::string, std::vector<Face>> landmarks_;
  std::string key_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::vector<Face>> kept_;
  std::unique_ptr<FoundFaces> cache_;
};

// The cut: of each picture the chosen face, aligned to the template. Left out, with the reason: a picture
// without a face, or with several where it may have one only; faces below min_face; turned by more than
// max_angle; of which an eye or more than half of the crop lies outside the picture. Of a picture of which
// all faces are asked for those that are left out are missing in silence, as long as one is there.
FaceCut detected_cut(std::shared_ptr<const FaceFinder> finder, const FaceTemplate& face_template,
                     const DetectionSettings& settings);

}  // namespace advf
