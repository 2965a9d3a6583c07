// How faces are cut out of pictures: the whole picture, one box for all pictures of a set, or what a detector
// or a list of landmarks says of each (detect/).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "advface/core/face.h"
#include "advface/core/face_template.h"
#include "tensor/io/image.h"
#include "tensor/io/resample.h"

namespace advf {

// Mean eye centres of a set of aligned pictures, in source pixels: the eye further left in the picture first.
struct Eyes {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
};

// Where a face is cut out of a picture, and the eyes that the box was made from, where it was.
struct FaceBox : CropBox {
  std::optional<Eyes> eyes;
  FaceBox(const CropBox& box, const std::optional<Eyes>& from = {}) : CropBox(box), eyes(from) {}
};

// The square box (no rotation; one for all pictures of a set) in which the eyes' midpoint and distance are
// those of the template, which comes from the recogniser's card. Throws Error for an unknown template, a
// margin outside (-0.5, 4], eyes that coincide.
FaceBox face_box(const Eyes& eyes, const FaceTemplate& face_template);
FaceBox face_box(const Eyes& eyes, const std::string& face_template = "arcface112", double margin = 0);

// What can be said of a face that was cut out, told by its landmarks and its pixels. Angles in degrees.
struct FaceQuality {
  double size = 0;   // the longer side of its box, in pixels of the picture
  double roll = 0;   // clockwise in the picture
  double yaw = 0;    // estimate: positive towards the right of the picture; 0 where only the eyes are known
  double pitch = 0;  // estimate: positive downwards; 0 where only the eyes are known
  double sharpness = 0;  // variance of the Laplacian of the crop's grey levels (0 to 255)
  double exposure = 0;   // mean grey level of the crop, [0, 1]
  double outside = 0;    // share of the crop that lies outside the picture
};

// A face that was cut out of a picture.
struct FoundFace {
  Face face;
  FaceQuality quality;
  int number = 1, of = 1;  // this one of so many that were found in the picture, from 1
};

// Why a picture gives no face.
enum class Reason { unreadable, no_feature, no_face, several_faces, small, turned, outside };
const char* name_of(Reason reason);  // "unreadable", "no feature", "no face", ...
Reason reason_from(const std::string& name, const std::string& file);

// A face of a picture that cannot be used, and why (the text names the picture).
struct RefusedFace {
  int number = 1;  // as FoundFace has it
  Reason reason = Reason::no_face;
  std::string why;
};

// What was cut out of one picture: `faces` crops, or none and the reason.
struct CutResult {
  std::vector<float> pixels;         // (faces, 3, S, S) in [0, 1], RGB
  size_t faces = 0;                  // one, except where all faces of a picture are asked for
  std::vector<FoundFace> found;      // of each, where faces are found rather than known to lie in a box
  std::vector<RefusedFace> refused;  // beside them, by number; none where there is no other
  Reason reason = Reason::unreadable;
  std::string why;        // of a picture without a face; says what to do
  bool ends_run = false;  // what is wrong is wrong for all pictures
};

class FaceCutter {
 public:
  virtual ~FaceCutter() = default;
  // name: of the picture's file in its folder; path: of the file, for messages. From several threads at once.
  virtual CutResult cut(const Image& image, const std::string& name, const std::string& path,
                        int size) const = 0;
  // Two that cut differently have different keys: names features in a cache. "" for whole pictures.
  virtual std::string key() const = 0;
  virtual bool finds() const { return true; }     // may give none of a picture that can be read,
  virtual bool several() const { return false; }  // or more than one
};

// Copies share the cutter, which does not change.
class FaceCut {
 public:
  FaceCut() = default;  // the whole picture
  FaceCut(std::nullopt_t) {}
  FaceCut(const CropBox& box) : FaceCut(FaceBox(box)) {}
  FaceCut(const FaceBox& box);
  FaceCut(const std::optional<FaceBox>& box);
  FaceCut(std::shared_ptr<const FaceCutter> cutter) : cutter_(std::move(cutter)) {}

  CutResult cut(const Image& image, const std::string& name, const std::string& path, int size) const;
  std::string key() const { return cutter_ ? cutter_->key() : ""; }
  bool is_whole() const { return !cutter_; }
  bool finds() const { return cutter_ && cutter_->finds(); }
  bool several() const { return cutter_ && cutter_->several(); }

 private:
  std::shared_ptr<const FaceCutter> cutter_;
};

}  // namespace advf
