#include "advface/store/table_pages.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "advface/store/database.h"

namespace advf {
namespace {

constexpr size_t kInterior = 5, kLeaf = 13;
constexpr int kDeepest = 20;
// So many bytes are read at once: pages that follow one another mostly lie side by side, the time of a call
// is shared, and rows are compared while they lie in a core's own cache.
constexpr size_t kReadAtOnce = 256 << 10;

// One walk through a table.
class Walk {
 public:
  Walk(const TablePages& pages, int64_t begin, int64_t end, const TablePages::Take& take)
      : pages_(pages), begin_(begin), end_(end), take_(take) {
    check_sane(pages.page_bytes >= 512 && pages.count >= 1);
    ahead_.resize(std::max<size_t>(1, kReadAtOnce / pages.page_bytes) * pages.page_bytes);
    reserved_ = size_t(page(1)[20]);  // at the end of each page, no part of it
    check_sane(reserved_ < pages.page_bytes / 2);
  }

  void visit(int64_t number, int depth) {
    // A tree has each page once, and few levels.
    check_sane(depth < kDeepest && ++visited_ <= pages_.count);
    const std::span<const std::byte> found = page(number);
    const size_t type = byte(found, 0), cells = two(found, 3);
    if (type == kLeaf) return leaf(found, cells);
    check_sane(type == kInterior);
    const std::vector<std::byte> kept(found.begin(), found.end());  // while pages below it are read
    for (size_t c = 0; c < cells; ++c) {
      size_t at = two(kept, 12 + 2 * c);
      const int64_t child = four(kept, at);
      at += 4;
      const int64_t last = int64_t(varint(kept, at));  // of the ids below it
      if (last >= begin_) visit(child, depth + 1);
      if (last >= end_ - 1) return;
    }
    visit(four(kept, 8), depth + 1);
  }

 private:
  void check_sane(bool good) const {
    if (!good)
      throw DamagedDatabase(pages_.path +
                            " is damaged (a page of the table of features); advface-store check says "
                            "more, and a backup has what was there");
  }
  std::span<const std::byte> page(int64_t number) {
    check_sane(number >= 1 && number <= pages_.count);
    const size_t bytes = pages_.page_bytes;
    if (number < first_ || number >= first_ + there_) {
      there_ = 0;  // where reading throws
      const int64_t many = std::min(int64_t(ahead_.size() / bytes), pages_.count - number + 1);
      pages_.read(number, std::span(ahead_).first(size_t(many) * bytes));
      first_ = number;
      there_ = many;
    }
    return std::span(ahead_).subspan(size_t(number - first_) * bytes, bytes);
  }
  size_t byte(std::span<const std::byte> page, size_t at) const {
    check_sane(at < page.size());
    return size_t(page[at]);
  }
  size_t two(std::span<const std::byte> page, size_t at) const {
    check_sane(at + 2 <= page.size());
    return size_t(page[at]) << 8 | size_t(page[at + 1]);
  }
  int64_t four(std::span<const std::byte> page, size_t at) const {
    return int64_t(two(page, at)) << 16 | int64_t(two(page, at + 2));
  }
  // Seven bits a byte, the most significant first, as long as the eighth bit is set; the ninth byte has
  // eight.
  uint64_t varint(std::span<const std::byte> page, size_t& at) const {
    uint64_t value = 0;
    for (int k = 0; k < 8; ++k) {
      const size_t b = byte(page, at++);
      value = value << 7 | (b & 127);
      if (b < 128) return value;
    }
    return value << 8 | byte(page, at++);
  }

  void leaf(std::span<const std::byte> page, size_t cells) {
    for (size_t c = 0; c < cells; ++c) {
      size_t at = two(page, 8 + 2 * c);
      const uint64_t payload = varint(page, at);
      const int64_t id = int64_t(varint(page, at));
      check_sane(id > last_);  // rows lie by their numbers, each once
      last_ = id;
      if (id < begin_) continue;
      if (id >= end_) return;
      // More would lie in other pages.
      check_sane(payload <= page.size() - reserved_ - 35 && at + payload <= page.size());
      const std::span<const std::byte> record = page.subspan(at, size_t(payload));
      size_t in = 0;
      const uint64_t header = varint(record, in);
      check_sane(varint(record, in) == 0);  // the number is the row's own
      const uint64_t kind = varint(record, in);
      check_sane(in == header && kind >= 12 && kind % 2 == 0 && (kind - 12) / 2 == record.size() - in);
      take_(id, record.subspan(in));
    }
  }

  const TablePages& pages_;
  const int64_t begin_, end_;
  const TablePages::Take& take_;
  std::vector<std::byte> ahead_;
  int64_t first_ = 0, there_ = 0;  // pages in it
  size_t reserved_ = 0;
  int64_t visited_ = 0, last_ = std::numeric_limits<int64_t>::min();
};

}  // namespace

void TablePages::rows(int64_t root, int64_t begin, int64_t end, const Take& take) const {
  if (begin < end) Walk(*this, begin, end, take).visit(root, 0);
}

bool fits_into_page(size_t row_bytes, size_t page_bytes) {
  constexpr size_t kMostBeside = 64;  // numbers and lengths of a row, and what a page has for itself
  return row_bytes + kMostBeside <= page_bytes;
}

}  // namespace advf
