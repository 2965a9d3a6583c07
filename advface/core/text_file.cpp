#include "advface/core/text_file.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "tensor/check.h"
#include "tensor/io/input_file.h"

namespace advf {

namespace {

// Unicode's white space, and what takes no room at all (zero-width spaces and marks, the byte order mark), in
// UTF-8: how many bytes of it the text begins with, or ends with; 0 for none.
size_t blank_bytes(std::string_view text, bool at_end) {
  const auto piece = [&](size_t n) {
    return at_end ? text.substr(text.size() - std::min(n, text.size())) : text.substr(0, n);
  };
  if (const std::string_view one = piece(1);
      !one.empty() && std::string_view(" \t\r\n\f\v").find(one) != std::string_view::npos)
    return 1;
  for (const char* two : {"\xc2\x85", "\xc2\xa0", "\xc2\xad"})  // next line, no-break space, soft hyphen
    if (piece(2) == two) return 2;
  const std::string_view three = piece(3);
  if (three.size() < 3) return 0;
  for (const char* blank :
       {"\xe1\x9a\x80", "\xe1\xa0\x8e", "\xe2\x81\x9f", "\xe2\x81\xa0", "\xe3\x80\x80", "\xef\xbb\xbf"})
    if (three == blank) return 3;  // U+1680, U+180E, U+205F, U+2060, U+3000, U+FEFF
  // U+2000 to U+200F, U+2028 to U+202F
  const uint8_t last = uint8_t(three[2]);
  return three.starts_with("\xe2\x80") && ((last >= 0x80 && last <= 0x8f) || (last >= 0xa8 && last <= 0xaf))
             ? 3
             : 0;
}

std::string_view without_blanks_before(std::string_view text) {
  while (const size_t n = blank_bytes(text, false)) text.remove_prefix(n);
  return text;
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  text = without_blanks_before(text);
  while (const size_t n = blank_bytes(text, true)) text.remove_suffix(n);
  return text;
}

std::string single_spaced(std::string_view text) {
  std::string out;
  for (text = trimmed(text); !text.empty();) {
    if (const size_t blank = blank_bytes(text, false)) {
      text = without_blanks_before(text);
      out += ' ';
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return k < text.size() ? uint32_t(uint8_t(text[k])) : 0u; };
    const uint32_t first = byte(i);
    const size_t n = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (n == 0) return false;
    uint32_t code = n == 1 ? first : first & (0x7fu >> n);
    for (size_t k = 1; k < n; ++k) {
      if (byte(i + k) >> 6 != 2) return false;
      code = code << 6 | (byte(i + k) & 0x3f);
    }
    constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // no longer than need be, no surrogates
    if (code < kLeast[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    i += n;
  }
  return true;
}

void check_utf8(std::string_view text, const std::string& file) {
  check(!text.starts_with("\xff\xfe") && !text.starts_with("\xfe\xff") &&
            text.find('\0') == std::string_view::npos,
        file, ": is UTF-16 or no text; save it as UTF-8");
}

std::vector<std::string_view> split_lines(std::string_view text, const std::string& file) {
  check_utf8(text, file);
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of("\r\n"), text.size());
    lines.push_back(trimmed(text.substr(0, end)));
    text.remove_prefix(end);
    text.remove_prefix(text.starts_with("\r\n") ? 2 : std::min<size_t>(1, text.size()));
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

std::vector<std::string_view> split_fields(std::string_view line, char separator) {
  std::vector<std::string_view> fields;
  for (;;) {
    const size_t end = line.find(separator);
    fields.push_back(trimmed(line.substr(0, end)));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

std::vector<std::string> split_csv(std::string_view line, const std::string& where) {
  std::vector<std::string> fields;
  for (;;) {
    std::string field;
    std::string_view rest = without_blanks_before(line);
    if (rest.starts_with('"')) {
      for (rest.remove_prefix(1);; rest.remove_prefix(1)) {
        check(!rest.empty(), where, ": a quote is not closed on its line");
        if (rest.starts_with("\"\""))
          rest.remove_prefix(1);
        else if (rest.starts_with('"'))
          break;
        field += rest.front();
      }
      rest.remove_prefix(1);
      const size_t end = std::min(rest.find(','), rest.size());
      check(trimmed(rest.substr(0, end)).empty(), where, ": text behind a closing quote");
      rest.remove_prefix(end);
    } else {
      const size_t end = std::min(rest.find(','), rest.size());
      field = rest.substr(0, end);
      check(field.find('"') == std::string::npos, where,
            ": a quote in the middle of a field; quote the whole field and double the quotes in it");
      rest.remove_prefix(end);
    }
    fields.emplace_back(trimmed(field));
    if (rest.empty()) return fields;
    line = rest.substr(1);
  }
}

Table parse_table(std::string_view text, const std::string& file) {
  const std::vector<std::string_view> lines = split_lines(text, file);
  check(!lines.empty(), file, ": is empty; a line with the names of the columns is needed");
  Table table{split_csv(lines[0], file + ", line 1"), {}};
  for (size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    const std::string where = file + ", line " + std::to_string(i + 1);
    table.rows.push_back(split_csv(lines[i], where));
    check(table.rows.back().size() == table.columns.size(), where, ": ", table.rows.back().size(),
          " fields, but ", table.columns.size(), " columns");
  }
  return table;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

std::vector<std::string> parse_names(std::string_view text, const std::string& where) {
  const std::vector<std::string> names = split_csv(text, where);
  for (size_t i = 0; i < names.size(); ++i) {
    check(!names[i].empty(), where, ": a name is empty in \"", text, "\"");
    check(is_utf8(names[i]), where, ": a name is not UTF-8");
    check(std::find(names.begin(), names.begin() + std::ptrdiff_t(i), names[i]) ==
              names.begin() + std::ptrdiff_t(i),
          where, ": ", names[i], " is named twice");
  }
  return names;
}

std::string names_text(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + csv_field(name);
  return text;
}

std::string read_text(const std::string& path) {
  const auto bytes = read_file(path, uint64_t(256) << 20);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_safe_relative_path(std::string_view name) {
  if (name.empty() || name.size() > 4096 || trimmed(name) != name) return false;
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
  for (const std::string_view line : split_lines(text, file)) {
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
