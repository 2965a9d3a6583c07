// The only file that sees stb. It is compiled with -fwrapv: stb's decoders let arithmetic on damaged
// coefficients overflow, which then has a defined (and harmless: a wrong colour) result; see CMakeLists.txt
// for the rest.
#include "tensor/io/image.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "tensor/check.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/input_file.h"

namespace {

// What one allocation of the decoder may take. A few kilobytes of PNG can ask for gigabytes of inflated data,
// so the limit is set from the picture's size, known from its header. Memory is zeroed, since stb decodes a
// JPEG scan whose Huffman table was never defined with whatever the table's memory holds.
thread_local size_t allocation_limit = 0;
void* limited_malloc(size_t bytes) { return bytes <= allocation_limit ? std::calloc(1, bytes) : nullptr; }
void* limited_realloc(void* old, size_t bytes) {
  return bytes <= allocation_limit ? std::realloc(old, bytes) : nullptr;
}

}  // namespace

#define STBI_MALLOC(bytes) limited_malloc(bytes)
#define STBI_REALLOC(old, bytes) limited_realloc(old, bytes)
#define STBI_FREE(p) std::free(p)
#define STBI_NO_STDIO
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_MAX_DIMENSIONS 65535
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_STATIC
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace advf {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void check_size(int64_t width, int64_t height, const std::string& name, const ImageLimits& limits) {
  check(width > 0 && height > 0 && width <= STBI_MAX_DIMENSIONS && height <= STBI_MAX_DIMENSIONS &&
            width * height <= limits.max_pixels,
        name, ": a picture of ", width, " x ", height, "; at most ", limits.max_pixels,
        " pixels are decoded");
}

// Binary PGM (P5) and PPM (P6), read here since stb returns unset memory where such a file is cut short.
Image decode_pnm(std::string_view text, const std::string& name, const ImageLimits& limits) {
  size_t at = 2;
  // White space and comments, then digits, then one byte of white space, which is the last before the pixels.
  const auto number = [&]() -> int64_t {
    while (at < text.size() && std::string_view(" \t\r\n#").find(text[at]) != std::string_view::npos)
      at = text[at] == '#' ? std::min(text.find('\n', at), text.size()) : at + 1;
    int64_t value = 0;
    const size_t begin = at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && at - begin < 9; ++at)
      value = value * 10 + (text[at] - '0');
    check(at > begin && at < text.size() &&
              std::string_view(" \t\r\n").find(text[at]) != std::string_view::npos,
          name, ": malformed PGM or PPM header");
    return value;
  };
  const int64_t width = number(), height = number(), maximum = number();
  check_size(width, height, name, limits);
  check(maximum == 255, name, ": PGM or PPM with values up to ", maximum, "; only 255 is read");
  const int channels = text[1] == '5' ? 1 : 3;
  const std::string_view values = text.substr(at + 1);
  const size_t bytes = size_t(width * height * channels);
  check(values.size() >= bytes, name, ": cut short: ", values.size(), " bytes of pixels, ", bytes,
        " expected");
  Image image(int(width), int(height), channels);
  std::copy_n(reinterpret_cast<const uint8_t*>(values.data()), bytes, image.pixels.begin());
  return image;
}

// Four bytes of a PNG header; 0 where the file ends before.
int64_t big_endian(std::string_view text, size_t at) {
  int64_t value = 0;
  for (size_t i = at; i < at + 4; ++i) value = value << 8 | (i < text.size() ? uint8_t(text[i]) : 0);
  return value;
}

