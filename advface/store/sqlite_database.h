// A database in one file, by SQLite.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "advface/store/database.h"

struct sqlite3;
struct sqlite3_stmt;

namespace advf {

class SqliteDatabase : public Database {
 public:
  static constexpr int32_t kApplicationId = 0x41644653;  // "AdFS"

  SqliteDatabase(const std::string& path, Access access, const Patience& patience = {});
  ~SqliteDatabase() override;

  std::unique_ptr<PreparedStatement> prepare(std::string_view sql, Rows rows) override;
  void execute(const std::string& sql) override;
  int64_t changes() const override;
  std::vector<bool> insert(const RowsInto& into, int64_t n,
                           const std::function<void(int64_t, std::span<SqlValue>)>& fill) override;
  void for_each_blob(const std::string& table, const std::string& column, size_t bytes, int64_t begin,
                     int64_t end, const TakeBlob& take) override;
  int64_t version() override;
  void set_version(int64_t version) override;
  void begin_tables() override;
  void end_tables() override;
  std::vector<std::unique_ptr<Database>> readers(int64_t n) override;
  bool erases_at_once() const override { return true; }
  bool erase_removed() override;  // what the log holds goes to the file, and the log is emptied
  std::vector<std::string> damage() override;
  int64_t pages_with_remains(const std::function<bool()>& stop = {}) override;
  bool overwrite_remains() override;
  bool found_log() const override { return found_log_; }
  bool has_all_pages() override;
  void trust_log() override;
  void copy_to(const std::string& target) override;

 private:
  friend class SqliteStatement;
  static int wait_on(void* waiter, int times) noexcept;  // for SQLite, which knows no exceptions
  void begin(bool to_write) override;
  void commit() override;
  void roll_back() noexcept override;
  // alone: other programs cannot open it meanwhile.
  void open(const std::string& name, int flags, Access access, bool alone);
  [[noreturn]] void raise(int code);
  // What the transaction sees is in the file alone, which nobody changes before it ends.
  bool sees_file_alone() const;
  void copy_pages(const std::string& target);
  int64_t for_pages_with_remains(bool overwrite, const std::function<bool()>& stop);

  sqlite3* handle_ = nullptr;
  bool no_room_ = false;  // why the last open() failed
  bool found_log_ = false;
};

}  // namespace advf
