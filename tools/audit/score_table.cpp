#include "tools/audit/score_table.h"

#include <charconv>

#include "advface/core/text_file.h"
#include "tensor/check.h"

namespace advf::tools {

ScoreTable ScoreTable::read(const std::string& path) {
  ScoreTable table;
  table.path_ = path;
  const std::string text = read_text(path);
  for (const std::string_view line : split_lines(text, path)) {
    std::vector<std::string> fields;
    for (const std::string_view field : split_fields(line, '\t')) fields.emplace_back(field);
    if (table.column_.empty()) {
      for (size_t i = 0; i < fields.size(); ++i) table.column_[fields[i]] = i;
      continue;
    }
    check(fields.size() == table.column_.size(), path, ", line ", table.rows_.size() + 2, ": ", fields.size(),
          " fields, but ", table.column_.size(), " columns");
    table.rows_.push_back(std::move(fields));
  }
  return table;
}

const std::string& ScoreTable::text(size_t row, const std::string& column) const {
  const auto at = column_.find(column);
  check(at != column_.end(), path_, ": has no column ", column);
  return rows_[row][at->second];
}

double ScoreTable::number(size_t row, const std::string& column) const {
  const std::string& field = text(row, column);
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  check(error == std::errc() && end == field.data() + field.size(), path_, ", line ", row + 2, ": ", column,
        " is \"", field, "\", no number");
  return value;
}

}  // namespace advf::tools
