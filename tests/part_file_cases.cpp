// What lies in the files of parts, and beside them. Part of the suite `cli_parts`.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include "cli_test_util.h"
#include "tensor/io/npy.h"
#include "tensor/io/process.h"
#include "tools/options/part.h"

using namespace advf;
using namespace advf::test;
using advf::tools::Part;

namespace {

const ToyWorld& world() { return toy_world(); }
std::string part_name(const std::string& name, int i, int of) { return Part{i, of}.path(name); }

}  // namespace

// Also where it is in none of the rows by which the description of a file knows them.
BOOST_AUTO_TEST_CASE(a_part_that_was_changed_is_told) {
  const TempDir dir;
  constexpr int64_t rows = 600, values = 8;
  std::vector<float> all(size_t(rows * values));
  for (int64_t i = 0; i < rows; ++i) all[size_t(i * values + i % values)] = 1;
  save_npy(dir / "z.npy", Tensor::from(all, {rows, values}));
  const Args protect{"--in",           dir / "z.npy", "--protect", "noise",
                     "--noise-length", "0.1",         "--out",     dir / "p.npy"};
  for (const char* part : {"1/2", "2/2"}) succeed("protect", protect + Args{"--part", part});
  const std::string second = part_name(dir / "p.npy", 2, 2), written = read_bytes(second);
  std::string changed = written;
  changed[changed.size() - 6] ^= 1;  // of the last row, which is none of the 64
  write_bytes(second, changed);
  refuse(dir.path().string(), "inspect", {"--join", dir / "p.npy"}, 1,
         {"p.2-of-2.npy", "not those that were written"}, Late::yes);
  write_bytes(second, written);
  succeed("inspect", {"--join", dir / "p.npy"});
}

// Names decide whose a row is: lists that were exchanged, of as many lines, are told like rows that were.
BOOST_AUTO_TEST_CASE(lists_of_parts_are_bound) {
  const TempDir dir;
  for (const char* part : {"1/3", "2/3", "3/3"})
    succeed("extract", Args{"--batch", "16", "--out", dir / "z.npy", "--part", part} + world().images() +
                           world().recogniser());
  const std::string first = part_name(dir / "z.npy", 1, 3) + ".txt",
                    second = part_name(dir / "z.npy", 2, 3) + ".txt";
  const std::string names = read_bytes(first);
  BOOST_TEST(std::ranges::count(names, '\n') == std::ranges::count(read_bytes(second), '\n'));
  const auto refused = [&](const std::string& word) {
    refuse(dir.path().string(), "inspect", {"--join", dir / "z.npy"}, 1, {"z.1-of-3.npy.txt", word},
           Late::yes);
  };
  write_bytes(first, read_bytes(second));
  refused("another list");
  std::filesystem::remove(first);
  refused("not there");
  write_bytes(first, names);
  succeed("inspect", {"--join", dir / "z.npy"});
}

// Few that cannot be read end no part of a run that they would not end.
BOOST_AUTO_TEST_CASE(a_part_bears_what_the_whole_bears) {
  const TempDir dir;
  std::filesystem::copy(world().at("faces/images"), dir / "images", std::filesystem::copy_options::recursive);
  int64_t pictures = 0;
  std::string any;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir / "images"))
    if (entry.is_regular_file()) ++pictures, any = std::max(any, entry.path().string());
  write_bytes(any, "no picture");  // the last one
  const Args extract =
      Args{"--batch", "16", "--images", dir / "images", "--out", dir / "z.npy", "--part", "2/2"} +
      world().recogniser();
  succeed("extract", extract + Args{"--max-broken", std::to_string(1.5 / double(pictures))});
  const Args none = extract + Args{"--max-broken", "0"};
  complain("extract", none, run_program("extract", none), 1, {"1 of ", " of all " + std::to_string(pictures)},
           Late::yes);
}

// What killed ranks leave is theirs no more, even where nobody has asked yet how they ended.
BOOST_AUTO_TEST_CASE(who_has_ended_does_not_run) {
  const pid_t child = ::fork();
  BOOST_REQUIRE(child >= 0);
  if (child == 0) ::_exit(0);
  siginfo_t ended;
  BOOST_REQUIRE(::waitid(P_PID, id_t(child), &ended, WEXITED | WNOWAIT) == 0);
  BOOST_TEST(::kill(child, 0) == 0);  // it is still in the list
  BOOST_TEST(!is_running(child));
  BOOST_TEST(::waitpid(child, nullptr, 0) == child);
  BOOST_TEST(!is_running(child));
  BOOST_TEST(is_running(::getpid()));
}
