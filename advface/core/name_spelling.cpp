#include "advface/core/name_spelling.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "advface/core/text_file.h"

namespace advf {
namespace {

// A small letter that is one code point, and what it is made of (UnicodeData.txt); the base may be one of
// these itself. Ascending.
struct Composed {
  uint16_t letter, base, mark;
};
// clang-format off
constexpr Composed kComposed[] = {
    {0x00e0, 'a', 0x0300}, {0x00e1, 'a', 0x0301}, {0x00e2, 'a', 0x0302}, {0x00e3, 'a', 0x0303},
    {0x00e4, 'a', 0x0308}, {0x00e5, 'a', 0x030a}, {0x00e7, 'c', 0x0327}, {0x00e8, 'e', 0x0300},
    {0x00e9, 'e', 0x0301}, {0x00ea, 'e', 0x0302}, {0x00eb, 'e', 0x0308}, {0x00ec, 'i', 0x0300},
    {0x00ed, 'i', 0x0301}, {0x00ee, 'i', 0x0302}, {0x00ef, 'i', 0x0308}, {0x00f1, 'n', 0x0303},
    {0x00f2, 'o', 0x0300}, {0x00f3, 'o', 0x0301}, {0x00f4, 'o', 0x0302}, {0x00f5, 'o', 0x0303},
    {0x00f6, 'o', 0x0308}, {0x00f9, 'u', 0x0300}, {0x00fa, 'u', 0x0301}, {0x00fb, 'u', 0x0302},
    {0x00fc, 'u', 0x0308}, {0x00fd, 'y', 0x0301}, {0x00ff, 'y', 0x0308}, {0x0101, 'a', 0x0304},
    {0x0103, 'a', 0x0306}, {0x0105, 'a', 0x0328}, {0x0107, 'c', 0x0301}, {0x0109, 'c', 0x0302},
    {0x010b, 'c', 0x0307}, {0x010d, 'c', 0x030c}, {0x010f, 'd', 0x030c}, {0x0113, 'e', 0x0304},
    {0x0115, 'e', 0x0306}, {0x0117, 'e', 0x0307}, {0x0119, 'e', 0x0328}, {0x011b, 'e', 0x030c},
    {0x011d, 'g', 0x0302}, {0x011f, 'g', 0x0306}, {0x0121, 'g', 0x0307}, {0x0123, 'g', 0x0327},
    {0x0125, 'h', 0x0302}, {0x0129, 'i', 0x0303}, {0x012b, 'i', 0x0304}, {0x012d, 'i', 0x0306},
    {0x012f, 'i', 0x0328}, {0x0130, 'i', 0x0307}, {0x0135, 'j', 0x0302}, {0x0137, 'k', 0x0327},
    {0x013a, 'l', 0x0301}, {0x013c, 'l', 0x0327}, {0x013e, 'l', 0x030c}, {0x0144, 'n', 0x0301},
    {0x0146, 'n', 0x0327}, {0x0148, 'n', 0x030c}, {0x014d, 'o', 0x0304}, {0x014f, 'o', 0x0306},
    {0x0151, 'o', 0x030b}, {0x0155, 'r', 0x0301}, {0x0157, 'r', 0x0327}, {0x0159, 'r', 0x030c},
    {0x015b, 's', 0x0301}, {0x015d, 's', 0x0302}, {0x015f, 's', 0x0327}, {0x0161, 's', 0x030c},
    {0x0163, 't', 0x0327}, {0x0165, 't', 0x030c}, {0x0169, 'u', 0x0303}, {0x016b, 'u', 0x0304},
    {0x016d, 'u', 0x0306}, {0x016f, 'u', 0x030a}, {0x0171, 'u', 0x030b}, {0x0173, 'u', 0x0328},
    {0x0175, 'w', 0x0302}, {0x0177, 'y', 0x0302}, {0x017a, 'z', 0x0301}, {0x017c, 'z', 0x0307},
    {0x017e, 'z', 0x030c}, {0x01a1, 'o', 0x031b}, {0x01b0, 'u', 0x031b}, {0x01ce, 'a', 0x030c},
    {0x01d0, 'i', 0x030c}, {0x01d2, 'o', 0x030c}, {0x01d4, 'u', 0x030c}, {0x01d6, 0x00fc, 0x0304},
    {0x01d8, 0x00fc, 0x0301}, {0x01da, 0x00fc, 0x030c}, {0x01dc, 0x00fc, 0x0300}, {0x0219, 's', 0x0326},
    {0x021b, 't', 0x0326}, {0x021f, 'h', 0x030c}, {0x0227, 'a', 0x0307}, {0x0229, 'e', 0x0327},
    {0x022b, 0x00f6, 0x0304}, {0x022d, 0x00f5, 0x0304}, {0x022f, 'o', 0x0307}, {0x0231, 0x022f, 0x0304},
    {0x0233, 'y', 0x0304}, {0x0390, 0x03ca, 0x0301}, {0x03ac, 0x03b1, 0x0301}, {0x03ad, 0x03b5, 0x0301},
    {0x03ae, 0x03b7, 0x0301}, {0x03af, 0x03b9, 0x0301}, {0x03b0, 0x03cb, 0x0301}, {0x03ca, 0x03b9, 0x0308},
    {0x03cb, 0x03c5, 0x0308}, {0x03cc, 0x03bf, 0x0301}, {0x03cd, 0x03c5, 0x0301}, {0x03ce, 0x03c9, 0x0301},
    {0x0439, 0x0438, 0x0306}, {0x0450, 0x0435, 0x0300}, {0x0451, 0x0435, 0x0308}, {0x0453, 0x0433, 0x0301},
    {0x0457, 0x0456, 0x0308}, {0x045c, 0x043a, 0x0301}, {0x045d, 0x0438, 0x0300}, {0x045e, 0x0443, 0x0306},
    {0x1e01, 'a', 0x0325}, {0x1e03, 'b', 0x0307}, {0x1e05, 'b', 0x0323}, {0x1e07, 'b', 0x0331},
    {0x1e09, 0x00e7, 0x0301}, {0x1e0b, 'd', 0x0307}, {0x1e0d, 'd', 0x0323}, {0x1e0f, 'd', 0x0331},
    {0x1e11, 'd', 0x0327}, {0x1e13, 'd', 0x032d}, {0x1e15, 0x0113, 0x0300}, {0x1e17, 0x0113, 0x0301},
    {0x1e19, 'e', 0x032d}, {0x1e1b, 'e', 0x0330}, {0x1e1d, 0x0229, 0x0306}, {0x1e1f, 'f', 0x0307},
    {0x1e21, 'g', 0x0304}, {0x1e23, 'h', 0x0307}, {0x1e25, 'h', 0x0323}, {0x1e27, 'h', 0x0308},
    {0x1e29, 'h', 0x0327}, {0x1e2b, 'h', 0x032e}, {0x1e2d, 'i', 0x0330}, {0x1e2f, 0x00ef, 0x0301},
    {0x1e31, 'k', 0x0301}, {0x1e33, 'k', 0x0323}, {0x1e35, 'k', 0x0331}, {0x1e37, 'l', 0x0323},
    {0x1e39, 0x1e37, 0x0304}, {0x1e3b, 'l', 0x0331}, {0x1e3d, 'l', 0x032d}, {0x1e3f, 'm', 0x0301},
    {0x1e41, 'm', 0x0307}, {0x1e43, 'm', 0x0323}, {0x1e45, 'n', 0x0307}, {0x1e47, 'n', 0x0323},
    {0x1e49, 'n', 0x0331}, {0x1e4b, 'n', 0x032d}, {0x1e4d, 0x00f5, 0x0301}, {0x1e4f, 0x00f5, 0x0308},
    {0x1e51, 0x014d, 0x0300}, {0x1e53, 0x014d, 0x0301}, {0x1e55, 'p', 0x0301}, {0x1e57, 'p', 0x0307},
    {0x1e59, 'r', 0x0307}, {0x1e5b, 'r', 0x0323}, {0x1e5d, 0x1e5b, 0x0304}, {0x1e5f, 'r', 0x0331},
    {0x1e61, 's', 0x0307}, {0x1e63, 's', 0x0323}, {0x1e65, 0x015b, 0x0307}, {0x1e67, 0x0161, 0x0307},
    {0x1e69, 0x1e63, 0x0307}, {0x1e6b, 't', 0x0307}, {0x1e6d, 't', 0x0323}, {0x1e6f, 't', 0x0331},
    {0x1e71, 't', 0x032d}, {0x1e73, 'u', 0x0324}, {0x1e75, 'u', 0x0330}, {0x1e77, 'u', 0x032d},
    {0x1e79, 0x0169, 0x0301}, {0x1e7b, 0x016b, 0x0308}, {0x1e7d, 'v', 0x0303}, {0x1e7f, 'v', 0x0323},
    {0x1e81, 'w', 0x0300}, {0x1e83, 'w', 0x0301}, {0x1e85, 'w', 0x0308}, {0x1e87, 'w', 0x0307},
    {0x1e89, 'w', 0x0323}, {0x1e8b, 'x', 0x0307}, {0x1e8d, 'x', 0x0308}, {0x1e8f, 'y', 0x0307},
    {0x1e91, 'z', 0x0302}, {0x1e93, 'z', 0x0323}, {0x1e95, 'z', 0x0331}, {0x1e96, 'h', 0x0331},
    {0x1e97, 't', 0x0308}, {0x1e98, 'w', 0x030a}, {0x1e99, 'y', 0x030a}, {0x1e9b, 0x017f, 0x0307},
    {0x1ea1, 'a', 0x0323}, {0x1ea3, 'a', 0x0309}, {0x1ea5, 0x00e2, 0x0301}, {0x1ea7, 0x00e2, 0x0300},
    {0x1ea9, 0x00e2, 0x0309}, {0x1eab, 0x00e2, 0x0303}, {0x1ead, 0x1ea1, 0x0302}, {0x1eaf, 0x0103, 0x0301},
    {0x1eb1, 0x0103, 0x0300}, {0x1eb3, 0x0103, 0x0309}, {0x1eb5, 0x0103, 0x0303}, {0x1eb7, 0x1ea1, 0x0306},
    {0x1eb9, 'e', 0x0323}, {0x1ebb, 'e', 0x0309}, {0x1ebd, 'e', 0x0303}, {0x1ebf, 0x00ea, 0x0301},
    {0x1ec1, 0x00ea, 0x0300}, {0x1ec3, 0x00ea, 0x0309}, {0x1ec5, 0x00ea, 0x0303}, {0x1ec7, 0x1eb9, 0x0302},
    {0x1ec9, 'i', 0x0309}, {0x1ecb, 'i', 0x0323}, {0x1ecd, 'o', 0x0323}, {0x1ecf, 'o', 0x0309},
    {0x1ed1, 0x00f4, 0x0301}, {0x1ed3, 0x00f4, 0x0300}, {0x1ed5, 0x00f4, 0x0309}, {0x1ed7, 0x00f4, 0x0303},
    {0x1ed9, 0x1ecd, 0x0302}, {0x1edb, 0x01a1, 0x0301}, {0x1edd, 0x01a1, 0x0300}, {0x1edf, 0x01a1, 0x0309},
    {0x1ee1, 0x01a1, 0x0303}, {0x1ee3, 0x01a1, 0x0323}, {0x1ee5, 'u', 0x0323}, {0x1ee7, 'u', 0x0309},
    {0x1ee9, 0x01b0, 0x0301}, {0x1eeb, 0x01b0, 0x0300}, {0x1eed, 0x01b0, 0x0309}, {0x1eef, 0x01b0, 0x0303},
    {0x1ef1, 0x01b0, 0x0323}, {0x1ef3, 'y', 0x0300}, {0x1ef5, 'y', 0x0323}, {0x1ef7, 'y', 0x0309},
    {0x1ef9, 'y', 0x0303},
};
// clang-format on

constexpr uint32_t kFinalSigma = 0x03c2, kSigma = 0x03c3, kDiaeresis = 0x0308, kRing = 0x030a;

// A letter that is no other one with a mark, and how a passport writes it (ICAO Doc 9303, part 3, section 6).
struct Written {
  uint16_t letter;
  std::string_view as;
};
constexpr Written kWritten[] = {{0x00df, "ss"}, {0x1e9e, "ss"}, {0x00e6, "ae"}, {0x00f0, "d"}, {0x00f8, "oe"},
                                {0x00fe, "th"}, {0x0111, "d"},  {0x0127, "h"},  {0x0131, "i"}, {0x0133, "ij"},
                                {0x0142, "l"},  {0x014b, "n"},  {0x0153, "oe"}, {0x0167, "t"}};

// A small letter and the Latin one that it, or its capital, looks like.
struct Alike {
  uint16_t letter;
  char latin;
};
constexpr Alike kAlike[] = {
    {0x03b1, 'a'}, {0x03b2, 'b'}, {0x03b5, 'e'}, {0x03b6, 'z'}, {0x03b7, 'h'}, {0x03b9, 'i'}, {0x03ba, 'k'},
    {0x03bc, 'm'}, {0x03bd, 'n'}, {0x03bf, 'o'}, {0x03c1, 'p'}, {0x03c4, 't'}, {0x03c5, 'y'}, {0x03c7, 'x'},
    {0x0430, 'a'}, {0x0432, 'b'}, {0x0435, 'e'}, {0x043a, 'k'}, {0x043c, 'm'}, {0x043d, 'h'}, {0x043e, 'o'},
    {0x0440, 'p'}, {0x0441, 'c'}, {0x0442, 't'}, {0x0443, 'y'}, {0x0445, 'x'}, {0x0455, 's'}, {0x0456, 'i'},
    {0x0458, 'j'}, {0x04af, 'y'}, {0x04bb, 'h'}};

bool within(uint32_t code, uint32_t first, uint32_t last) { return first <= code && code <= last; }
bool is_digit(uint32_t code) { return within(code, '0', '9'); }
bool is_mark(uint32_t code) { return within(code, 0x0300, 0x036f); }

// Of a full-width letter, digit or blank the usual one.
uint32_t usual_width(uint32_t code) {
  return within(code, 0xff01, 0xff5e) ? code - 0xfee0 : code == 0x3000 ? ' ' : code;
}

// The small letter of a capital one.
uint32_t small(uint32_t code) {
  if (within(code, 'A', 'Z') || (within(code, 0xc0, 0xde) && code != 0xd7)) return code + 0x20;
  if (code == 0x0178) return 0xff;
  if (within(code, 0x0391, 0x03ab) || within(code, 0x0410, 0x042f)) return code + 0x20;
  if (within(code, 0x0400, 0x040f)) return code + 0x50;
  if (within(code, 0x0531, 0x0556)) return code + 0x30;
  if (code == 0x0386) return 0x03ac;
  if (within(code, 0x0388, 0x038a)) return code + 0x25;
  if (code == 0x038c) return 0x03cc;
  if (within(code, 0x038e, 0x038f)) return code + 0x3f;
  if (code == kFinalSigma) return kSigma;
  // Elsewhere the small letter stands behind the capital one: on odd places, or on even ones.
  const bool odd = code % 2 == 1;
  if (!odd && ((within(code, 0x0100, 0x0137) && code != 0x0130) || within(code, 0x014a, 0x0177) ||
               code == 0x01a0 || within(code, 0x0218, 0x021f) || within(code, 0x0226, 0x0233) ||
               within(code, 0x048a, 0x04bf) || within(code, 0x1e00, 0x1e95) || within(code, 0x1ea0, 0x1eff)))
    return code + 1;
  if (odd && (within(code, 0x0139, 0x0148) || within(code, 0x0179, 0x017e) || code == 0x01af ||
              within(code, 0x01cd, 0x01dc)))
    return code + 1;
  return code;
}

void decompose(uint32_t code, std::vector<uint32_t>& out) {
  const auto at =
      std::ranges::lower_bound(kComposed, code, {}, [](const Composed& c) { return uint32_t(c.letter); });
  if (at == std::end(kComposed) || at->letter != code) {
    out.push_back(code);
    return;
  }
  decompose(at->base, out);
  out.push_back(at->mark);
}

// Neither letter nor mark nor digit: of ASCII, Latin-1, the letters that stand for apostrophes, and the
// General Punctuation, where typographers' dashes and quotes are.
bool is_punctuation(uint32_t code) {
  if (code < 0x80) return !(is_digit(code) || within(code, 'a', 'z'));
  return within(code, 0x80, 0xbf) || code == 0xd7 || code == 0xf7 || within(code, 0x02b9, 0x02bf) ||
         within(code, 0x2000, 0x206f);
}

// Stands within a word: O'Brien is one.
bool is_apostrophe(uint32_t code) {
  return code == '\'' || code == '`' || code == 0xb4 || within(code, 0x02b9, 0x02bf) ||
         within(code, 0x2018, 0x201b);
}

std::vector<uint32_t> code_points(std::string_view text) {
  std::vector<uint32_t> codes;
  for (size_t i = 0; i < text.size();) {
    const uint32_t first = uint8_t(text[i]);
    const size_t n = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t code = n == 1 ? first : first & (0x7fu >> n);
    for (size_t k = 1; k < n; ++k) code = code << 6 | (uint8_t(text[i + k]) & 0x3fu);
    codes.push_back(code);
    i += n;
  }
  return codes;
}

void append_utf8(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += char(code);
  } else if (code < 0x800) {
    out += char(0xc0 | code >> 6);
    out += char(0x80 | (code & 0x3f));
  } else {
    if (code < 0x10000) {
      out += char(0xe0 | code >> 12);
    } else {
      out += char(0xf0 | code >> 18);
      out += char(0x80 | (code >> 12 & 0x3f));
    }
    out += char(0x80 | (code >> 6 & 0x3f));
    out += char(0x80 | (code & 0x3f));
  }
}

// Small letters with their marks behind them, and digits, of each word. Marks of one letter come in any order
// where they do not touch, as above and below it, and here in one.
using Word = std::vector<uint32_t>;
std::vector<Word> words_of(std::string_view name) {
  std::vector<Word> words(1);
  for (const uint32_t code : code_points(name)) {
    const uint32_t letter = small(usual_width(code));
    if (!is_punctuation(letter))
      decompose(letter, words.back());
    else if (!is_apostrophe(letter) && !words.back().empty())
      words.emplace_back();
  }
  for (Word& word : words)
    for (auto begin = word.begin(); begin != word.end();) {
      begin = std::find_if(begin, word.end(), is_mark);
      const auto end = std::find_if_not(begin, word.end(), is_mark);
      std::sort(begin, end);
      begin = end;
    }
  return words;
}

// "ae" for a letter a with this one mark; nothing where it is written with the mark or without.
std::string_view written_with(uint32_t base, uint32_t mark) {
  if (mark == kRing) return base == 'a' ? "aa" : "";
  if (mark != kDiaeresis) return "";
  return base == 'a' ? "ae" : base == 'o' ? "oe" : base == 'u' ? "ue" : "";
}

const Written* written(uint32_t letter) {
  const auto at = std::ranges::find(kWritten, letter, [](const Written& w) { return uint32_t(w.letter); });
  return at == std::end(kWritten) ? nullptr : at;
}

// Without the zeros in front of a number that ends the word and begins at `digits`.
void drop_zeros(Word& word, Word::iterator digits) {
  if (digits == word.end() || !std::all_of(digits, word.end(), is_digit)) return;
  word.erase(digits, std::find_if(digits, word.end() - 1, [](uint32_t c) { return c != '0'; }));
}

// The words without what is between them; but a number does not go on in the next.
std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty() && !word.empty() && is_digit(uint8_t(text.back())) && is_digit(uint8_t(word[0])))
      text += ' ';
    text += word;
  }
  return text;
}

