// JSON that comes from outside: settings, cards, reports, exchanged sets.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace advf {

// Throws Error that begins with `source` where the text is UTF-16, or no JSON (with line and column), or an
// object of it has a key twice: readers differ in which of both counts, and one is not what was meant. The
// message has the way to the key. comments: // and /* */ may stand between.
nlohmann::json parse_json(std::string_view text, const std::string& source, bool comments = false);

}  // namespace advf
