// The letters that captions on bitmaps are drawn with: lines for a pen, of our own design.
#pragma once
#include <array>
#include <vector>

namespace advf {

// In units of a twentieth of the letters' size: x from the left edge of what is drawn, y downwards from the
// top of capitals.
inline constexpr double kUnits = 20, kCapTop = 0, kLowerTop = 4, kBaseline = 14, kDescender = 18;
// What is above a line's capitals, and what a line takes with the gap to the next.
inline constexpr double kAscent = 3, kLineUnits = 24;

struct Glyph {
  double advance = 0;  // to the next letter
  std::vector<std::vector<std::array<double, 2>>> strokes;
};
// Of ' ' to '~'; a box for any other.
const Glyph& stroke_glyph(char32_t point);

}  // namespace advf
