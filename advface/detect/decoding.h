// From the outputs of a detector's network to faces: decodings by name, and the suppression of faces that
// were found more than once.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "advface/core/face.h"

namespace advf {

// The outputs of one level of a detector, whose cells lie `stride` pixels apart: row by row, `anchors` to a
// cell.
struct DetectorLevel {
  int64_t stride = 0, rows = 0, columns = 0, anchors = 1;
  // Each (rows * columns * anchors, k): scores k = Decoding::score_columns, `objects` of a decoding that has
  // them k = 1, boxes k = 4, landmarks k = 2 for each point.
  std::span<const float> scores, objects, boxes, landmarks;
  size_t points = 5;
  // Of a decoding with priors: the side of each anchor's in pixels, and what offsets and logarithms of sizes
  // are multiplied by.
  std::span<const double> priors = {};
  double offset_variance = 0, size_variance = 0;

  int64_t cells() const { return rows * columns * anchors; }
};

// A row of the table: how a detector's numbers are read.
struct Decoding {
  const char* name;
  bool has_objects;      // there is an output "object" beside "score"
  bool one_anchor_only;  // has no notion of several anchors
  bool has_priors;       // the card states them
  int64_t score_columns;
  // Appends the faces of the level that reach `least_score`, in pixels of the network's input.
  void (*decode)(const DetectorLevel& level, double least_score, std::vector<Face>& faces);
};

// yunet: score sqrt(class * object), each cut to [0, 1]; the centre of the box (c + b0, r + b1) * stride, its
// sides exp(b2), exp(b3) * stride; points (c + k0, r + k1) * stride (Wu et al. 2023, "YuNet: A Tiny
// Millisecond-level Face Detector", as OpenCV's FaceDetectorYN reads it).
// scrfd: the score as it is; the box by its distances left, up, right, down from the cell (c, r) * stride, in
// strides; points (c + k0, r + k1) * stride (Guo et al. 2021, "Sample and Computation Redistribution for
// Efficient Face Detection").
// retinaface: the score is the second of two (ground, face), which sum to 1; around priors, squares in the
// middle of the cell: the centre of the box (c + 1/2) * stride + b0 v0 s, (r + 1/2) * stride + b1 v0 s, its
// sides s exp(b2 v1), s exp(b3 v1), points (c + 1/2) * stride + k0 v0 s, ..., with the prior's side s and the
// variances v0, v1 (Deng et al. 2020, "RetinaFace"; Liu et al. 2016, "SSD").
const std::vector<Decoding>& decodings();
// Throws Error listing the known ones.
const Decoding& decoding(const std::string& name);

// The share of two boxes that they have in common: their intersection over their union.
double overlap(const Face& a, const Face& b);
// By falling score, without those that overlap a better one by more than `most`; of equal score the earlier
// first. At most 5000 candidates are looked at.
std::vector<Face> suppress(std::vector<Face> faces, double most);

}  // namespace advf
