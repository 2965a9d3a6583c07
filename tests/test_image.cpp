// Pictures: decoding against Pillow, resampling against Pillow and exact integrals, hostile files.
#define BOOST_TEST_MODULE image
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "file_test_util.h"
#include "tensor/io/image.h"
#include "tensor/io/npy.h"
#include "tensor/io/resample.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

const std::string kOracles = std::string(ADVF_TEST_DATA) + "/io/";

// The picture of the oracles: p(y, x, c) = (7x + 13y + 29c + floor(x*y/5)) mod 256.
Image picture(int height, int width, int channels) {
  Image image(width, height, channels);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        image.row(y)[x * channels + c] = uint8_t((7 * x + 13 * y + 29 * c + x * y / 5) % 256);
  return image;
}

double largest_difference(const Tensor& crop, const std::string& oracle) {
  const Tensor expected = load_npy(kOracles + oracle);
  const int64_t plane = expected.numel();
  BOOST_REQUIRE_EQUAL(crop.numel(), 3 * plane);
  double worst = 0;
  for (int64_t i = 0; i < 3 * plane; ++i)
    worst = std::max(worst, std::abs(double(crop.data<float>()[i]) -
                                     std::clamp(expected.data<float>()[i % plane], 0.f, 1.f)));
  return worst;
}

