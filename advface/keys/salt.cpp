#include "advface/keys/key.h"

namespace advf {

// By hand: descriptions are read in a build without keys as well.
std::string to_text(const Salt& salt) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::byte b : salt) {
    text += kDigits[unsigned(b) >> 4];
    text += kDigits[unsigned(b) & 15];
  }
  return text;
}
bool from_text(std::string_view text, Salt& salt) {
  if (text.size() != 2 * salt.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'a' && c <= 'f')) return false;
    const unsigned value = unsigned(digit ? c - '0' : c - 'a' + 10);
    std::byte& out = salt[i / 2];
    out = std::byte(i % 2 == 0 ? value << 4 : unsigned(out) | value);
  }
  return true;
}
}  // namespace advf
