// The similarity that takes the points of a template to those of a face, and the crop that it gives.
#pragma once
#include <span>

#include "advface/core/face.h"
#include "advface/core/face_template.h"
#include "tensor/io/warp.h"

namespace advf {

// Least squares over rotation, one scale and shift, without reflection (Umeyama 1991): to ~ s R from + t. Two
// points or more. Throws Error where the points of either side coincide.
Similarity fit_similarity(std::span<const Point> from, std::span<const Point> to);

// From pixels of a crop of size x size to pixels of the picture, so that the face's landmarks lie where the
// template has them: five points, or the eyes alone.
Similarity align(const Face& face, const FaceTemplate& face_template, int size);

}  // namespace advf