void parse(const std::string& s) { decode_image(bytes_of(s), "x", {1 << 20, 100'000}); }

}  // namespace

BOOST_AUTO_TEST_CASE(lossless_formats_give_the_exact_pixels) {
  for (const char* name : {"rgb.png", "rgba.png", "rgb.ppm"}) {
    const Image image = load_image(kOracles + name);
    BOOST_TEST(image.channels == 3);
    BOOST_TEST((image.pixels == picture(9, 13, 3).pixels), name);
  }
  for (const char* name : {"grey.png", "grey.pgm"}) {
    const Image image = load_image(kOracles + name);
    BOOST_TEST((image.width == 13 && image.height == 9 && image.channels == 1));
    BOOST_TEST((image.pixels == picture(9, 13, 1).pixels), name);
    const Image rgb = to_rgb(image);
    BOOST_TEST(rgb.pixels.size() == 3 * image.pixels.size());
    BOOST_TEST((rgb.pixels[3 * 40] == image.pixels[40] && rgb.pixels[3 * 40 + 2] == image.pixels[40]));
  }
}

BOOST_AUTO_TEST_CASE(jpeg_agrees_with_pillow) {
  for (const char* name : {"baseline", "progressive", "grey_jpeg", "no_subsampling", "cmyk", "keep_rgb"}) {
    const Image image = load_image(kOracles + name + ".jpg");
    const Tensor expected = load_npy(kOracles + name + ".npy");
    BOOST_REQUIRE_EQUAL(int64_t(image.pixels.size()), expected.numel());
    double sum = 0, worst = 0;
    for (size_t i = 0; i < image.pixels.size(); ++i) {
      const double d = std::abs(double(image.pixels[i]) - expected.data<uint8_t>()[i]);
      sum += d;
      worst = std::max(worst, d);
    }
    // The standard leaves the inverse DCT's last digit and the way chroma is enlarged to the decoder.
    BOOST_TEST(sum / double(image.pixels.size()) < 0.7,
               name << ": mean difference " << sum / double(image.pixels.size()));
    BOOST_TEST(worst <= 6, name << ": largest difference " << worst);
  }
}

// What another decoder would show in other colours is refused, with what to do.
BOOST_AUTO_TEST_CASE(jpegs_whose_colours_cannot_be_told) {
  const std::string cmyk = read_bytes(kOracles + "cmyk.jpg"), rgb = read_bytes(kOracles + "keep_rgb.jpg");
  const auto expect = [](const std::string& jpeg, const std::string& word) {
    refused([&] { decode_image(bytes_of(jpeg), "x.jpg"); }, {"x.jpg", word, "PNG"});
  };
  BOOST_REQUIRE(cmyk.substr(2, 2) == "\xff\xee");  // Adobe's segment, of 14 bytes
  std::string bare = cmyk, contradictory = cmyk, says_ycc = rgb;
  bare.erase(2, 16);
  contradictory[17] = 1;
  says_ycc[17] = 1;
  expect(bare, "four channels without");
  expect(contradictory, "four channels with a contradictory");
  expect(says_ycc, "R, G, B");
  for (std::string jpeg : {cmyk, rgb}) {  // the version's upper byte
    jpeg[11] = 1;
    expect(jpeg, "unknown version");
  }
  std::string frame = read_bytes(kOracles + "baseline.jpg");
  const size_t at = frame.find("\xff\xc0");
  for (const auto& [marker, word] : {std::pair('\xc9', "arithmetic"), std::pair('\xc3', "lossless")}) {
    frame[at + 1] = marker;
    expect(frame, word);
  }
  frame[at + 1] = '\xc1';
  frame[at + 4] = 12;
  expect(frame, "12 bits");
}

namespace {

std::string segment(char marker, const std::string& body) {
  const size_t n = body.size() + 2;
  return std::string("\xff") + marker + char(n >> 8) + char(n) + body;
}
std::string in_jpeg(std::string jpeg, const std::string& segments) { return jpeg.insert(2, segments); }
std::string app1(const std::string& tiff) { return segment('\xe1', std::string("Exif\0\0", 6) + tiff); }

// Pixel (y, x) of what is seen, from what is stored, as the table of EXIF 2.3 (4.6.4 A) has it.
const uint8_t* seen(const Image& stored, int orientation, int y, int x) {
  const int w = stored.width, h = stored.height;
  switch (orientation) {
    case 2:
      return stored.row(y) + 3 * (w - 1 - x);
    case 3:
      return stored.row(h - 1 - y) + 3 * (w - 1 - x);
    case 4:
      return stored.row(h - 1 - y) + 3 * x;
    case 5:
      return stored.row(x) + 3 * y;
    case 6:
      return stored.row(h - 1 - x) + 3 * y;
    case 7:
      return stored.row(h - 1 - x) + 3 * (w - 1 - y);
    case 8:
      return stored.row(x) + 3 * (w - 1 - y);
    default:
      return stored.row(y) + 3 * x;
  }
}

void is_turned(const std::string& bytes, const Image& stored, int orientation, const std::string& what) {
  const Image image = decode_image(bytes_of(bytes), what);
  const bool exchanged = orientation >= 5 && orientation <= 8;
  BOOST_TEST_CONTEXT(what << ", orientation " << orientation) {
    BOOST_REQUIRE((image.width == (exchanged ? stored.height : stored.width)));
    BOOST_REQUIRE((image.height == (exchanged ? stored.width : stored.height)));
    int wrong = 0;
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x)
        wrong += !std::equal(image.row(y) + 3 * x, image.row(y) + 3 * x + 3, seen(stored, orientation, y, x));
    BOOST_TEST(wrong == 0);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(photographs_are_turned_as_their_exif_says) {
  const std::string png = read_bytes(kOracles + "rgb.png"), jpeg = read_bytes(kOracles + "baseline.jpg");
  const Image plain = picture(9, 13, 3), photograph = decode_image(bytes_of(jpeg), "plain");
  for (int orientation = 0; orientation <= 9; ++orientation)
    for (const bool little : {true, false}) {
      const std::string tiff = exif(orientation, little);
      is_turned(in_jpeg(jpeg, app1(tiff)), photograph, orientation, "jpeg");
      is_turned(in_jpeg(jpeg, app1(exif(orientation, little, 4))), photograph, orientation, "long number");
      is_turned(in_png(png, tiff, false), plain, orientation, "png");
      is_turned(in_png(png, tiff, true), plain, orientation, "png, behind the pixels");
    }
  // Other segments before it; of two the first one counts.
  const std::string xmp = segment('\xe1', "http://ns.adobe.com/xap/1.0/ tiff:Orientation=3");
  is_turned(in_jpeg(jpeg, xmp + segment('\xfe', "a comment") + app1(exif(6, true)) + app1(exif(3, true))),
            photograph, 6, "several segments");
  is_turned(in_png(png, std::string("Exif\0\0", 6) + exif(8, true), false), plain, 8,
            "png with JPEG's prefix");
}

// What stands behind a PNG's end is no part of it.
BOOST_AUTO_TEST_CASE(exif_behind_the_end_turns_nothing) {
  const std::string png = read_bytes(kOracles + "rgb.png"), tiff = exif(6, true);
  const std::string chunk = std::string{0, 0, 0, char(tiff.size())} + "eXIf" + tiff + "sum.";
  is_turned(png + chunk, picture(9, 13, 3), 1, "behind the end");
}

// A damaged block turns nothing, wherever it is cut, and whatever its numbers say.
BOOST_AUTO_TEST_CASE(damaged_exif_is_passed_over) {
  const std::string jpeg = read_bytes(kOracles + "baseline.jpg"), tiff = exif(6, true);
  const Image photograph = decode_image(bytes_of(jpeg), "plain");
  for (size_t n = 0; n + 8 < tiff.size(); ++n)
    is_turned(in_jpeg(jpeg, app1(tiff.substr(0, n))), photograph, 1, "cut");
  for (const size_t at : {4u, 8u}) {  // the directory's place, the number of entries
    std::string far = tiff;
    far[at + 1] = '\xff';
    if (at == 4) far.replace(4, 4, "\xff\xff\xff\xff");
    const Image image = decode_image(bytes_of(in_jpeg(jpeg, app1(far))), "far");
    BOOST_TEST((at == 4 ? image.width == photograph.width : image.width == photograph.height));
  }
  survive(in_jpeg(jpeg, app1(tiff)), parse, 1000);
}

// 24 bits, rows from below and from above, and a header that promises more than there is.
BOOST_AUTO_TEST_CASE(bmp_gives_the_exact_pixels) {
  const Image image = picture(9, 13, 3);
  const auto number = [](uint32_t v, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += char(v >> 8 * i);
    return out;
  };
  for (const bool from_above : {false, true}) {
    std::string bmp = "BM" + number(54 + 40 * 9, 4) + number(0, 4) + number(54, 4) + number(40, 4) +
                      number(13, 4) + number(from_above ? uint32_t(-9) : 9, 4) + number(1, 2) +
                      number(24, 2) + std::string(24, '\0');
    for (int y = 0; y < 9; ++y) {
      for (int x = 0; x < 13; ++x)
        for (int c = 3; c-- > 0;) bmp += char(image.row(from_above ? y : 8 - y)[3 * x + c]);
      bmp += '\0';
    }
    BOOST_TEST((decode_image(bytes_of(bmp), "x.bmp").pixels == image.pixels));
    refused([&] { decode_image(bytes_of(bmp.substr(0, bmp.size() - 1)), "x.bmp"); }, {"x.bmp", "cut short"});
    survive(bmp, parse, 1000);
    bmp[30] = 1;
    refused([&] { decode_image(bytes_of(bmp), "x.bmp"); }, {"x.bmp", "compressed"});
  }
}

BOOST_AUTO_TEST_CASE(other_formats_are_refused_by_name) {
  for (const auto& kind : {std::pair(std::string("RIFF....WEBPVP8 "), "WebP"),
                           {std::string("....ftypheic...."), "HEIC"},
                           {std::string("....ftypavif...."), "AVIF"},
                           {std::string("II*\0........", 12), "TIFF"},
                           {std::string("MM\0*........", 12), "TIFF"},
                           {std::string("P3\n1 1\n255\n1 2 3\n"), "PNM of kind P3"}})
    refused([&] { decode_image(bytes_of(kind.first), "x.jpg"); },
            {"x.jpg", kind.second, "convert it to JPEG or PNG"});
}

BOOST_AUTO_TEST_CASE(png_round_trip) {
  TempDir dir;
  for (const Image& image : {picture(37, 21, 3), picture(5, 64, 1), picture(1, 1, 3)}) {
    write_png(dir / "x.png", image);
    const Image back = load_image(dir / "x.png");
    BOOST_TEST((back.pixels == image.pixels && back.width == image.width && back.channels == image.channels));
  }
  BOOST_TEST(dir.count() == 1u);
  BOOST_CHECK_THROW(write_png(dir / "y.png", Image()), Error);
  refused([&] { write_png(dir / "no/x.png", picture(2, 2, 3)); }, {"no/x.png"});
}

BOOST_AUTO_TEST_CASE(sizes_are_checked_before_decoding) {
  const std::string png = read_bytes(kOracles + "rgb.png"), jpeg = read_bytes(kOracles + "baseline.jpg");
  refused([&] { decode_image(bytes_of(png), "small.png", {1 << 20, 116}); }, {"small.png", "13 x 9", "116"});
  refused([&] { decode_image(bytes_of(png), "small.png", {100, 117}); }, {"small.png", "at most 100"});
  refused([] { load_image(kOracles + "rgb.png", {100, 117}); }, {"rgb.png", "at most 100"});
  // A header that promises 60000 x 60000 pixels.
  std::string huge = png;
  for (size_t at : {16u, 20u}) huge.replace(at, 4, std::string("\0\0\xea\x60", 4));
  refused([&] { decode_image(bytes_of(huge), "huge.png"); }, {"huge.png", "60000 x 60000"});
  refused([] { decode_image(bytes_of("P6 60000 60000 255\n"), "huge.ppm"); }, {"60000 x 60000"});
  refused([] { decode_image(bytes_of("P6 999999999 999999999 255\n"), "huge.ppm"); }, {"999999999"});
}

BOOST_AUTO_TEST_CASE(a_broken_picture_is_named) {
  const std::string png = read_bytes(kOracles + "rgb.png"), jpeg = read_bytes(kOracles + "baseline.jpg"),
                    ppm = read_bytes(kOracles + "rgb.ppm");
  refused([&] { decode_image(bytes_of(jpeg.substr(0, jpeg.size() - 100)), "cut.jpg"); },
          {"cut.jpg", "end marker"});
  refused([&] { decode_image(bytes_of(png.substr(0, png.size() - 40)), "cut.png"); }, {"cut.png", "damaged"});
  refused([&] { decode_image(bytes_of(ppm.substr(0, ppm.size() - 1)), "cut.ppm"); },
          {"cut.ppm", "cut short"});
  // 17 x 16 = 272 codes in one Huffman table, the segment as long as it says.
  std::string codes = jpeg;
  codes.insert(2, std::string("\xff\xc4\x01\x23\x00", 5) + std::string(16, 17) + std::string(272, 1));
  refused([&] { decode_image(bytes_of(codes), "codes.jpg"); }, {"codes.jpg", "272 codes"});
  refused([] { decode_image(bytes_of("GIF89a......."), "a.gif"); }, {"a.gif", "GIF", "convert it"});
  refused([] { decode_image({}, "empty.jpg"); }, {"empty.jpg", "not a JPEG"});
  refused([] { decode_image(bytes_of("P5 2 2 65535\n12345678"), "deep.pgm"); }, {"65535"});
  refused([] { decode_image(bytes_of("P5 2 x 255\n1234"), "bad.pgm"); }, {"malformed"});
  BOOST_TEST(decode_image(bytes_of("P5 # comment 9 9\n2 #\n 2\n255\n1234"), "fine.pgm").pixels[3] == '4');
}

BOOST_AUTO_TEST_CASE(survives_truncation_and_bit_flips) {
  for (const char* name :
       {"rgb.png", "grey.png", "baseline.jpg", "progressive.jpg", "grey_jpeg.jpg", "rgb.ppm"})
    BOOST_TEST(survive(read_bytes(kOracles + name), parse, 2000) < 2300, name);
}

// A scan whose Huffman table was never defined: any picture or an error, but the same one each time.
BOOST_AUTO_TEST_CASE(jpeg_without_huffman_tables_reads_no_unset_memory) {
  for (const char* name : {"baseline.jpg", "progressive.jpg"}) {
    std::string jpeg = read_bytes(kOracles + name);
    for (size_t at; (at = jpeg.find("\xff\xc4")) != std::string::npos;)
      jpeg.erase(at, 2 + (size_t(uint8_t(jpeg[at + 2])) << 8 | uint8_t(jpeg[at + 3])));
    std::vector<uint8_t> first;
    for (int i = 0; i < 5; ++i) {
      std::vector<uint8_t> pixels;
      try {
        pixels = decode_image(bytes_of(jpeg), name).pixels;
      } catch (const Error&) {
      }
      if (i == 0) first = pixels;
      BOOST_TEST((pixels == first), name);
    }
  }
}

BOOST_AUTO_TEST_CASE(untouched_where_nothing_is_resized) {
  const Image image = picture(20, 24, 3);
  const Tensor t = crop_resize(image, whole(image), 20, 24);
  BOOST_TEST(t.shape() == (Shape{3, 20, 24}));
  for (int y = 0; y < 20; ++y)
    for (int x = 0; x < 24; ++x)
      for (int c = 0; c < 3; ++c)
        BOOST_REQUIRE_EQUAL(t.data<float>()[(c * 20 + y) * 24 + x], float(image.row(y)[3 * x + c]) / 255.0f);
  BOOST_TEST((to_image(t).pixels == image.pixels));
  // A box at whole pixels that leaves the picture: the border goes on.
  const Tensor moved = crop_resize(image, {-3, -2, 21, 18}, 20, 24);
  BOOST_TEST(moved.data<float>()[0] == float(image.row(0)[0]) / 255.0f);
  BOOST_TEST(moved.data<float>()[2 * 24 + 3] == float(image.row(0)[0]) / 255.0f);
  BOOST_TEST(moved.data<float>()[5 * 24 + 9] == float(image.row(3)[18]) / 255.0f);
}

BOOST_AUTO_TEST_CASE(resampling_agrees_with_pillow_and_with_exact_areas) {
  const Image image = picture(20, 24, 1);
  BOOST_TEST(largest_difference(crop_resize(image, {5.25f, 4.5f, 17.75f, 14.0f}, 27, 31), "resize_up.npy") <
             3e-6);
  BOOST_TEST(largest_difference(crop_resize(image, whole(image), 10, 6), "resize_half.npy") < 1e-6);
  BOOST_TEST(largest_difference(crop_resize(image, {3.3f, -1.5f, 27.8f, 18.25f}, 7, 9), "resize_area.npy") <
             1e-6);
}

BOOST_AUTO_TEST_CASE(crop_resize_properties) {
  // A constant picture stays constant at any box, also one far outside.
  const Image flat(7, 5, 3, 51);
  for (const CropBox& box : {CropBox{0, 0, 7, 5}, CropBox{-4, 1.5f, 3, 30}, CropBox{1e6f, -1e6f, 2e6f, 1},
                             CropBox{2, 2, 2.5f, 2.1f}})
    for (float v : crop_resize(flat, box, 6, 9).to_vector<float>()) BOOST_TEST(std::abs(v - 0.2f) < 1e-6f);
  // A ramp keeps its slope when enlarged (Keys' kernel reproduces straight lines).
  Image ramp(16, 4, 1);
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 16; ++x) ramp.row(y)[x] = uint8_t(10 * x);
  const Tensor up = crop_resize(ramp, {4, 0, 12, 4}, 4, 32);
  for (int x = 0; x < 32; ++x)
    BOOST_TEST(std::abs(up.data<float>()[x] * 255 - 10 * (4 + (x + 0.5) / 4 - 0.5)) < 1e-3);
  BOOST_CHECK_THROW(crop_resize(flat, {0, 0, 0, 5}, 6, 9), Error);
  BOOST_CHECK_THROW(crop_resize(flat, {0, 0, NAN, 5}, 6, 9), Error);
  BOOST_CHECK_THROW(crop_resize(flat, {0, 0, 3, 5}, 0, 9), Error);
  BOOST_CHECK_THROW(crop_resize(Image(), {0, 0, 3, 5}, 3, 9), Error);
}
