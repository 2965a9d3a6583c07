// A file system for SQLite that leaves no remains in a database's file. When SQLite splits a page it copies
// rows out of it, and what they were stays between the page's index and its rows, where no later removal
// finds it (secure_delete overwrites what is removed, not what was moved). Here every page goes to the file
// with that gap overwritten. The log (FILE-wal) is written as it is, for its pages have checksums; a removal
// empties it.
#pragma once
#include <cstddef>
#include <span>

namespace advf {

// The name under which SQLite opens files by it; registered by the first call. Throws Error where SQLite
// refuses.
const char* tidy_vfs();

// Bytes [begin, end) of a page that belong to nothing: of a page of a b-tree the gap between the pointers to
// its cells and the cells (SQLite's file format, 1.6); of another page, or a damaged one, none. first: page
// 1, which begins with the file's header.
struct PageGap {
  size_t begin = 0, end = 0;
};
PageGap gap_of_page(std::span<const std::byte> page, bool first);

}  // namespace advf