void make_latin(std::vector<Word>& words) {
  for (Word& word : words)
    for (uint32_t& code : word)
      if (const auto at = std::ranges::find(kAlike, code, [](const Alike& a) { return uint32_t(a.letter); });
          at != std::end(kAlike))
        code = uint32_t(at->latin);
}

// Of ASCII alone, where nobody knows what the rest is.
std::string plain_bytes(std::string_view name) {
  std::string plain;
  for (const char c : name)
    if (uint8_t(c) >= 0x80 || !is_punctuation(small(uint8_t(c))))
      plain += char(c < 0 ? c : small(uint8_t(c)));
  return plain;
}

std::string plain_of(std::vector<Word> words) {
  while (!words.empty() && words.back().empty()) words.pop_back();
  if (words.size() == 1) drop_zeros(words[0], words[0].begin());
  std::vector<std::string> texts;
  for (const Word& word : words) {
    std::string& plain = texts.emplace_back();
    for (size_t i = 0; i < word.size(); ++i) {
      const bool one_mark =
          i + 1 < word.size() && is_mark(word[i + 1]) && (i + 2 == word.size() || !is_mark(word[i + 2]));
      const std::string_view two = one_mark ? written_with(word[i], word[i + 1]) : "";
      if (!two.empty()) {
        plain += two;
        ++i;
      } else if (const Written* w = written(word[i])) {
        plain += w->as;
      } else {
        append_utf8(word[i], plain);
      }
    }
  }
  return joined(texts);
}

