// The text files of data sets: lines with numbers for messages, and lists of file names.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace advf {

// Lines without their ends (LF or CRLF). A last line without an end counts; an empty text has no lines.
std::vector<std::string_view> split_lines(std::string_view text);
std::vector<std::string_view> split_fields(std::string_view line, char separator);

// At most 256 MiB.
std::string read_text(const std::string& path);

// Whether a name read from a file stays below the folder it is meant for: relative, not empty, without "..",
// control characters or backslashes.
bool is_safe_relative_path(std::string_view name);

// A whole number without sign, of at most nine digits; false for anything else.
bool parse_number(std::string_view text, int& out);

// One relative path per line. Throws Error with file and line for an unsafe, empty or repeated name.
std::vector<std::string> parse_name_list(std::string_view text, const std::string& file);
std::vector<std::string> read_name_list(const std::string& path);

}  // namespace advf
