// JSON that comes from outside: settings, cards, reports, exchanged sets.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace advf {

// Of what is nested deeper nobody's file is; and who writes or destroys such a value may run out of stack.
inline constexpr int kDeepestJson = 64;

// Throws Error that begins with `source` where the text is UTF-16, or no JSON (with line and column), or
// nested deeper than kDeepestJson, or an object of it has a key twice: readers differ in which of both
// counts, and one is not what was meant. The message has the way to the key. comments: // and /* */ may stand
// between.
nlohmann::json parse_json(std::string_view text, const std::string& source, bool comments = false);
// The value; is_discarded() where the text is no JSON, or nested deeper.
nlohmann::json json_or_discarded(std::string_view text);

}  // namespace advf
