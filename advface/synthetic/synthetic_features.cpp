// Portraits, part 2: what is painted on the skin (nose, beard, mouth, eyes, brows, marks), and glasses.
#include "advface/synthetic/synthetic_portrait.h"

namespace advf::portrait {

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

}  // namespace advf::portrait
