#include "tensor/io/caption.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "tensor/io/stroke_font.h"

namespace advf {
namespace {

using Point = std::array<double, 2>;

double advance_of(char32_t point) { return stroke_glyph(point).advance / kUnits; }

// Heights in pixels of a letter's lines. The tops of letters, the line that they stand on and their lower
// ends lie in the middle of a row of pixels each, so that what is level there is as sharp as can be.
double level(double y, double size) {
  constexpr double kLines[] = {-kAscent, kCapTop, kLowerTop, kBaseline, kDescender};
  const double scale = size / kUnits;
  const auto row = [&](double line) { return std::round((line + kAscent) * scale); };
  size_t k = 1;
  while (k + 1 < std::size(kLines) && kLines[k] < y) ++k;
  const double share = (y - kLines[k - 1]) / (kLines[k] - kLines[k - 1]);
  return row(kLines[k - 1]) + share * (row(kLines[k]) - row(kLines[k - 1]));
}

double distance(const Point& from, const Point& to, double x, double y) {
  const double dx = to[0] - from[0], dy = to[1] - from[1], length2 = dx * dx + dy * dy;
  const double along =
      length2 > 0 ? std::clamp(((x - from[0]) * dx + (y - from[1]) * dy) / length2, 0.0, 1.0) : 0;
  return std::hypot(x - from[0] - along * dx, y - from[1] - along * dy);
}

// A letter is covered by its nearest line alone, so that strokes that meet are no darker where they do.
void draw_glyph(Image& image, double x, double y, const Glyph& glyph, Colour colour, double size) {
  const double half = std::max(1.1, 0.095 * size) / 2, scale = size / kUnits;
  std::vector<std::vector<Point>> strokes = glyph.strokes;
  for (auto& stroke : strokes)
    for (Point& point : stroke) point = {x + point[0] * scale, y + level(point[1], size)};
  const auto clip = [](double v, int most) { return int(std::clamp(v, 0.0, double(most))); };
  const int left = clip(std::floor(x), image.width),
            right = clip(std::ceil(x + glyph.advance * scale) + 1, image.width);
  const int top = clip(std::floor(y), image.height),
            bottom = clip(y + std::ceil(kLineUnits * scale), image.height);
  for (int j = top; j < bottom; ++j)
    for (int i = left; i < right; ++i) {
      double nearest = half + 1;
      for (const auto& stroke : strokes)
        for (size_t k = 1; k < stroke.size(); ++k)
          nearest = std::min(nearest, distance(stroke[k - 1], stroke[k], i, j));
      blend_pixel(image, i, j, colour, half + 0.5 - nearest);
    }
}

}  // namespace

Lettering caption_letters(double size) { return {size, advance_of}; }

int caption_width(std::string_view text, double size) {
  return int(std::ceil(caption_letters(size).width(text)));
}

int caption_height(double size) { return int(std::ceil(size * kLineUnits / kUnits)); }

double fitting_size(std::string_view text, double width, double least, double largest) {
  const double at_one = caption_letters(1).width(text);
  return at_one <= 0 ? largest : std::clamp(width / at_one, least, largest);
}

void draw_text(Image& image, int x, int y, std::string_view text, Colour colour, double size) {
  double pen = x;
  for (size_t at = 0; at < text.size() && pen < image.width;) {
    const Glyph& glyph = stroke_glyph(next_code_point(text, at));
    draw_glyph(image, std::round(pen), y, glyph, colour, size);
    pen += glyph.advance * size / kUnits;
  }
}

}  // namespace advf
