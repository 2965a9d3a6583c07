#include "advface/networks/augment.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tensor/parallel.h"

namespace advf {
namespace {

constexpr uint64_t kDraws = 12;  // of one row

// One image's view: output pixel (x, y) from the centre shows source pixel (a x - b y + dx, b x + a y + dy).
struct View {
  bool mirrored = false;
  double a = 1, b = 0, dx = 0, dy = 0;
  std::array<float, 3> gain{1, 1, 1}, offset{};
};

View drawn_view(const Philox& rng, int64_t row, const Augmentation& s, int64_t height, int64_t width) {
  const uint64_t at = uint64_t(row) * kDraws;
  const auto about = [&](uint64_t i, double most) {
    return rng.uniform(at + i, -most * s.strength, most * s.strength);
  };
  View v;
  v.mirrored = (rng.bits(at) & 1u) != 0;
  const double size = 1 / (1 + about(1, s.zoom)), angle = about(2, s.turn);
  v.a = size * std::cos(angle);
  v.b = size * std::sin(angle);
  v.dx = about(3, s.shift) * double(width);
  v.dy = about(4, s.shift) * double(height);
  const double contrast = 1 + about(5, s.contrast), brightness = about(6, s.brightness);
  for (size_t c = 0; c < 3; ++c) {
    const double tint = 1 + about(7 + c, s.tint);
    v.gain[c] = float(contrast * tint);
    v.offset[c] = float((0.5 - 0.5 * contrast + brightness) * tint);
  }
  return v;
}

// Two neighbours in a row or a column and the second one's share.
struct Between {
  int64_t first, second;
  float share;
};
Between between(double at, int64_t size) {
  const double inside = std::clamp(at, 0.0, double(size - 1));
  const int64_t first = int64_t(inside);
  return {first, std::min(first + 1, size - 1), float(inside - double(first))};
}

void draw(const float* in, float* out, int64_t height, int64_t width, const View& v) {
  const double cx = 0.5 * double(width - 1), cy = 0.5 * double(height - 1);
  const int64_t plane = height * width;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const double ox = (v.mirrored ? double(width - 1 - x) : double(x)) - cx, oy = double(y) - cy;
      const Between column = between(v.a * ox - v.b * oy + v.dx + cx, width);
      const Between row = between(v.b * ox + v.a * oy + v.dy + cy, height);
      for (int64_t c = 0; c < 3; ++c) {
        const float* upper = in + c * plane + row.first * width;
        const float* lower = in + c * plane + row.second * width;
        const float above = upper[column.first] + column.share * (upper[column.second] - upper[column.first]);
        const float below = lower[column.first] + column.share * (lower[column.second] - lower[column.first]);
        const float value = above + row.share * (below - above);
        out[c * plane + y * width + x] =
            std::clamp(v.gain[size_t(c)] * value + v.offset[size_t(c)], 0.0f, 1.0f);
      }
    }
}

}  // namespace

Tensor augmented(const Tensor& images, const std::vector<int64_t>& rows, const Philox& rng,
                 const Augmentation& settings) {
  check(images.shape().rank() == 4 && images.dim(1) == 3 && images.dim(0) == int64_t(rows.size()),
        "faces to vary must be (", rows.size(), ",3,H,W), not ", images.shape().str());
  const int64_t height = images.dim(2), width = images.dim(3), size = 3 * height * width;
  const std::vector<float> in = images.to_vector<float>();
  std::vector<float> out(in.size());
  parallel_for(images.dim(0), [&](int64_t i) {
    draw(in.data() + i * size, out.data() + i * size, height, width,
         drawn_view(rng, rows[size_t(i)], settings, height, width));
  });
  return Tensor::from(out, images.shape());
}

}  // namespace advf
