// The painter of the procedural portraits: a height field for the head gives normals for light, and layers
// from the wall to the glasses are painted over it at 2x2 samples a pixel. Head coordinates (X, Y) lie in the
// image plane; surface coordinates (x, y) stick to the skin, so that turning the head slides features over it
// (parallax). Colours are linear (sRGB squared) until develop().
#include <algorithm>
#include <array>
#include <cmath>

#include "advface/synthetic_faces.h"
#include "tensor/check.h"
#include "tensor/rng.h"

namespace advf {
namespace {

float clamp01(float v) { return std::min(1.f, std::max(0.f, v)); }
float sq(float v) { return v * v; }
float smooth(float low, float high, float v) {
  const float t = clamp01((v - low) / (high - low));
  return t * t * (3 - 2 * t);
}
// 1 at the centre of an ellipse, 0 from its border on; twice differentiable.
float bump(float dx, float dy, float rx, float ry) {
  const float q = sq(dx / rx) + sq(dy / ry);
  return q < 1 ? sq(1 - q) : 0.f;
}
// Distance to the border of an ellipse, positive inside; exact enough near the border.
float ellipse(float dx, float dy, float rx, float ry) {
  return (1 - std::sqrt(sq(dx / rx) + sq(dy / ry))) * std::min(rx, ry);
}
// The same for the upper half of a head or of its hair, whose corners are fuller (compare make_width_table).
float dome(float dx, float dy, float rx, float ry) {
  const float t = std::fabs(dy) / ry;
  return (1 - std::sqrt(sq(dx / rx) + t * t * (0.6f + 0.4f * t))) * rx;
}
float segment(float x, float y, float ax, float ay, float bx, float by) {
  const float dx = bx - ax, dy = by - ay, t = clamp01(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy));
  return std::sqrt(sq(x - ax - t * dx) + sq(y - ay - t * dy));
}
Rgb operator*(const Rgb& a, float s) { return {a.r * s, a.g * s, a.b * s}; }
Rgb operator*(const Rgb& a, const Rgb& b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }
Rgb linear(const Rgb& c) { return c * c; }
Rgb mix(const Rgb& a, const Rgb& b, float t) {
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

constexpr float kLeft = -1, kRight = 1;  // in the picture

class Portrait {
 public:
  Portrait(const FaceIdentity& person, const FaceShot& shot, int size);
  void paint_all();
  Image develop(uint64_t noise_seed) const;

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
  static const NoiseTexture kNoise;
};
const NoiseTexture Portrait::kNoise;

Portrait::Portrait(const FaceIdentity& person, const FaceShot& shot, int size)
    : f_(person),
      s_(shot),
      n_(2 * size),
      step_(1.f / float(size)),
      scale_(shot.scale),
      cos_(std::cos(shot.roll)),
      sin_(std::sin(shot.roll)),
      centre_x_(shot.shift_x),
      centre_y_(shot.shift_y),
      pixel_(step_ / shot.scale),
      sin_yaw_(std::sin(shot.yaw)),
      cos_yaw_(std::cos(shot.yaw)),
      sin_pitch_(std::sin(shot.pitch)),
      cos_pitch_(std::cos(shot.pitch)),
      mouth_half_(person.mouth_width * (1 + 0.2f * shot.smile - 0.08f * shot.mouth_open)),
      gap_(0.042f * shot.mouth_open) {
  const size_t samples = size_t(n_) * size_t(n_);
  canvas_.resize(samples);
  for (std::vector<float>* v : {&x_, &y_, &height_, &inside_}) v->resize(samples);
  make_width_table();
  make_relief();
}

// Half width of the head by height, from 0.1 above the crown to 0.1 below the chin.
void Portrait::make_width_table() {
  const float middle = 0.02f, low = f_.chin + 0.03f * s_.mouth_open;
  for (size_t i = 0; i < width_.size(); ++i) {
    const float Y = -f_.crown - 0.1f + float(i) * (low + f_.crown + 0.2f) / 256;
    const float t = Y < middle ? (middle - Y) / (middle + f_.crown) : (Y - middle) / (low - middle);
    const float round = t < 1 ? std::sqrt(1 - std::pow(t, Y < middle ? 2.4f : f_.jaw)) : 0.f;
    width_[i] = f_.half_width * round * (Y < middle ? 1 : 1 - f_.taper * t);
  }
}

float Portrait::width(float Y) const {
  const float low = f_.chin + 0.03f * s_.mouth_open;
  const float at = std::clamp((Y + f_.crown + 0.1f) * 256 / (low + f_.crown + 0.2f), 0.f, 255.99f);
  const auto i = size_t(at);
  return width_[i] + (at - float(i)) * (width_[i + 1] - width_[i]);
}

// The relief of the face on top of the ellipsoid.
void Portrait::make_relief() {
  const float nose = f_.nose_depth, length = f_.nose_length, width = f_.nose_width;
  const auto add = [&](float height, float x, float y, float rx, float ry) {
    relief_.push_back({height, x, y, 1 / rx, 1 / ry});
  };
  const auto add_both = [&](float height, float x, float y, float rx, float ry) {
    add(height, -x, y, rx, ry);
    add(height, x, y, rx, ry);
  };
  add(nose * 0.055f, 0, 0.45f * length, 0.075f, 0.62f * length);          // bridge
  add(nose * 0.085f, 0, length - 0.035f, 0.85f * width, 0.085f);          // tip
  add_both(nose * 0.035f, 0.75f * width, length - 0.015f, 0.05f, 0.05f);  // wings
  add_both(0.022f, 0.21f, -0.12f, 0.2f, 0.075f);                          // brow ridge
  add_both(-0.034f, f_.eye_distance, -0.005f, 0.16f, 0.10f);              // sockets
  add_both(0.022f + 0.03f * f_.cheek + 0.025f * std::max(0.f, s_.smile), 0.29f, 0.20f, 0.19f, 0.17f);
  add(0.030f, 0, f_.mouth_y, 0.26f, 0.17f);
  add(-0.026f, 0, f_.mouth_y + 0.10f, 0.14f, 0.05f);  // under the lip
  add(0.040f, 0, f_.chin - 0.10f, 0.16f, 0.11f);
}

void Portrait::lay_surface() {
  each([&](const Point& p) {
    const float w = width(p.Y), aX = std::fabs(p.X);  // w: zero above the crown and below the chin
    inside_[p.at] = w > 0 ? cover(w - aX) : 0.f;
    const float z = aX < w ? std::sqrt(w * w - p.X * p.X) : 0.f;
    x_[p.at] = p.X * cos_yaw_ - z * sin_yaw_;
    y_[p.at] = p.Y * cos_pitch_ - z * sin_pitch_ + 0.35f * sin_pitch_;
    // The nose stands out, so it slides further than the skin around it.
    if (z > 0) x_[p.at] -= 0.10f * sin_yaw_ * bump(x_[p.at], y_[p.at] - f_.nose_length, 0.24f, 0.36f);
    height_[p.at] = z;
  });
  // Bump by bump along the rows: plain loops that the compiler turns into vector code.
  const auto n = size_t(n_);
  const float *x = x_.data(), *y = y_.data();
  float* __restrict h = height_.data();
  for (size_t row = 0; row < n * n; row += n) {
    size_t first = 0, last = n;
    while (first < n && inside_[row + first] <= 0) ++first;
    while (last > first && inside_[row + last - 1] <= 0) --last;
    for (const Bump b : relief_)
      for (size_t at = row + first; at < row + last; ++at) {
        const float q = 1 - sq((x[at] - b.x) * b.inverse_rx) - sq((y[at] - b.y) * b.inverse_ry);
        h[at] += b.height * sq(q > 0 ? q : 0.f);
      }
  }
}

// Lambert light with an ambient part; `wrap` softens the terminator as skin and hair do.
Rgb Portrait::lit(const Rgb& albedo, float nx, float ny, float nz, float wrap) const {
  const float diffuse =
      std::max(0.f, (nx * s_.light[0] + ny * s_.light[1] + nz * s_.light[2] + wrap) / (1 + wrap));
  const float sky = s_.ambient * (0.85f - 0.15f * ny), sun = 1.15f * (1 - 0.55f * s_.ambient) * diffuse;
  return albedo *
         Rgb{sky + sun * s_.light_colour.r, sky + sun * s_.light_colour.g, sky + sun * s_.light_colour.b};
}

void Portrait::background() {
  const Rgb a = linear(s_.wall), b = linear(s_.wall_shade);
  const auto n = size_t(n_);
  for (size_t j = 0; j < n; j += 2)  // smooth: once per pixel will do
    for (size_t i = 0; i < n; i += 2) {
      const float cx = float(i + 1) * step_ - 1, cy = float(j + 1) * step_ - 1;
      const float blobs = kNoise(cx * 1.3f + s_.texture_x, cy * 1.3f + s_.texture_y);
      const float slope = 0.5f + 0.35f * (cx * s_.light[0] + cy * s_.light[1]);
      const Rgb colour = mix(a, b, clamp01(slope + 0.45f * blobs)) * (1 - 0.10f * (sq(cx) + sq(cy)));
      for (size_t at : {j * n + i, j * n + i + 1, j * n + i + n, j * n + i + n + 1}) canvas_[at] = colour;
    }
}

void Portrait::body() {
  const Rgb skin = linear(f_.skin), cloth = linear(s_.clothes);
  const float neck = 0.30f + 0.25f * (f_.half_width - 0.5f) - 0.25f * f_.taper, collar = f_.chin + 0.16f;
  each({-4, 0.3f, 4, 4}, [&](const Point& p) {
    const float X = p.cx / scale_ - 0.6f * centre_x_, Y = (p.cy - centre_y_) / scale_;
    const float flare = 0.10f * smooth(f_.chin - 0.02f, f_.chin + 0.22f, Y), r = X / (neck + flare);
    const float shadow = 0.50f + 0.5f * smooth(f_.chin - 0.05f, f_.chin + 0.30f, Y);
    if (r * r < 1.2f)
      blend(p.at, lit(skin * shadow, r, 0.1f, std::sqrt(std::max(0.05f, 1 - r * r)), 0.3f),
            cover(neck + flare - std::fabs(X)));
    const float shoulders = Y - (collar - 0.02f + 0.30f * sq(X) * (1 + 0.4f * sq(X))),
                opening = ellipse(X, Y - collar + 0.03f, neck * 0.86f, 0.13f);
    if (std::min(shoulders, -opening) < -pixel_) return;
    const float fold = 1 + 0.12f * kNoise(X * 5 + s_.texture_x, Y * 2 + s_.texture_y);
    blend(p.at, lit(cloth * fold, 0.55f * X, -0.35f, 0.75f, 0.2f), cover(std::min(shoulders, -opening)));
    if (opening < 0 && opening > -0.03f && shoulders > 0) shade(p.at, 0.75f);
  });
}

void Portrait::ears() {
  const Rgb skin = linear(f_.skin) * Rgb{1.f, 0.86f, 0.82f};
  for (float side : {kLeft, kRight}) {
    const float X0 = side * (f_.half_width + 0.005f) - 0.09f * sin_yaw_ - side * 0.03f * std::fabs(sin_yaw_),
                Y0 = 0.10f - 0.3f * sin_pitch_;
    const float rx = 0.062f * f_.ear_size, ry = 0.125f * f_.ear_size;
    each({X0 - 0.12f, Y0 - 0.2f, X0 + 0.12f, Y0 + 0.2f}, [&](const Point& p) {
      const float dx = p.X - X0 - side * 0.08f * (p.Y - Y0), dy = p.Y - Y0;
      const float hollow = smooth(0, 0.02f, ellipse(dx, dy - 0.01f, rx * 0.62f, ry * 0.66f));
      blend(p.at, lit(skin * (1 - 0.38f * hollow), side * 0.45f, 0, 0.85f, 0.3f),
            cover(ellipse(dx, dy, rx, ry)));
    });
  }
}

// Albedo of bare skin with light from the height field.
void Portrait::skin() {
  const Rgb base = linear(f_.skin), flush = base * Rgb{1.0f, 0.66f, 0.62f};
  const float to_slope = 0.5f / pixel_;
  const Rgb gloss = s_.light_colour;
  // Half-way vector of the light and the eye, for the sheen on forehead, nose and cheeks.
  const float hz = s_.light[2] + 1, hn = 1 / std::sqrt(sq(s_.light[0]) + sq(s_.light[1]) + sq(hz));
  each({-0.65f, -0.8f, 0.65f, 0.95f}, [&](const Point& p) {
    if (inside_[p.at] <= 0) return;
    const size_t column = p.at % size_t(n_), row = p.at / size_t(n_), last = size_t(n_) - 1;
    const float here = height_[p.at];
    const auto at = [&](size_t q) { return inside_[q] > 0 ? height_[q] : here - pixel_; };
    const float gi = (column < last ? at(p.at + 1) : here) - (column > 0 ? at(p.at - 1) : here);
    const float gj = (row < last ? at(p.at + size_t(n_)) : here) - (row > 0 ? at(p.at - size_t(n_)) : here);
    // The light stays with the room: slopes in canvas directions.
    const float nx0 = -gi * to_slope, ny0 = -gj * to_slope, norm = 1 / std::sqrt(nx0 * nx0 + ny0 * ny0 + 1);
    const float nx = nx0 * norm, ny = ny0 * norm, nz = norm;
    const float x = x_[p.at], y = y_[p.at], ax = std::fabs(x);
    const float red =
        0.55f * bump(ax - 0.27f, y - 0.24f, 0.20f, 0.16f) + 0.35f * bump(x, y - f_.nose_length, 0.10f, 0.10f);
    Rgb albedo = mix(base, flush,
                     red * (0.55f + 0.45f * f_.cheek) +
                         0.5f * bump(ax - f_.eye_distance, y, 0.15f, 0.09f) * (0.3f + 0.4f * f_.age));
    albedo = albedo * (1 + 0.03f * kNoise(x * 9 + f_.texture_x, y * 9 + f_.texture_y));
    Rgb colour = lit(albedo, nx, ny, nz, 0.22f);
    const float h2 = sq(std::max(0.f, (nx * s_.light[0] + ny * s_.light[1] + nz * hz) * hn)), h8 = sq(sq(h2)),
                h32 = sq(sq(h8));
    const float sheen = 0.075f * h32 * (1 - s_.ambient);
    colour = {colour.r + sheen * gloss.r, colour.g + sheen * gloss.g, colour.b + sheen * gloss.b};
    blend(p.at, colour, inside_[p.at]);
  });
}

void Portrait::nose() {
  const float tip = f_.nose_length, w = f_.nose_width;
  each({-0.4f, -0.2f, 0.4f, tip + 0.25f}, [&](const Point& p) {
    const float x = x_[p.at], y = y_[p.at], ax = std::fabs(x);
    const float nostril = bump(ax - 0.48f * w, y - tip - 0.008f, 0.036f + 0.1f * w, 0.026f);
    const float wing = bump(ax - 1.02f * w, y - tip + 0.02f, 0.026f, 0.06f);
    const float under = bump(x, y - tip - 0.03f, 1.1f * w, 0.045f);
    // The nose's own shadow, on the side away from the light.
    const float cast = bump(x + s_.light[0] * 0.10f, y - tip + 0.02f, 0.10f, 0.13f) *
                       clamp01(-x * s_.light[0] * 30) * (1 - s_.ambient);
    const float dark = 0.85f * nostril + 0.28f * wing + 0.22f * under + 0.32f * cast;
    if (dark > 0) shade(p.at, 1 - std::min(0.8f, dark) * inside_[p.at]);
  });
}

void Portrait::beard() {
  if (f_.beard == BeardStyle::none) return;
  const bool all = f_.beard == BeardStyle::full || f_.beard == BeardStyle::stubble;
  const bool chin = f_.beard == BeardStyle::goatee, full = f_.beard == BeardStyle::full;
  const Rgb hair = linear(f_.hair) * 0.85f;
  const float strength = f_.beard == BeardStyle::stubble ? 0.42f : 0.92f, grow = full ? 0.035f : 0.f;
  each({-0.7f, 0.02f, 0.7f, 1.0f}, [&](const Point& p) {
    const float x = x_[p.at], y = y_[p.at], ax = std::fabs(x), u = ax / f_.half_width;
    if (std::fabs(p.X) > f_.half_width + 0.05f) return;
    const float coarse = kNoise(x * 16 + f_.texture_x, y * 9 + f_.texture_y),
                fine = kNoise(x * 40 + f_.texture_y, y * 26 + f_.texture_x);
    float mask = 0;
    if (all) {
      const float cheek = f_.mouth_y + 0.02f - 0.36f * smooth(0.42f, 0.98f, u) + 0.025f * coarse;
      mask = smooth(-0.03f, 0.05f, y - cheek);
    } else if (chin) {
      mask = smooth(0.f, 0.035f, ellipse(x, y - f_.mouth_y - 0.15f, 0.155f, 0.17f) + 0.012f * coarse);
    }
    const float lip = 0.5f * (f_.nose_length + f_.mouth_y) + 0.02f, droop = 0.9f * sq(x);
    mask = std::max(
        mask,
        smooth(0.f, 0.025f, ellipse(x, y - lip - droop, 1.08f * f_.mouth_width, 0.052f) + 0.008f * coarse));
    if (mask <= 0) return;
    const float w = width(p.Y - grow);
    if (w <= 0) return;
    const float silhouette = cover(w + 0.5f * grow + (full ? 0.012f * coarse : 0.f) - std::fabs(p.X));
    const float light = 0.75f + 0.25f * fine, nx = std::clamp(p.X / 0.6f, -1.f, 1.f);
    blend(p.at, lit(hair * light, nx, 0.2f, 0.8f, 0.3f),
          mask * silhouette * strength * (0.86f + 0.14f * fine));
  });
}

void Portrait::mouth() {
  const Rgb lips = linear(f_.lips), dark = linear({.22f, .07f, .08f}), tooth = linear({.93f, .91f, .87f}),
            tongue = linear({.62f, .28f, .28f});
  const float half = mouth_half_, up = f_.upper_lip * (1 - 0.22f * std::max(0.f, s_.smile)),
              low = f_.lower_lip;
  const float teeth = s_.smile > 0.3f ? 1.25f : 0.45f;  // how far down the open mouth the upper teeth reach
  each({-0.55f, f_.mouth_y - 0.3f, 0.55f, f_.mouth_y + 0.3f}, [&](const Point& p) {
    const float x = x_[p.at], y = y_[p.at], t = x / half;
    if (t * t >= 1.35f) return;
    const float arc = std::max(0.f, 1 - t * t), line = mouth_line(t), open = gap_ * std::sqrt(arc);
    const float top = line - open * 0.55f, bottom = line + open * 1.45f;
    // Cupid's bow: the upper edge dips in the middle.
    const float bow = up * (1 - 0.28f * bump(t, 0, 0.3f, 1)) * (arc * (1.35f - 0.35f * arc)),
                full = low * std::sqrt(arc) * (0.7f + 0.3f * arc);
    const float d = std::min(std::min(y - (top - bow), bottom + full - y), (1 - std::fabs(t)) * half);
    const float in = inside_[p.at];
    if (d > -pixel_) {
      const bool lower = y > 0.5f * (top + bottom);
      const float gleam = lower ? 0.35f * bump(t + 0.25f * s_.light[0],
                                               (y - bottom - 0.45f * full) / (full + 1e-3f), 0.6f, 0.5f)
                                : 0.f;
      blend(p.at, lit(mix(lips, {1, 1, 1}, 0.35f * gleam), 0.5f * t, lower ? -0.15f : 0.35f, 0.85f, 0.3f),
            0.88f * cover(d) * in);
      const float hole = std::min(y - top, bottom - y);
      if (open > 0 && hole > -pixel_) {
        const float edge = top + teeth * open;
        Rgb inner = mix(dark, tongue, smooth(bottom - 0.8f * open, bottom, y) * 0.6f);
        inner = mix(inner, lit(tooth * (0.82f - 0.35f * t * t), 0, 0, 1, 0.3f),
                    cover(std::min(edge - y, (0.88f - std::fabs(t)) * half)));
        blend(p.at, inner, cover(hole) * in);
      }
      if (open <= 0.004f)
        shade(p.at, 1 - 0.62f * in * clamp01(1 - std::fabs(y - line) / (0.010f + 0.3f * pixel_)) *
                            smooth(1.1f, 0.8f, std::fabs(t)));
    }
    // Corners, and the shade under the lower lip.
    const float corner = bump(std::fabs(t) - 1, (y - mouth_line(1)) / half, 0.14f, 0.12f);
    const float under = bump(t, (y - bottom - full - 0.022f) / half, 0.75f, 0.14f);
    shade(p.at, 1 - in * (0.40f * corner + 0.16f * under));
  });
}

void Portrait::eyes() {
  const Rgb white = linear({.94f, .93f, .92f}), iris = linear(f_.iris), skin = linear(f_.skin),
            lash = linear(f_.brow) * 0.35f;
  const Rgb lid = mix(skin, linear({.45f, .30f, .42f}), 0.45f * f_.make_up);
  const float w = f_.eye_width, H = f_.eye_open * s_.eyes_open, radius = 0.058f, tilt = f_.eye_tilt;
  const float line = 0.008f + 0.006f * f_.make_up + 0.25f * pixel_;
  for (float side : {kLeft, kRight}) {
    each({side * f_.eye_distance - 0.34f, -0.3f, side * f_.eye_distance + 0.34f, 0.3f}, [&](const Point& p) {
      const float dx = (x_[p.at] - side * f_.eye_distance) * side,
                  dy0 = y_[p.at];  // dx grows away from the nose
      const float dy = dy0 + tilt * dx, t = dx / w, in = inside_[p.at];
      if (t * t > 1.5f || std::fabs(dy) > 0.16f || in <= 0) return;
      const float arc = std::max(0.f, 1 - t * t);
      const float top = -H * arc * (1.12f - 0.12f * t) - 0.002f,
                  bottom = (0.012f + 0.52f * H) * arc * (1 + 0.12f * t);
      // Upper lid: a little of make-up, and the crease above it.
      const float lid_band =
          smooth(top - 0.052f, top - 0.008f, dy) * cover(top - dy) * smooth(1.15f, 0.8f, std::fabs(t));
      blend(p.at, lit(lid, 0, -0.2f, 0.95f, 0.3f), 0.7f * lid_band * in * (f_.make_up > 0 ? 1.f : 0.35f));
      const float crease = top - 0.020f - 0.018f * f_.eye_crease;
      shade(p.at, 1 - 0.34f * in * f_.eye_crease *
                          clamp01(1 - std::fabs(dy - crease) / (0.012f + 0.3f * pixel_)) *
                          smooth(1.1f, 0.75f, std::fabs(t)));
      const float open = std::min(dy - top, bottom - dy);
      if (open > -pixel_ && t * t < 1) {
        const float gx = s_.gaze_x * w * side, gy = s_.gaze_y * 0.05f - 0.10f * H,
                    r = std::sqrt(sq(dx - gx) + sq(dy - gy));
        Rgb eye = white * (0.62f + 0.38f * smooth(0, 0.05f, dy - top)) * (0.78f + 0.22f * arc);
        const float ring = iris.r + iris.g + iris.b;
        Rgb disc = mix(iris * (1.15f - 0.05f * ring), iris * 0.35f, smooth(0.70f, 1.0f, r / radius));
        disc = disc * (0.8f + 0.5f * smooth(-radius, radius, dy - gy));
        disc = mix(disc, {.004f, .004f, .004f}, cover(0.43f * radius - r));
        eye = mix(eye, disc, cover(radius - r));
        eye = lit(eye, 0, 0, 1, 0.4f);
        const float spark =
            std::sqrt(sq((dx - gx) * side - 0.35f * radius * s_.light[0]) + sq(dy - gy + 0.38f * radius));
        eye = mix(eye, {1, 1, 1}, 0.95f * cover(0.26f * radius - spark));
        blend(p.at, eye, cover(open) * in);
      }
      const float upper = clamp01(1.25f - std::fabs(dy - top + 0.3f * line) / line) *
                          smooth(1.22f, 0.95f, std::fabs(t + (t > 0 ? -0.08f : 0.1f)));
      const float lower =
          0.30f * clamp01(1.1f - std::fabs(dy - bottom) / line) * smooth(1.05f, 0.8f, std::fabs(t));
      blend(p.at, lash, in * std::max(0.92f * upper, lower));
      const float bag = bump(t, (dy - bottom - 0.030f) / w, 0.9f, 0.22f) * (0.06f + 0.22f * f_.age);
      shade(p.at, 1 - bag * in);
    });
  }
}

void Portrait::brows() {
  const Rgb colour = linear(f_.brow);
  const float raise = 0.018f * s_.brow_raise, reach = 0.145f;
  for (float side : {kLeft, kRight})
    each({side * f_.eye_distance - 0.32f, -0.45f, side * f_.eye_distance + 0.32f, 0.15f},
         [&](const Point& p) {
           const float dx = (x_[p.at] - side * f_.eye_distance) * side + 0.005f, t = dx / reach;
           if (t * t > 1.3f) return;
           const float middle =
               -f_.brow_height - raise - f_.brow_arch * (1 - sq(t - 0.25f)) - f_.brow_tilt * dx;
           const float thick =
               f_.brow_thickness * (1 - 0.45f * smooth(0.1f, 1.0f, t)) * (1 - 0.3f * smooth(-0.5f, -1.0f, t));
           const float d = std::min(thick - std::fabs(y_[p.at] - middle), (1 - std::fabs(t)) * reach);
           const float tuft = 0.84f + 0.16f * kNoise(dx * 45 + f_.texture_x, y_[p.at] * 12);
           blend(p.at, lit(colour, 0, -0.2f, 0.9f, 0.3f),
                 inside_[p.at] * tuft * clamp01(0.62f + d / (pixel_ + 0.012f)));
         });
}

// Freckles, a mole, and the lines of age and of a smile.
void Portrait::marks() {
  const Rgb skin = linear(f_.skin);
  const float lines = 0.05f + 0.18f * f_.age + 0.15f * std::max(0.f, s_.smile);
  const float th = 0.026f + 0.3f * pixel_;
  each({-0.6f, -0.7f, 0.6f, 0.9f}, [&](const Point& p) {
    const float in = inside_[p.at];
    if (in <= 0) return;
    const float x = x_[p.at], y = y_[p.at], ax = std::fabs(x);
    if (f_.freckles > 0) {
      const float where =
          std::max(bump(ax - 0.22f, y - 0.17f, 0.30f, 0.20f), 0.8f * bump(x, y - 0.15f, 0.15f, 0.2f));
      const float spot = smooth(0.28f, 0.55f, kNoise(x * 30 + f_.texture_x, y * 30 + f_.texture_y)) *
                         smooth(0.0f, 0.25f, where);
      blend(p.at, lit(skin * Rgb{.50f, .34f, .24f}, 0, 0, 1, 0.3f), 0.75f * f_.freckles * spot * in);
    }
    if (f_.mole > 0) {
      const float d = f_.mole - std::sqrt(sq(x - f_.mole_x) + sq(y - f_.mole_y));
      if (d > -pixel_) blend(p.at, skin * 0.14f, 0.8f * cover(d) * in);
    }
    float dark = 0;
    if (y > f_.nose_length - 0.1f && y < f_.mouth_y + 0.1f) {
      const float fold = segment(ax, y, 1.08f * f_.nose_width + 0.015f, f_.nose_length - 0.02f,
                                 mouth_half_ + 0.045f, f_.mouth_y - 0.015f);
      dark = lines * clamp01(1 - fold / th);
    }
    if (f_.age > 0.6f && y < -f_.brow_height - 0.1f)
      dark += 0.5f * (f_.age - 0.6f) * smooth(0.55f, 0.95f, std::cos(70 * y + 6 * x * x)) *
              smooth(0.33f, 0.2f, ax);
    if (dark > 0) shade(p.at, 1 - dark * in);
  });
}

// Where the hair's outer border is: signed distance, positive inside. Above the ears only.
float Portrait::hair_shape(const Point& p) const {
  const float v = f_.hair_volume, middle = 0.02f, ry = middle + f_.crown + 0.9f * v;
  float rx = f_.half_width + 0.55f * v;
  if (f_.hair_style == HairStyle::curly) rx += 0.45f * v;
  float d = p.Y < middle ? dome(p.X, p.Y - middle, rx, ry) : rx - std::fabs(p.X);
  if (d < -0.1f || d > 0.1f) return d;  // far from the border its tufts do not matter
  if (f_.hair_style == HairStyle::curly)
    d += 0.05f * kNoise(p.X * 9 + f_.texture_x, p.Y * 9 + f_.texture_y);
  else if (f_.hair_style != HairStyle::buzz)
    d += 0.012f * kNoise(p.X * 12 + f_.texture_x, p.Y * 12 + f_.texture_y);
  return d;
}

// Distance above the hairline (positive: hair), which runs over the forehead and down the temples.
float Portrait::hair_line(const Point& p) const {
  const float x = x_[p.at], y = y_[p.at], u = std::max(std::fabs(x), std::fabs(p.X) - 0.03f) / f_.half_width;
  float base = -f_.hairline, drop = f_.hairline + 0.10f, from = 0.66f;
  switch (f_.hair_style) {
    case HairStyle::balding:
      base = -0.9f, drop = 1.0f, from = 0.80f;
      break;
    case HairStyle::side_part:
      base += 0.17f * smooth(-0.05f, 0.55f, -x * f_.hair_side) - 0.04f;
      break;
    case HairStyle::bangs:
      base += 0.030f * kNoise(x * 11 + f_.texture_x, 3) + 0.15f * sq(x), drop = 0.42f;
      break;
    case HairStyle::straight:
    case HairStyle::wavy:
      base += -0.12f + 0.55f * std::fabs(x - 0.10f * f_.hair_side), drop = 0.9f, from = 0.74f;
      break;
    case HairStyle::bob:
      base += 0.14f - 0.35f * f_.hair_side * x, drop = 0.9f, from = 0.72f;
      break;
    case HairStyle::curly:
      base += 0.03f * kNoise(x * 10 + f_.texture_x, 7);
      break;
    case HairStyle::bun:
      base += 0.35f * sq(x) - 0.02f, drop = 0.40f;
      break;
    case HairStyle::crop:
      base += 0.02f * kNoise(x * 13 + f_.texture_x, 5);
      break;
    default:
      break;
  }
  return base + drop * smooth(from, 0.97f, u) - y;
}

// Long hair beside the face: signed distance.
float Portrait::locks_shape(const Point& p) const {
  const float wave = f_.hair_style == HairStyle::wavy ? 0.030f * std::sin(13 * p.Y + f_.texture_x)
                                                      : 0.006f * std::sin(6 * p.Y + f_.texture_x);
  const float flare = (f_.hair_style == HairStyle::bob ? 0.02f : 0.05f) * smooth(-0.2f, 0.9f, p.Y);
  const float outer = f_.half_width + 0.55f * f_.hair_volume + flare + wave,
              inner = 0.86f * f_.half_width - 0.10f * smooth(0.1f, 0.7f, p.Y) + 0.6f * wave;
  const float X = std::fabs(p.X + 0.04f * sin_yaw_),
              end = locks_end() + 0.02f * kNoise(p.X * 14 + f_.texture_x, 1);
  const float top = p.Y < 0.02f ? dome(p.X, p.Y - 0.02f, outer, f_.crown + 0.9f * f_.hair_volume) : 1.f;
  return std::min(std::min(std::min(outer - X, X - inner), end - p.Y), top);
}
float Portrait::locks_end() const {
  return f_.hair_style == HairStyle::bob ? 0.42f + 1.4f * f_.hair_volume : 1.3f;
}

Rgb Portrait::hair_colour(const Point& p, float nx, float ny) const {
  const bool curly = f_.hair_style == HairStyle::curly, buzz = f_.hair_style == HairStyle::buzz;
  const bool hanging = p.Y > 0.05f || f_.hair_style == HairStyle::bangs;
  const float along = hanging ? p.X : p.X / (0.45f + 0.8f * (p.Y + f_.crown + 0.1f));
  const float strand = curly  ? 1.2f * kNoise(p.X * 20 + f_.texture_x, p.Y * 20 + f_.texture_y)
                       : buzz ? 0.6f * kNoise(p.X * 40 + f_.texture_x, p.Y * 40 + f_.texture_y)
                              : kNoise(along * 26 + f_.texture_x, p.Y * 2.5f + f_.texture_y) +
                                    0.4f * kNoise(along * 55, p.Y * 2 + f_.texture_y);
  const float n2 = nx * nx + ny * ny, nz = n2 < 1 ? std::sqrt(1 - n2) : 0.f;
  Rgb c = lit(linear(f_.hair) * (1 + 0.34f * strand), 0.85f * nx, 0.85f * ny, 0.3f + 0.7f * nz, 0.3f);
  // A soft band of light around the crown, as on combed hair.
  const float band =
      buzz ? 0.f
           : sq(std::max(0.f, 1 - std::fabs(p.Y + 0.52f - 0.5f * sq(p.X - 0.25f * s_.light[0])) / 0.17f));
  const float sheen = (curly ? 0.02f : 0.07f) * band * (1 + 0.5f * strand) * (1 - 0.5f * s_.ambient);
  return {c.r + sheen, c.g + sheen, c.b + sheen};
}

void Portrait::hair_behind() {
  const HairStyle h = f_.hair_style;
  if (h == HairStyle::bun)
    each({-0.4f, -1.2f, 0.4f, -0.4f}, [&](const Point& p) {
      const float r = 0.17f + 0.3f * f_.hair_volume, dx = p.X + 0.12f * sin_yaw_, dy = p.Y + f_.crown + 0.09f;
      blend(p.at, hair_colour(p, dx / r, dy / r) * 0.9f, cover(ellipse(dx, dy, r, 0.8f * r)));
    });
  if (!long_hair()) return;
  const float outer = f_.half_width + 0.5f * f_.hair_volume, end = locks_end() - 0.02f;
  each({-0.9f, -0.3f, 0.9f, 1.4f}, [&](const Point& p) {
    const float d =
        p.Y < 0.02f ? dome(p.X, p.Y - 0.02f, outer, f_.crown) : std::min(outer - std::fabs(p.X), end - p.Y);
    if (d > -pixel_) blend(p.at, hair_colour(p, p.X / outer, 0) * 0.5f, cover(d));
  });
}

void Portrait::hair_in_front() {
  const HairStyle h = f_.hair_style;
  if (h == HairStyle::bald) return;
  const float rx = f_.half_width + f_.hair_volume, ry = f_.crown + f_.hair_volume;
  const float solid = h == HairStyle::buzz ? 0.78f : 1.f,
              soft = h == HairStyle::buzz || h == HairStyle::balding ? 0.05f : 0.012f;
  const bool locks = long_hair();
  const float cap_end = locks ? 1.4f : 0.3f;  // below it hair_line() never reaches
  each({-0.95f, -1.1f, 0.95f, cap_end}, [&](const Point& p) {
    const float shape = p.Y < cap_end ? hair_shape(p) : -1.f, line = shape > -pixel_ ? hair_line(p) : -1.f;
    float cap = std::min(cover(shape), clamp01(0.5f + line / (pixel_ + soft)));
    if (h == HairStyle::balding) cap *= smooth(-0.50f, -0.28f, p.Y);
    const float beside = locks && p.Y > -0.2f ? cover(locks_shape(p)) * smooth(-0.2f, -0.05f, p.Y) : 0.f;
    const float amount = std::max(cap, beside);
    if (amount <= 0) {
      // A soft shadow that the hair throws on the forehead.
      if (line > -0.07f && line < 0 && inside_[p.at] > 0 && p.Y < 0)
        shade(p.at, 1 - 0.28f * sq(1 + line / 0.07f) * (1 - 0.6f * s_.ambient));
      return;
    }
    blend(p.at, hair_colour(p, p.X / rx, std::min(0.f, p.Y) / ry), amount * solid);
  });
}

void Portrait::glasses() {
  if (!s_.glasses) return;
  const Rgb frame = linear(f_.frame_colour);
  const float hw = f_.lens_width, hh = f_.lens_height, corner = f_.lens_round * std::min(hw, hh) * 0.98f;
  const float ring = f_.frame + 0.35f * pixel_, lens_x = std::max(f_.eye_distance, hw + 0.035f),
              lens_y = 0.012f;
  each({-0.75f, -0.4f, 0.75f, 0.4f}, [&](const Point& p) {
    const float x = x_[p.at] - 0.055f * sin_yaw_, y = y_[p.at], ax = std::fabs(x);
    const float qx = std::fabs(ax - lens_x) - hw + corner, qy = std::fabs(y - lens_y) - hh + corner;
    const float d =
        std::min(std::max(qx, qy), 0.f) + std::sqrt(sq(std::max(qx, 0.f)) + sq(std::max(qy, 0.f))) - corner;
    const float on_face = std::fabs(p.X) < f_.half_width + 0.03f ? 1.f : 0.f;
    if (d < 0) {
      const float glare =
          0.16f * smooth(0.05f, 0.0f, std::fabs(ax - lens_x + 0.8f * (y - lens_y) - 0.06f)) + 0.03f;
      blend(p.at, {1, 1, 1}, glare * on_face);
    }
    const float bridge = ax < lens_x - hw + 0.01f ? 0.7f * ring - std::fabs(y + 0.02f - 0.6f * sq(x)) : -1.f;
    const float temple = ax > lens_x + hw - 0.01f ? 0.75f * ring - std::fabs(y + 0.03f) : -1.f;
    const float rim = std::max(ring * 0.5f - std::fabs(d), std::max(bridge, temple) * 0.6f);
    if (rim > -pixel_)
      blend(p.at, lit(frame, 0, -0.4f, 0.8f, 0.2f), cover(rim) * on_face);
    else if (d > 0 && d < 0.05f && y > lens_y)
      shade(p.at, 1 - 0.10f * inside_[p.at]);
  });
}

void Portrait::paint_all() {
  background();
  lay_surface();
  hair_behind();
  body();
  ears();
  skin();
  nose();
  marks();
  beard();
  mouth();
  eyes();
  brows();
  hair_in_front();
  glasses();
}

// Samples to pixels: box filter, a little lens blur, exposure, display curve, sensor noise.
Image Portrait::develop(uint64_t noise_seed) const {
  const int size = n_ / 2;
  const auto n = size_t(n_);
  std::vector<float> picture(size_t(size) * size_t(size) * 3);
  for (int j = 0; j < size; ++j)
    for (int i = 0; i < size; ++i) {
      const size_t at = size_t(2 * j) * n + size_t(2 * i), to = (size_t(j) * size_t(size) + size_t(i)) * 3;
      const Rgb &a = canvas_[at], &b = canvas_[at + 1], &c = canvas_[at + n], &d = canvas_[at + n + 1];
      picture[to] = (a.r + b.r + c.r + d.r) * 0.25f;
      picture[to + 1] = (a.g + b.g + c.g + d.g) * 0.25f;
      picture[to + 2] = (a.b + b.b + c.b + d.b) * 0.25f;
    }
  const auto row = size_t(size) * 3;
  const auto blur = [&](size_t stride, size_t lines, size_t line_step) {
    std::vector<float> line(static_cast<size_t>(size));
    for (size_t l = 0; l < lines; ++l)
      for (size_t c = 0; c < 3; ++c) {
        float* at = picture.data() + l * line_step + c;
        for (size_t i = 0; i < line.size(); ++i) line[i] = at[i * stride];
        for (size_t i = 1; i + 1 < line.size(); ++i)
          at[i * stride] = line[i] + s_.blur * (line[i - 1] - 2 * line[i] + line[i + 1]);
      }
  };
  if (s_.blur > 0) {
    blur(3, size_t(size), row);
    blur(row, size_t(size), 3);
  }
  Image image(size, size, 3);
  const Philox rng{noise_seed, 2};
  const float noise = s_.noise / 147.8f;  // the sum of four uniform bytes has this deviation
  for (size_t i = 0; i < picture.size(); i += 4) {
    const auto block = rng.block(i);
    for (size_t k = i; k < std::min(i + 4, picture.size()); ++k) {
      const uint32_t b = block[k - i];
      const float sum = float((b & 255) + (b >> 8 & 255) + (b >> 16 & 255) + (b >> 24)) - 510;
      const float v = std::sqrt(std::max(0.f, picture[k] * s_.exposure)) + noise * sum;
      image.pixels[k] = uint8_t(clamp01(v) * 255 + 0.5f);
    }
  }
  return image;
}

}  // namespace

Image render_face(const FaceIdentity& person, const FaceShot& shot, int size, uint64_t noise_seed) {
  check(size >= 16 && size <= 1024, "a face has 16 to 1024 pixels a side, not ", size);
  Portrait portrait(person, shot, size);
  portrait.paint_all();
  return portrait.develop(noise_seed);
}

}  // namespace advf
