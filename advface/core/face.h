// A face that was found in a picture, in pixels of the upright picture: pixel i covers [i, i + 1).
#pragma once
#include <vector>

#include "advface/core/face_template.h"

namespace advf {

struct Face {
  double x = 0, y = 0, width = 0, height = 0;  // its box; may leave the picture
  double score = 0;                            // of the detector, [0, 1]
  // The eyes (the one further left in an upright face first), the tip of the nose, the corners of the mouth;
  // or the eyes alone.
  std::vector<Point> landmarks;

  double area() const { return width * height; }
};

}  // namespace advf
