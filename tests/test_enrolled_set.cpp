// Sets that grow in place: what a reader sees whatever breaks off in the middle, and what is refused.
#define BOOST_TEST_MODULE enrolled_set
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

#include "advface/store/enrolled_set.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "tensor/io/npy.h"

using namespace advf;
using namespace advf::test;

namespace {

const Shape kRow{5};
const Metadata kMadeBy{{"shadow", "0123"}, {"epsilon", "0.02"}};

Tensor some_rows(int64_t n) { return randn({n, 5}, 3, DType::f32); }

std::vector<std::string> names(int64_t first, int64_t n) {
  std::vector<std::string> list;
  for (int64_t i = 0; i < n; ++i) list.push_back("photo " + std::to_string(first + i) + ".jpg");
  return list;
}

// Rows [begin, end) of `all`, committed at once.
void add(const std::string& path, const Tensor& all, int64_t begin, int64_t end) {
  EnrolledSet set(path, kRow, kMadeBy);
  BOOST_REQUIRE(set.rows() == begin);
  set.append(all.slice_batch(begin, end), names(begin, end - begin));
  set.commit();
}

// A set of n rows of `all`, whole in array and index.
void check_holds(const std::string& path, const Tensor& all, int64_t n) {
  BOOST_TEST(same_bits(load_npy(path), all.slice_batch(0, n)));
  const EnrolledRows set = read_enrolled_set(path);
  BOOST_REQUIRE(set.records.size() == size_t(n));
  BOOST_TEST((set.made_by == kMadeBy && set.row == kRow));
  for (int64_t i = 0; i < n; ++i) BOOST_TEST(set.records[size_t(i)].name == names(i, 1)[0]);
}

// What the child did, in another process: its exit code, or 128 + the signal that ended it.
int in_child(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      work();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void limit_files(uint64_t bytes, void (*on_excess)(int)) {
  std::signal(SIGXFSZ, on_excess);
  const rlimit size{bytes, bytes}, no_core{0, 0};
  ::setrlimit(RLIMIT_FSIZE, &size);
  ::setrlimit(RLIMIT_CORE, &no_core);
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_by_one_is_the_same_as_all_at_once) {
  const TempDir dir;
  const Tensor all = some_rows(12);
  add(dir / "once.npy", all, 0, 12);
  for (int64_t i = 0; i < 12; ++i) {
    add(dir / "grown.npy", all, i, i + 1);
    check_holds(dir / "grown.npy", all, i + 1);
  }
  BOOST_TEST((read_bytes(dir / "grown.npy") == read_bytes(dir / "once.npy")));
  BOOST_TEST((read_bytes(dir / "grown.npy.index") == read_bytes(dir / "once.npy.index")));
  // As any other array is written.
  save_npy(dir / "plain.npy", all);
  BOOST_TEST((read_bytes(dir / "grown.npy") == read_bytes(dir / "plain.npy")));
  BOOST_TEST(dir.count() == 5u);
}

BOOST_AUTO_TEST_CASE(without_a_commit_nothing_happened) {
  const TempDir dir;
  const Tensor all = some_rows(4);
  {
    EnrolledSet set(dir / "a.npy", kRow, kMadeBy);
    set.append(all, names(0, 4));
  }
  BOOST_TEST(dir.count() == 0u);
  add(dir / "a.npy", all, 0, 2);
  const std::string array = read_bytes(dir / "a.npy"), index = read_bytes(dir / "a.npy.index");
  {
    EnrolledSet set(dir / "a.npy", kRow, kMadeBy);
    set.append(all.slice_batch(2, 4), names(2, 2));
    check_holds(dir / "a.npy", all, 2);  // who reads meanwhile
  }
  BOOST_TEST((read_bytes(dir / "a.npy") == array && read_bytes(dir / "a.npy.index") == index));
  EnrolledSet nobody(dir / "none.npy", kRow, kMadeBy);
  nobody.commit();
  check_holds(dir / "none.npy", all, 0);
}

// Every state that the order of writes can leave, made by hand: any part of the rows; all rows and any part
// of the index. The old set is read, and the next append makes the new one as if nothing had been.
BOOST_AUTO_TEST_CASE(whatever_breaks_off_the_old_set_is_there) {
  const TempDir dir;
  const Tensor all = some_rows(3);
  const std::string path = dir / "a.npy", index = path + ".index";
  add(path, all, 0, 2);
  const std::string old_array = read_bytes(path), old_index = read_bytes(index);
  add(path, all, 2, 3);
  const std::string new_array = read_bytes(path), new_index = read_bytes(index);
  BOOST_REQUIRE(new_index.starts_with(old_index));
  const auto recovers = [&](const std::string& array, const std::string& lines) {
    write_bytes(path, array);
    write_bytes(index, lines);
    check_holds(path, all, 2);
    add(path, all, 2, 3);
    BOOST_TEST((read_bytes(path) == new_array && read_bytes(index) == new_index),
               array.size() << " bytes of rows, " << lines.size() << " of the index");
  };
  const std::string rows = new_array.substr(old_array.size()), lines = new_index.substr(old_index.size());
  for (size_t n = 0; n <= rows.size(); n += 3) recovers(old_array + rows.substr(0, n), old_index);
  for (size_t n = 0; n <= lines.size(); n += 7) recovers(old_array + rows, old_index + lines.substr(0, n));
  recovers(old_array + rows, new_index);
  // A power cut may leave zeros, or an index longer than what is looked at first.
  recovers(old_array + std::string(1000, '\0'), old_index + std::string(300, '\0'));
  std::string long_tail;
  for (int i = 2; i < 3000; ++i)
    long_tail += "{\"checksum\":\"0\",\"name\":\"x\",\"record\":" + std::to_string(i) + "}\n";
  BOOST_REQUIRE(long_tail.size() > 65536u);
  recovers(old_array + rows + rows, old_index + long_tail + "{\"check");

  // The first append of all: the array is not there before it is whole.
  std::filesystem::remove(path);
  write_bytes(path + ".new", new_array.substr(0, 200));
  write_bytes(index, new_index.substr(0, new_index.size() - 5));
  add(path, all, 0, 2);
  BOOST_TEST((read_bytes(path) == old_array && read_bytes(index) == old_index));
  BOOST_TEST(dir.count() == 2u);
}

// A process that is killed by its write at byte n of a file, for many n; or told that the disk is full.
BOOST_AUTO_TEST_CASE(killed_or_out_of_space_at_any_byte) {
  const TempDir dir;
  const Tensor all = some_rows(40);
  const std::string path = dir / "a.npy", index = path + ".index";
  add(path, all, 0, 10);
  const std::string array = read_bytes(path), lines = read_bytes(index);
  int killed = 0, refused_writes = 0;
  const auto grow = [&] { add(path, all, 10, 40); };
  for (uint64_t limit = array.size(); limit < lines.size() + 3000; limit += 97) {
    for (const bool kill : {true, false}) {
      write_bytes(path, array);
      write_bytes(index, lines);
      const int code = in_child([&] {
        limit_files(limit, kill ? SIG_DFL : SIG_IGN);
        grow();
      });
      killed += code == 128 + SIGXFSZ;
      refused_writes += code == 1;
      check_holds(path, all, code == 0 ? 40 : 10);
      if (code == 1) BOOST_TEST((read_bytes(path) == array && read_bytes(index) == lines));
      if (code != 0) grow();
      check_holds(path, all, 40);
    }
  }
  BOOST_TEST(killed > 20);
  BOOST_TEST(refused_writes == killed);
}

// kill -9 at a random moment of a process that goes on appending, while we read.
BOOST_AUTO_TEST_CASE(killed_at_a_random_moment_while_others_read) {
  const TempDir dir;
  const Tensor all = some_rows(4000);
  const std::string path = dir / "a.npy";
  add(path, all, 0, 1);
  int64_t rows = 1;
  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int64_t i = rows; i < all.dim(0); ++i) {
        EnrolledSet set(path, kRow, kMadeBy);
        set.append(all.slice_batch(i, i + 1), names(i, 1));
        set.commit();
      }
      ::_exit(0);
    }
    // On a busy machine the child may need longer to get on at all.
    const auto begin = std::chrono::steady_clock::now();
    const auto end = begin + std::chrono::microseconds(4000 + 1700 * round),
               last = begin + std::chrono::seconds(10);
    int64_t seen = rows;
    for (auto now = begin; now < end || (seen == rows && now < last);
         now = std::chrono::steady_clock::now()) {
      const Tensor there = load_npy(path);
      BOOST_REQUIRE(there.dim(0) >= seen);
      BOOST_REQUIRE(same_bits(there, all.slice_batch(0, there.dim(0))));
      seen = there.dim(0);
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    rows = NpyReader(path).rows();
    BOOST_REQUIRE(rows >= seen);
    check_holds(path, all, rows);
  }
  BOOST_TEST(rows > 12);
  add(path, all, rows, rows + 1);
}

