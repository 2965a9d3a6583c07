#include "advface/store/sqlite_database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "advface/store/new_database_file.h"
#include "advface/store/table_pages.h"
#include "advface/store/tidy_vfs.h"
#include "tensor/check.h"

namespace advf {
namespace {

bool is_file(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0;
}

// Nobody can write beside it, and there is no log: then the file is all there is, and does not change.
bool never_changes(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  return ::access(folder.c_str(), W_OK) != 0 && !is_file(path + "-wal");
}

// A log with something in it, of which no running program holds the file that they share (SQLite's locks in
// WAL mode: byte 128 of -shm). To open that file would end this process's own locks on it when it is closed.
bool is_left_log(const std::string& path) {
  struct stat log {
  }, shared{};
  if (::stat((path + "-wal").c_str(), &log) != 0 || log.st_size == 0) return false;
  if (::stat((path + "-shm").c_str(), &shared) != 0) return true;
  const std::string of_file = ":" + std::to_string(shared.st_ino) + " 128 128";
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);)
    if (line.ends_with(of_file)) return false;
  return true;
}

// As a URI has it, with what SQLite would read as something else written out.
std::string uri_of(const std::string& path) {
  std::string uri = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      constexpr char kDigits[] = "0123456789ABCDEF";
      uri += '%';
      uri += kDigits[(uint8_t(c) >> 4) & 15];
      uri += kDigits[uint8_t(c) & 15];
    } else {
      uri += c;
    }
  }
  return uri + "?immutable=1";
}

}  // namespace

int SqliteDatabase::wait_on(void* waiter, int times) noexcept {
  return static_cast<Waiter*>(waiter)->wait(times) ? 1 : 0;
}

SqliteDatabase::SqliteDatabase(const std::string& path, Access access, const Patience& patience)
    : Database(path, patience) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READWRITE;
  std::string name = path;
  if (access == Access::create) {
    // From its first byte for the owner alone; what SQLite keeps beside it is as it is.
    const int file = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    check(file >= 0, path, " cannot be made: ", std::strerror(errno));
    ::close(file);
  } else {
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) fail(path, ": ", std::strerror(errno));
    check(S_ISREG(found.st_mode), path, " is no file, so no store");
    check(found.st_size > 0, path, " is empty, so no store");
    // A log lies beside each name: who comes by another one would neither see nor respect what is written.
    check(found.st_nlink == 1, path, " is a file with ", found.st_nlink,
          " names (hard links), of which a store has one; copy it, and use the copy or the file alone");
    if (access != Access::read && ::access(path.c_str(), W_OK) != 0)
      fail(path, " cannot be written: ", std::strerror(errno));
    // A reader, too, opens it for writing where it may: the last who closes it then tidies the log away.
    if (::access(path.c_str(), W_OK) != 0)
      flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READONLY;
    found_log_ = is_left_log(path);
    if (access == Access::read && never_changes(path)) {
      flags |= SQLITE_OPEN_URI;
      name = uri_of(path);
    }
  }
  if (!(flags & SQLITE_OPEN_URI) && !name.empty() && name[0] != '/') name = "./" + name;  // no ":memory:"
  try {
    open(name, flags, access, false);
  } catch (const Interrupted&) {
    throw;
  } catch (const Error&) {
    // What programs share of the log lies in a file beside it, for which a full disk has no room. Who reads
    // alone needs none.
    if (access != Access::read || !no_room_) throw;
    open(name, flags, access, true);
  }
}

void SqliteDatabase::open(const std::string& name, int flags, Access access, bool alone) {
  const int code = sqlite3_open_v2(name.c_str(), &handle_, flags, tidy_vfs());
  try {
    if (code != SQLITE_OK) raise(code);
    sqlite3_busy_handler(handle_, wait_on, &waiter_);
    // What a damaged or foreign file says is data, and runs nothing.
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, nullptr);
    if (found_log_) sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    if (alone) execute("PRAGMA locking_mode = EXCLUSIVE");  // first: what follows looks into the file
    execute(
        "PRAGMA cell_size_check = ON; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; "
        "PRAGMA temp_store = MEMORY;");
    if (access == Access::read) execute("PRAGMA query_only = ON");
    if (access == Access::create) execute("PRAGMA page_size = 32768");  // takes 15 rows of 512 numbers
    number("SELECT count(*) FROM sqlite_master");                       // reads the header
  } catch (...) {
    const int failed = sqlite3_errcode(handle_) & 0xff;
    no_room_ = failed == SQLITE_IOERR || failed == SQLITE_FULL;
    sqlite3_close(std::exchange(handle_, nullptr));
    throw;
  }
}

SqliteDatabase::~SqliteDatabase() { sqlite3_close_v2(handle_); }

