#include "advface/text_file.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "tensor/check.h"
#include "tensor/io/input_file.h"

namespace advf {

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    lines.push_back(line);
  }
  return lines;
}

std::vector<std::string_view> split_fields(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  for (;;) {
    const size_t end = line.find(separator);
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

std::string read_text(const std::string& path) {
  const auto bytes = read_file(path, uint64_t(256) << 20);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_safe_relative_path(std::string_view name) {
  if (name.empty() || name.size() > 4096) return false;
  if (std::any_of(name.begin(), name.end(), [](char c) { return uint8_t(c) < 32 || c == 127 || c == '\\'; }))
    return false;
  // An empty part is a leading, doubled or trailing slash.
  const auto parts = split_fields(name, '/');
  return std::none_of(parts.begin(), parts.end(),
                      [](std::string_view part) { return part.empty() || part == "." || part == ".."; });
}

bool parse_number(std::string_view text, int& out) {
  if (text.empty() || text.size() > 9 || text[0] < '0' || text[0] > '9') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string> parse_name_list(std::string_view text, const std::string& file) {
  std::vector<std::string> names;
  std::unordered_set<std::string_view> seen;
  for (const std::string_view line : split_lines(text)) {
    const size_t number = names.size() + 1;
    check(is_safe_relative_path(line), file, ":", number, ": \"", line,
          "\" is not a relative path below the folder");
    check(seen.insert(line).second, file, ":", number, ": ", line, " stands twice in the list");
    names.emplace_back(line);
  }
  check(!names.empty(), file, ": names no files");
  return names;
}

std::vector<std::string> read_name_list(const std::string& path) {
  return parse_name_list(read_text(path), path);
}

}  // namespace advf
