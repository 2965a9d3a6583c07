// Where a recogniser wants the points of a face in its crop.
#pragma once
#include <string>
#include <vector>

namespace advf {

struct Point {
  double x = 0, y = 0;
};

// "crop" of a recogniser's card: `face_template` is the key "template", `margin` the share of the side by
// which the crop grows around its centre.
struct FaceTemplate {
  std::string face_template = "arcface112";
  double margin = 0;
  std::vector<Point> points;  // of the template "points" alone: five, in shares of the crop's side

  // Five points in the crop, in shares of its side, the margin taken into account: the eyes (the one further
  // left in the picture first), the tip of the nose, the corners of the mouth. Throws Error for an unknown
  // template, a margin outside (-0.5, 4].
  std::vector<Point> in_crop() const;
};

}  // namespace advf
