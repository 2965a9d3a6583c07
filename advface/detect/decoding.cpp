#include "advface/detect/decoding.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"

namespace advf {
namespace {

bool usable(const Face& face) {
  bool finite = std::isfinite(face.x) && std::isfinite(face.y) && std::isfinite(face.score);
  for (const Point& p : face.landmarks) finite = finite && std::isfinite(p.x) && std::isfinite(p.y);
  // A side beyond 2^24 pixels is a network's nonsense, and would not survive arithmetic.
  constexpr double kMost = 1 << 24;
  return finite && face.width > 0 && face.height > 0 && face.width < kMost && face.height < kMost;
}

// Calls read(cell, column, row) -> Face for the cells whose score reaches the least.
// Point p of landmarks k is at point(cell, column, row, &k[2 p]).
template <class Score, class Read, class At>
void each_cell(const DetectorLevel& level, double least_score, std::vector<Face>& faces, Score score,
               Read read, At point) {
  for (int64_t i = 0; i < level.cells(); ++i) {
    const double s = score(size_t(i));
    if (!(s >= least_score)) continue;
    const int64_t place = i / level.anchors;
    const double column = double(place % level.columns), row = double(place / level.columns);
    Face face = read(size_t(i), column, row);
    face.score = s;
    for (size_t p = 0; p < level.points; ++p) {
      const float* k = &level.landmarks[size_t(i) * 2 * level.points + 2 * p];
      face.landmarks.push_back(point(size_t(i), column, row, k));
    }
    if (usable(face)) faces.push_back(std::move(face));
  }
}

// Offsets in strides from the cell.
auto in_strides(const DetectorLevel& level) {
  return [stride = double(level.stride)](size_t, double column, double row, const float* k) {
    return Point{(column + double(k[0])) * stride, (row + double(k[1])) * stride};
  };
}

void decode_yunet(const DetectorLevel& level, double least_score, std::vector<Face>& faces) {
  const double stride = double(level.stride);
  const auto cut = [](float v) { return std::clamp(double(v), 0.0, 1.0); };
  each_cell(
      level, least_score, faces,
      [&](size_t i) { return std::sqrt(cut(level.scores[i]) * cut(level.objects[i])); },
      [&](size_t i, double column, double row) {
        const float* b = &level.boxes[4 * i];
        Face face;
        face.width = std::exp(double(b[2])) * stride;
        face.height = std::exp(double(b[3])) * stride;
        face.x = (column + double(b[0])) * stride - face.width / 2;
        face.y = (row + double(b[1])) * stride - face.height / 2;
        return face;
      },
      in_strides(level));
}

void decode_scrfd(const DetectorLevel& level, double least_score, std::vector<Face>& faces) {
  const double stride = double(level.stride);
  each_cell(
      level, least_score, faces, [&](size_t i) { return double(level.scores[i]); },
      [&](size_t i, double column, double row) {
        const float* b = &level.boxes[4 * i];
        Face face;
        face.x = (column - double(b[0])) * stride;
        face.y = (row - double(b[1])) * stride;
        face.width = (double(b[0]) + double(b[2])) * stride;
        face.height = (double(b[1]) + double(b[3])) * stride;
        return face;
      },
      in_strides(level));
}

void decode_retinaface(const DetectorLevel& level, double least_score, std::vector<Face>& faces) {
  const auto side = [&](size_t i) { return level.priors[i % size_t(level.anchors)]; };
  const auto place = [&](size_t i, double column, double row, const float* k) {
    const double stride = double(level.stride), unit = level.offset_variance * side(i);
    return Point{(column + 0.5) * stride + double(k[0]) * unit, (row + 0.5) * stride + double(k[1]) * unit};
  };
  each_cell(
      level, least_score, faces, [&](size_t i) { return double(level.scores[2 * i + 1]); },
      [&](size_t i, double column, double row) {
        const float* b = &level.boxes[4 * i];
        const Point middle = place(i, column, row, b);
        Face face;
        face.width = side(i) * std::exp(double(b[2]) * level.size_variance);
        face.height = side(i) * std::exp(double(b[3]) * level.size_variance);
        face.x = middle.x - face.width / 2;
        face.y = middle.y - face.height / 2;
        return face;
      },
      place);
}

}  // namespace

const std::vector<Decoding>& decodings() {
  static const std::vector<Decoding> table{{"yunet", true, true, false, 1, decode_yunet},
                                           {"scrfd", false, false, false, 1, decode_scrfd},
                                           {"retinaface", false, false, true, 2, decode_retinaface}};
  return table;
}

const Decoding& decoding(const std::string& name) {
  std::string known;
  for (const Decoding& d : decodings()) {
    if (name == d.name) return d;
    known += (known.empty() ? "" : ", ") + std::string(d.name);
  }
  fail("no decoding named \"", name, "\"; there are: ", known);
}

double overlap(const Face& a, const Face& b) {
  const double w = std::min(a.x + a.width, b.x + b.width) - std::max(a.x, b.x);
  const double h = std::min(a.y + a.height, b.y + b.height) - std::max(a.y, b.y);
  if (w <= 0 || h <= 0) return 0;
  return w * h / (a.area() + b.area() - w * h);
}

std::vector<Face> suppress(std::vector<Face> faces, double most) {
  constexpr size_t kCandidates = 5000;
  std::stable_sort(faces.begin(), faces.end(),
                   [](const Face& a, const Face& b) { return a.score > b.score; });
  if (faces.size() > kCandidates) faces.resize(kCandidates);
  std::vector<Face> kept;
  for (Face& face : faces)
    if (std::none_of(kept.begin(), kept.end(), [&](const Face& k) { return overlap(face, k) > most; }))
      kept.push_back(std::move(face));
  return kept;
}

}  // namespace advf
