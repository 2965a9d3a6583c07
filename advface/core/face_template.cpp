#include "advface/core/face_template.h"

#include "tensor/check.h"

namespace advf {
namespace {

// The five-point template used with ArcFace (Deng et al., CVPR 2019; the figures are those of its published
// code), in pixels of 112 x 112.
constexpr Point kArcFace[] = {
    {38.2946, 51.6963}, {73.5318, 51.5014}, {56.0252, 71.7366}, {41.5493, 92.3655}, {70.7299, 92.2041}};
constexpr double kArcFaceSide = 112;

}  // namespace

std::vector<Point> FaceTemplate::in_crop() const {
  check(margin > -0.5 && margin <= 4, "a crop margin of ", margin, "; it must lie in (-0.5, 4]");
  std::vector<Point> out = points;
  if (face_template != "points") {
    check(face_template == "arcface112", "no crop template named \"", face_template,
          "\"; there are: arcface112, points");
    for (const Point& p : kArcFace) out.push_back({p.x / kArcFaceSide, p.y / kArcFaceSide});
  }
  check(out.size() == 5, "a crop template of ", out.size(), " points; the card's \"crop.points\" are five");
  for (Point& p : out) p = {(p.x - 0.5) / (1 + margin) + 0.5, (p.y - 0.5) / (1 + margin) + 0.5};
  return out;
}

}  // namespace advf
