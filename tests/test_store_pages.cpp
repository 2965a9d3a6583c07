// The pages of a table as a search reads them, beside SQLite's own answers.
#define BOOST_TEST_MODULE store_pages
#include <cstring>
#include <numeric>

#include "advface/store/set_scan.h"
#include "advface/store/table_pages.h"
#include "fresh_store.h"
#include "tensor/rng.h"

using namespace advf;
using namespace advf::test;

// A search reads the file's own pages where it sees the file alone, and asks SQLite where it does not: what
// both find is the same, whatever lies between the rows.
BOOST_AUTO_TEST_CASE(pages_and_statements_give_the_same_rows) {
  Fresh f;
  f.add(some_rows(1500), 0);
  std::vector<std::string> gone;
  for (int64_t i = 3; i < 1500; i += i % 7 + 2) gone.push_back(subject(i));
  f.store->remove("default", gone);
  const StoredSet other = f.store->begin_set("other", Generation::current, f.set);
  f.store->reserve_numbers(other, 1500);
  f.store->add(other, some_rows(1500, 9), people(0, 1500, 0));
  f.store->forget();
  f.store->remove("other", std::vector{subject(4)});
  const auto rows_of = [&](Database& database, int64_t begin, int64_t end) {
    std::vector<std::pair<int64_t, std::string>> rows;
    const Transaction one_moment(database, Transaction::Kind::read);
    database.number("SELECT count(*) FROM events");
    database.for_each_blob(
        "features", "feature", 4 * kDimension, begin, end, [&](int64_t id, std::span<const std::byte> row) {
          rows.emplace_back(id, std::string(reinterpret_cast<const char*>(row.data()), row.size()));
        });
    return rows;
  };
  const int64_t first = row_id(f.set.id, 0);
  const std::vector<std::pair<int64_t, int64_t>> ranges = {
      {first, row_id(other.id + 1, 0)}, {first + 700, first + 900},
      {first + 1499, first + 1501},     {first + 5, first + 5},
      {first + 6, first + 7},           {row_id(other.id, 1400), row_id(other.id + 7, 0)}};
  BOOST_TEST(std::filesystem::file_size(f.path + "-wal") > 0u);
  std::vector<std::vector<std::pair<int64_t, std::string>>> by_statement, by_pages;
  for (const auto& [begin, end] : ranges) by_statement.push_back(rows_of(f.store->database(), begin, end));
  BOOST_TEST(f.store->database().erase_removed());
  BOOST_TEST(std::filesystem::file_size(f.path + "-wal") == 0u);
  for (const auto& [begin, end] : ranges) by_pages.push_back(rows_of(f.store->database(), begin, end));
  BOOST_TEST(by_statement[0].size() == 1500u - gone.size() + 1499u);
  BOOST_TEST((by_statement == by_pages));
  BOOST_TEST((by_pages[3].empty() && by_pages[2].size() <= 1u));
  // Nobody moves anything into the file that a search reads while it reads.
  auto readers = f.store->database().readers(1);
  f.store->remove("other", std::vector{subject(5), subject(6)});
  std::vector<int64_t> seen;
  readers[0]->for_each_blob("features", "feature", 4 * kDimension, row_id(other.id, 0),
                            row_id(other.id + 1, 0),
                            [&](int64_t id, std::span<const std::byte>) { seen.push_back(id); });
  BOOST_TEST(seen.size() == 1499u);
}

// A row that is not where it was, or twice: no answer of what is left.
BOOST_AUTO_TEST_CASE(a_search_tells_rows_that_are_lost) {
  Fresh f;
  f.add(some_rows(50), 0);
  BOOST_TEST(f.store->database().erase_removed());
  const std::string good = read_bytes(f.path), row = bytes_of_row(some_rows(50), 7);
  const size_t at = good.find(row);
  BOOST_REQUIRE(at != std::string::npos);
  f.store.reset();
  for (const int back : {6, 5, 7, 8}) {  // the row's number, among what stands before it
    std::string bad = good;
    bad[at - size_t(back)] = char(bad[at - size_t(back)] ^ 1);
    write_bytes(f.path, bad);
    Store store(f.path, Access::read);
    try {
      const auto found = nearest_in_set(store, store.set("default"), some_rows(50).slice_batch(7, 8), 1);
      BOOST_TEST(found[0][0].row == 7);
    } catch (const Error&) {
    }
  }
  write_bytes(f.path, good);
  Store store(f.path, Access::write);
  store.database().execute("DELETE FROM features WHERE id % 1024 = 7");
  refused([&] { nearest_in_set(store, store.set("default"), some_rows(1), 1); },
          {"49 records where 50 are counted"});
}

// Rows that do not fit into a page lie in several, which SQLite puts together.
BOOST_AUTO_TEST_CASE(rows_of_more_than_a_page) {
  Fresh f;
  SetDescription of = f.set;
  of.dimension = 9000;
  of.raw.row = {9000};
  const StoredSet wide = f.store->begin_set("wide", Generation::current, of);
  const Tensor rows = randn({20, 9000}, 4, DType::f32);
  f.store->reserve_numbers(wide, 20);
  f.store->add(wide, rows, people(0, 20, 0));
  BOOST_TEST(f.store->database().erase_removed());
  const auto found = nearest_in_set(*f.store, f.store->set("wide"), rows.slice_batch(7, 8), 2);
  BOOST_TEST((found[0][0].row == 7 && found[0][0].score > 0.999f && found[0][1].score < 0.2f));
}

// Any bytes of a page: an Error or rows, never a crash.
BOOST_AUTO_TEST_CASE(damaged_pages_of_a_table) {
  Fresh f;
  f.add(some_rows(900), 0);
  BOOST_TEST(f.store->database().erase_removed());
  const std::string good = read_bytes(f.path);
  int64_t root = 0;
  {
    Statement page(f.store->database(), "SELECT rootpage FROM sqlite_master WHERE name = 'features'");
    BOOST_REQUIRE(page.step());
    root = page.number(0);
  }
  const auto count = [&](const std::string& bytes) {
    TablePages pages;
    pages.page_bytes = 32768;
    pages.count = int64_t(bytes.size() / 32768);
    pages.path = "bytes";
    pages.read = [&](int64_t first, std::span<std::byte> to) {
      std::memcpy(to.data(), bytes.data() + (first - 1) * 32768, to.size());
    };
    int64_t rows = 0;
    pages.rows(root, 0, row_id(f.set.id + 1, 0), [&](int64_t, std::span<const std::byte> row) {
      rows +=
          std::accumulate(row.begin(), row.end(), 0, [](int sum, std::byte b) { return sum + int(b); }) >= 0;
    });
    return rows;
  };
  BOOST_TEST(count(good) == 900);
  const Philox rng{23, 2};
  int refusals = 0;
  for (uint64_t i = 0; i < 600; ++i) {
    std::string bad = good;
    for (uint64_t k = 0; k <= rng.below(5 * i, 3); ++k) {
      const size_t page =
          i % 3 == 0 ? size_t(root - 1) * 32768 : rng.below(31 * i + k, bad.size() / 32768) * 32768;
      bad[page + rng.below(7919 * i + k + 1, i % 2 == 0 ? 40 : 32768)] = char(rng.bits(4 * (104729 * i + k)));
    }
    try {
      count(bad);
    } catch (const DamagedDatabase&) {
      ++refusals;
    }
  }
  BOOST_TEST(refusals > 20);
}
