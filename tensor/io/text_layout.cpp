#include "tensor/io/text_layout.h"

#include <cstdint>

namespace advf {
namespace {

constexpr std::string_view kDots = "...", kBlanks = " \t\n\r";

bool is_blank(char c) { return kBlanks.find(c) != std::string_view::npos; }

// How many bytes follow one that begins a code point; -1 where none begins.
int following(uint8_t first) {
  if (first < 0x80) return 0;
  if (first >= 0xC2 && first < 0xE0) return 1;
  if (first >= 0xE0 && first < 0xF0) return 2;
  return first >= 0xF0 && first < 0xF5 ? 3 : -1;
}

}  // namespace

char32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return uint8_t(text[i]); };
  const uint8_t first = byte(at);
  const int more = following(first);
  const size_t begin = at++;
  if (more == 0) return first;
  if (more < 0 || begin + size_t(more) >= text.size()) return kReplacement;
  char32_t point = first & (0x3Fu >> more);
  for (size_t i = 1; i <= size_t(more); ++i) {
    if ((byte(begin + i) & 0xC0) != 0x80) return kReplacement;
    point = point << 6 | (byte(begin + i) & 0x3Fu);
  }
  const bool overlong = (more == 2 && point < 0x800) || (more == 3 && point < 0x10000);
  if (overlong || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) return kReplacement;
  at = begin + size_t(more) + 1;
  return point;
}

double Lettering::width(std::string_view text) const {
  double sum = 0;
  for (size_t at = 0; at < text.size();) sum += advance(next_code_point(text, at));
  return sum * size;
}

std::string shortened(std::string_view text, double width, const Lettering& letters, Keep keep) {
  const double whole = letters.width(text), room = width - letters.width(kDots);
  if (whole <= width) return std::string(text);
  if (room < 0) return "";
  double before = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const double after = before + letters.size * letters.advance(next_code_point(text, at));
    if (keep == Keep::end && whole - after <= room) return std::string(kDots) + std::string(text.substr(at));
    if (keep == Keep::begin && after > room) {
      const size_t last = text.substr(0, begin).find_last_not_of(kBlanks);
      return std::string(text.substr(0, last == std::string_view::npos ? 0 : last + 1)) + std::string(kDots);
    }
    before = after;
  }
  return std::string(kDots);
}

std::vector<std::string> wrapped(std::string_view text, double width, const Lettering& letters, size_t most) {
  std::vector<std::string> lines;
  const auto skip_blanks = [&](size_t at) {
    while (at < text.size() && is_blank(text[at])) ++at;
    return at;
  };
  for (size_t begin = skip_blanks(0); begin < text.size();) {
    double taken = 0;
    size_t at = begin, blank = begin, end = begin;  // end: behind the last letter that there is room for
    while (at < text.size()) {
      if (is_blank(text[at]) && !is_blank(text[at - (at > begin)])) blank = at;
      taken += letters.size * letters.advance(next_code_point(text, at));
      if (taken > width && end > begin) break;
      end = at;
    }
    const bool all = end == text.size();
    if (!all && !is_blank(text[end]) && blank > begin) end = blank;
    if (!all && lines.size() + 1 >= most && skip_blanks(end) < text.size()) {
      lines.push_back(shortened(text.substr(begin), width, letters));
      return lines;
    }
    std::string_view line = text.substr(begin, end - begin);
    while (is_blank(line.back())) line.remove_suffix(1);
    lines.emplace_back(line);
    begin = skip_blanks(end);
  }
  return lines;
}

}  // namespace advf
