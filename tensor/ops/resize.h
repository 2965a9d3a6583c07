// Where the pixels of a resized image come from; shared by the reference and the fast kernels of resize2d.
#pragma once
#include <algorithm>
#include <cmath>

#include "tensor/attrs.h"

namespace advf {

// A target pixel is (1 - weight) * source[first] + weight * source[second].
struct ResizeTap {
  int64_t first, second;
  double weight;
};

inline ResizeTap resize_tap(int64_t i, int64_t in, int64_t out, ResizeMode mode,
                            ResizeCoordinates coordinates) {
  const double scale = double(in) / double(out);
  double x = 0;
  switch (coordinates) {
    case ResizeCoordinates::half_pixel:
      x = (double(i) + 0.5) * scale - 0.5;
      break;
    case ResizeCoordinates::asymmetric:
      x = double(i) * scale;
      break;
    case ResizeCoordinates::align_corners:
      x = out > 1 ? double(i) * double(in - 1) / double(out - 1) : 0;
      break;
  }
  const int64_t last = in - 1;
  if (mode == ResizeMode::nearest) {
    const double r = coordinates == ResizeCoordinates::asymmetric ? std::floor(x) : std::ceil(x - 0.5);
    const int64_t p = std::clamp<int64_t>(int64_t(r), 0, last);
    return {p, p, 0.0};
  }
  x = std::clamp(x, 0.0, double(last));
  const int64_t p = int64_t(std::floor(x));
  return {p, std::min(p + 1, last), x - double(p)};
}

}  // namespace advf
