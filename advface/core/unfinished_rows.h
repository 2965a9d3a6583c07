// Rows that one long pass makes, kept while it goes on, so that after a kill or on a full disk the same call
// goes on with them: one line of JSON, which says what the rows are, and behind it the rows as they are in
// memory, f32. A row that is not whole is none. One process at a time works on such a file.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "advface/protections/protection_id.h"
#include "tensor/io/append_file.h"
#include "tensor/tensor.h"

namespace advf {

// What rows are made: of which, and how they are protected then.
struct RowsToMake {
  std::string source;  // FeatureRows::sample_hash() of those that they are made of
  ProtectionId protection;
  bool operator==(const RowsToMake&) const = default;
};

class UnfinishedRows {
 public:
  // Opens the file with what an earlier call left, or makes it. `row`: shape of one. Throws Error where
  // another process works on it, and for a file that is something else.
  UnfinishedRows(const std::string& path, const Shape& row);
  ~UnfinishedRows();  // a file that holds nothing goes again
  UnfinishedRows(const UnfinishedRows&) = delete;
  UnfinishedRows& operator=(const UnfinishedRows&) = delete;

  const std::string& path() const { return file_->path(); }
  const Shape& row() const { return row_; }
  // What was begun; empty in a new file, to which begin() comes before append().
  const std::optional<RowsToMake>& begun() const { return begun_; }
  void begin(const RowsToMake& what);
  int64_t count() const { return count_; }  // rows that are whole
  void cut_back(int64_t count);             // to the first so many
  // (n, row...) f32, on the disk when it returns. Throws Error where the disk is full; the rows before stay.
  void append(const Tensor& rows);
  Tensor range(int64_t begin, int64_t end) const;  // (end - begin, row...) in host memory
  void remove();                                   // the file; nothing can be done with it afterwards

 private:
  void lock(const std::string& path);
  void read_head();
  uint64_t place_of(int64_t row) const { return head_bytes_ + uint64_t(row) * row_bytes_; }

  std::unique_ptr<AppendFile> file_;
  Shape row_;
  uint64_t row_bytes_, head_bytes_ = 0;
  std::optional<RowsToMake> begun_;
  int64_t count_ = 0;
};

}  // namespace advf