enum Alphabet : unsigned { kLatin = 1, kGreek = 2, kCyrillic = 4 };
unsigned alphabet_of(uint32_t code) {
  if (within(code, 'a', 'z') || within(code, 0xdf, 0x024f) || within(code, 0x1e00, 0x1eff)) return kLatin;
  if (within(code, 0x0370, 0x03ff)) return kGreek;
  return within(code, 0x0400, 0x052f) ? kCyrillic : 0u;
}
unsigned alphabets_in(const Word& word) {
  unsigned all = 0;
  for (const uint32_t code : word) all |= alphabet_of(code);
  return all;
}

}  // namespace

std::string plain_spelling(std::string_view name) {
  return is_utf8(name) ? plain_of(words_of(name)) : plain_bytes(name);
}

std::string look_of(std::string_view name) {
  if (!is_utf8(name)) return plain_bytes(name);
  std::vector<Word> words = words_of(name);
  make_latin(words);
  return plain_of(std::move(words));
}

std::string alphabets_of(std::string_view name) {
  unsigned all = 0;
  if (is_utf8(name))
    for (const Word& word : words_of(name)) all |= alphabets_in(word);
  std::string text;
  for (const auto& [alphabet, its_name] :
       {std::pair(kLatin, "Latin"), std::pair(kGreek, "Greek"), std::pair(kCyrillic, "Cyrillic")})
    if (all & alphabet) text += (text.empty() ? "" : " and ") + std::string(its_name);
  return text;
}

