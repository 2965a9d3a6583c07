// Rows of a long pass: what an earlier call left is there, to the last whole row, and what is no such file is
// never written to. What advface-key makes of it: test_cli_rotate.
#define BOOST_TEST_MODULE unfinished_rows
#include "advface/core/unfinished_rows.h"

#include <sys/stat.h>

#include "file_test_util.h"
#include "method_test_util.h"
#include "protection_test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

const Shape kRow{5};
const RowsToMake kWhat{"0123456789abcdef", protected_by({.epsilon = 0.25}, {{"shadow", "0123"}})};

Tensor some_rows(int64_t n) { return randn({n, 5}, 3, DType::f32); }

}  // namespace

BOOST_AUTO_TEST_CASE(what_was_left_is_there) {
  const TempDir dir;
  const std::string path = dir / "a.part";
  const Tensor all = some_rows(7);
  {
    UnfinishedRows rows(path, kRow);
    BOOST_TEST((!rows.begun() && rows.count() == 0));
    rows.begin(kWhat);
    rows.append(all.slice_batch(0, 3));
    rows.append(all.slice_batch(3, 5));
  }
  {
    UnfinishedRows rows(path, kRow);
    BOOST_TEST((rows.begun() == kWhat && rows.count() == 5));
    BOOST_TEST(same_bits(rows.range(1, 5), all.slice_batch(1, 5)));
    rows.cut_back(4);
    BOOST_TEST((rows.count() == 4));
    rows.append(all.slice_batch(4, 7));
    BOOST_TEST(same_bits(rows.range(0, 7), all));
    refused([&] { rows.range(6, 8); }, {path, "[6, 8) of 7"});
    refused([&] { rows.begin(kWhat); }, {path, "rows already"});
    refused([&] { rows.append(randn({1, 4}, 1, DType::f32)); }, {path, "[5]", "[1,4]"});
    refused([&] { rows.append(randn({1, 5}, 1)); }, {path, "f64"});
    BOOST_TEST(rows.count() == 7);
    rows.remove();
  }
  BOOST_TEST(dir.count() == 0u);
  // Nothing is left of what was only looked at.
  { const UnfinishedRows looked(path, kRow); }
  BOOST_TEST(dir.count() == 0u);
  refused([&] { UnfinishedRows(dir / "missing/a.part", kRow); }, {dir / "missing/a.part", "No such file"});
  refused([&] { UnfinishedRows(path, {0}); }, {path, "[0]"});
}

// The file cut at every byte: no row that is not whole, and of half a head nothing.
BOOST_AUTO_TEST_CASE(killed_at_any_byte) {
  const TempDir dir;
  const std::string path = dir / "a.part";
  const Tensor all = some_rows(3);
  {
    UnfinishedRows rows(path, kRow);
    rows.begin(kWhat);
    rows.append(all);
  }
  const std::string whole = read_bytes(path);
  const size_t head = whole.size() - all.bytes();
  BOOST_REQUIRE(whole[head - 1] == '\n');
  for (size_t n = 0; n <= whole.size(); ++n) {
    write_bytes(path, whole.substr(0, n));
    UnfinishedRows rows(path, kRow);
    BOOST_TEST(rows.begun().has_value() == (n >= head), n);
    BOOST_TEST((rows.count() == (n < head ? 0 : int64_t((n - head) / 20))), n);
    if (n < head) rows.begin(kWhat);
    if (rows.count() < 3) rows.append(all.slice_batch(rows.count(), 3));
    BOOST_TEST((read_bytes(path) == whole), n);
  }
}

BOOST_AUTO_TEST_CASE(one_at_a_time) {
  const TempDir dir;
  const std::string path = dir / "a.part";
  UnfinishedRows first(path, kRow);
  refused([&] { UnfinishedRows(path, kRow); }, {path, "another program"});
  first.begin(kWhat);
  first.append(some_rows(2));
  refused([&] { UnfinishedRows(path, kRow); }, {path, "another program"});
  first.remove();
  // Who comes then begins anew.
  UnfinishedRows second(path, kRow);
  BOOST_TEST(!second.begun());
  second.begin(kWhat);
  BOOST_TEST(dir.count() == 1u);
}

BOOST_AUTO_TEST_CASE(what_is_something_else_stays) {
  const TempDir dir;
  const std::string path = dir / "a.part";
  for (const std::string& text :
       {std::string("my notes\n"), std::string("x"), std::string("{}\n"), std::string(100, '\0'),
        std::string(R"({"format":"advface-unfinished-2","protection":[],"source":"0"})") + "\n",
        std::string(R"({"format":"advface-unfinished-1","protection":[]})") + "\n",
        std::string(R"({"format":"advface-unfinished-1","protection":3,"source":"0"})") + "\n"}) {
    write_bytes(path, text);
    refused([&] { UnfinishedRows(path, kRow); }, {path});
    BOOST_TEST(read_bytes(path) == text);
  }
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  refused([&] { UnfinishedRows(path, kRow); }, {path});
}

BOOST_AUTO_TEST_CASE(survives_a_damaged_file) {
  const TempDir dir;
  const std::string path = dir / "a.part";
  {
    UnfinishedRows rows(path, kRow);
    rows.begin(kWhat);
    rows.append(some_rows(2));
  }
  survive(
      read_bytes(path),
      [&](const std::string& bytes) {
        write_bytes(path, bytes);
        const UnfinishedRows rows(path, kRow);
        rows.range(0, rows.count());
      },
      300);
}