BOOST_AUTO_TEST_CASE(of_two_the_second_waits) {
  const TempDir dir;
  const Tensor all = some_rows(40);
  const std::string path = dir / "a.npy";
  // Eight processes at once, from the very first row on.
  std::vector<pid_t> children;
  for (int64_t k = 0; k < 8; ++k) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 0; i < 5; ++i) {
        EnrolledSet set(path, kRow, kMadeBy);
        const int64_t r = set.rows();
        set.append(all.slice_batch(r, r + 1), names(r, 1));
        if (i != 3) set.commit();  // one of five gives up
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
  }
  check_holds(path, all, 32);

  EnrolledSet first(path, kRow, kMadeBy);
  int asked = 0;
  BOOST_CHECK_THROW(EnrolledSet(path, kRow, kMadeBy, [&] { return ++asked < 3; }), Interrupted);
  BOOST_TEST(asked == 3);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_named) {
  const TempDir dir;
  const Tensor all = some_rows(3);
  const std::string path = dir / "a.npy", index = path + ".index";
  add(path, all, 0, 3);
  const std::string array = read_bytes(path), lines = read_bytes(index);
  refused([&] { EnrolledSet(path, {6}, kMadeBy); }, {path, "[3,5]", "[6]"});
  refused([&] { EnrolledSet(path, {5, 1, 1}, kMadeBy); }, {path, "[3,5]", "[5,1,1]"});
  Metadata other = kMadeBy;
  other["epsilon"] = "0.04";
  refused([&] { EnrolledSet(path, kRow, other); }, {path, "epsilon is 0.02", "epsilon is 0.04"});
  other = kMadeBy;
  other["norm"] = "l2";
  refused([&] { EnrolledSet(path, kRow, other); }, {path, "norm is not set", "norm is l2"});
  {
    EnrolledSet set(path, kRow, kMadeBy);
    refused([&] { set.append(randn({1, 4}, 1, DType::f32), names(0, 1)); }, {path, "[5]", "[1,4]"});
    refused([&] { set.append(randn({1, 5}, 1), names(0, 1)); }, {path, "f64"});
    refused([&] { set.append(all, names(0, 2)); }, {path, "3 rows", "2 names"});
    refused([&] { set.append(all.slice_batch(0, 1), std::vector{std::string(5000, 'x')}); }, {"5000"});
  }
  const auto damaged = [&](const std::string& a, const std::string& i,
                           const std::vector<std::string>& words) {
    write_bytes(path, a);
    write_bytes(index, i);
    refused([&] { EnrolledSet(path, kRow, kMadeBy); }, words);
    refused([&] { read_enrolled_set(path); }, {words[0]});
    BOOST_TEST((read_bytes(path) == a && read_bytes(index) == i));
  };
  std::string changed = array;
  changed.back() = char(changed.back() ^ 1);
  damaged(changed, lines, {path, "row 2", index});
  damaged(array.substr(0, array.size() - 1), lines, {path, "cut short"});
  damaged(array, lines.substr(0, lines.size() - 1), {index, "record 2", "3 rows"});
  damaged(array, lines.substr(0, lines.find('\n') + 1), {index, "record", "3 rows"});
  damaged(array, lines.substr(0, lines.find('\n')), {index, "advface-set-1"});
  damaged(array, "[]\n", {index, "advface-set-1"});
  damaged("nothing", lines, {path, "npy"});
  // A row in the middle: appending looks at the last one only, reading all at each.
  changed = array;
  changed[kNpyHeaderBytes] = char(changed[kNpyHeaderBytes] ^ 1);
  write_bytes(path, changed);
  write_bytes(index, lines);
  refused([&] { read_enrolled_set(path); }, {path, "row 0", index});

  write_bytes(path, array);
  std::filesystem::remove(index);
  refused([&] { EnrolledSet(path, kRow, kMadeBy); }, {path, "no index"});
  BOOST_TEST(dir.count() == 1u);  // and none was made
  // Without an index beside it a file must end where its rows end.
  write_bytes(path, array + "more");
  refused([&] { load_npy(path); }, {path, "takes 60 bytes"});
  refused([&] { EnrolledSet(dir / "missing/a.npy", kRow, kMadeBy); }, {dir / "missing/a.npy"});
  std::filesystem::create_directory(dir / "folder.npy");
  refused([&] { EnrolledSet(dir / "folder.npy", kRow, kMadeBy); }, {dir / "folder.npy"});
}

