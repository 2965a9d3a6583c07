#include "advface/store/postgres_database.h"

#include <algorithm>
#include <set>
#include <utility>

#include "advface/store/postgres_connection.h"

namespace advf {
namespace {

constexpr const char* kWriteLock = "1097090643, 1";  // "AdFS", and the store of this database
constexpr const char* kFetch = "FETCH 1024 FROM ";

using Result = PostgresConnection::Result;

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// "?" as PostgreSQL has it; none of our texts holds one.
std::string with_numbers(std::string_view sql) {
  std::string text;
  int number = 0;
  for (const char c : sql)
    if (c == '?')
      text += "$" + std::to_string(++number);
    else
      text += c;
  return text;
}

class PostgresDatabase : public Database {
 public:
  PostgresDatabase(const std::string& url, Access access, const Patience& patience);

  std::unique_ptr<PreparedStatement> prepare(std::string_view sql, Rows rows) override;
  void execute(const std::string& sql) override { connection_.query(sql); }
  int64_t changes() const override { return connection_.changes(); }
  std::vector<bool> insert(const RowsInto& into, int64_t n,
                           const std::function<void(int64_t, std::span<SqlValue>)>& fill) override;
  int64_t version() override;
  void set_version(int64_t version) override {
    connection_.query("UPDATE store SET version = " + std::to_string(version));
  }
  void begin_tables() override;
  void drop_tables() override { connection_.query("DROP SCHEMA advface CASCADE"); }
  std::string in_dialect(std::string sql) const override;
  std::vector<std::unique_ptr<Database>> readers(int64_t n) override;
  bool claim(int64_t of, int64_t piece) override { return lock_of_piece("pg_try_advisory_lock", of, piece); }
  void release(int64_t of, int64_t piece) override { lock_of_piece("pg_advisory_unlock", of, piece); }
  bool erases_at_once() const override { return false; }
  bool erase_removed() override;
  std::vector<std::string> damage() override { return {}; }
  int64_t pages_with_remains(const std::function<bool()>&) override { return 0; }
  bool overwrite_remains() override { return true; }
  void copy_to(const std::string& target) override;

 private:
  friend class PostgresStatement;
  void begin(bool to_write) override;
  void commit() override { connection_.commit(); }
  void roll_back() noexcept override { connection_.roll_back(); }
  // Of this connection, which a program that ends gives back. Pieces that have one number wait for one
  // another.
  bool lock_of_piece(const std::string& function, int64_t of, int64_t piece);

  const std::string url_;
  PostgresConnection connection_;
  int64_t cursors_ = 0;
};

class PostgresStatement : public PreparedStatement {
 public:
  PostgresStatement(PostgresDatabase& database, std::string_view sql, Rows rows)
      : database_(database), sql_(with_numbers(sql)), rows_(rows) {}
  ~PostgresStatement() override {
    try {
      reset();
    } catch (...) {  // the connection is gone
    }
  }
  PostgresStatement(const PostgresStatement&) = delete;

  void bind(int at, const SqlValue& value) override { values_.set(at, value); }

  bool step() override {
    if (!begun_) start();
    if (++at_ < rows_there()) return true;
    if (cursor_.empty() || rows_there() == 0) return false;
    result_ = database_.connection_.query(kFetch + cursor_, {});
    at_ = 0;
    return rows_there() > 0;
  }

  std::string first_text() {
    check(step(), database_.path(), ": no row for ", sql_);
    return text(0);
  }

  void reset() override {
    begun_ = false;
    result_.reset();
    if (const std::string cursor = std::exchange(cursor_, "");
        !cursor.empty() && database_.connection_.in_transaction()) {
      if (std::exchange(own_transaction_, false))
        database_.roll_back();  // nothing was written
      else
        database_.connection_.query("CLOSE " + cursor);
    }
  }

