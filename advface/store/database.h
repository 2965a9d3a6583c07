// SQL, so far as a store needs it: a connection, a statement, a transaction, over SQLite's file
// (sqlite_database.h) or a database of a PostgreSQL server (postgres_database.h). Statements are written
// once, in what both understand: parameters are "?", and tables are made with SQLite's types. Every failure
// is an Error that begins with the name of the file or database and says what to do; Interrupted where the
// caller asked to stop.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tensor/check.h"

namespace advf {

// How long a call waits while another program is in its way, and whom it asks meanwhile.
struct Patience {
  double seconds = 30;
  // Asked every 20 ms or so while it waits, and once more before a transaction writes, on the thread that
  // uses the database: true ends the call with Interrupted, and it has written nothing. What it throws comes
  // out of the call. Empty: nobody is asked.
  std::function<bool()> stop = {};
};

// One wait after another; what asking throws is kept until raise_stop(), for callers that know no exceptions.
class Waiter {
 public:
  explicit Waiter(Patience patience) : patience_(std::move(patience)) {}
  double seconds() const { return patience_.seconds; }
  void set_stop(std::function<bool()> stop) { patience_.stop = std::move(stop); }
  bool asked_to_stop() noexcept;
  // The times-th time (from 0) of one wait: sleeps a little; false where patience is at its end, or somebody
  // asked to stop.
  bool wait(int times) noexcept;
  // What ended the last wait, if anybody did.
  void raise_stop();
  // That somebody asked to stop is the same to who called; what was thrown is not.
  void forget_stop();
  void check_stop() {
    asked_to_stop();
    raise_stop();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Patience patience_;
  Clock::time_point begun_ = {};
  bool stopped_ = false;
  std::exception_ptr thrown_ = {};
};

// What is in the file cannot be.
class DamagedDatabase : public Error {
 public:
  using Error::Error;
};

// How many rows a statement gives: many are not held in memory at once.
enum class Rows { few, many };

// Texts and bytes lie where the caller has them.
using SqlValue = std::variant<std::monostate, int64_t, double, std::string_view, std::span<const std::byte>>;

// A statement as an engine has it; see Statement.
class PreparedStatement {
 public:
  virtual ~PreparedStatement() = default;
  virtual void bind(int at, const SqlValue& value) = 0;
  virtual bool step() = 0;
  virtual void reset() = 0;
  virtual int64_t number(int column) const = 0;
  virtual double real(int column) const = 0;
  virtual std::string text(int column) const = 0;
  virtual bool is_null(int column) const = 0;
  virtual std::span<const std::byte> blob(int column) const = 0;
};

// Where rows go, and what they are: each has a value for each column, and none twice the same values of
// `unique` (none: whatever the table itself refuses is an Error). The first column is the key of the table.
struct RowsInto {
  std::string table;
  std::vector<std::string> columns;
  std::string unique = "";
};

using TakeBlob = std::function<void(int64_t id, std::span<const std::byte> blob)>;

class Database {
 public:
  // create: a new one, where there is none; a file that its owner alone may read
  enum class Access { read, write, create };

  // Throws Error for what is no database, cannot be read, or (Access::write) cannot be written.
  static std::unique_ptr<Database> open(const std::string& name, Access access,
                                        const Patience& patience = {});
  // Whether the name is that of a database on a server: postgresql://..., or what is meant so.
  static bool is_on_server(const std::string& name);

  virtual ~Database() = default;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& path() const { return path_; }
  // Whom it asks from now on.
  void set_stop(std::function<bool()> stop) { waiter_.set_stop(std::move(stop)); }

  virtual std::unique_ptr<PreparedStatement> prepare(std::string_view sql, Rows rows) = 0;
  virtual void execute(const std::string& sql) = 0;  // of our own making: never with what somebody has typed
  int64_t number(const std::string& sql);            // the first column of its only row
  virtual int64_t changes() const = 0;               // rows that the last statement wrote or removed
  // Row i is what fill(i, values) sets, in the order of columns; what it refers to stays as it is up to its
  // next call. Which rows were added: those are left out whose `unique` values are there already.
  virtual std::vector<bool> insert(
      const RowsInto& into, int64_t n,
      const std::function<void(int64_t i, std::span<SqlValue> values)>& fill) = 0;

