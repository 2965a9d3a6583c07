// What a detector without anchors should say of each cell, and what it is wrong by.
#pragma once
#include <vector>

#include "advface/core/face.h"
#include "nn/nets/detectors.h"

namespace advf {

// For every cell of every grid of DetectorNet (N pictures of one size, cells of all grids one after the
// other).
struct DetectorTargets {
  Tensor is_face;  // (N, cells, 1): 1 where the cell stands for a face
  // (N, cells, 1): 0 where the score may be anything: around the middle of a face, where other cells stand
  // for it, and at its middle on the grid next to its own; else 1.
  Tensor weight;
  Tensor distances;  // (N, cells, 4) in strides: to the sides of the face's box; 1 where there is none
  Tensor points;     // (N, cells, 10) in strides, from the cell
  Tensor scale;      // (N, cells, 1): strides to shares of the longer side of the face's box
  int64_t positives = 0;
};

// A face belongs to the grid by the longer side of its box: below 40 pixels stride 8, below 80 stride 16,
// else 32; and to those cells that lie near its middle (within 3/4 of a stride, or 0.15 of the side). Faces
// of fewer than 12 pixels are ignored: neither faces nor ground.
DetectorTargets detector_targets(const std::vector<std::vector<Face>>& faces, int64_t height, int64_t width);

// output: DetectorNet::forward() (N, cells, 15). Per face cell: quality focal loss of the score (Li et al.
// 2020, "Generalized Focal Loss", with whole labels: |label - p|^2 times the cross entropy), 1 - IoU of the
// boxes, and three times smooth L1 of the landmarks in tenths of the box's side. Shape [].
Tensor detector_loss(const Tensor& output, const DetectorTargets& targets);

}  // namespace advf
