// Values on their way to a PostgreSQL server and back.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "advface/store/database.h"
#include "advface/store/libpq.h"

namespace advf {

// Of the parameters of a statement: numbers as text, so that the server may take them for what it compares
// them with, and bytes as they are.
class BoundValues {
 public:
  void set(int at, const SqlValue& value);
  int count() const { return int(values_.size()); }
  const char* const* pointers() const { return pointers_.data(); }
  const int* lengths() const { return lengths_.data(); }
  const int* formats() const { return formats_.data(); }

 private:
  std::vector<std::optional<std::string>> values_;
  std::vector<const char*> pointers_;
  std::vector<int> lengths_, formats_;
};

// Rows as COPY ... (FORMAT binary) has them
// (https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format").
class CopyRows {
 public:
  explicit CopyRows(size_t columns);
  void add(std::span<const SqlValue> values);
  void end();
  const std::string& bytes() const { return bytes_; }
  void clear() { bytes_.clear(); }

 private:
  size_t columns_;
  std::string bytes_;
};

// Of a result in binary. A number may be of any of the server's types of whole numbers.
int64_t number_in(const PGresult* result, int row, int column);
double real_in(const PGresult* result, int row, int column);
std::span<const std::byte> bytes_in(const PGresult* result, int row, int column);

// What libpq says, without its line ends.
std::string one_line(const char* said);

}  // namespace advf
