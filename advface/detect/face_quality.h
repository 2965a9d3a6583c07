// What can be said of a face before a recogniser sees it.
#pragma once
#include <vector>

#include "advface/core/face_cut.h"
#include "tensor/io/warp.h"

namespace advf {

// roll, yaw and pitch of `quality`, from the landmarks. Roll is that of the line between the eyes. Yaw and
// pitch follow from where the tip of the nose lies between eyes and mouth, for a nose that stands out by 0.45
// of the distance between the eyes: an estimate, within some ten degrees for most faces.
void estimate_angles(const Face& face, FaceQuality& quality);
// sharpness and exposure of a crop (3, size, size) in [0, 1].
void measure_crop(const float* crop, int size, FaceQuality& quality);
// The share of the square of size x size that `to_source` takes to places outside the picture; told on a
// grid.
double share_outside(const Similarity& to_source, int size, int width, int height);

}  // namespace advf
