#include "tensor/io/svg.h"

#include <charconv>
#include <cmath>

#include "tensor/check.h"
#include "tensor/io/atomic_file.h"

namespace advf {
namespace {

void append_utf8(std::string& out, char32_t point) {
  const auto tail = [&](int shift) { out += char(0x80 | ((point >> shift) & 0x3F)); };
  if (point < 0x80) {
    out += char(point);
  } else if (point < 0x800) {
    out += char(0xC0 | (point >> 6));
    tail(0);
  } else if (point < 0x10000) {
    out += char(0xE0 | (point >> 12));
    tail(6), tail(0);
  } else {
    out += char(0xF0 | (point >> 18));
    tail(12), tail(6), tail(0);
  }
}

// Widths of DejaVu Sans, which is among the wider fonts, in steps.
double advance_of(char32_t c) {
  constexpr std::u32string_view kNarrow = U" ijlI.,:;'|!()[]/\\ft", kWide = U"mwMW@%";
  if (kNarrow.find(c) != std::u32string_view::npos) return 0.4;
  if (kWide.find(c) != std::u32string_view::npos) return 0.98;
  if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c < 0xDE)) return 0.74;
  return c < 0x1100 ? 0.64 : 1;  // scripts of the Far East fill a square
}

}  // namespace

std::string svg_number(double v, int digits) {
  char text[64];
  const auto [end, error] = std::to_chars(text, text + sizeof text, v, std::chars_format::general, digits);
  std::string out(text, end);
  if (const size_t e = out.find('e'); e != std::string::npos) {  // e+06 is e6, e-05 is e-5
    const size_t sign = e + 1;
    size_t digit = sign + 1;
    while (digit + 1 < out.size() && out[digit] == '0') ++digit;
    out.erase(sign + 1, digit - sign - 1);
    if (out[sign] == '+') out.erase(sign, 1);
  }
  return out == "-0" ? "0" : out;
}

std::string svg_coordinate(double v) {
  char text[32];
  const double rounded = std::round(v * 100) / 100;
  const auto [end, error] = std::to_chars(text, text + sizeof text, rounded == 0 ? 0 : rounded);
  return std::string(text, end);
}

std::string svg_escaped(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (c < 0x20 || (c >= 0x7F && c < 0xA0))
          out += ' ';
        else
          append_utf8(out, c == 0xFFFE || c == 0xFFFF ? kReplacement : c);
    }
  }
  return out;
}

Lettering svg_letters(double size) { return {size, advance_of}; }

void write_svg(const std::string& path, std::string_view svg) {
  constexpr std::string_view kEnd = "</svg>", kStyle =
                                                  "<style>:root{color:#1b1b1b;background:#fff}"
                                                  "@media (prefers-color-scheme:dark){:root{color:#e8e8e8;"
                                                  "background:#17191c}}"
                                                  "@media print{:root{color:#000;background:#fff}}</style>\n";
  check(svg.ends_with(kEnd), path, ": a picture that does not end in ", kEnd);
  svg.remove_suffix(kEnd.size());
  AtomicFile file(path);
  file.write("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
  file.write(svg);
  file.write(kStyle);
  file.write(kEnd);
  file.write("\n");
  file.commit();
}

}  // namespace advf
