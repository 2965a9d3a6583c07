// Numbers at their limits, in files that somebody has changed: an Error or an answer, and no sum that
// overflows (the sanitizers look).
#include <boost/test/unit_test.hpp>
#include <limits>

#include "fresh_store.h"
#include "store_questions.h"

using namespace advf;
using namespace advf::test;

namespace {

struct Place {
  std::string table, column;
};

// The columns of whole numbers, of every table of a store.
std::vector<Place> whole_numbers(Database& database) {
  std::vector<Place> list;
  Statement tables(database,
                   "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'");
  while (tables.step()) {
    const std::string table = tables.text(0);
    Statement columns(database, "SELECT name FROM pragma_table_info('" + table + "') WHERE type = 'INTEGER'");
    while (columns.step()) list.push_back({table, columns.text(0)});
  }
  return list;
}

// A store of some people with scores; a second set, so that rows of two lie in one table.
void fill(Fresh& f) {
  const Tensor rows = some_rows(12);
  f.add(rows, 0);
  score_all_pairs(rows, rows, std::vector<int64_t>{0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5})
      .write(*f.store, f.set);
  f.set = f.store->begin_set("other", Generation::current, f.set);
  f.add(some_rows(12, 5), 20);
  f.store->remove("other", std::vector<std::string>{subject(22)});
  f.store->forget();
}

// Whether all was answered.
bool ask(const std::string& path, Access access) {
  try {
    Store store(path, access, Patience{.seconds = 1});
    ask_everything(store, some_rows(1), access == Access::write);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Asks copies of the file in which `sql` was done.
int asked_after(const std::string& good, const std::string& sql) {
  int answered = 0;
  for (const Access access : {Access::read, Access::write}) {
    const TempDir dir;
    const std::string path = dir / "people.db";
    std::filesystem::copy_file(good, path);
    {
      Store store(path, Access::write);
      try {
        store.database().execute(sql);
      } catch (const Error&) {  // two rows cannot have one number, and some values are not taken
        continue;
      }
    }
    answered += ask(path, access);
  }
  return answered;
}

}  // namespace

BOOST_AUTO_TEST_CASE(numbers_at_their_limits) {
  Fresh f;
  fill(f);
  const std::string good = f.dir / "good.db";
  f.store->database().copy_to(good);
  BOOST_REQUIRE(ask(good, Access::read));
  const std::vector<Place> places = whole_numbers(f.store->database());
  BOOST_TEST(places.size() > 10);
  for (const Place& p : places)
    for (const char* value :
         {"9223372036854775807", "-9223372036854775808", "-1", "0", "1099511627775", "9007199254740993"})
      for (const char* which : {"max", "min"}) {
        const std::string of = "(SELECT " + std::string(which) + "(" + p.column + ") FROM " + p.table + ")";
        BOOST_TEST_CONTEXT(p.table << "." << p.column << " = " << value)
        asked_after(good, "UPDATE " + p.table + " SET " + p.column + " = " + value + " WHERE " + p.column +
                              " = " + of);
      }
}

// What events tell is read by check; it is text, in which anything can stand.
BOOST_AUTO_TEST_CASE(numbers_in_what_events_tell) {
  Fresh f;
  fill(f);
  const std::string good = f.dir / "good.db";
  f.store->database().copy_to(good);
  for (const char* number :
       {"9223372036854775807", "-9223372036854775808", "99999999999999999999", "-1", "0"})
    for (const char* begin : {"", "1 record: ", "12 records: 0 to "}) {
      const std::string text = begin + std::string(number);
      for (const std::string& detail : {text, text + " to " + number, text + " to 11, sha256:00"})
        for (const char* what : {"add", "remove"})
          asked_after(good, "UPDATE events SET detail = '" + detail + "' WHERE what = '" + what + "'");
    }
}
