// The text files of data sets: lines with numbers for messages, and lists of file names.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace advf {

// What editors and spreadsheets leave around a text: white space of any kind, and characters that
// take no room. Names are compared without them, everywhere.
std::string_view trimmed(std::string_view text);
// Throws Error naming the file where the text is UTF-16 or holds zero bytes.
void check_utf8(std::string_view text, const std::string& file);
// The same, and runs of blanks inside, of any kind, are one space.
std::string single_spaced(std::string_view text);
bool is_utf8(std::string_view text);
// Lines, trimmed, ended by LF, CRLF or CR, behind a byte order mark or not. Blank lines at the end do not
// count; an empty text has no lines. Throws as check_utf8() does.
std::vector<std::string_view> split_lines(std::string_view text, const std::string& file);
// Fields, trimmed.
std::vector<std::string_view> split_fields(std::string_view line, char separator);
// The fields of a line of CSV (RFC 4180), trimmed: a field in double quotes may hold commas, and quotes
// doubled. Throws Error that begins with `where` for a quote that is not closed on its line or stands in the
// middle of a field.
std::vector<std::string> split_csv(std::string_view line, const std::string& where);

// A CSV with the names of its columns in the first line. Blank lines do not count; every row has a field for
// each column. Throws Error naming file and line.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};
Table parse_table(std::string_view text, const std::string& file);

// The field as CSV needs it: in quotes where it holds a comma or a quote.
std::string csv_field(const std::string& text);

// Names with commas between them, as a line of CSV has them, and the same again. Throws Error that begins
// with `where` for one that is empty, no UTF-8, or stands twice.
std::vector<std::string> parse_names(std::string_view text, const std::string& where);
std::string names_text(const std::vector<std::string>& names);

// At most 256 MiB.
std::string read_text(const std::string& path);

// Whether a name read from a file stays below the folder it is meant for, and can be written to a list and
// read again: relative, not empty, without "..", control characters or backslashes, nor blanks around it.
bool is_safe_relative_path(std::string_view name);

// A whole number without sign, of at most nine digits; false for anything else.
bool parse_number(std::string_view text, int& out);

// One relative path per line. Throws Error with file and line for an unsafe, empty or repeated name.
std::vector<std::string> parse_name_list(std::string_view text, const std::string& file);
std::vector<std::string> read_name_list(const std::string& path);

}  // namespace advf
