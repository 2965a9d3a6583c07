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

// How many copies of the file in which `sql` was done, one to read and one to write, answer all, and how many
// do not.
struct Asked {
  int answered = 0, refused = 0;
  void operator+=(const Asked& more) { answered += more.answered, refused += more.refused; }
};
Asked asked_after(const std::string& good, const std::string& sql) {
  Asked asked;
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
    ++(ask(path, access) ? asked.answered : asked.refused);
  }
  return asked;
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
  Asked all;
  for (const Place& p : places)
    for (const char* value :
         {"9223372036854775807", "-9223372036854775808", "-1", "0", "1099511627775", "9007199254740993"})
      for (const char* which : {"max", "min"}) {
        const std::string of = "(SELECT " + std::string(which) + "(" + p.column + ") FROM " + p.table + ")";
        BOOST_TEST_CONTEXT(p.table << "." << p.column << " = " << value)
        all += asked_after(good, "UPDATE " + p.table + " SET " + p.column + " = " + value + " WHERE " +
                                     p.column + " = " + of);
      }
  BOOST_TEST((all.answered > 0 && all.refused > 0));
  // The next one could not be counted.
  const Asked last = asked_after(good, "UPDATE events SET number = 9223372036854775807 WHERE number = 2");
  BOOST_TEST((last.answered == 0 && last.refused == 2));
}

// What events tell is read by check; it is text, in which anything can stand.
BOOST_AUTO_TEST_CASE(numbers_in_what_events_tell) {
  Fresh f;
  fill(f);
  const std::string good = f.dir / "good.db";
  f.store->database().copy_to(good);
  Asked all;
  for (const char* number :
       {"9223372036854775807", "-9223372036854775808", "99999999999999999999", "-1", "0"})
    for (const char* begin : {"", "1 record: ", "12 records: 0 to "}) {
      const std::string text = begin + std::string(number);
      for (const std::string& detail : {text, text + " to " + number, text + " to 11, sha256:00"})
        for (const char* what : {"add", "remove"})
          all += asked_after(good, "UPDATE events SET detail = '" + detail + "' WHERE what = '" + what + "'");
    }
  BOOST_TEST((all.answered > 0 && all.refused == 0));  // what it tells is no reason to read nothing
}
