// Names of people in several spellings.
#pragma once
#include <string>
#include <string_view>

namespace advf {

// What two spellings of one name have in common: its small letters, their marks, and digits, without blanks
// and punctuation. An accent is the same as one code point with its letter and as one behind it (Unicode's
// composed and decomposed forms, UAX 15), but it does not go: Muller and Müller are two people. A vowel whose
// mark is written as an e or an a behind it where there is no such key is that, as are letters that are no
// other one with a mark: Müller is Mueller, Jørgensen Joergensen, Åse Aase, Straße Strasse, as passports have
// it (ICAO Doc 9303, part 3, section 6). Never the other way round, so that of names in ASCII nothing but
// capitals, blanks and punctuation goes: Michael stays apart from Michal.
//
// Full-width letters and digits, as keyboards of East Asia have them, are those of ASCII. Of a name that is a
// number alone zeros in front go, as spreadsheets take them: 007 is 7. Two numbers that follow each other
// stay apart, as in 1-11 and 11-1.
//
// Known are the letters of Latin-1, Latin Extended-A and Additional, those of Extended-B that Pinyin,
// Romanian and Vietnamese take, Greek with one accent, Cyrillic, and Armenian. A letter beyond them is like
// itself alone. In a text that is no UTF-8 only letters of ASCII are made small.
std::string plain_spelling(std::string_view name);

// What two names have in common that look alike: plain_spelling() with each Greek or Cyrillic letter that
// looks like a Latin one, as a capital or a small letter, in that one's place (of Unicode's confusables, UTS
// 39).
std::string look_of(std::string_view name);
// The alphabets that letters of a name are of, among Latin, Greek and Cyrillic: "Latin and Cyrillic".
std::string alphabets_of(std::string_view name);
// Whether letters of two of them stand in one word, which nobody's name has, but what is typed on two
// keyboards.
bool mixes_alphabets(std::string_view name);

// Whether a name stays within quotation marks, and all of it is seen: it holds no such mark itself, and no
// character that is not drawn or turns the order of reading (controls, blanks and joiners without width,
// marks of direction).
bool stays_within_quotes(std::string_view name);

// What two names have in common that may, but need not, be one person's: the same without marks (José, Jose),
// as they look, without zeros in front of numbers (person 7 and person_007, p7 and p07), and whatever the
// order of words (Smith, John and John_Smith), which is kept where the name has a digit.
std::string loose_spelling(std::string_view name);

}  // namespace advf
