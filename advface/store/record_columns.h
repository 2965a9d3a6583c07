// How statements of Store give what is told of a record: for its own files alone.
#pragma once
#include "advface/store/store.h"

namespace advf {

constexpr const char* kRecordColumns = "SELECT id, subject, photograph, quality, created, salt FROM records ";

inline StoredRecord read_record(const Statement& row) {
  return {number_of_row(row.number(0)), row.text(1), row.text(2), row.text(3), row.text(4), row.number(5)};
}

}  // namespace advf
