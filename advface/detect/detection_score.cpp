#include "advface/detect/detection_score.h"

#include <algorithm>
#include <cmath>

#include "advface/detect/decoding.h"
#include "tensor/check.h"

namespace advf {
namespace {

constexpr double kLeastOverlap = 0.5;

double landmark_error_of(const Face& found, const Face& truth) {
  check(found.landmarks.size() == truth.landmarks.size() && truth.landmarks.size() >= 2, "faces of ",
        found.landmarks.size(), " and ", truth.landmarks.size(), " landmarks are compared");
  const auto distance = [](const Point& a, const Point& b) { return std::hypot(a.x - b.x, a.y - b.y); };
  double sum = 0;
  for (size_t i = 0; i < truth.landmarks.size(); ++i)
    sum += distance(found.landmarks[i], truth.landmarks[i]) / double(truth.landmarks.size());
  return sum / distance(truth.landmarks[0], truth.landmarks[1]);
}

}  // namespace

void DetectionScore::add(const std::vector<Face>& found_faces, const std::vector<Face>& true_faces) {
  ++pictures;
  faces += int64_t(true_faces.size());
  std::vector<const Face*> by_score;
  for (const Face& face : found_faces) by_score.push_back(&face);
  std::stable_sort(by_score.begin(), by_score.end(),
                   [](const Face* a, const Face* b) { return a->score > b->score; });
  std::vector<bool> taken(true_faces.size(), false);
  for (const Face* face : by_score) {
    size_t best = true_faces.size();
    double most = kLeastOverlap;
    for (size_t i = 0; i < true_faces.size(); ++i)
      if (const double share = overlap(*face, true_faces[i]); !taken[i] && share >= most) {
        most = share;
        best = i;
      }
    if (best == true_faces.size()) {
      ++wrong;
      continue;
    }
    taken[best] = true;
    ++found;
    landmark_errors += landmark_error_of(*face, true_faces[best]);
  }
}

double DetectionScore::f1() const {
  const double sum = recall() + precision();
  return sum > 0 ? 2 * recall() * precision() / sum : 0;
}

}  // namespace advf