  // The rows with begin <= id < end of a table of an id and a BLOB of `bytes` bytes, in order, within a
  // transaction that reads; a row is valid up to the end of its call.
  virtual void for_each_blob(const std::string& table, const std::string& column, size_t bytes, int64_t begin,
                             int64_t end, const TakeBlob& take);

  // Of the tables: 0 where there are none. Throws Error for the tables of another program.
  virtual int64_t version() = 0;
  virtual void set_version(int64_t version) = 0;
  // What comes before the first table, in the transaction that makes all, and what comes behind it. Throws
  // Error where there are some.
  virtual void begin_tables() = 0;
  virtual void end_tables() {}
  virtual void drop_tables() {}  // where they do not go with a file
  // The text of a step as this engine has it.
  virtual std::string in_dialect(std::string sql) const { return sql; }

  // n more connections that read, all of which see it as it is at one moment.
  virtual std::vector<std::unique_ptr<Database>> readers(int64_t n) = 0;

  // Work that several programs share out: whether piece `piece` of `of` is this one's up to release(), or its
  // end, whatever that is. Where nobody shares, everything is everybody's.
  virtual bool claim(int64_t /*of*/, int64_t /*piece*/) { return true; }
  virtual void release(int64_t /*of*/, int64_t /*piece*/) {}

  // Whether bytes of what was removed go from what is stored with every removal, or take a call of
  // erase_removed() that rewrites all that is there.
  virtual bool erases_at_once() const = 0;
  // False where a reader is in the way for longer than there is patience.
  virtual bool erase_removed() = 0;
  // What the engine itself finds wrong.
  virtual std::vector<std::string> damage() = 0;
  // How many pages of the file hold remains of rows that were moved (tidy_vfs.h); 0 of files that were always
  // written by this program.
  virtual int64_t pages_with_remains(const std::function<bool()>& stop = {}) = 0;
  // Overwrites them. False where readers or writers are in the way for longer than `wait`.
  virtual bool overwrite_remains() = 0;

  // Whether a log (-wal) that no running program uses lay beside the file when it was opened: of a program
  // that was killed, or of another file of this name, which SQLite cannot tell. Until trust_log() nothing of
  // it is moved to the file when the database is closed.
  virtual bool found_log() const { return false; }
  // Whether every page that the log counts is in the file or in the log.
  virtual bool has_all_pages() { return true; }
  virtual void trust_log() {}
  // A copy in a new file, as the database is at one moment, while others go on writing.
  virtual void copy_to(const std::string& target) = 0;

 protected:
  Database(std::string path, const Patience& patience) : path_(std::move(path)), waiter_(patience) {}

  std::string path_;
  Waiter waiter_;

 private:
  friend class Transaction;
  virtual void begin(bool to_write) = 0;  // waits for others who write
  virtual void commit() = 0;
  virtual void roll_back() noexcept = 0;
};

// Parameters and columns are counted from 0. Valid as long as its database.
class Statement {
 public:
  Statement(Database& database, std::string_view sql, Rows rows = Rows::few)
      : prepared_(database.prepare(sql, rows)) {}

  // Bytes and texts are copied, or used up to the next step.
  Statement& bind(int at, const SqlValue& value) {
    prepared_->bind(at, value);
    return *this;
  }
  Statement& bind(int at, const std::string& text) { return bind(at, SqlValue(std::string_view(text))); }
  bool step() { return prepared_->step(); }  // whether there is a row
  void reset() { prepared_->reset(); }       // ready for the next values
  void run();                                // to the end, and ready for the next values

  int64_t number(int column) const { return prepared_->number(column); }
  double real(int column) const { return prepared_->real(column); }
  std::string text(int column) const { return prepared_->text(column); }
  bool is_null(int column) const { return prepared_->is_null(column); }
  // Valid up to the next step.
  std::span<const std::byte> blob(int column) const { return prepared_->blob(column); }

 private:
  std::unique_ptr<PreparedStatement> prepared_;
};

// All or nothing: without commit() what was written is undone. One that writes throws Interrupted where the
// database is asked to stop before it has written anything. One that reads sees what there is at one moment.
class Transaction {
 public:
  enum class Kind { read, write };
  explicit Transaction(Database& database, Kind kind = Kind::write);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  void commit();

 private:
  Database* database_;
  bool open_ = true;
};

}  // namespace advf
