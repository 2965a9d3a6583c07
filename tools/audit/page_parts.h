// The parts of a page: tables, numbers, its style and its script.
#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/io/image.h"
#include "tensor/io/svg.h"

namespace advf::tools {

// What is stored, as a picture: a cell a value; blue below zero, orange above.
Image cells_of(std::span<const float> values, int64_t across);
// As people read a list of JSON: "epochs 8, images 24".
std::string without_brackets(const nlohmann::json& value);
// "0.512 [0.480, 0.540]"; "-" of nothing.
std::string figure_number(const nlohmann::json& value, int digits = 3);
// In cells of tables: a long name may break, a number with its interval does not.
std::string measure_html(const std::string& name);
std::string number_html(const nlohmann::json& value, int digits = 3);
extern const char* const kPageStyle;
extern const char* const kPageScript;

// A table of texts that are HTML already. caption: what it shows.
class HtmlTable {
 public:
  HtmlTable(std::string caption, std::vector<std::string> head, std::string css = "");
  void add(const std::vector<std::string>& cells);
  // Values by which a script sorts a cell, where the text does not tell.
  void add(const std::vector<std::string>& cells, const std::vector<std::string>& keys);
  std::string html() const;
  bool empty() const { return rows_.empty(); }

 private:
  std::string caption_, css_, rows_;
  std::vector<std::string> head_;
};

// Which figure of a report speaks to which duty of who is responsible for data protection.
std::string duties_html();

}  // namespace advf::tools
