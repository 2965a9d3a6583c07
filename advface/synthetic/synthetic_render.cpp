// Portraits, part 1: the head as a surface, light, wall, body and skin; the order of the layers; samples to
// pixels.
#include "advface/synthetic/synthetic_portrait.h"
#include "tensor/check.h"

namespace advf {
namespace portrait {

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

// The inverse of lay_surface(), whose turn depends on the depth that it is to find.
std::array<double, 2> Portrait::place_of(float x, float y, bool nose) const {
  float X = x, Y = y;
  if (nose) x += 0.10f * sin_yaw_;
  for (int i = 0; i < 50; ++i) {
    const float w = width(Y), z = w > std::fabs(X) ? std::sqrt(w * w - X * X) : 0.f;
    X = 0.5f * (X + (x + z * sin_yaw_) / cos_yaw_);
    Y = 0.5f * (Y + (y + z * sin_pitch_ - 0.35f * sin_pitch_) / cos_pitch_);
  }
  const float cx = (X * cos_ - Y * sin_) * scale_ + centre_x_,
              cy = (X * sin_ + Y * cos_) * scale_ + centre_y_;
  return {(double(cx) + 1) / 2, (double(cy) + 1) / 2};
}

std::array<std::array<double, 2>, 5> Portrait::landmarks() const {
  const float corner = mouth_line(1);
  return {place_of(-f_.eye_distance, 0), place_of(f_.eye_distance, 0), place_of(0, f_.nose_length, true),
          place_of(-mouth_half_, corner), place_of(mouth_half_, corner)};
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

}  // namespace portrait

std::array<std::array<double, 2>, 5> face_landmarks(const FaceIdentity& person, const FaceShot& shot) {
  constexpr int kSmallest = 16;  // places are shares of the side: any size will do
  return portrait::Portrait(person, shot, kSmallest).landmarks();
}

Image render_face(const FaceIdentity& person, const FaceShot& shot, int size, uint64_t noise_seed) {
  check(size >= 16 && size <= 1024, "a face has 16 to 1024 pixels a side, not ", size);
  portrait::Portrait painter(person, shot, size);
  painter.paint_all();
  return painter.develop(noise_seed);
}

}  // namespace advf
