// Texts fitted into the room that they have before they are drawn, by whichever letters they are drawn with.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace advf {

// Stands for what is no UTF-8: U+FFFD, the replacement character.
inline constexpr char32_t kReplacement = 0xFFFD;
// The code point at byte `at` < text.size(), which moves behind it. A byte that begins none is kReplacement
// by itself; so is an encoded surrogate and an overlong form.
char32_t next_code_point(std::string_view text, size_t& at);

// Letters at a size in pixels; `advance` is what a code point takes in units of that size.
struct Lettering {
  double size;
  double (*advance)(char32_t);
  double width(std::string_view text) const;  // pixels
};

// What is kept of a text that is too long: its begin, with "..." behind it, or its end (as of a file's name).
enum class Keep { begin, end };
// The text itself where it takes at most `width` pixels. Empty where there is not even room for the dots.
std::string shortened(std::string_view text, double width, const Lettering& letters, Keep keep = Keep::begin);
// Broken at blanks into lines of at most `width` pixels; a longer word is cut, at one letter at the least. Of
// more than `most` lines the last ends in "...".
std::vector<std::string> wrapped(std::string_view text, double width, const Lettering& letters,
                                 size_t most = 100);

}  // namespace advf