  int64_t number(int column) const override { return number_in(result_.get(), at_, column); }
  double real(int column) const override { return real_in(result_.get(), at_, column); }
  std::string text(int column) const override {
    const auto bytes = blob(column);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  bool is_null(int column) const override { return libpq().getisnull(result_.get(), at_, column) != 0; }
  std::span<const std::byte> blob(int column) const override { return bytes_in(result_.get(), at_, column); }

 private:
  int rows_there() const { return libpq().ntuples(result_.get()); }
  void start() {
    begun_ = true;
    at_ = -1;
    if (rows_ == Rows::few) {
      result_ = database_.connection_.query_prepared(sql_, values_);
      return;
    }
    if (!database_.connection_.in_transaction()) {
      database_.begin(false);
      own_transaction_ = true;
    }
    const std::string name = "rows_" + std::to_string(++database_.cursors_);
    database_.connection_.query("DECLARE " + name + " NO SCROLL CURSOR FOR " + sql_, values_);
    cursor_ = name;
    result_ = database_.connection_.query(kFetch + cursor_, {});
  }

  PostgresDatabase& database_;
  const std::string sql_;
  const Rows rows_;
  BoundValues values_;
  Result result_{nullptr, libpq().clear};
  std::string cursor_;
  int at_ = -1;
  bool begun_ = false, own_transaction_ = false;
};

PostgresDatabase::PostgresDatabase(const std::string& url, Access access, const Patience& patience)
    : Database(url.substr(0, url.find('?')), patience), url_(url), connection_(url, path_, waiter_) {
  // What was acknowledged stays, whatever the database's own default is; and who waits for a lock waits as
  // long as for another writer.
  const auto milliseconds = int64_t(std::clamp(1000 * waiter_.seconds(), 1.0, 2e9));
  connection_.query("SET search_path TO advface; SET client_min_messages TO error; SET lock_timeout TO " +
                    std::to_string(milliseconds) +
                    "; SELECT set_config('synchronous_commit', 'on', false) WHERE "
                    "current_setting('synchronous_commit') = 'off'");
  if (access == Access::read) connection_.query("SET default_transaction_read_only TO on");
}

std::unique_ptr<PreparedStatement> PostgresDatabase::prepare(std::string_view sql, Rows rows) {
  return std::make_unique<PostgresStatement>(*this, sql, rows);
}

std::vector<bool> PostgresDatabase::insert(const RowsInto& into, int64_t n,
                                           const std::function<void(int64_t, std::span<SqlValue>)>& fill) {
  std::string names;
  for (const std::string& column : into.columns) names += (names.empty() ? "" : ", ") + column;
  if (into.unique.empty()) {
    connection_.copy(into.table, names, into.columns.size(), n, fill);
    return std::vector<bool>(size_t(n), true);
  }
  // COPY knows no rows that are left out, so that they come into a table of this connection first.
  const std::string beside = "new_" + into.table;
  connection_.query("CREATE TEMP TABLE IF NOT EXISTS " + beside + " (LIKE " + into.table +
                    ") ON COMMIT DELETE ROWS; DELETE FROM " + beside);
  std::vector<int64_t> keys;
  connection_.copy(beside, names, into.columns.size(), n, [&](int64_t i, std::span<SqlValue> values) {
    fill(i, values);
    keys.push_back(std::get<int64_t>(values[0]));
  });
  const Result added = connection_.query(
      "INSERT INTO " + into.table + "(" + names + ") SELECT " + names + " FROM " + beside + " ORDER BY " +
          into.columns[0] + " ON CONFLICT(" + into.unique + ") DO NOTHING RETURNING " + into.columns[0],
      {});
  std::set<int64_t> there;
  for (int r = 0; r < libpq().ntuples(added.get()); ++r) there.insert(number_in(added.get(), r, 0));
  std::vector<bool> is_new;
  for (const int64_t key : keys) is_new.push_back(there.contains(key));
  return is_new;
}

int64_t PostgresDatabase::version() {
  if (number(
          "SELECT count(*) FROM pg_catalog.pg_tables WHERE schemaname = 'advface' AND tablename = 'store'") ==
      0)
    return 0;
  check(number("SELECT count(*) FROM pg_catalog.pg_attribute WHERE attrelid = 'advface.store'::regclass AND "
               "attname = 'version'") == 1,
        path_,
        ": its schema advface is another program's, and a store needs that name; take another database");
  Statement version(*this, "SELECT version FROM advface.store");
  if (!version.step())
    throw DamagedDatabase(path_ +
                          " is damaged: its table advface.store has no row, which says the version; "
                          "restore it from a backup");
  return version.number(0);
}

void PostgresDatabase::begin_tables() {
  const Result encoding = connection_.query("SHOW server_encoding");
  check(std::string_view(libpq().getvalue(encoding.get(), 0, 0)) == "UTF8", path_,
        ": its text is no UTF-8; make the database with ENCODING 'UTF8'");
  check(number("SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'advface'") == 0, path_,
        " has a schema advface already; a database has one store");
  connection_.query(
      "CREATE SCHEMA advface; CREATE TABLE store(version BIGINT NOT NULL); INSERT INTO store VALUES(0)");
}

std::string PostgresDatabase::in_dialect(std::string sql) const {
  replace_all(sql, "INTEGER PRIMARY KEY", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY");
  replace_all(sql, "INTEGER", "BIGINT");
  replace_all(sql, "REAL", "DOUBLE PRECISION");
  replace_all(sql, "BLOB", "BYTEA");
  replace_all(sql, "TEXT", "TEXT COLLATE \"C\"");
  replace_all(sql, ") STRICT", ")");
  // Rows that fit into a page stay there, and none is compressed: random numbers cannot be.
  if (sql.find("CREATE TABLE features(") != std::string::npos)
    sql +=
        "ALTER TABLE features ALTER COLUMN feature SET STORAGE EXTERNAL;"
        "ALTER TABLE features SET (toast_tuple_target = 8160);";
  // The server keeps examples of what stands in a column, for its plans, which no removal reaches.
  if (sql.find("CREATE TABLE features(") != std::string::npos)
    for (const char* column : {"features ALTER COLUMN feature", "records ALTER COLUMN subject",
                               "records ALTER COLUMN photograph", "records ALTER COLUMN quality"})
      sql += std::string("ALTER TABLE ") + column + " SET STATISTICS 0;";
  return sql;
}

std::vector<std::unique_ptr<Database>> PostgresDatabase::readers(int64_t n) {
  std::vector<std::unique_ptr<Database>> list;
  std::string snapshot;
  for (int64_t i = 0; i < n; ++i) {
    auto reader = std::make_unique<PostgresDatabase>(url_, Access::read, Patience{waiter_.seconds()});
    reader->begin(false);
    if (i == 0)
      snapshot = PostgresStatement(*reader, "SELECT pg_export_snapshot()", Rows::few).first_text();
    else
      try {
        reader->connection_.query("SET TRANSACTION SNAPSHOT '" + snapshot + "'");
      } catch (const Error&) {
        list[0]->execute("SELECT 1");  // where the first one's connection is lost, its moment is gone with it
        throw;
      }
    list.push_back(std::move(reader));
  }
  return list;
}

bool PostgresDatabase::lock_of_piece(const std::string& function, int64_t of, int64_t piece) {
  PostgresStatement call(
      *this, "SELECT CASE WHEN " + function + "(CAST(? AS INTEGER), CAST(? AS INTEGER)) THEN 1 ELSE 0 END",
      Rows::few);
  call.bind(0, of & INT32_MAX);
  call.bind(1, piece & INT32_MAX);
  call.step();
  return call.number(0) != 0;
}

bool PostgresDatabase::erase_removed() {
  check(number("SELECT count(*) FROM pg_catalog.pg_class WHERE oid = 'advface.features'::regclass AND "
               "pg_catalog.pg_has_role(relowner, 'USAGE')") == 1,
        path_, ": to erase what was removed its tables are rewritten, which their owner alone may do");
  // Whoever reads may still see rows that were removed, which would be taken along.
  for (int times = 0;
       number(
           "SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND pid <> "
           "pg_backend_pid() AND backend_xmin IS NOT NULL") > 0;
       ++times)
    if (!waiter_.wait(times)) {
      waiter_.raise_stop();
      return false;
    }
  for (const char* table : {"features", "records", "calibrations", "sets"})
    connection_.query(std::string("VACUUM (FULL) ") + table);
  return true;
}

void PostgresDatabase::copy_to(const std::string&) {
  fail(path_,
       ": a database on a server is copied by the server's own programs: pg_dump --schema=advface makes a "
       "copy as it is at one moment, and psql or pg_restore puts it back");
}

void PostgresDatabase::begin(bool to_write) {
  connection_.query(to_write ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  if (!to_write) return;
  try {
    for (int times = 0; number(std::string("SELECT CASE WHEN pg_try_advisory_xact_lock(") + kWriteLock +
                               ") THEN 1 ELSE 0 END") == 0;
         ++times)
      if (!waiter_.wait(times)) {
        waiter_.raise_stop();
        fail(path_, ": another program writes to it, and did not end within ", waiter_.seconds(),
             " seconds; nothing was written");
      }
  } catch (...) {
    roll_back();
    throw;
  }
}

}  // namespace

std::unique_ptr<Database> open_postgres_database(const std::string& url, Database::Access access,
                                                 const Patience& patience) {
  return std::make_unique<PostgresDatabase>(url, access, patience);
}

}  // namespace advf
