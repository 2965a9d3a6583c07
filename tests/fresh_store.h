// For tests of a store as a library: one of some people whose rows are known.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "advface/store/new_database_file.h"
#include "advface/store/sqlite_database.h"
#include "advface/store/store.h"
#include "file_test_util.h"
#include "method_test_util.h"

namespace advf::test {

using Access = Database::Access;
inline constexpr int64_t kDimension = 24;

inline Tensor some_rows(int64_t n, uint64_t seed = 3) { return randn({n, kDimension}, seed, DType::f32); }

inline std::string subject(int64_t i) { return "person " + std::to_string(i * 7919 % 100003); }

inline std::vector<StoredRecord> people(int64_t first, int64_t n, int64_t number) {
  std::vector<StoredRecord> list(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    list[size_t(i)] = {number + i, subject(first + i), "photo.jpg", "", "", fresh_salt()};
  return list;
}

// A store with a set of raw features, so that rows are what they are.
struct Fresh {
  explicit Fresh(RowType rows = RowType::f32) {
    Store::create(path);
    store.emplace(path, Access::write);
    set = store->begin_set("default", Generation::current,
                           {{"c0ffee0123456789", "embedding", {}, "feed0123456789ab"},
                            {{kDimension}, FeatureDomain::real},
                            kDimension,
                            rows});
  }
  // People [first, first + n), with the rows of `rows`.
  void add(const Tensor& rows, int64_t first) {
    const int64_t number = store->reserve_numbers(set, rows.dim(0));
    store->add(set, rows, people(first, rows.dim(0), number));
  }
  TempDir dir;
  std::string path = dir / "people.db";
  std::optional<Store> store;
  StoredSet set;
};

inline std::string bytes_of_row(const Tensor& rows, int64_t i) {
  return {reinterpret_cast<const char*>(rows.data<float>() + i * kDimension), kDimension * sizeof(float)};
}

// Whether these bytes stand anywhere in the file, or in what SQLite keeps beside it.
inline bool is_anywhere(const std::string& path, const std::string& bytes) {
  for (const char* end : {"", "-wal", "-shm", "-journal"})
    if (std::filesystem::exists(path + end) && read_bytes(path + end).find(bytes) != std::string::npos)
      return true;
  return false;
}

}  // namespace advf::test
