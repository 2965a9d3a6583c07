// How statements of Store give what is told of a record: for its own files alone.
#pragma once
#include <algorithm>

#include "advface/store/store.h"
#include "tensor/check.h"

namespace advf {

inline constexpr int kNumberBits = 40;  // of a row's id; the set has the others
inline constexpr int64_t kMostNumbers = int64_t(1) << kNumberBits;

constexpr const char* kRecordColumns =
    "SELECT id, subject, photograph, quality, created, salt, mean_of FROM records ";

inline StoredRecord read_record(const Statement& row) {
  return {number_of_row(row.number(0)),
          row.text(1),
          row.text(2),
          row.text(3),
          row.text(4),
          row.number(5),
          row.number(6)};
}

// "12" or "12 to 40"; names of people stay out of the log, which keeps what it has.
inline std::string numbers_text(std::span<const StoredRecord> records) {
  if (records.empty()) return "";
  int64_t low = records[0].number, high = low;
  for (const StoredRecord& r : records) low = std::min(low, r.number), high = std::max(high, r.number);
  return low == high ? std::to_string(low) : std::to_string(low) + " to " + std::to_string(high);
}

// What the digest of an event "add" is of, a line for each record.
inline std::string bound_by_event(int64_t number, int64_t salt) {
  return std::to_string(number) + " " + std::to_string(salt) + "\n";
}

// Under another salt a record turns its own person away, which would look like a decision.
inline void check_salt(const StoredSet& set, const std::string& path, int64_t number, int64_t checksum,
                       int64_t salt, int64_t bound) {
  check(bound == bound_salt(checksum, salt), path, " is damaged: the salt of record ", number, " of the set ",
        set.name,
        " was changed, so that it would turn its own person away; a backup has what was there, or "
        "remove that record and add the person again");
}

// What is asked for piece by piece, from a number on, comes in the order of numbers; in a damaged file it may
// not, and would come again for ever.
template <class T>
void check_in_order(const std::vector<T>& piece, int64_t from, const std::string& path) {
  for (const T& item : piece) {
    check(item.number >= from, path, " is damaged: ", item.number, " comes after ", from - 1,
          "; advface-store check says more, and a backup has what was there");
    from = item.number + 1;
  }
}

}  // namespace advf
