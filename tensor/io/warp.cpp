#include "tensor/io/warp.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/check.h"
#include "tensor/io/resample.h"

namespace advf {
namespace {

// Part of a picture as planes of floats, possibly shrunk.
struct Planes {
  int width = 0, height = 0;
  std::vector<float> values;  // (3, height, width) in [0, 1]
};

// Keys' cubic at fraction t of the way from tap 1 to tap 2.
void cubic_taps(double t, float* w) {
  constexpr double a = -0.5;
  const auto outer = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  const auto inner = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  w[0] = float(outer(1 + t));
  w[1] = float(inner(t));
  w[2] = float(inner(1 - t));
  w[3] = float(outer(2 - t));
}

// Adds weight * the picture at (x, y), in pixels with centres at half-integers, to a value of each channel.
void add_sample(const Planes& from, double x, double y, float weight, float* sums) {
  // Beyond the clamped range every tap is the border pixel anyway.
  x = std::clamp(x - 0.5, -3.0, from.width + 2.0);
  y = std::clamp(y - 0.5, -3.0, from.height + 2.0);
  const int x0 = int(std::floor(x)) - 1, y0 = int(std::floor(y)) - 1;
  float across[4], down[4];
  cubic_taps(x - (x0 + 1), across);
  cubic_taps(y - (y0 + 1), down);
  const size_t plane = size_t(from.width) * size_t(from.height);
  size_t columns[4];
  for (int i = 0; i < 4; ++i) columns[i] = size_t(std::clamp(x0 + i, 0, from.width - 1));
  for (int c = 0; c < 3; ++c) {
    const float* values = from.values.data() + size_t(c) * plane;
    float sum = 0;
    for (int j = 0; j < 4; ++j) {
      const float* row = values + size_t(std::clamp(y0 + j, 0, from.height - 1)) * size_t(from.width);
      sum += down[j] * (across[0] * row[columns[0]] + across[1] * row[columns[1]] +
                        across[2] * row[columns[2]] + across[3] * row[columns[3]]);
    }
    sums[c] += weight * sum;
  }
}

// The part of the picture that the square covers, shrunk by `factor`; and where it begins.
Planes part_of(const Image& image, const Similarity& s, int height, int width, int factor, double& x0,
               double& y0) {
  double low_x = 1e300, low_y = 1e300, high_x = -1e300, high_y = -1e300;
  for (const double cx : {0.0, double(width)})
    for (const double cy : {0.0, double(height)}) {
      low_x = std::min(low_x, s.x(cx, cy));
      high_x = std::max(high_x, s.x(cx, cy));
      low_y = std::min(low_y, s.y(cx, cy));
      high_y = std::max(high_y, s.y(cx, cy));
    }
  // With room for the taps at the edge, within the picture; whole multiples of the factor.
  const auto begin = [&](double low, int size) {
    return std::clamp(int(std::floor(std::clamp(low, 0.0, double(size)))) - 3 * factor, 0, size - 1) /
           factor * factor;
  };
  const auto count = [&](int from, double high, int size) {
    const int end =
        std::clamp(int(std::ceil(std::clamp(high, 0.0, double(size)))) + 3 * factor, from + 1, size);
    return std::max(1, (end - from) / factor);
  };
  const int left = begin(low_x, image.width), top = begin(low_y, image.height);
  Planes part;
  part.width = count(left, high_x, image.width);
  part.height = count(top, high_y, image.height);
  part.values.resize(size_t(3) * size_t(part.width) * size_t(part.height));
  const CropBox box{float(left), float(top), float(left + part.width * factor),
                    float(top + part.height * factor)};
  crop_resize_into(image, box, part.height, part.width, part.values.data());
  x0 = left;
  y0 = top;
  return part;
}

}  // namespace

double Similarity::scale() const { return std::hypot(a, b); }

void warp_into(const Image& image, const Similarity& to_source, int out_height, int out_width, float* out) {
  check(image.width > 0 && image.height > 0, "an empty picture cannot be cropped");
  check(out_height > 0 && out_width > 0, "a crop to ", out_height, " x ", out_width, " pixels");
  const double scale = to_source.scale();
  check(std::isfinite(scale) && scale > 0 && std::isfinite(to_source.tx) && std::isfinite(to_source.ty),
        "a crop of a square that has no size");
  const int factor = std::clamp(int(std::min(scale, 1e6)), 1, std::max(image.width, image.height));
  double x0 = 0, y0 = 0;
  const Planes part = part_of(image, to_source, out_height, out_width, factor, x0, y0);
  const bool shrinks = scale / factor > 1;
  const int steps = shrinks ? 2 : 1;  // per output pixel and axis; apart by at most one pixel of the part
  const float weight = 1.0f / float(steps * steps);
  const size_t plane = size_t(out_height) * size_t(out_width);
  for (int y = 0; y < out_height; ++y)
    for (int x = 0; x < out_width; ++x) {
      float sums[3] = {0, 0, 0};
      for (int j = 0; j < steps; ++j)
        for (int i = 0; i < steps; ++i) {
          const double px = x + (i + 0.5) / steps, py = y + (j + 0.5) / steps;
          add_sample(part, (to_source.x(px, py) - x0) / factor, (to_source.y(px, py) - y0) / factor, weight,
                     sums);
        }
      for (size_t c = 0; c < 3; ++c)
        out[c * plane + size_t(y) * size_t(out_width) + size_t(x)] = std::clamp(sums[c], 0.0f, 1.0f);
    }
}

}  // namespace advf
