// The painter of the procedural portraits, private to synthetic_*.cpp. A height field of the head gives
// normals for light, and layers from the wall to the glasses are painted over it at 2x2 samples a pixel. Head
// coordinates (X, Y) lie in the image plane; surface coordinates (x, y) stick to the skin, so that turning
// the head slides features over it (parallax). Colours are linear (sRGB squared) until develop().
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "advface/synthetic/synthetic_faces.h"
#include "tensor/rng.h"

namespace advf::portrait {

inline float clamp01(float v) { return std::min(1.f, std::max(0.f, v)); }
inline float sq(float v) { return v * v; }
inline float smooth(float low, float high, float v) {
  const float t = clamp01((v - low) / (high - low));
  return t * t * (3 - 2 * t);
}
// 1 at the centre of an ellipse, 0 from its border on; twice differentiable.
inline float bump(float dx, float dy, float rx, float ry) {
  const float q = sq(dx / rx) + sq(dy / ry);
  return q < 1 ? sq(1 - q) : 0.f;
}
// Distance to the border of an ellipse, positive inside; exact enough near the border.
inline float ellipse(float dx, float dy, float rx, float ry) {
  return (1 - std::sqrt(sq(dx / rx) + sq(dy / ry))) * std::min(rx, ry);
}
// The same for the upper half of a head or of its hair, whose corners are fuller (compare make_width_table).
inline float dome(float dx, float dy, float rx, float ry) {
  const float t = std::fabs(dy) / ry;
  return (1 - std::sqrt(sq(dx / rx) + t * t * (0.6f + 0.4f * t))) * rx;
}
inline float segment(float x, float y, float ax, float ay, float bx, float by) {
  const float dx = bx - ax, dy = by - ay, t = clamp01(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy));
  return std::sqrt(sq(x - ax - t * dx) + sq(y - ay - t * dy));
}
inline Rgb operator*(const Rgb& a, float s) { return {a.r * s, a.g * s, a.b * s}; }
inline Rgb operator*(const Rgb& a, const Rgb& b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }
inline Rgb linear(const Rgb& c) { return c * c; }
inline Rgb mix(const Rgb& a, const Rgb& b, float t) {
  return {a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

// Smooth random values in [-1, 1], the same for everyone: 64 x 64 cells, repeating.
class NoiseTexture {
 public:
  NoiseTexture() {
    const Philox rng{0x9E3779B97F4A7C15u, 0};
    for (size_t i = 0; i < values_.size(); ++i) values_[i] = 2 * rng.uniform(i) - 1;
  }
  float operator()(float x, float y) const {
    // Shifted by a multiple of the period to be positive, where truncation is floor.
    x += 4096, y += 4096;
    const int fx = int(x), fy = int(y), x0 = fx & 63, y0 = (fy & 63) * 64, x1 = (x0 + 1) & 63,
              y1 = (y0 + 64) & 4095;
    float tx = x - float(fx), ty = y - float(fy);
    tx *= tx * (3 - 2 * tx), ty *= ty * (3 - 2 * ty);
    const auto v = [&](int at) { return values_[size_t(at)]; };
    const float top = v(y0 + x0) + tx * (v(y0 + x1) - v(y0 + x0)),
                low = v(y1 + x0) + tx * (v(y1 + x1) - v(y1 + x0));
    return top + ty * (low - top);
  }

 private:
  std::array<float, 4096> values_;
};

inline const NoiseTexture kNoise;

constexpr float kLeft = -1, kRight = 1;  // in the picture

class Portrait {
 public:
  Portrait(const FaceIdentity& person, const FaceShot& shot, int size);
  void paint_all();
  Image develop(uint64_t noise_seed) const;
  // Where a point of the surface lies in the picture, in shares of its side.
  std::array<double, 2> place_of(float x, float y, bool nose = false) const;
  std::array<std::array<double, 2>, 5> landmarks() const;

 private:
  // One sample: head coordinates, canvas coordinates, position in the arrays.
  struct Point {
    float X, Y, cx, cy;
    size_t at;
  };
  struct Box {
    float left, top, right, bottom;
  };
  struct Bump {
    float height, x, y, inverse_rx, inverse_ry;
  };
  // Calls body(point) for the samples of a box in head coordinates.
  template <class Body>
  void each(const Box& box, Body body) {
    float x0 = 1e9f, x1 = -1e9f, y0 = 1e9f, y1 = -1e9f;
    for (float X : {box.left, box.right})
      for (float Y : {box.top, box.bottom}) {
        const float cx = (X * cos_ - Y * sin_) * scale_ + centre_x_,
                    cy = (X * sin_ + Y * cos_) * scale_ + centre_y_;
        x0 = std::min(x0, cx), x1 = std::max(x1, cx), y0 = std::min(y0, cy), y1 = std::max(y1, cy);
      }
    const auto index = [&](float c) { return std::clamp(int((c + 1) * 0.5f * float(n_)), 0, n_); };
    const int i0 = index(x0), i1 = std::min(n_, index(x1) + 1), j0 = index(y0),
              j1 = std::min(n_, index(y1) + 1);
    for (int j = j0; j < j1; ++j) {
      const float cy = (float(j) + 0.5f) * step_ - 1, v = (cy - centre_y_) / scale_;
      for (int i = i0; i < i1; ++i) {
        const float cx = (float(i) + 0.5f) * step_ - 1, u = (cx - centre_x_) / scale_;
        body(Point{u * cos_ + v * sin_, v * cos_ - u * sin_, cx, cy, size_t(j) * size_t(n_) + size_t(i)});
      }
    }
  }
  template <class Body>
  void each(Body body) {
    each({-4, -4, 4, 4}, body);
  }
  float cover(float distance) const { return clamp01(0.5f + distance / pixel_); }
  void blend(size_t at, const Rgb& colour, float amount) { canvas_[at] = mix(canvas_[at], colour, amount); }
  void shade(size_t at, float factor) { canvas_[at] = canvas_[at] * factor; }

  void make_width_table();
  float width(float Y) const;
  void make_relief();
  void lay_surface();
  Rgb lit(const Rgb& albedo, float nx, float ny, float nz, float wrap) const;

  void background();
  void hair_behind();
  void body();
  void ears();
  void skin();
  void nose();
  void beard();
  void mouth();
  void eyes();
  void brows();
  void marks();
  void hair_in_front();
  float hair_shape(const Point& p) const;
  float hair_line(const Point& p) const;
  float locks_shape(const Point& p) const;
  float locks_end() const;
  Rgb hair_colour(const Point& p, float nx, float ny) const;
  void glasses();
  void texture_skin(size_t at, float X, float Y);

  bool long_hair() const {
    return f_.hair_style == HairStyle::bob || f_.hair_style == HairStyle::straight ||
           f_.hair_style == HairStyle::wavy;
  }
  // The mouth's middle line at t in [-1, 1] of its half width.
  float mouth_line(float t) const {
    return f_.mouth_y + 0.012f * s_.smile - (0.006f + 0.058f * s_.smile) * t * t;
  }

  const FaceIdentity& f_;
  const FaceShot& s_;
  const int n_;       // samples a side
  const float step_;  // canvas units a sample
  const float scale_, cos_, sin_, centre_x_, centre_y_, pixel_;
  const float sin_yaw_, cos_yaw_, sin_pitch_, cos_pitch_;
  float mouth_half_, gap_;  // half width; half height of the open part
  std::array<float, 258> width_;
  std::vector<Bump> relief_;
  std::vector<Rgb> canvas_;
  std::vector<float> x_, y_, height_, inside_;  // surface coordinates, height, cover of the head; per sample
};

}  // namespace advf::portrait
