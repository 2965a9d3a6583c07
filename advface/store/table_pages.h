// Rows of a table read from the pages of SQLite's file as they lie there: a search compares a row in less
// time than SQLite takes to hand it out (docs/benchmarks.md). For tables of a number and a BLOB, each row of
// which fits into a page (https://www.sqlite.org/fileformat2.html, "B-tree Pages" and "Record Format").
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace advf {

struct TablePages {
  // Reads whole pages, the first of which has this number (from 1).
  using Read = std::function<void(int64_t first, std::span<std::byte> to)>;
  using Take = std::function<void(int64_t id, std::span<const std::byte> blob)>;

  Read read;
  size_t page_bytes = 0;
  int64_t count = 0;  // of the file's pages
  std::string path;   // for errors

  // Rows with begin <= id < end of the table whose root that page is, in order; a row is valid up to the end
  // of its call. Throws DamagedDatabase for what is no such table.
  void rows(int64_t root, int64_t begin, int64_t end, const Take& take) const;
};

// Whether rows of so many bytes lie in pages of so many.
bool fits_into_page(size_t row_bytes, size_t page_bytes);

}  // namespace advf