void SqliteDatabase::raise(int code) {
  const std::string said = handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  const int error = handle_ ? sqlite3_system_errno(handle_) : 0;
  const std::string system = error == 0 ? said : std::strerror(error);
  switch (code & 0xff) {
    case SQLITE_INTERRUPT:
      throw Interrupted();
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      waiter_.raise_stop();
      fail(path_, ": another program writes to it, and did not end within ", waiter_.seconds(),
           " seconds; nothing was written");
    case SQLITE_FULL:
      fail(path_, ": No space left on device; this step was undone, and what was done before it stays");
    case SQLITE_READONLY:
      fail(path_, " cannot be written: it, or its folder, is read-only");
    case SQLITE_IOERR:
      if (code == SQLITE_IOERR_NOMEM) throw std::bad_alloc();
      fail(path_, ": reading or writing failed: ", system,
           "; this step was undone, and what was done before it stays");
    case SQLITE_CANTOPEN:
      fail(path_, " cannot be opened: ", system);
    case SQLITE_NOTADB:
      fail(path_, " is no SQLite database, so no store");
    case SQLITE_NOMEM:
      throw std::bad_alloc();
    case SQLITE_CORRUPT:
      throw DamagedDatabase(path_ + " is damaged (" + said +
                            "); advface-store check says more, and a backup has what was there");
    default:
      fail(path_, ": ", said);
  }
}

void SqliteDatabase::execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) raise(code);
}

bool SqliteDatabase::has_all_pages() {
  const int64_t page = number("PRAGMA page_size"), pages = number("PRAGMA page_count");
  struct stat file {};
  if (::stat(path_.c_str(), &file) != 0) return false;
  // A log is a header of 32 bytes and frames, each of which begins with the number of its page and has 24
  // bytes before the page (https://www.sqlite.org/fileformat2.html, "WAL File Format").
  std::set<int64_t> lacking;
  for (int64_t p = file.st_size / page + 1; p <= pages; ++p) lacking.insert(p);
  std::ifstream log(path_ + "-wal", std::ios::binary);
  log.seekg(32);
  unsigned char number[4];
  while (!lacking.empty() && log.read(reinterpret_cast<char*>(number), 4)) {
    lacking.erase(int64_t(number[0]) << 24 | number[1] << 16 | number[2] << 8 | number[3]);
    log.seekg(24 - 4 + page, std::ios::cur);
  }
  return lacking.empty();
}

void SqliteDatabase::trust_log() { sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr); }

int64_t SqliteDatabase::changes() const { return sqlite3_changes64(handle_); }

bool SqliteDatabase::erase_removed() {
  // A checkpoint that waits for a reader keeps all writers out meanwhile: it does not wait, but comes again.
  struct Impatient {
    explicit Impatient(sqlite3* handle, void* waiting) : handle(handle), waiting(waiting) {
      sqlite3_busy_handler(handle, nullptr, nullptr);
    }
    ~Impatient() { sqlite3_busy_handler(handle, wait_on, waiting); }
    sqlite3* handle;
    void* waiting;
  } const impatient(handle_, &waiter_);
  for (int times = 0;; ++times) {
    const int code =
        sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
    if (code == SQLITE_OK) return true;
    if ((code & 0xff) != SQLITE_BUSY && (code & 0xff) != SQLITE_LOCKED) raise(code);
    if (wait_on(&waiter_, times) == 0) break;
  }
  waiter_.forget_stop();  // that the reader was not waited for to the end is the same to who called
  return false;
}

