// Scores of single photographs, as advface-evaluate writes them with --scores.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace advf::tools {

// Tab-separated, with the names of its columns in the first line.
class ScoreTable {
 public:
  // Throws Error naming file and line where a line has not a field for each column.
  static ScoreTable read(const std::string& path);

  size_t size() const { return rows_.size(); }
  bool has(const std::string& column) const { return column_.contains(column); }
  const std::string& text(size_t row, const std::string& column) const;  // throws Error: no such column
  double number(size_t row, const std::string& column) const;

 private:
  std::string path_;
  std::map<std::string, size_t> column_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace advf::tools
