#include "advface/store/database.h"

#include <strings.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "advface/store/postgres_database.h"
#include "advface/store/sqlite_database.h"

namespace advf {

bool Waiter::asked_to_stop() noexcept {
  try {
    stopped_ = patience_.stop && patience_.stop();
  } catch (...) {
    thrown_ = std::current_exception();
    stopped_ = true;
  }
  return stopped_;
}

bool Waiter::wait(int times) noexcept {
  const auto now = Clock::now();
  if (times == 0) begun_ = now;
  if (asked_to_stop() || std::chrono::duration<double>(now - begun_).count() >= patience_.seconds)
    return false;
  std::this_thread::sleep_for(std::chrono::milliseconds(std::min(1 << std::min(times, 5), 20)));
  return true;
}

void Waiter::raise_stop() {
  if (!std::exchange(stopped_, false)) return;
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
  throw Interrupted();
}

void Waiter::forget_stop() {
  stopped_ = false;
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

bool Database::is_on_server(const std::string& name) {
  // Also what is written a little otherwise, which nobody means as the name of a file.
  const std::string begin = name.substr(0, name.find(':') + 1);
  if (::strcasecmp(begin.c_str(), "postgresql:") == 0 || ::strcasecmp(begin.c_str(), "postgres:") == 0)
    return true;
  // libpq's other form, "host=db.example dbname=people password=...".
  const size_t from = std::min(name.find_first_not_of(" \t"), name.size());
  const std::string key = name.substr(from, name.find_first_of("= \t", from) - from);
  if (name.find('=') == std::string::npos) return false;
  for (const char* known : {"host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service"})
    if (::strcasecmp(key.c_str(), known) == 0) return true;
  return false;
}

std::unique_ptr<Database> Database::open(const std::string& name, Access access, const Patience& patience) {
  if (is_on_server(name)) {
#if ADVF_POSTGRES
    return open_postgres_database(name, access, patience);
#else
    fail("this build knows no PostgreSQL; build it with -D ADVF_POSTGRES=ON, or name a file");
#endif
  }
  return std::make_unique<SqliteDatabase>(name, access, patience);
}

int64_t Database::number(const std::string& sql) {
  Statement statement(*this, sql);
  check(statement.step(), path_, ": no row for ", sql);
  return statement.number(0);
}

void Database::for_each_blob(const std::string& table, const std::string& column, size_t, int64_t begin,
                             int64_t end, const TakeBlob& take) {
  Statement rows(*this, "SELECT id, " + column + " FROM " + table + " WHERE id >= ? AND id < ? ORDER BY id",
                 Rows::many);
  rows.bind(0, begin).bind(1, end);
  while (rows.step()) take(rows.number(0), rows.blob(1));
}

void Statement::run() {
  while (step()) {
  }
  reset();
}

Transaction::Transaction(Database& database, Kind kind) : database_(&database) {
  database.begin(kind == Kind::write);
  if (kind == Kind::read) return;
  try {
    database.waiter_.check_stop();  // whoever has waited for the lock may not want it any more
  } catch (...) {
    database.roll_back();
    throw;
  }
}

Transaction::~Transaction() {
  if (open_) database_->roll_back();
}

void Transaction::commit() {
  database_->commit();
  open_ = false;
}

}  // namespace advf
