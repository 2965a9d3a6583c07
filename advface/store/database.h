// SQLite, so far as a store needs it: a connection, a statement, a transaction. Every failure is an Error
// that begins with the file's name and says what to do; Interrupted where the caller asked to stop.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tensor/check.h"

struct sqlite3;
struct sqlite3_stmt;

namespace advf {

// How long a call waits while another program is in its way, and whom it asks meanwhile.
struct Patience {
  double seconds = 30;
  // Asked every 20 ms or so while it waits, and once more before a transaction writes, on the thread that
  // uses the database: true ends the call with Interrupted, and it has written nothing. What it throws comes
  // out of the call. Empty: nobody is asked.
  std::function<bool()> stop = {};
};

// What is in the file cannot be.
class DamagedDatabase : public Error {
 public:
  using Error::Error;
};

class Database {
 public:
  // create: a new file, where there is none, which its owner alone may read
  enum class Access { read, write, create };

  // Throws Error for what is no SQLite database, cannot be read, or (Access::write) cannot be written.
  Database(const std::string& path, Access access, const Patience& patience = {});
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  const std::string& path() const { return path_; }
  // Whom it asks from now on.
  void set_stop(std::function<bool()> stop);
  void execute(const std::string& sql);    // of our own making: never with what somebody has typed in it
  int64_t number(const std::string& sql);  // the first column of its only row
  std::string text(const std::string& sql);
  int64_t changes() const;  // rows that the last statement wrote or removed
  // For a scan of many rows: reads straight from the file's pages in memory, up to 2 GiB of them, and does
  // not look through each page before it reads its rows.
  void map_pages();
  // Writes all that the log holds to the file and empties the log. False where a reader is in the way for
  // longer than there is patience.
  bool empty_log();
  // How many pages of the file hold remains of rows that were moved (tidy_vfs.h); 0 of files that were always
  // written by this program.
  int64_t pages_with_remains(const std::function<bool()>& stop = {});
  // Overwrites them. False where readers or writers are in the way for longer than `wait`.
  bool overwrite_remains();
  // Whether a log (-wal) that no running program uses lay beside it when it was opened: of a program that was
  // killed, or of another file of this name, which SQLite cannot tell. Until trust_log() nothing of it is
  // moved to the file when the database is closed.
  bool found_log() const { return found_log_; }
  // Whether every page that the log counts is in the file or in the log.
  bool has_all_pages();
  void trust_log();
  // A copy as the database is at one moment, while others go on writing. `target` must not be there.
  void copy_to(const std::string& target) const;

 private:
  friend class Statement;
  friend class Transaction;
  struct Waiting;
  static int wait_on(void* waiting, int times) noexcept;  // for SQLite, which knows no exceptions
  // alone: other programs cannot open it meanwhile.
  void open(const std::string& name, int flags, Access access, bool alone);
  [[noreturn]] void raise(int code) const;
  int64_t for_pages_with_remains(bool overwrite, const std::function<bool()>& stop);
  void check_stop() const;

  std::string path_;
  std::unique_ptr<Waiting> waiting_;
  sqlite3* handle_ = nullptr;
  bool no_room_ = false;  // why the last open() failed
  bool found_log_ = false;
};

// A database that appears when it is whole, or not at all. Throws Error where there is one of that name.
class NewDatabaseFile {
 public:
  explicit NewDatabaseFile(std::string path);
  ~NewDatabaseFile();
  NewDatabaseFile(const NewDatabaseFile&) = delete;
  // fill(path) makes it under another name; its errors say this one.
  void make(const std::function<void(const std::string& path)>& fill);

 private:
  void remove() const;
  std::string path_, temporary_;
};

// Parameters and columns are counted from 0. Valid as long as its database.
class Statement {
 public:
  Statement(Database& database, std::string_view sql);
  Statement(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  ~Statement();

  Statement& bind(int at, int64_t value);
  Statement& bind(int at, double value);
  Statement& bind(int at, std::string_view text);
  Statement& bind(int at, std::span<const std::byte> blob);
  Statement& bind_null(int at);
  bool step();  // whether there is a row
  void run();   // to the end, and ready for the next values

  int64_t number(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;
  // Valid up to the next step.
  std::span<const std::byte> blob(int column) const;

 private:
  void check_bound(int code);
  Database* database_;
  sqlite3_stmt* handle_ = nullptr;
};

// All or nothing: without commit() what was written is undone. One that writes throws Interrupted where the
// database is asked to stop before it has written anything.
class Transaction {
 public:
  enum class Kind { read, write };
  explicit Transaction(Database& database, Kind kind = Kind::write);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  void commit();

 private:
  void roll_back() noexcept;
  Database* database_;
  bool open_ = true;
};

}  // namespace advf
