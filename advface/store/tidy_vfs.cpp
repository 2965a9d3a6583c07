#include "advface/store/tidy_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "tensor/check.h"

namespace advf {
namespace {

constexpr const char* kName = "advface-tidy";
constexpr size_t kFileHeader = 100;

// A file of the database itself; SQLite's own follows behind it in memory.
struct TidyFile {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<TidyFile*>(file)->real(); }
sqlite3_vfs* below(sqlite3_vfs* vfs) { return static_cast<sqlite3_vfs*>(vfs->pAppData); }

int write_page(sqlite3_file* file, const void* data, int bytes, sqlite3_int64 at) {
  sqlite3_file* to = real(file);
  const std::span<const std::byte> page(static_cast<const std::byte*>(data), size_t(bytes));
  const PageGap gap = gap_of_page(page, at == 0);
  const auto remains = page.subspan(gap.begin, gap.end - gap.begin);
  if (std::ranges::all_of(remains, [](std::byte b) { return b == std::byte(0); }))
    return to->pMethods->xWrite(to, data, bytes, at);
  try {
    std::vector<std::byte> clean(page.begin(), page.end());
    std::fill(clean.begin() + std::ptrdiff_t(gap.begin), clean.begin() + std::ptrdiff_t(gap.end),
              std::byte(0));
    return to->pMethods->xWrite(to, clean.data(), bytes, at);
  } catch (const std::bad_alloc&) {
    return SQLITE_IOERR_NOMEM;
  }
}

// All else is what it is below.
int close_file(sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); }
int read_bytes(sqlite3_file* f, void* to, int bytes, sqlite3_int64 at) {
  return real(f)->pMethods->xRead(real(f), to, bytes, at);
}
int truncate_file(sqlite3_file* f, sqlite3_int64 size) { return real(f)->pMethods->xTruncate(real(f), size); }
int sync_file(sqlite3_file* f, int flags) { return real(f)->pMethods->xSync(real(f), flags); }
int size_of_file(sqlite3_file* f, sqlite3_int64* size) { return real(f)->pMethods->xFileSize(real(f), size); }
int lock_file(sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); }
int unlock_file(sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); }
int is_reserved(sqlite3_file* f, int* is) { return real(f)->pMethods->xCheckReservedLock(real(f), is); }
int control_file(sqlite3_file* f, int what, void* with) {
  return real(f)->pMethods->xFileControl(real(f), what, with);
}
int sector_size(sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); }
int characteristics(sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); }
int map_shared(sqlite3_file* f, int page, int size, int extend, void volatile** to) {
  return real(f)->pMethods->xShmMap(real(f), page, size, extend, to);
}
int lock_shared(sqlite3_file* f, int offset, int n, int flags) {
  return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}
void barrier_shared(sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); }
int unmap_shared(sqlite3_file* f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); }
int fetch(sqlite3_file* f, sqlite3_int64 at, int bytes, void** to) {
  return real(f)->pMethods->xFetch(real(f), at, bytes, to);
}
int unfetch(sqlite3_file* f, sqlite3_int64 at, void* from) {
  return real(f)->pMethods->xUnfetch(real(f), at, from);
}

constexpr sqlite3_io_methods kMethods{
    3,           close_file,     read_bytes,   write_page,   truncate_file, sync_file,       size_of_file,
    lock_file,   unlock_file,    is_reserved,  control_file, sector_size,   characteristics, map_shared,
    lock_shared, barrier_shared, unmap_shared, fetch,        unfetch};

// The log, journals and temporary files are those below as they are.
int open_file(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags, int* got) {
  sqlite3_vfs* base = below(vfs);
  if (!(flags & SQLITE_OPEN_MAIN_DB)) return base->xOpen(base, name, file, flags, got);
  auto* tidy = new (file) TidyFile{};
  const int code = base->xOpen(base, name, tidy->real(), flags, got);
  // Of a file without methods nothing is closed, as SQLite has it.
  if (tidy->real()->pMethods) tidy->base.pMethods = &kMethods;
  return code;
}

}  // namespace

const char* tidy_vfs() {
  static const int registered = [] {
    sqlite3_vfs* base = sqlite3_vfs_find(nullptr);
    if (!base || base->iVersion < 3) return SQLITE_ERROR;
    static sqlite3_vfs tidy = *base;
    tidy.pNext = nullptr;
    tidy.zName = kName;
    tidy.szOsFile = int(sizeof(TidyFile)) + base->szOsFile;
    tidy.pAppData = base;
    tidy.xOpen = open_file;
    // The rest was written for the file system below, and is asked with that.
    tidy.xDelete = [](sqlite3_vfs* v, const char* n, int s) { return below(v)->xDelete(below(v), n, s); };
    tidy.xAccess = [](sqlite3_vfs* v, const char* n, int f, int* r) {
      return below(v)->xAccess(below(v), n, f, r);
    };
    tidy.xFullPathname = [](sqlite3_vfs* v, const char* n, int c, char* o) {
      return below(v)->xFullPathname(below(v), n, c, o);
    };
    tidy.xDlOpen = [](sqlite3_vfs* v, const char* n) { return below(v)->xDlOpen(below(v), n); };
    tidy.xDlError = [](sqlite3_vfs* v, int c, char* o) { below(v)->xDlError(below(v), c, o); };
    tidy.xDlSym = [](sqlite3_vfs* v, void* h, const char* n) { return below(v)->xDlSym(below(v), h, n); };
    tidy.xDlClose = [](sqlite3_vfs* v, void* h) { below(v)->xDlClose(below(v), h); };
    tidy.xRandomness = [](sqlite3_vfs* v, int c, char* o) { return below(v)->xRandomness(below(v), c, o); };
    tidy.xSleep = [](sqlite3_vfs* v, int t) { return below(v)->xSleep(below(v), t); };
    tidy.xCurrentTime = [](sqlite3_vfs* v, double* t) { return below(v)->xCurrentTime(below(v), t); };
    tidy.xGetLastError = [](sqlite3_vfs* v, int c, char* o) {
      return below(v)->xGetLastError ? below(v)->xGetLastError(below(v), c, o) : 0;
    };
    tidy.xCurrentTimeInt64 = [](sqlite3_vfs* v, sqlite3_int64* t) {
      return below(v)->xCurrentTimeInt64(below(v), t);
    };
    tidy.xSetSystemCall = nullptr, tidy.xGetSystemCall = nullptr, tidy.xNextSystemCall = nullptr;
    tidy.iVersion = 2;
    return sqlite3_vfs_register(&tidy, 0);
  }();
  check(registered == SQLITE_OK, "SQLite takes no file system of ours: ", sqlite3_errstr(registered));
  return kName;
}

PageGap gap_of_page(std::span<const std::byte> page, bool first) {
  const size_t start = first ? kFileHeader : 0;
  if (page.size() < 512 || (page.size() & (page.size() - 1)) != 0) return {};  // no page as SQLite has them
  const auto number = [&](size_t at) { return size_t(page[start + at]) << 8 | size_t(page[start + at + 1]); };
  const int type = int(page[start]);
  const bool leaf = type == 10 || type == 13;
  if (!leaf && type != 2 && type != 5) return {};
  const size_t begin = start + (leaf ? 8 : 12) + 2 * number(3);
  const size_t end = number(5) == 0 ? 65536 : number(5);  // as SQLite writes 65536
  if (begin > end || end > page.size()) return {};
  return {begin, end};
}

}  // namespace advf
