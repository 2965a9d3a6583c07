// The only file that sees stb. It is compiled with -fwrapv: stb's decoders let arithmetic on damaged
// coefficients overflow, which then has a defined (and harmless: a wrong colour) result; see CMakeLists.txt
// for the rest.
#include "tensor/io/image.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "tensor/check.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/exif.h"
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
#define STBI_ONLY_BMP
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

// What a JPEG says of itself before its pixels.
struct JpegHeader {
  int orientation = 1;
  int frame = 0;      // the marker of its frame (SOF): 0xC0 baseline, 0xC1 extended, 0xC2 progressive, ...
  int precision = 8;  // bits
  std::string components;                // the id of each
  bool jfif = false, odd_adobe = false;  // odd: of a version that the decoder does not take for Adobe's
  int adobe_transform = -1;  // of the Adobe segment: 0 none, 1 YCbCr, 2 YCCK; -1: there is no such segment
};

// The segment `body` (behind its length) of a JPEG, before the first scan.
void read_jpeg_segment(uint8_t marker, std::string_view body, JpegHeader& header) {
  constexpr std::string_view kExif("Exif\0\0", 6), kJfif("JFIF\0", 5);
  const bool is_frame =
      marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
  if (marker == 0xE0 && body.starts_with(kJfif)) header.jfif = true;
  if (marker == 0xE1 && header.orientation == 1 && body.starts_with(kExif))
    header.orientation = exif_orientation(body.substr(kExif.size()));
  if (marker == 0xEE && body.starts_with("Adobe") && body.size() >= 12 && body[5] != 0)
    header.odd_adobe = true;
  if (marker == 0xEE && body.starts_with("Adobe") && body.size() >= 12)
    header.adobe_transform = uint8_t(body[11]);
  if (is_frame && header.frame == 0 && body.size() >= 6) {
    header.frame = marker;
    header.precision = uint8_t(body[0]);
    for (size_t i = 0; i < uint8_t(body[5]) && 6 + 3 * i < body.size(); ++i)
      header.components += body[6 + 3 * i];
  }
}

// Walks a JPEG from marker to marker. stb fills a picture that is cut short with grey, and lets a Huffman
// table with more than 256 codes write past its array; both are refused here.
JpegHeader check_jpeg(std::string_view text, const std::string& name) {
  const auto byte = [&](size_t i) { return uint8_t(text[i]); };
  JpegHeader header;
  bool in_scans = false;
  for (size_t at = 2;;) {
    // To the next marker: 0xFF (perhaps repeated) and a byte that is neither 0, an escape within a scan, nor
    // a restart.
    at = text.find('\xff', at);
    if (at != std::string_view::npos) at = text.find_first_not_of('\xff', at);
    check(at != std::string_view::npos, name, ": cut short: the JPEG has no end marker");
    const uint8_t marker = byte(at++);
    if (marker == 0 || (marker >= 0xD0 && marker <= 0xD7)) continue;
    if (marker == 0xD9) return header;
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
    in_scans = in_scans || marker == 0xDA;
    if (!in_scans) read_jpeg_segment(marker, text.substr(at + 2, length - 2), header);
    at = end;
  }
}

// Refuses what the decoder cannot read, or would read in other colours than the library that wrote most JPEG
// files (libjpeg): it takes four channels without Adobe's segment for YCbCr and something, and trusts ids
// R, G, B where JFIF or Adobe says YCbCr.
void check_jpeg_kind(const JpegHeader& h, const std::string& name) {
  const char* remedy = "; save it as an ordinary RGB JPEG or as PNG";
  check(h.frame == 0 || (h.frame >= 0xC0 && h.frame <= 0xC2), name, ": a JPEG with ",
        h.frame >= 0xC9 ? "arithmetic coding" : "lossless or hierarchical coding", ", which is not read",
        remedy);
  check(h.precision == 8, name, ": a JPEG of ", h.precision, " bits, of which 8 are read", remedy);
  check(!h.odd_adobe, name,
        ": a JPEG with an Adobe segment of an unknown version, whose colours cannot be told", remedy);
  if (h.components.size() == 4)
    check(h.adobe_transform == 0 || h.adobe_transform == 2, name, ": a JPEG of four channels ",
          h.adobe_transform < 0 ? "without Adobe's segment" : "with a contradictory Adobe segment",
          ", whose colours cannot be told", remedy);
  if (h.components == "RGB")
    check(!h.jfif && h.adobe_transform <= 0, name, ": a JPEG that calls its channels R, G, B and says YCbCr",
          remedy);
}

