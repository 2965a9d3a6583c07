// Just enough drawing for pictures that explain themselves: text in a 5 x 8 bitmap font of our own,
// rectangles and lines on an RGB picture. What falls outside the picture is left out.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io/image.h"

namespace advf {

using Colour = std::array<uint8_t, 3>;
inline constexpr Colour kWhite{255, 255, 255}, kBlack{20, 20, 20}, kGrey{205, 205, 205};

inline constexpr int kGlyphWidth = 5, kGlyphHeight = 8;  // one row is for descenders
// Pixels from one letter to the next, and from one line to the next, at scale 1.
inline constexpr int kLetterStep = kGlyphWidth + 1, kLineStep = kGlyphHeight + 2;
inline int text_width(std::string_view text, int scale = 1) { return int(text.size()) * kLetterStep * scale; }

void put_pixel(Image& image, int x, int y, Colour colour);
void fill_rectangle(Image& image, int x, int y, int width, int height, Colour colour);
void draw_line(Image& image, int x0, int y0, int x1, int y1, Colour colour);
// A line with smooth edges and round ends; `width` in pixels, ends in pixel centres.
void draw_stroke(Image& image, double x0, double y0, double x1, double y1, double width, Colour colour);
// A mark of this shape around a pixel's centre, with smooth edges.
enum class Mark { disc, square, diamond, triangle };
void draw_mark(Image& image, double x, double y, double radius, Mark mark, Colour colour);
// (x, y) is the top left corner. Printable ASCII; any other byte is drawn as '?'.
void draw_text(Image& image, int x, int y, std::string_view text, Colour colour, int scale = 1);
// Breaks at blanks into lines of at most `width` letters; a longer word is cut.
std::vector<std::string> wrap_text(const std::string& text, size_t width);
// Copies `source` (RGB) with its top left corner at (x, y).
void paste(Image& image, int x, int y, const Image& source);

}  // namespace advf
