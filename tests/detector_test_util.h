// Small detectors for tests: cards, and a network that finds bright cells.
#pragma once
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "advface/detect/detected_cut.h"
#include "onnx_test_util.h"

namespace advf::test {

inline const std::string kYunetCard = R"({
  "model": "net.onnx",
  "input": {"name": "input", "channels": "BGR", "mean": 0, "scale": 1},
  "decoding": "yunet",
  "strides": [8, 16, 32],
  "outputs": {"score": ["cls_8", "cls_16", "cls_32"], "object": ["obj_8", "obj_16", "obj_32"],
              "box": ["bbox_8", "bbox_16", "bbox_32"], "landmarks": ["kps_8", "kps_16", "kps_32"]},
  "score": 0.6
})";

inline const std::string kToyDetectorCard = R"({
  "model": "toy.onnx",
  "input": {"name": "x", "channels": "RGB", "mean": 0, "scale": 0.003921568627},
  "decoding": "scrfd",
  "strides": [8],
  "outputs": {"score": ["score"], "box": ["box"], "landmarks": ["landmarks"]},
  "score": 0.9
})";

// One cell of 8 x 8 pixels: its score is the mean of its red channel; its box reaches 3 cells to the left and
// 4 to the right, and as far up and down; landmarks lie around it as a template has them, the eyes one cell
// above.
inline std::string toy_detector() {
  const std::vector<float> distances{3, 3, 4, 4}, places{-1, -1, 2, -1, 0.5f, 0.5f, -0.5f, 2, 1.5f, 2};
  OnnxBuilder b;
  b.input("x", {1, 3, -1, -1}).output("score").output("box").output("landmarks");
  std::vector<float> mean(3 * 64, 0);
  std::fill_n(mean.begin(), 64, 1.0f / 64);
  b.floats("w", {1, 3, 8, 8}, mean).node("Conv", {"x", "w"}, {"m"}, {{"strides", {8, 8}}});
  const auto rows = [&](const std::string& from, const std::string& to, int64_t each) {
    b.node("Transpose", {from}, {to + "_t"}, {{"perm", {0, 2, 3, 1}}})
        .ints(to + "_s", {0, -1, each})
        .node("Reshape", {to + "_t", to + "_s"}, {to});
  };
  rows("m", "score", 1);
  const auto constants = [&](const std::string& to, const std::vector<float>& values) {
    const auto n = int64_t(values.size());
    b.floats(to + "_w", {n, 1, 1, 1}, std::vector<float>(values.size(), 0))
        .floats(to + "_b", {n}, values)
        .node("Conv", {"m", to + "_w", to + "_b"}, {to + "_c"});
    rows(to + "_c", to, n);
  };
  constants("box", distances);
  constants("landmarks", places);
  return b.bytes();
}

inline double distance(const Point& a, const Point& b) { return std::hypot(a.x - b.x, a.y - b.y); }

// The largest difference of boxes and landmarks, face by face, in pixels.
inline double largest_difference(const std::vector<Face>& faces, const Tensor& expected) {
  BOOST_REQUIRE_EQUAL(int64_t(faces.size()), expected.dim(0));
  double worst = 0;
  const float* e = expected.data<float>();
  for (size_t i = 0; i < faces.size(); ++i, e += 15) {
    const Face& f = faces[i];
    const double box[] = {f.x, f.y, f.width, f.height};
    for (int k = 0; k < 4; ++k) worst = std::max(worst, std::abs(box[k] - double(e[k])));
    for (size_t p = 0; p < 5; ++p)
      worst = std::max(worst, distance(f.landmarks[p], {double(e[4 + 2 * p]), double(e[5 + 2 * p])}));
    BOOST_TEST(std::abs(f.score - double(e[14])) < 1e-3);
  }
  return worst;
}

inline std::shared_ptr<const FaceFinder> toy_finder() {
  return std::make_shared<const FaceFinder>(
      Detector::from_bytes(parse_detector_card(kToyDetectorCard, "toy.json"), toy_detector()));
}

// Makes the toy detector find a face at this cell.
inline void light_cell(Image& image, int column, int row) {
  for (int y = 8 * row; y < 8 * row + 8; ++y)
    for (int x = 8 * column; x < 8 * column + 8; ++x) image.row(y)[3 * x] = 255;
}

}  // namespace advf::test
