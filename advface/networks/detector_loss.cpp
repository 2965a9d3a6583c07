#include "advface/networks/detector_loss.h"

#include <algorithm>
#include <cmath>

#include "tensor/ops.h"

namespace advf {
namespace {

constexpr double kGridBounds[] = {40, 80};  // of the longer side of a box, between the grids
constexpr double kNear = 1.3;               // within this factor of a bound the other grid is let off
constexpr double kLeastSide = 12;
constexpr double kPointsUnit = 0.1;  // of the box's side: where smooth L1 turns straight
constexpr double kPointsWeight = 3;  // beside 1 for score and box: a wrong cut costs most

// The rows of one cell.
struct Wanted {
  std::vector<float> is_face, weight, distances, points, scale;
  explicit Wanted(size_t cells)
      : is_face(cells, 0),
        weight(cells, 1),
        distances(4 * cells, 1),
        points(10 * cells, 0),
        scale(cells, 0) {}
};

bool belongs(double side, size_t grid, double slack) {
  const double low = grid == 0 ? kLeastSide : kGridBounds[grid - 1],
               high = grid < std::size(kGridBounds) ? kGridBounds[grid] : INFINITY;
  return side * slack >= low && side < high * slack;
}

// Marks the cells of one grid, which begin at `first`, for one face.
void mark(const Face& face, size_t grid, int64_t rows, int64_t columns, size_t first, Wanted& out) {
  const double stride = double(DetectorNet::kStrides[grid]), side = std::max(face.width, face.height);
  const bool own = belongs(side, grid, 1), ignored = side < kLeastSide || belongs(side, grid, kNear);
  if (!own && !ignored) return;
  const double middle_x = face.x + face.width / 2, middle_y = face.y + face.height / 2;
  const double reach = std::max(0.75 * stride, 0.15 * side);
  // Pieces of a face are no faces: only what lies about its middle may be taken for it.
  const double let_off_x = side < kLeastSide ? face.width / 2
                           : own             ? 1.5 * reach
                                             : reach,
               let_off_y = side < kLeastSide ? face.height / 2 : let_off_x;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      const double x = double(c) * stride, y = double(r) * stride;
      const double dx = std::abs(x - middle_x), dy = std::abs(y - middle_y);
      const size_t cell = first + size_t(r * columns + c);
      if (own && dx <= reach && dy <= reach) {
        out.is_face[cell] = out.weight[cell] = 1;
        out.scale[cell] = float(stride / side);
        const double distances[] = {x - face.x, y - face.y, face.x + face.width - x,
                                    face.y + face.height - y};
        for (size_t k = 0; k < 4; ++k) out.distances[4 * cell + k] = float(distances[k] / stride);
        for (size_t p = 0; p < 5; ++p) {
          out.points[10 * cell + 2 * p] = float((face.landmarks[p].x - x) / stride);
          out.points[10 * cell + 2 * p + 1] = float((face.landmarks[p].y - y) / stride);
        }
      } else if (out.is_face[cell] == 0 && dx <= let_off_x && dy <= let_off_y) {
        out.weight[cell] = 0;
      }
    }
}

Tensor huber(const Tensor& difference) {
  const Tensor size = abs(difference), cut = clamp(size, 0, 1);
  return mul(cut, sub(size, affine(cut, 0.5, 0)));
}

Tensor smaller(const Tensor& a, const Tensor& b) { return sub(b, relu(sub(b, a))); }

// Of the two widths, or heights, that distances stand for: their sum. (N, cells, 4) -> (N, cells, 1).
Tensor extent(const Tensor& distances, int side) {
  return add(slice(distances, 2, side, side + 1), slice(distances, 2, side + 2, side + 3));
}

Tensor area(const Tensor& distances) { return mul(extent(distances, 0), extent(distances, 1)); }

}  // namespace

DetectorTargets detector_targets(const std::vector<std::vector<Face>>& faces, int64_t height, int64_t width) {
  int64_t cells = 0;
  for (const int64_t stride : DetectorNet::kStrides) cells += height / stride * (width / stride);
  const int64_t n = int64_t(faces.size());
  Wanted all(size_t(n * cells));
  for (int64_t i = 0; i < n; ++i) {
    size_t first = size_t(i * cells);
    for (size_t grid = 0; grid < DetectorNet::kStrides.size(); ++grid) {
      const int64_t rows = height / DetectorNet::kStrides[grid],
                    columns = width / DetectorNet::kStrides[grid];
      for (const Face& face : faces[size_t(i)]) {
        check(face.landmarks.size() == 5, "a detector learns five landmarks, and a face has ",
              face.landmarks.size());
        mark(face, grid, rows, columns, first, all);
      }
      first += size_t(rows * columns);
    }
  }
  DetectorTargets out;
  out.positives = std::count(all.is_face.begin(), all.is_face.end(), 1.0f);
  out.is_face = Tensor::from(all.is_face, {n, cells, 1});
  out.weight = Tensor::from(all.weight, {n, cells, 1});
  out.distances = Tensor::from(all.distances, {n, cells, 4});
  out.points = Tensor::from(all.points, {n, cells, 10});
  out.scale = Tensor::from(all.scale, {n, cells, 1});
  return out;
}

Tensor detector_loss(const Tensor& output, const DetectorTargets& t) {
  const Tensor logit = slice(output, 2, 0, 1), distances = slice(output, 2, 1, 5),
               points = slice(output, 2, 5, 15);
  // log(1 + e^x) - x * label, in a form that stays finite.
  const Tensor softplus = add(relu(logit), log(affine(exp(affine(abs(logit), -1, 0)), 1, 1)));
  const Tensor entropy = sub(softplus, mul(logit, t.is_face));
  const Tensor wrong = sub(sigmoid(logit), t.is_face);
  const Tensor score = mul(mul(mul(wrong, wrong), entropy), t.weight);

  const Tensor common = area(smaller(distances, t.distances));
  const Tensor whole = sub(add(area(distances), area(t.distances)), common);
  const Tensor box = mul(affine(div(common, whole), -1, 1), t.is_face);

  const Tensor difference = mul(sub(points, t.points), affine(t.scale, 1 / kPointsUnit, 0));
  const Tensor landmarks = mean(huber(difference), {2}, true);  // 0 where there is no face, as the scale is

  const Tensor sum = add(add(sum_all(score), sum_all(box)), affine(sum_all(landmarks), kPointsWeight, 0));
  return affine(sum, 1 / double(std::max<int64_t>(1, t.positives)), 0);
}

}  // namespace advf