// The orientation in a PNG's eXIf chunk, which may stand before or behind the pixels.
int png_orientation(std::string_view text, const std::string& name) {
  for (size_t at = 8; at + 12 <= text.size();) {
    const size_t length = size_t(big_endian(text, at));
    if (length > text.size() - at - 12) break;
    const std::string_view type = text.substr(at + 4, 4);
    std::string_view body = text.substr(at + 8, length);
    check(type != "CgBI", name,
          ": a PNG as Apple's tools pack it, with other colours; save it as an ordinary PNG");
    if (type == "eXIf") {
      constexpr std::string_view kExif("Exif\0\0", 6);  // some writers copy it from JPEG
      if (body.starts_with(kExif)) body.remove_prefix(kExif.size());
      return exif_orientation(body);
    }
    if (type == "IEND") break;  // what stands behind it is no part of the picture
    at += 12 + length;
  }
  return 1;
}

// A picture of a kind that is not read, told by its first bytes; "" for anything else.
std::string other_format(std::string_view text) {
  const auto at = [&](size_t offset, std::string_view what) {
    return text.substr(std::min(offset, text.size()), what.size()) == what;
  };
  if (at(0, "RIFF") && at(8, "WEBP")) return "WebP";
  if (at(4, "ftyp")) {
    for (const char* brand : {"avif", "avis"})
      if (at(8, brand)) return "AVIF";
    for (const char* brand : {"heic", "heix", "hevc", "heim", "heis", "mif1", "msf1"})
      if (at(8, brand)) return "HEIC";
    return "HEIC, AVIF or video";
  }
  if (at(0, "GIF8")) return "GIF";
  if (at(0, std::string_view("II*\0", 4)) || at(0, std::string_view("MM\0*", 4)) || at(0, "II+") ||
      at(0, std::string_view("MM\0+", 4)))
    return "TIFF (or a camera's raw)";
  if (at(0, "8BPS")) return "Photoshop";
  if (at(0, "\xff\x0a") || at(4, "JXL ")) return "JPEG XL";
  if (at(4, "jP  ") || at(0, "\xff\x4f\xff\x51")) return "JPEG 2000";
  for (const char* plain : {"P1", "P2", "P3", "P4", "P7"})
    if (at(0, plain)) return std::string("PNM of kind ") + plain;
  return "";
}

// stb reads a BMP that is cut short with whatever its last bytes were: so the pixels must be there.
void check_bmp(std::string_view text, const std::string& name) {
  const auto number = [&](size_t at, size_t bytes) {
    int64_t value = 0;
    for (size_t i = bytes; i-- > 0;) value = value << 8 | uint8_t(text[at + i]);
    return value;
  };
  check(text.size() >= 26, name, ": cut short: a BMP of ", text.size(), " bytes");
  const int64_t pixels_at = number(10, 4), header = number(14, 4);
  check(header == 12 || (header >= 40 && header <= 124 && text.size() >= size_t(14 + header)), name,
        ": damaged picture header");
  const int64_t width = header == 12 ? number(18, 2) : int64_t(int32_t(number(18, 4)));
  const int64_t height = header == 12 ? number(20, 2) : std::abs(int64_t(int32_t(number(22, 4))));
  const int64_t bits = header == 12 ? number(24, 2) : number(28, 2);
  const int64_t compression = header == 12 ? 0 : number(30, 4);
  check(compression == 0 || compression == 3, name,
        ": a compressed BMP, which is not read; convert it to JPEG or PNG");
  check(width > 0 && height > 0 && width < (1 << 16) && height < (1 << 16), name, ": a picture of ", width,
        " x ", height, " pixels is not decoded");
  const int64_t bytes = (width * bits + 31) / 32 * 4 * height;
  check(pixels_at >= 14 + header && pixels_at + bytes <= int64_t(text.size()), name,
        ": cut short: ", text.size(), " bytes, ", pixels_at + bytes, " expected");
}

}  // namespace