bool mixes_alphabets(std::string_view name) {
  return is_utf8(name) && std::ranges::any_of(words_of(name), [](const Word& word) {
           const unsigned all = alphabets_in(word);
           return (all & (all - 1)) != 0;  // more than one of them
         });
}

bool stays_within_quotes(std::string_view name) {
  if (!is_utf8(name)) return false;
  return std::ranges::none_of(code_points(name), [](uint32_t code) {
    const bool unseen = code < ' ' || within(code, 0x7f, 0x9f) || code == 0xad || code == 0x061c ||
                        within(code, 0x200b, 0x200f) || within(code, 0x2028, 0x202e) ||
                        within(code, 0x2060, 0x206f) || within(code, 0xfe00, 0xfe0f) || code == 0xfeff ||
                        within(code, 0xe0000, 0xe0fff);
    const bool quotes = code == '"' || code == 0xab || code == 0xbb || within(code, 0x201c, 0x201f) ||
                        within(code, 0x2033, 0x2036) || within(code, 0x275d, 0x275e) || code == 0x2e42 ||
                        within(code, 0x300c, 0x300f) || within(code, 0x301d, 0x301f) || code == 0xff02;
    return unseen || quotes;
  });
}

std::string loose_spelling(std::string_view name) {
  if (!is_utf8(name)) return plain_spelling(name);
  std::vector<std::string> words;
  bool numbered = false;
  std::vector<Word> all = words_of(name);
  make_latin(all);
  for (Word& word : all) {
    drop_zeros(word, std::ranges::find_if(word, is_digit));
    words.emplace_back();
    for (const uint32_t code : word) {
      numbered |= is_digit(code);
      if (code == 0x00f8)
        words.back() += 'o';
      else if (const Written* w = written(code))
        words.back() += w->as;
      else if (!is_mark(code))
        append_utf8(code, words.back());
    }
  }
  // camera 1, person 2 is not camera 2, person 1.
  if (!numbered) std::sort(words.begin(), words.end());
  return joined(words);
}

}  // namespace advf
