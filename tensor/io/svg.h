// What SVG pictures are written with: numbers, texts, files. Everything is a function of its input alone, not
// of the locale.
#pragma once
#include <string>
#include <string_view>

#include "tensor/io/text_layout.h"

namespace advf {

// To a hundredth of a pixel, without needless digits.
std::string svg_coordinate(double v);
// As short as `digits` significant digits allow: "0.3", "200000", "1e6", "2e-5".
std::string svg_number(double v, int digits);
// For the text of an element or a quoted attribute, in XML as in HTML. Control characters are blanks; what is
// no UTF-8, and what XML does not know, is U+FFFD.
std::string svg_escaped(std::string_view text);
// As wide as common fonts without serifs are, or somewhat wider: whoever looks has his own.
Lettering svg_letters(double size);

// A file that stands by itself, from one <svg> element, whose ink is currentColor: dark on white, and light
// on dark where the reader's system is set so. Appears whole or not at all; throws Error naming the path.
void write_svg(const std::string& path, std::string_view svg);

}  // namespace advf
