// Bytes of rows that were moved: none stay in the file, and those that other programs left are told and
// overwritten.
#define BOOST_TEST_MODULE store_remains
#include <sqlite3.h>

#include "advface/store/tidy_vfs.h"
#include "fresh_store.h"

using namespace advf;
using namespace advf::test;

namespace {

// Pages of the file whose gaps hold something.
int64_t dirty_pages(const std::string& path) {
  const std::string bytes = read_bytes(path);
  const size_t size = size_t(uint8_t(bytes[16])) << 8 | uint8_t(bytes[17]);  // file format, 1.3
  int64_t dirty = 0;
  for (size_t at = 0; at + size <= bytes.size(); at += size) {
    const auto page = std::as_bytes(std::span(bytes).subspan(at, size));
    const PageGap gap = gap_of_page(page, at == 0);
    const auto remains = page.subspan(gap.begin, gap.end - gap.begin);
    dirty += std::ranges::any_of(remains, [](std::byte b) { return b != std::byte(0); });
  }
  return dirty;
}

// People in several sets, come and gone in small steps, so that pages are split in their middles.
void come_and_go(Store& store, std::vector<StoredSet>& sets, uint64_t seed) {
  const Philox rng{seed, 1};
  std::vector<std::vector<std::string>> there(sets.size());
  int64_t next = 0;
  for (uint64_t step = 0; step < 400; ++step) {
    const size_t s = size_t(rng.below(4 * step, sets.size()));
    if (there[s].size() < 5 || rng.below(4 * step + 1, 3) > 0) {
      const int64_t n = 1 + int64_t(rng.below(4 * step + 2, 4)), number = store.reserve_numbers(sets[s], n);
      const auto some = people(next, n, number);
      store.add(sets[s], some_rows(n, seed + step), some);
      for (const StoredRecord& r : some) there[s].push_back(r.subject);
      next += n;
    } else {
      const size_t i = size_t(rng.below(4 * step + 3, there[s].size()));
      store.remove(sets[s].name, std::span(&there[s][i], 1));
      there[s].erase(there[s].begin() + std::ptrdiff_t(i));
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_stays_where_rows_were) {
  for (const uint64_t seed : {1, 2, 3}) {
    Fresh f;
    std::vector<StoredSet> sets{f.set};
    for (const char* name : {"b", "c", "d"})
      sets.push_back(f.store->begin_set(name, Generation::current, f.set));
    come_and_go(*f.store, sets, seed);
    f.store->forget();
    BOOST_TEST(dirty_pages(f.path) == 0);
    BOOST_TEST(f.store->problems().empty());
    f.store->database().copy_to(f.path + ".copy");
    BOOST_TEST(dirty_pages(f.path + ".copy") == 0);
  }
}

// As SQLite by itself leaves it.
BOOST_AUTO_TEST_CASE(remains_of_others_are_told_and_overwritten) {
  Fresh f;
  f.add(some_rows(200), 0);
  f.store->forget();
  const std::string copy = f.dir / "other.db";
  f.store->database().copy_to(copy);
  sqlite3* other = nullptr;
  BOOST_REQUIRE(sqlite3_open(copy.c_str(), &other) == SQLITE_OK);
  // A row in each gap between numbers: pages are split.
  std::string sql = "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);";
  for (int i = 0; i < 2000; ++i)
    sql += "INSERT OR IGNORE INTO t VALUES(" + std::to_string(i * 7919 % 100003) + ", randomblob(300));";
  sql += "PRAGMA wal_checkpoint(TRUNCATE);";
  BOOST_REQUIRE(sqlite3_exec(other, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(other);
  BOOST_TEST(dirty_pages(copy) > 0);
  Store store(copy, Access::write);
  const auto told = store.problems();
  BOOST_REQUIRE(told.size() == 1u);
  BOOST_TEST(told[0].find("remains of rows that were moved") != std::string::npos, told[0]);
  BOOST_TEST(store.database().overwrite_remains());
  BOOST_TEST((dirty_pages(copy) == 0 && store.problems().empty()));
  BOOST_TEST(store.database().number("SELECT count(*) FROM t") > 1900);
  BOOST_TEST(same_bits(store.feature(store.set("default"), 7), some_rows(200).slice_batch(7, 8)));
}

BOOST_AUTO_TEST_CASE(gaps_of_pages) {
  std::vector<std::byte> page(512, std::byte(0xAA));
  const auto set = [&](size_t at, int value) { page[at] = std::byte(value); };
  set(0, 13), set(3, 0), set(4, 2), set(5, 1), set(6, 0);  // a leaf of two cells, which begin at 256
  PageGap gap = gap_of_page(page, false);
  BOOST_TEST((gap.begin == 8 + 4 && gap.end == 256));
  set(0, 5);
  BOOST_TEST(gap_of_page(page, false).begin == 12u + 4u);
  for (const int type : {0, 1, 3, 255}) {
    set(0, type);
    gap = gap_of_page(page, false);
    BOOST_TEST(gap.begin == gap.end);
  }
  set(0, 13), set(3, 1);  // more cells than there is room for
  BOOST_TEST(gap_of_page(page, false).end == 0u);
  set(3, 0), set(5, 200);  // beyond the page
  BOOST_TEST(gap_of_page(page, false).end == 0u);
  set(100, 13), set(103, 0), set(104, 0), set(105, 2), set(106, 0);  // the first page, empty
  gap = gap_of_page(page, true);
  BOOST_TEST((gap.begin == 108 && gap.end == 512));
  BOOST_TEST(gap_of_page(std::span(page).first(300), false).end == 0u);
}
