// Portraits, part 3: hair. Each style is an outer border, a hairline over forehead and temples, and perhaps
// locks.
#include "advface/synthetic/synthetic_portrait.h"

namespace advf::portrait {

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

}  // namespace advf::portrait