namespace {

// What is known of a picture before it is decoded.
struct Header {
  int width = 0, height = 0, components = 0, orientation = 1;
};

// Judges all that can be judged without decoding. Not for PGM and PPM.
Header examine(std::string_view text, const std::string& name, const ImageLimits& limits) {
  const bool jpeg = text.substr(0, 3) == "\xff\xd8\xff", png = text.substr(0, 8) == "\x89PNG\r\n\x1a\n";
  if (!jpeg && !png) {
    const std::string other = other_format(text);
    check(other.empty(), name, ": is a ", other, " picture, which is not read; convert it to JPEG or PNG");
    check(text.substr(0, 2) == "BM", name, ": not a JPEG, PNG, BMP, PGM or PPM picture");
    check_bmp(text, name);
  }
  Header header;
  if (jpeg) {
    const JpegHeader of_jpeg = check_jpeg(text, name);
    check_jpeg_kind(of_jpeg, name);
    header.orientation = of_jpeg.orientation;
  }
  if (png) {
    check_size(big_endian(text, 16), big_endian(text, 20), name, limits);  // stb knows its own limits only
    header.orientation = png_orientation(text, name);
  }
  // Reading a header takes the decoder's own state, some 20 kB, and little else.
  allocation_limit = size_t(1) << 20;
  check(stbi_info_from_memory(reinterpret_cast<const stbi_uc*>(text.data()), int(text.size()), &header.width,
                              &header.height, &header.components) != 0,
        name, ": damaged picture header");
  header.height = std::abs(header.height);  // of a BMP whose rows begin at the top it is negative
  check_size(header.width, header.height, name, limits);
  return header;
}

std::string_view checked_text(std::span<const std::byte> bytes, const std::string& name,
                              const ImageLimits& limits) {
  const std::string_view text = text_of(bytes);
  check(text.size() <= limits.max_file_bytes && text.size() <= size_t(INT32_MAX), name, ": has ", text.size(),
        " bytes; at most ", limits.max_file_bytes, " are decoded");
  return text;
}

bool is_pnm(std::string_view text) { return text.substr(0, 2) == "P5" || text.substr(0, 2) == "P6"; }

}  // namespace

int64_t pixels_of(std::span<const std::byte> bytes, const std::string& name, const ImageLimits& limits) {
  const std::string_view text = checked_text(bytes, name, limits);
  if (is_pnm(text)) return int64_t(text.size());
  const Header header = examine(text, name, limits);
  return int64_t(header.width) * header.height;
}

Image decode_image(std::span<const std::byte> bytes, const std::string& name, const ImageLimits& limits) {
  const std::string_view text = checked_text(bytes, name, limits);
  if (is_pnm(text)) return decode_pnm(text, name, limits);
  Header header = examine(text, name, limits);
  const auto* data = reinterpret_cast<const stbi_uc*>(text.data());

  // 16-bit RGBA with filter bytes is 8 bytes per pixel, and buffers double; a JPEG is padded to blocks of up
  // to 32.
  allocation_limit = (size_t(16) << 20) + 20 * size_t(header.width) * size_t(header.height) + 2 * text.size();
  const int channels = header.components <= 2 ? 1 : 3;
  stbi_uc* pixels = stbi_load_from_memory(data, int(text.size()), &header.width, &header.height,
                                          &header.components, channels);
  check(pixels != nullptr, name, ": damaged picture: ", stbi_failure_reason());
  Image image(header.width, header.height, channels);
  std::copy_n(pixels, image.pixels.size(), image.pixels.begin());
  stbi_image_free(pixels);
  return upright(std::move(image), header.orientation);
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
