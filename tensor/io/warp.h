// A turned square cut out of a picture: f32 (3, H, W) in [0, 1], as crop_resize() (resample.h) gives for
// upright ones.
#pragma once
#include "tensor/io/image.h"

namespace advf {

// (x, y) -> (a x - b y + tx, b x + a y + ty): turn, one scale, shift.
struct Similarity {
  double a = 1, b = 0, tx = 0, ty = 0;
  double scale() const;
  double x(double px, double py) const { return a * px - b * py + tx; }
  double y(double px, double py) const { return b * px + a * py + ty; }
};

// Output pixel i covers [i, i + 1), and `to_source` takes it to pixels of the picture, whose border pixels go
// on outside. Enlarging: cubic convolution with a = -0.5 (Keys 1981). Shrinking: the mean over what an output
// pixel covers, where the picture is first brought near the size by exact area averages. Grey is repeated
// three times; bicubic overshoot is cut to [0, 1]. The same bits on any thread. Throws Error for a transform
// that is not finite or has no scale.
void warp_into(const Image& image, const Similarity& to_source, int out_height, int out_width, float* out);

}  // namespace advf
