// 8-bit pictures: JPEG, PNG, BMP, binary PGM and PPM in, PNG out. Sizes are checked before anything is
// decoded.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace advf {

struct Image {
  int width = 0, height = 0;
  int channels = 3;             // 1 (grey) or 3 (RGB)
  std::vector<uint8_t> pixels;  // (height, width, channels)

  Image() = default;
  Image(int w, int h, int c, uint8_t value = 0)
      : width(w), height(h), channels(c), pixels(size_t(w) * size_t(h) * size_t(c), value) {}
  const uint8_t* row(int y) const { return pixels.data() + size_t(y) * size_t(width) * size_t(channels); }
  uint8_t* row(int y) { return pixels.data() + size_t(y) * size_t(width) * size_t(channels); }
};

// What a picture may have before it is refused.
struct ImageLimits {
  uint64_t max_file_bytes = uint64_t(256) << 20;
  int64_t max_pixels = 200'000'000;
};

// The format is told by the first bytes, not by the name. Transparency is dropped, 16 bits become 8, a grey
// picture stays grey, a JPEG in CMYK becomes RGB, and the picture is turned as its EXIF says, so that its
// pixels are those that a viewer shows. Throws Error naming the file for: another format, a JPEG whose
// colours cannot be told, a picture above the limits, a damaged one, and one that is cut short (a JPEG
// without its end marker: decoders would fill the rest with grey).
Image decode_image(std::span<const std::byte> bytes, const std::string& name, const ImageLimits& limits = {});
// The size of the picture that decode_image() would give, without decoding it; an upper bound where only that
// is told. Throws as decode_image() does for what a header shows.
int64_t pixels_of(std::span<const std::byte> bytes, const std::string& name, const ImageLimits& limits = {});
Image load_image(const std::string& path, const ImageLimits& limits = {});

Image to_rgb(Image image);  // grey repeated three times; RGB as it is

std::vector<std::byte> encode_png(const Image& image);
void write_png(const std::string& path, const Image& image);  // appears whole or not at all

}  // namespace advf
