#include "tensor/io/draw.h"

#include <algorithm>
#include <cmath>

namespace advf {
namespace {

void put_pixel(Image& image, int x, int y, Colour colour) {
  if (x >= 0 && y >= 0 && x < image.width && y < image.height)
    std::copy(colour.begin(), colour.end(), image.row(y) + 3 * size_t(x));
}

bool inside(Mark mark, double dx, double dy) {  // of a mark of radius 1
  switch (mark) {
    case Mark::disc:
      return dx * dx + dy * dy <= 1;
    case Mark::square:
      return std::max(std::abs(dx), std::abs(dy)) <= 0.85;
    case Mark::diamond:
      return std::abs(dx) + std::abs(dy) <= 1.2;
    case Mark::triangle:
      return dy <= 0.75 && std::abs(dx) * 1.9 <= dy + 1.15;
  }
  return false;
}

}  // namespace

void blend_pixel(Image& image, int x, int y, Colour colour, double cover) {
  if (x < 0 || y < 0 || x >= image.width || y >= image.height || cover <= 0) return;
  uint8_t* p = image.row(y) + 3 * size_t(x);
  for (size_t c = 0; c < 3; ++c)
    p[c] = uint8_t(std::lround(double(p[c]) + (double(colour[c]) - double(p[c])) * std::min(cover, 1.0)));
}

void fill_rectangle(Image& image, int x, int y, int width, int height, Colour colour) {
  for (int j = y; j < y + height; ++j)
    for (int i = x; i < x + width; ++i) put_pixel(image, i, j, colour);
}

void draw_stroke(Image& image, double x0, double y0, double x1, double y1, double width, Colour colour) {
  const double reach = width / 2 + 1, dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy;
  const auto clip = [](double v, int size) { return int(std::clamp(v, -1.0, double(size))); };
  const int left = clip(std::min(x0, x1) - reach, image.width),
            right = clip(std::max(x0, x1) + reach, image.width);
  const int top = clip(std::min(y0, y1) - reach, image.height),
            bottom = clip(std::max(y0, y1) + reach, image.height);
  for (int y = top; y <= bottom; ++y)
    for (int x = left; x <= right; ++x) {
      const double along = length2 > 0 ? std::clamp(((x - x0) * dx + (y - y0) * dy) / length2, 0.0, 1.0) : 0;
      const double distance = std::hypot(x - x0 - along * dx, y - y0 - along * dy);
      blend_pixel(image, x, y, colour, width / 2 + 0.5 - distance);
    }
}

void draw_mark(Image& image, double x, double y, double radius, Mark mark, Colour colour) {
  constexpr int kSamples = 4;  // of a pixel, each way
  const int reach = int(std::ceil(radius * 1.2)) + 1, cx = int(std::lround(x)), cy = int(std::lround(y));
  for (int j = cy - reach; j <= cy + reach; ++j)
    for (int i = cx - reach; i <= cx + reach; ++i) {
      int hits = 0;
      for (int k = 0; k < kSamples * kSamples; ++k) {
        const double px = i - 0.5 + (k % kSamples + 0.5) / kSamples;
        const double py = j - 0.5 + (k / kSamples + 0.5) / kSamples;
        hits += inside(mark, (px - x) / radius, (py - y) / radius);
      }
      blend_pixel(image, i, j, colour, double(hits) / (kSamples * kSamples));
    }
}

void paste(Image& image, int x, int y, const Image& source) {
  for (int j = 0; j < source.height; ++j)
    for (int i = 0; i < source.width; ++i) {
      const uint8_t* p = source.row(j) + 3 * size_t(i);
      put_pixel(image, x + i, y + j, {p[0], p[1], p[2]});
    }
}

}  // namespace advf
