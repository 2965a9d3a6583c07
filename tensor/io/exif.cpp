#include "tensor/io/exif.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace advf {
namespace {

// Numbers of a TIFF block; what lies outside of it reads as 0.
struct Tiff {
  std::string_view bytes;
  bool little = false;

  uint32_t number(size_t at, size_t size) const {
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      const size_t place = at + (little ? size - 1 - i : i);
      value = value << 8 | (place < bytes.size() ? uint8_t(bytes[place]) : 0);
    }
    return value;
  }
};

}  // namespace

int exif_orientation(std::string_view tiff) {
  constexpr uint32_t kOrientation = 0x0112, kShort = 3, kLong = 4;
  const bool little = tiff.starts_with("II");
  if (!little && !tiff.starts_with("MM")) return 1;
  const Tiff block{tiff, little};
  if (block.number(2, 2) != 42) return 1;
  const size_t directory = block.number(4, 4);
  if (directory < 8 || directory + 2 > tiff.size()) return 1;
  const size_t entries = block.number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.size()) return 1;
    if (block.number(entry, 2) != kOrientation) continue;
    const uint32_t type = block.number(entry + 2, 2);
    if ((type != kShort && type != kLong) || block.number(entry + 4, 4) != 1) return 1;
    const uint32_t value = block.number(entry + 8, type == kShort ? 2 : 4);
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

Image upright(Image stored, int orientation) {
  if (orientation <= 1 || orientation > 8) return stored;
  // Where row 0 and column 0 of the stored picture are seen: 1 top left, 2 top right, 3 bottom right, 4
  // bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
  const bool exchanged = orientation >= 5;
  const bool right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const bool bottom = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  Image out(exchanged ? stored.height : stored.width, exchanged ? stored.width : stored.height,
            stored.channels);
  const size_t c = size_t(stored.channels);
  for (int y = 0; y < out.height; ++y) {
    uint8_t* to = out.row(y);
    const int v = bottom ? out.height - 1 - y : y;
    for (int x = 0; x < out.width; ++x, to += c) {
      const int u = right ? out.width - 1 - x : x;
      const uint8_t* from = exchanged ? stored.row(u) + size_t(v) * c : stored.row(v) + size_t(u) * c;
      std::copy_n(from, c, to);
    }
  }
  return out;
}

}  // namespace advf
