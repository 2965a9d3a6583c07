// What is drawn on bitmaps: letters, texts in the room that they have, lines, marks, and grids with labels.
#define BOOST_TEST_MODULE captions
#include <boost/test/unit_test.hpp>

#include "tensor/io/caption.h"
#include "tensor/io/grid.h"
#include "tensor/io/resample.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

// Columns and rows of pixels that have ink, on white.
struct Ink {
  int left = 1 << 20, right = -1, top = 1 << 20, bottom = -1, pixels = 0;
};
Ink ink_within(const Image& image, int x0, int y0, int x1, int y1) {
  Ink ink;
  for (int y = std::max(y0, 0); y < std::min(y1, image.height); ++y)
    for (int x = std::max(x0, 0); x < std::min(x1, image.width); ++x)
      if (image.row(y)[3 * size_t(x)] < 160) {
        ink.left = std::min(ink.left, x);
        ink.right = std::max(ink.right, x);
        ink.top = std::min(ink.top, y);
        ink.bottom = std::max(ink.bottom, y);
        ++ink.pixels;
      }
  return ink;
}
Ink ink_of(const Image& image) { return ink_within(image, 0, 0, image.width, image.height); }

Image text_image(const std::string& text, double size) {
  Image image(caption_width(text, size) + 40, caption_height(size), 3, 255);
  draw_text(image, 20, 0, text, kBlack, size);
  return image;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += (all.empty() ? "" : "|") + line;
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(letters_are_told_apart) {
  for (const double size : {10.0, 16.0, 40.0}) {
    std::vector<std::vector<uint8_t>> seen;
    for (char c = ' '; c <= '~'; ++c) {
      Image image(int(1.2 * size), caption_height(size), 3, 255);
      draw_text(image, 0, 0, std::string(1, c), kBlack, size);
      for (const auto& other : seen) BOOST_TEST((other != image.pixels), c << " at " << size);
      seen.push_back(image.pixels);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_text_takes_the_room_that_it_measures) {
  for (const double size : {9.0, 12.0, 12.5, 30.0})
    for (const std::string text : {"Hxg", "WWW", "iiii", "a longer text, with {braces} and 0.05"}) {
      const Ink ink = ink_of(text_image(text, size));
      const int width = caption_width(text, size);
      BOOST_TEST((ink.left >= 20 && ink.right <= 20 + width), text << " at " << size);
      BOOST_TEST(ink.right - ink.left > width - 0.3 * size - 2);
    }
  // Twice as large is twice as high; what stands on the line stands on one row.
  const Ink small = ink_of(text_image("HEX", 20)), large = ink_of(text_image("HEX", 40));
  BOOST_TEST(std::abs(large.bottom - large.top - 2 * (small.bottom - small.top)) <= 2);
  BOOST_TEST(ink_of(text_image("x", 14)).bottom == ink_of(text_image("H", 14)).bottom);
  BOOST_TEST(ink_of(text_image("p", 14)).bottom > ink_of(text_image("x", 14)).bottom);
  // Outside of the picture: no harm.
  Image image(20, 20, 3, 255);
  draw_text(image, -7, -5, "outside", kBlack, 30);
  draw_text(image, 4000, 4000, "outside", kBlack, 12);
}

BOOST_AUTO_TEST_CASE(what_is_no_ascii_is_a_box_for_each_code_point) {
  const std::string box = "\xC3\xBC";
  const Image one = text_image(box, 16);
  BOOST_TEST(ink_of(one).pixels > 20);
  for (const std::string other : {"\xE6\x9D\xB1", "\xF0\x9F\x98\x80", "\n", "\x7F", "\xFF"})
    BOOST_TEST((text_image(other, 16).pixels == one.pixels));
  const auto points = [](std::string_view text) {
    size_t count = 0;
    for (size_t at = 0; at < text.size(); ++count) next_code_point(text, at);
    return count;
  };
  BOOST_TEST(points("Z\xC3\xBCrich") == 6u);
  BOOST_TEST(points("\xE6\x9D\xB1\xE4\xBA\xAC") == 2u);
  // No UTF-8: a replacement for each byte, and what follows is read.
  for (const auto& [text, count] : std::vector<std::pair<std::string, size_t>>{{"\xC3", 1},
                                                                               {"\xC3z", 2},
                                                                               {"\xC0\x80", 2},
                                                                               {"\xED\xA0\x80", 3},
                                                                               {"\xF4\x90\x80\x80", 4},
                                                                               {"\xE0\x80\x80x", 4}}) {
    size_t at = 0;
    BOOST_TEST((next_code_point(text, at) == kReplacement && at == 1));
    BOOST_TEST(points(text) == count);
  }
}

BOOST_AUTO_TEST_CASE(texts_are_broken_and_shortened_to_their_room) {
  const Lettering ones{1, [](char32_t) { return 1.0; }};  // a letter takes one pixel
  BOOST_TEST(joined(wrapped("to be or not", 6, ones)) == "to be|or not");
  BOOST_TEST(joined(wrapped("  to   be ", 6, ones)) == "to|be");
  BOOST_TEST(joined(wrapped("to   be", 7, ones)) == "to   be");
  BOOST_TEST(joined(wrapped("incomprehensible", 6, ones)) == "incomp|rehens|ible");
  BOOST_TEST(joined(wrapped("an incomprehensible one", 6, ones)) == "an|incomp|rehens|ible|one");
  BOOST_TEST(joined(wrapped("abc", 0, ones)) == "a|b|c");
  BOOST_TEST(joined(wrapped("", 6, ones)) == "");
  BOOST_TEST(joined(wrapped("one two three four", 5, ones, 2)) == "one|tw...");
  BOOST_TEST(joined(wrapped("one two", 5, ones, 2)) == "one|two");
  BOOST_TEST(shortened("photograph", 10, ones) == "photograph");
  BOOST_TEST(shortened("photograph", 8, ones) == "photo...");
  BOOST_TEST(shortened("a photograph", 5, ones) == "a...");
  BOOST_TEST(shortened("photograph", 8, ones, Keep::end) == "...graph");
  BOOST_TEST(shortened("photograph", 3, ones) == "...");
  BOOST_TEST(shortened("photograph", 2, ones) == "");
  BOOST_TEST(shortened("\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC", 4, ones) == "\xC3\xBC...");
  BOOST_TEST(shortened("\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC\xC3\xBC", 4, ones, Keep::end) == "...\xC3\xBC");
  // In our letters, at every width: nothing is wider than what it may be.
  for (const double width : {40.0, 77.0, 200.0})
    for (const std::string& line :
         wrapped("transfer protected, epsilon 0.05 matched", width, caption_letters(12)))
      BOOST_TEST(caption_width(line, 12) <= width + 1);
  BOOST_TEST(fitting_size("protected,", 1000, 9, 18) == 18);
  BOOST_TEST(fitting_size("protected,", 10, 9, 18) == 9);
  BOOST_TEST(std::abs(caption_letters(fitting_size("protected,", 80, 9, 18)).width("protected,") - 80) <
             1e-9);
}

BOOST_AUTO_TEST_CASE(grid_places_cells_and_labels) {
  const Tensor red = crop_resize(Image(8, 6, 3, 0), {0, 0, 8, 6}, 6, 8), grey = Tensor::full({3, 6, 8}, 0.5);
  const Image plain = make_grid({{red, {}}, {grey, grey}});
  // Margins of 8, cells of 8 x 6, gaps of 4.
  BOOST_TEST((plain.width == 8 + 8 + 4 + 8 + 8 && plain.height == 8 + 6 + 4 + 6 + 8));
  BOOST_TEST(int(plain.row(8)[3 * 8]) == 0);
  BOOST_TEST(int(plain.row(8)[3 * 20]) == 255);  // the blank cell
  BOOST_TEST(int(plain.row(18)[3 * 20]) == 128);
  BOOST_CHECK_THROW(make_grid({{}}), Error);
  BOOST_CHECK_THROW(make_grid({{red, Tensor::zeros({3, 5, 5})}}), Error);
  BOOST_CHECK_THROW(make_grid({{red}}, {"", {"a", "b"}, {}}), Error);
}

BOOST_AUTO_TEST_CASE(labels_of_a_grid_do_not_meet) {
  const Tensor cell = Tensor::full({3, 64, 64}, 1);  // white, so that all ink is that of labels
  const std::string name = "transfer protected, epsilon 0.05 matched";
  const Image one = make_grid({{cell, cell}, {cell, cell}},
                              {"title", {"original", "what is decoded of it, at some length"}, {name, name}});
  // From the right: a margin of 8, two cells of 64 with 4 between them. Labels are above either, not between.
  const int second = one.width - 8 - 64, first = second - 4 - 64, cells = one.height - 8 - 2 * 64 - 4;
  for (const int x : {first, second}) {
    const Ink ink = ink_within(one, x, 40, x + 64, cells);
    BOOST_TEST(ink.pixels > 200);
    BOOST_TEST(ink.right - ink.left > 30);
  }
  BOOST_TEST(ink_within(one, second - 4, 40, second, one.height).pixels == 0);
  BOOST_TEST(ink_within(one, first, cells, one.width, one.height).pixels == 0);
  // Beside the rows, each within its row.
  BOOST_TEST(ink_within(one, 0, cells, first, cells + 64).pixels > 50);
  BOOST_TEST(ink_within(one, 0, cells + 68, first, cells + 132).pixels > 50);
  BOOST_TEST(ink_within(one, 0, cells + 64, first, cells + 68).pixels == 0);
  BOOST_TEST(ink_within(one, 8, 8, first, 30).pixels > 20);  // the title
  // A word wider than a cell makes letters smaller or is cut; a long title is broken, not the picture
  // widened.
  const std::string word = "incomprehensibilities";
  const Image words = make_grid({{cell, cell}}, {std::string(3000, 'w') + " end", {}, {word, word}});
  BOOST_TEST(words.width < 600);
  BOOST_TEST(ink_within(words, 8 + 64, 110, 8 + 64 + 4, words.height).pixels == 0);
  // Cells smaller than letters are set apart.
  const Tensor tiny = Tensor::full({3, 6, 8}, 1);
  const Image small = make_grid({{tiny, tiny}, {tiny, tiny}}, {"", {"first", "second"}, {"a", "b"}});
  BOOST_TEST(small.width > 2 * 40);
  int rows_of_ink = 0;  // runs of rows that have ink, left of the cells: a line for each label
  bool before = false;
  for (int y = 25; y < small.height; ++y) {
    const bool has = ink_within(small, 0, y, 30, y + 1).pixels > 0;
    rows_of_ink += has && !before;
    before = has;
  }
  BOOST_TEST(rows_of_ink == 2);
}

BOOST_AUTO_TEST_CASE(strokes_and_marks_stay_where_they_belong) {
  Image image(20, 20, 3, 255);
  draw_stroke(image, 5, 10, 14, 10, 3, kBlack);
  BOOST_TEST((image.row(10)[3 * 9] == 20 && image.row(9)[3 * 9] == 20 && image.row(11)[3 * 9] == 20));
  BOOST_TEST((image.row(7)[3 * 9] == 255 && image.row(13)[3 * 9] == 255 && image.row(10)[3 * 18] == 255));
  const Image before = image;
  draw_stroke(image, -1e9, -50, 1e9, -50, 3, kBlack);  // outside
  draw_mark(image, -30, 5, 3, Mark::disc, kBlack);
  BOOST_TEST((image.pixels == before.pixels));
  std::vector<std::vector<uint8_t>> seen;
  for (const Mark mark : {Mark::disc, Mark::square, Mark::diamond, Mark::triangle}) {
    Image one(20, 20, 3, 255);
    draw_mark(one, 10, 10, 5, mark, kBlack);
    BOOST_TEST((one.row(10)[30] == 20 && one.row(2)[30] == 255 && one.row(10)[3] == 255));
    for (const auto& other : seen) BOOST_TEST((other != one.pixels));
    seen.push_back(one.pixels);
  }
}
