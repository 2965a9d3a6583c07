#include "advface/core/face_cut.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "advface/core/faces.h"

namespace advf {
namespace {

// Why the box does not belong to a picture of this size; no text where it does.
struct Misfit {
  Reason reason = Reason::outside;
  std::string why = {};
};
Misfit misfit(const FaceBox& box, int width, int height) {
  constexpr double kLeastSide = 8, kLeastShare = 0.5;
  const double w = double(box.x1) - double(box.x0), h = double(box.y1) - double(box.y0);
  const auto inside = [](double low, double high, double size) {
    return std::max(0.0, std::min(high, size) - std::max(low, 0.0));
  };
  const double share = inside(double(box.x0), double(box.x1), width) *
                       inside(double(box.y0), double(box.y1), height) / (w * h);
  std::ostringstream why;
  if (!(w >= kLeastSide && h >= kLeastSide && share >= kLeastShare)) {
    why << "the box to cut out is " << w << " x " << h << " from (" << box.x0 << ", " << box.y0 << "), "
        << (share < kLeastShare ? "of which more than half lies outside" : "too few to show a face");
    return {share < kLeastShare ? Reason::outside : Reason::small, why.str()};
  }
  if (box.eyes) {
    const Eyes& e = *box.eyes;
    for (const auto& [x, y] : {std::pair(e.x1, e.y1), std::pair(e.x2, e.y2)})
      if (why.view().empty() && !(x >= 0 && y >= 0 && x <= float(width) && y <= float(height)))
        why << "the eye centre (" << x << ", " << y << ") lies outside";
  }
  return {Reason::outside, why.str()};
}

class WholeCutter : public FaceCutter {
 public:
  CutResult cut(const Image& image, const std::string&, const std::string&, int size) const override {
    return upright_box(image, whole(image), size);
  }
  std::string key() const override { return ""; }
  bool finds() const override { return false; }

  static CutResult upright_box(const Image& image, const CropBox& box, int size) {
    CutResult result;
    result.pixels.resize(size_t(3) * size_t(size) * size_t(size));
    crop_resize_into(image, box, size, size, result.pixels.data());
    result.faces = 1;
    return result;
  }
};

class BoxCutter : public FaceCutter {
 public:
  explicit BoxCutter(const FaceBox& box) : box_(box) {}
  CutResult cut(const Image& image, const std::string&, const std::string& path, int size) const override {
    const auto [reason, why] = misfit(box_, image.width, image.height);
    if (why.empty()) return WholeCutter::upright_box(image, box_, size);
    std::ostringstream text;
    text << path << ": is " << image.width << " x " << image.height << " pixels, and " << why
         << "; the eye centres must be those of these pictures, in pixels (or let --detector find the faces)";
    CutResult result;
    result.reason = reason;
    result.why = text.str();
    result.ends_run = true;
    return result;
  }
  std::string key() const override {
    std::ostringstream text;
    text.precision(17);  // two numbers that differ are two texts
    text << box_.x0 << ' ' << box_.y0 << ' ' << box_.x1 << ' ' << box_.y1;
    return text.str();
  }
  bool finds() const override { return false; }

 private:
  FaceBox box_;
};

constexpr const char* kReasons[] = {"unreadable", "no feature", "no face", "several faces",
                                    "small",      "turned",     "outside"};

}  // namespace

FaceBox face_box(const Eyes& eyes, const FaceTemplate& face_template) {
  const std::vector<Point> points = face_template.in_crop();
  const Point &left = points[0], &right = points[1];  // in shares of the crop's side
  const double distance = std::hypot(double(eyes.x2) - eyes.x1, double(eyes.y2) - eyes.y1);
  check(std::isfinite(distance) && distance > 0 && eyes.x2 > eyes.x1, "eye centres (", eyes.x1, ", ", eyes.y1,
        ") and (", eyes.x2, ", ", eyes.y2, "): the first must be further left in the picture");
  const double side = distance / std::hypot(right.x - left.x, right.y - left.y);  // in source pixels
  const double centre_x = (double(eyes.x1) + eyes.x2) / 2 + (0.5 - (left.x + right.x) / 2) * side;
  const double centre_y = (double(eyes.y1) + eyes.y2) / 2 + (0.5 - (left.y + right.y) / 2) * side;
  return {{float(centre_x - side / 2), float(centre_y - side / 2), float(centre_x + side / 2),
           float(centre_y + side / 2)},
          eyes};
}

FaceBox face_box(const Eyes& eyes, const std::string& face_template, double margin) {
  return face_box(eyes, FaceTemplate{face_template, margin, {}});
}

const char* name_of(Reason reason) { return kReasons[size_t(reason)]; }

Reason reason_from(const std::string& name, const std::string& file) {
  for (size_t i = 0; i < std::size(kReasons); ++i)
    if (name == kReasons[i]) return Reason(i);
  fail(file, ": no reason is called \"", name, "\"");
}

FaceCut::FaceCut(const FaceBox& box) : cutter_(std::make_shared<BoxCutter>(box)) {}

FaceCut::FaceCut(const std::optional<FaceBox>& box) {
  if (box) cutter_ = std::make_shared<BoxCutter>(*box);
}

CutResult FaceCut::cut(const Image& image, const std::string& name, const std::string& path, int size) const {
  if (const FaceName face = FaceName::parse(name); face.number > 0 && !finds()) {
    CutResult result;
    result.why = path + ": face " + std::to_string(face.number) +
                 " of it is named, but no faces are looked for; give --detector or --landmarks";
    result.ends_run = true;
    return result;
  }
  return cutter_ ? cutter_->cut(image, name, path, size) : WholeCutter().cut(image, name, path, size);
}

}  // namespace advf
