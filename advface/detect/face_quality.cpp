#include "advface/detect/face_quality.h"

#include <cmath>
#include <numbers>

namespace advf {

void estimate_angles(const Face& face, FaceQuality& quality) {
  constexpr double kDegrees = 180 / std::numbers::pi;
  constexpr double kNose = 0.45;  // how far it stands out, in distances of the eyes
  // Of a face seen from the front: eyes to mouth in distances of the eyes, and where between them the nose
  // is. Both from the ArcFace template (face_template.cpp).
  constexpr double kHeight = 1.155, kNoseAt = 0.495;
  const std::vector<Point>& p = face.landmarks;
  const double dx = p[1].x - p[0].x, dy = p[1].y - p[0].y;
  const double roll = std::atan2(dy, dx), distance = std::hypot(dx, dy);
  quality.roll = roll * kDegrees;
  if (p.size() < 5 || distance <= 0) return;
  // In the upright frame of the face, from the middle of the eyes, in distances of the eyes.
  const auto upright = [&](double x, double y) {
    const double rx = x - (p[0].x + p[1].x) / 2, ry = y - (p[0].y + p[1].y) / 2;
    return Point{(rx * std::cos(roll) + ry * std::sin(roll)) / distance,
                 (ry * std::cos(roll) - rx * std::sin(roll)) / distance};
  };
  const Point nose = upright(p[2].x, p[2].y), mouth = upright((p[3].x + p[4].x) / 2, (p[3].y + p[4].y) / 2);
  if (mouth.y <= 0) {  // the mouth is not below the eyes: seen from behind, or no face
    quality.pitch = 90;
    return;
  }
  const double share = nose.y / mouth.y;
  quality.yaw = std::atan((nose.x - mouth.x * share) / kNose) * kDegrees;
  quality.pitch = std::atan((share - kNoseAt) * kHeight / kNose) * kDegrees;
}

void measure_crop(const float* crop, int size, FaceQuality& quality) {
  // Luma of BT.601, 0 to 255.
  const size_t plane = size_t(size) * size_t(size);
  const auto grey = [&](int x, int y) {
    const size_t i = size_t(y) * size_t(size) + size_t(x);
    return 255 *
           (0.299 * double(crop[i]) + 0.587 * double(crop[plane + i]) + 0.114 * double(crop[2 * plane + i]));
  };
  double sum = 0, mean = 0, squares = 0;
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) sum += grey(x, y);
  quality.exposure = sum / double(plane) / 255;
  quality.sharpness = 0;
  if (size < 3) return;
  for (int y = 1; y + 1 < size; ++y)
    for (int x = 1; x + 1 < size; ++x) {
      const double v = grey(x - 1, y) + grey(x + 1, y) + grey(x, y - 1) + grey(x, y + 1) - 4 * grey(x, y);
      mean += v;
      squares += v * v;
    }
  const double n = double(size - 2) * double(size - 2);
  quality.sharpness = squares / n - mean / n * (mean / n);
}

double share_outside(const Similarity& to_source, int size, int width, int height) {
  constexpr int kGrid = 32;
  int outside = 0;
  for (int j = 0; j < kGrid; ++j)
    for (int i = 0; i < kGrid; ++i) {
      const double px = (i + 0.5) * size / kGrid, py = (j + 0.5) * size / kGrid;
      const double x = to_source.x(px, py), y = to_source.y(px, py);
      outside += x < 0 || y < 0 || x >= width || y >= height ? 1 : 0;
    }
  return double(outside) / (kGrid * kGrid);
}

}  // namespace advf
