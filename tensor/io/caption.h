// Text on bitmaps, in a stroke font of our own (tensor/io/stroke_font.cpp) with smooth edges, at any size.
#pragma once
#include <string_view>

#include "tensor/io/draw.h"
#include "tensor/io/text_layout.h"

namespace advf {

// Letters `size` pixels high from one line's descenders to the next one's capitals, without the gap between
// lines; capitals take 0.7 of it.
Lettering caption_letters(double size);
int caption_width(std::string_view text, double size);  // pixels
int caption_height(double size);                        // from one line to the next, pixels
// The largest size, of `least` to `largest`, at which the text takes at most `width` pixels; else the least.
double fitting_size(std::string_view text, double width, double least, double largest);
// (x, y) is the top left corner. What is no printable ASCII is a box for each code point.
void draw_text(Image& image, int x, int y, std::string_view text, Colour colour, double size);

}  // namespace advf