// Walks a JPEG from marker to marker. stb fills a picture that is cut short with grey, and lets a Huffman
// table with more than 256 codes write past its array; both are refused here.
void check_jpeg(std::string_view text, const std::string& name) {
  const auto byte = [&](size_t i) { return uint8_t(text[i]); };
  for (size_t at = 2;;) {
    // To the next marker: 0xFF (perhaps repeated) and a byte that is neither 0, an escape within a scan, nor
    // a restart.
    at = text.find('\xff', at);
    if (at != std::string_view::npos) at = text.find_first_not_of('\xff', at);
    check(at != std::string_view::npos, name, ": cut short: the JPEG has no end marker");
    const uint8_t marker = byte(at++);
    if (marker == 0 || (marker >= 0xD0 && marker <= 0xD7)) continue;
    if (marker == 0xD9) return;
    check(text.size() - at >= 2, name, ": cut short in a JPEG segment");
    const size_t length = size_t(byte(at)) << 8 | byte(at + 1);
    check(length >= 2 && length <= text.size() - at, name, ": cut short in a JPEG segment");
    const size_t end = at + length;
    if (marker == 0xC4) {
      // Tables: one byte of class and number, 16 counts of codes by length, one byte per code.
      for (size_t table = at + 2; table < end;) {
        size_t codes = 0;
        for (size_t i = 1; i <= 16; ++i) codes += table + i < end ? byte(table + i) : 0;
        check(table + 17 + codes <= end && codes <= 256, name, ": damaged picture: a JPEG Huffman table of ",
              codes, " codes");
        table += 17 + codes;
      }
    }
    at = end;
  }
}

}  // namespace

Image decode_image(std::span<const std::byte> bytes, const std::string& name, const ImageLimits& limits) {
  const std::string_view text = text_of(bytes);
  check(text.size() <= limits.max_file_bytes && text.size() <= size_t(INT32_MAX), name, ": has ", text.size(),
        " bytes; at most ", limits.max_file_bytes, " are decoded");
  if (text.substr(0, 2) == "P5" || text.substr(0, 2) == "P6") return decode_pnm(text, name, limits);
  const bool jpeg = text.substr(0, 3) == "\xff\xd8\xff";
  check(jpeg || text.substr(0, 8) == "\x89PNG\r\n\x1a\n", name, ": not a JPEG, PNG, PGM or PPM picture");

  const auto* data = reinterpret_cast<const stbi_uc*>(text.data());
  const int size = int(text.size());
  int width = 0, height = 0, components = 0;
  if (jpeg)
    check_jpeg(text, name);
  else
    check_size(big_endian(text, 16), big_endian(text, 20), name, limits);  // stb knows its own limits only
  // Reading a header takes the decoder's own state, some 20 kB, and little else.
  allocation_limit = size_t(1) << 20;
  check(stbi_info_from_memory(data, size, &width, &height, &components) != 0, name,
        ": damaged picture header");
  check_size(width, height, name, limits);

  // 16-bit RGBA with filter bytes is 8 bytes per pixel, and buffers double; a JPEG is padded to blocks of up
  // to 32.
  allocation_limit = (size_t(16) << 20) + 20 * size_t(width) * size_t(height) + 2 * text.size();
  const int channels = components <= 2 ? 1 : 3;
  stbi_uc* pixels = stbi_load_from_memory(data, size, &width, &height, &components, channels);
  check(pixels != nullptr, name, ": damaged picture: ", stbi_failure_reason());
  Image image(width, height, channels);
  std::copy_n(pixels, image.pixels.size(), image.pixels.begin());
  stbi_image_free(pixels);
  return image;
}

Image load_image(const std::string& path, const ImageLimits& limits) {
  return decode_image(read_file(path, limits.max_file_bytes), path, limits);
}

Image to_rgb(Image image) {
  if (image.channels == 3) return image;
  Image out(image.width, image.height, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) std::fill_n(&out.pixels[3 * i], 3, image.pixels[i]);
  return out;
}

std::vector<std::byte> encode_png(const Image& image) {
  check(image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3) &&
            image.pixels.size() == size_t(image.width) * size_t(image.height) * size_t(image.channels),
        "a picture of ", image.width, " x ", image.height, " x ", image.channels, " with ",
        image.pixels.size(), " bytes cannot be written");
  std::vector<std::byte> out;
  const auto append = [](void* to, void* data, int size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    static_cast<std::vector<std::byte>*>(to)->insert(static_cast<std::vector<std::byte>*>(to)->end(), bytes,
                                                     bytes + size);
  };
  check(int64_t(image.pixels.size()) < INT32_MAX / 2 &&
            stbi_write_png_to_func(append, &out, image.width, image.height, image.channels,
                                   image.pixels.data(), image.width * image.channels) != 0,
        "a picture of ", image.width, " x ", image.height, " is too large for a PNG file");
  return out;
}

void write_png(const std::string& path, const Image& image) {
  const std::vector<std::byte> bytes = encode_png(image);
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace advf
