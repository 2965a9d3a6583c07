// Names of people in several spellings.
#pragma once
#include <string>
#include <string_view>

namespace advf {

// What two spellings of one name have in common: its small letters, their marks, and digits, without blanks
// and punctuation. An accent is the same as one code point with its letter and as one behind it (Unicode's
// composed and decomposed forms, UAX 15), but it does not go: Muller and Müller are two people.
//
// Known are the letters of Latin-1, Latin Extended-A and Additional, those of Extended-B that Pinyin,
// Romanian and Vietnamese take, Greek with one accent, Cyrillic, and Armenian. A letter beyond them is like
// itself alone. In a text that is no UTF-8 only letters of ASCII are made small.
std::string plain_spelling(std::string_view name);

}  // namespace advf
