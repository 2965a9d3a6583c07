// Just enough drawing on an RGB picture: rectangles, lines and marks. What falls outside the picture is left
// out. Text: caption.h.
#pragma once
#include <array>
#include <cstdint>

#include "tensor/io/image.h"

namespace advf {

using Colour = std::array<uint8_t, 3>;
inline constexpr Colour kBlack{20, 20, 20};

// Lays a colour over a pixel; `cover` is the share of the pixel that it takes, 0 to 1.
void blend_pixel(Image& image, int x, int y, Colour colour, double cover);
void fill_rectangle(Image& image, int x, int y, int width, int height, Colour colour);
// A line with smooth edges and round ends; `width` in pixels, ends in pixel centres.
void draw_stroke(Image& image, double x0, double y0, double x1, double y1, double width, Colour colour);
// A mark of this shape around a pixel's centre, with smooth edges.
enum class Mark { disc, square, diamond, triangle };
void draw_mark(Image& image, double x, double y, double radius, Mark mark, Colour colour);
// Copies `source` (RGB) with its top left corner at (x, y).
void paste(Image& image, int x, int y, const Image& source);

}  // namespace advf