int64_t SqliteDatabase::for_pages_with_remains(bool overwrite, const std::function<bool()>& stop) {
  sqlite3_file* file = nullptr;
  const int got = sqlite3_file_control(handle_, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (got != SQLITE_OK || !file || !file->pMethods) raise(got);
  sqlite3_int64 size = 0;
  if (const int code = file->pMethods->xFileSize(file, &size); code != SQLITE_OK) raise(code);
  std::vector<std::byte> page(size_t(number("PRAGMA page_size")));
  int64_t count = 0;
  for (sqlite3_int64 at = 0; at + sqlite3_int64(page.size()) <= size; at += sqlite3_int64(page.size())) {
    if (stop && stop()) throw Interrupted();
    const int bytes = int(page.size());
    // While another program moves a page from the log to the file, half of it may be read; remains stay.
    bool remains = true;
    for (int look = 0; remains && look < (overwrite ? 1 : 5); ++look) {
      if (look > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (const int code = file->pMethods->xRead(file, page.data(), bytes, at); code != SQLITE_OK)
        raise(code);
      const PageGap gap = gap_of_page(page, at == 0);
      remains = std::ranges::any_of(std::span(page).subspan(gap.begin, gap.end - gap.begin),
                                    [](std::byte b) { return b != std::byte(0); });
    }
    if (!remains) continue;
    ++count;
    // Every page that is written loses them.
    if (!overwrite) continue;
    if (const int code = file->pMethods->xWrite(file, page.data(), bytes, at); code != SQLITE_OK) raise(code);
  }
  if (overwrite && count > 0)
    if (const int code = file->pMethods->xSync(file, SQLITE_SYNC_FULL); code != SQLITE_OK) raise(code);
  return count;
}

int64_t SqliteDatabase::pages_with_remains(const std::function<bool()>& stop) {
  return for_pages_with_remains(false, stop);
}

bool SqliteDatabase::overwrite_remains() {
  // With the log empty, and nobody who may write, nobody moves a page from the log to the file meanwhile. Who
  // has a page in memory reads what it read; where he writes it, it loses its remains on the way to the file.
  for (int tries = 0; tries < 10; ++tries) {
    if (!erase_removed()) return false;
    Transaction alone(*this);
    struct stat log {};
    if (::stat((path_ + "-wal").c_str(), &log) == 0 && log.st_size > 0)
      continue;  // somebody wrote in between
    for_pages_with_remains(true, {});
    alone.commit();
    return true;
  }
  return false;
}

void SqliteDatabase::copy_to(const std::string& target) {
  NewDatabaseFile(target).make([&](const std::string& fresh) { copy_pages(fresh); });
}

void SqliteDatabase::copy_pages(const std::string& target) {
  SqliteDatabase other(target, Access::create);
  sqlite3_backup* backup = sqlite3_backup_init(other.handle_, "main", handle_, "main");
  if (!backup) other.raise(sqlite3_errcode(other.handle_));
  const int code = sqlite3_backup_step(backup, -1);  // in one go: as it is at this moment
  const int end = sqlite3_backup_finish(backup);
  if (code != SQLITE_DONE) other.raise(end == SQLITE_OK ? code : end);
  other.execute("PRAGMA journal_mode = DELETE");  // one file, without a log beside it
}

// Of one file.
class SqliteStatement : public PreparedStatement {
 public:
  SqliteStatement(SqliteDatabase& database, std::string_view sql) : database_(&database) {
    const int code = sqlite3_prepare_v2(database.handle_, sql.data(), int(sql.size()), &handle_, nullptr);
    if (code != SQLITE_OK) database.raise(code);
  }
  ~SqliteStatement() override { sqlite3_finalize(handle_); }
  SqliteStatement(const SqliteStatement&) = delete;

  void bind(int at, const SqlValue& value) override {
    const int code = std::visit([&](const auto& v) { return bind_value(at + 1, v); }, value);
    if (code != SQLITE_OK) database_->raise(code);
  }
  bool step() override {
    const int code = sqlite3_step(handle_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    sqlite3_reset(handle_);
    database_->raise(code);
  }
  void reset() override { sqlite3_reset(handle_); }
  int64_t number(int column) const override { return sqlite3_column_int64(handle_, column); }
  double real(int column) const override { return sqlite3_column_double(handle_, column); }
  bool is_null(int column) const override { return sqlite3_column_type(handle_, column) == SQLITE_NULL; }
  std::string text(int column) const override {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
    return bytes ? std::string(bytes, size_t(sqlite3_column_bytes(handle_, column))) : std::string();
  }
  std::span<const std::byte> blob(int column) const override {
    const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(handle_, column));
    return {bytes, bytes ? size_t(sqlite3_column_bytes(handle_, column)) : 0};
  }

 private:
  int bind_value(int at, std::monostate) { return sqlite3_bind_null(handle_, at); }
  int bind_value(int at, int64_t value) { return sqlite3_bind_int64(handle_, at, value); }
  int bind_value(int at, double value) { return sqlite3_bind_double(handle_, at, value); }
  int bind_value(int at, std::string_view text) {
    const char* begin = text.data() ? text.data() : "";
    return sqlite3_bind_text64(handle_, at, begin, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  }
  int bind_value(int at, std::span<const std::byte> blob) {
    return sqlite3_bind_blob64(handle_, at, blob.data(), blob.size(), SQLITE_STATIC);
  }

  SqliteDatabase* database_;
  sqlite3_stmt* handle_ = nullptr;
};

std::unique_ptr<PreparedStatement> SqliteDatabase::prepare(std::string_view sql, Rows) {
  return std::make_unique<SqliteStatement>(*this, sql);
}

std::vector<bool> SqliteDatabase::insert(const RowsInto& into, int64_t n,
                                         const std::function<void(int64_t, std::span<SqlValue>)>& fill) {
  std::string names, marks;
  for (const std::string& column : into.columns) {
    names += (names.empty() ? "" : ", ") + column;
    marks += marks.empty() ? "?" : ", ?";
  }
  SqliteStatement one(*this, "INSERT INTO " + into.table + "(" + names + ") VALUES(" + marks + ")" +
                                 (into.unique.empty() ? "" : " ON CONFLICT(" + into.unique + ") DO NOTHING"));
  std::vector<SqlValue> values(into.columns.size());
  std::vector<bool> added;
  for (int64_t i = 0; i < n; ++i) {
    fill(i, values);
    for (size_t c = 0; c < values.size(); ++c) one.bind(int(c), values[c]);
    one.step();
    added.push_back(changes() == 1);
    one.reset();
  }
  return added;
}

bool SqliteDatabase::sees_file_alone() const {
  // Who begins to read while the log is empty reads the file, and keeps everybody from moving anything into
  // it (https://www.sqlite.org/walformat.html, WAL_READ_LOCK(0)).
  struct stat log {};
  return sqlite3_txn_state(handle_, "main") == SQLITE_TXN_READ &&
         (::stat((path_ + "-wal").c_str(), &log) != 0 || log.st_size == 0);
}

void SqliteDatabase::for_each_blob(const std::string& table, const std::string& column, size_t bytes,
                                   int64_t begin, int64_t end, const TakeBlob& take) {
  const auto page_bytes = size_t(number("PRAGMA page_size"));
  sqlite3_file* file = nullptr;
  sqlite3_file_control(handle_, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (!file || !file->pMethods || !sees_file_alone() || !fits_into_page(bytes, page_bytes)) {
    // Straight from the file's pages in memory, up to 2 GiB of them.
    execute("PRAGMA mmap_size = 2147418112");
    return Database::for_each_blob(table, column, bytes, begin, end, take);
  }
  sqlite3_int64 size = 0;
  if (const int code = file->pMethods->xFileSize(file, &size); code != SQLITE_OK) raise(code);
  TablePages pages;
  pages.page_bytes = page_bytes;
  pages.count = size / int64_t(page_bytes);
  pages.path = path_;
  pages.read = [&](int64_t first, std::span<std::byte> to) {
    const int code =
        file->pMethods->xRead(file, to.data(), int(to.size()), (first - 1) * int64_t(page_bytes));
    if (code != SQLITE_OK) raise(code);
  };
  Statement root(*this, "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = ?");
  root.bind(0, table);
  check(root.step(), path_, " is damaged: it has no table ", table);
  pages.rows(root.number(0), begin, end, take);
}

int64_t SqliteDatabase::version() {
  check(number("PRAGMA application_id") == kApplicationId, path_,
        " is a database of another program, no store");
  const int64_t version = number("PRAGMA user_version");
  check(version >= 1, path_, " is a store of version ", version, ", which there never was");
  return version;
}

void SqliteDatabase::set_version(int64_t version) {
  execute("PRAGMA user_version = " + std::to_string(version));
}

void SqliteDatabase::begin_tables() { execute("PRAGMA application_id = " + std::to_string(kApplicationId)); }

void SqliteDatabase::end_tables() { execute("PRAGMA journal_mode = WAL"); }

std::vector<std::unique_ptr<Database>> SqliteDatabase::readers(int64_t n) {
  for (int attempt = 0;; ++attempt) {
    std::vector<std::unique_ptr<Database>> list;
    int64_t seen = -1;
    bool together = true;
    for (int64_t i = 0; i < n; ++i) {
      list.push_back(std::make_unique<SqliteDatabase>(path_, Access::read));
      Database& reader = *list.back();
      // For a scan of many rows: without a look through each page before its rows are read; a copy of many
      // pages at once takes less time than to map them (for_each_blob).
      reader.execute("PRAGMA cell_size_check = OFF; PRAGMA mmap_size = 0; BEGIN");
      const int64_t last = reader.number("SELECT coalesce(max(number), 0) FROM events");
      together = together && (seen < 0 || seen == last);
      seen = last;
    }
    if (together || attempt == 20) return list;  // whoever writes all the time is not waited for
  }
}

std::vector<std::string> SqliteDatabase::damage() {
  std::vector<std::string> list;
  Statement pages(*this, "PRAGMA integrity_check(20)");
  while (pages.step())
    if (pages.text(0) != "ok") list.push_back(pages.text(0));
  return list;
}

void SqliteDatabase::begin(bool to_write) { execute(to_write ? "BEGIN IMMEDIATE" : "BEGIN"); }
void SqliteDatabase::commit() { execute("COMMIT"); }
void SqliteDatabase::roll_back() noexcept {
  try {
    execute("ROLLBACK");
  } catch (...) {  // SQLite has rolled back by itself
  }
}

}  // namespace advf