BOOST_AUTO_TEST_CASE(names_of_any_bytes) {
  const TempDir dir;
  {
    EnrolledSet set(dir / "a.npy", kRow, kMadeBy);
    set.append(some_rows(3), std::vector<std::string>{"two\nlines \"quoted\"", "\xff", "J\u00fcrgen"});
    set.commit();
  }
  const EnrolledRows set = read_enrolled_set(dir / "a.npy");
  BOOST_TEST(set.records[0].name == "two\nlines \"quoted\"");
  BOOST_TEST(set.records[1].name == "\ufffd");
  BOOST_TEST(set.records[2].name == "J\u00fcrgen");
  BOOST_TEST((EnrolledSet(dir / "a.npy", kRow, kMadeBy).rows() == 3));
}

BOOST_AUTO_TEST_CASE(survives_a_damaged_index) {
  const TempDir dir;
  const Tensor all = some_rows(3);
  const std::string path = dir / "a.npy", index = path + ".index";
  add(path, all, 0, 3);
  const std::string array = read_bytes(path), good = read_bytes(index);
  const int accepted = survive(
      good,
      [&](const std::string& lines) {
        write_bytes(path, array);
        write_bytes(index, lines);
        try {
          read_enrolled_set(path);
        } catch (const Error&) {
          EnrolledSet(path, kRow, kMadeBy);
          throw;
        }
      },
      200);
  BOOST_TEST(accepted > 0);  // a flip in a name
  BOOST_TEST(accepted < 300);
}
