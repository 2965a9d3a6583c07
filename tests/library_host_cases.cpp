// What the host has set and what it does meanwhile: arithmetic, waits, memory that overlaps.
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <thread>

#include "library_test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

// A control that asks `ask`, which lives as long as it.
using Ask = std::function<bool()>;
advface_control asking(const Ask& ask) {
  advface_control control = {};
  control.size = sizeof control;
  control.user = const_cast<Ask*>(&ask);
  control.go_on = [](void* user, int32_t* answer) { *answer = (*static_cast<const Ask*>(user))() ? 1 : 0; };
  return control;
}

// A protection of `rows` features that takes so many steps for each, and all that its call wants.
struct SlowCall {
  SlowCall(int64_t rows, const char* steps)
      : features(LibraryWorld::features(rows)), numbers(counted(rows)), out(features.size()) {
    const std::string shadow = library_world().at("e.safetensors");
    protection = protection_handle(space_of(recogniser),
                                   {{"shadow", shadow.c_str()}, {"epsilon", "0.2"}, {"steps", steps}});
    in = view(features, {rows, kToyDim}), records = view(numbers, {rows}), to = view(out, {rows, kToyDim});
  }
  SlowCall(const SlowCall&) = delete;
  advface_status run(const advface_control* control = nullptr, advface_error** error = nullptr) {
    return advface_protect(protection.get(), &in, &records, control, &to, nullptr, error);
  }

  advface::Recogniser recogniser = toy_handle();
  Owned<advface_protection> protection{nullptr, advface_protection_free};
  std::vector<float> features;
  std::vector<int64_t> numbers;
  std::vector<float> out;
  advface_array in{}, records{}, to{};
};

}  // namespace

BOOST_AUTO_TEST_CASE(the_hosts_arithmetic_changes_no_bit) {
  SlowCall call(20, "3");
  BOOST_REQUIRE(call.run() == ADVFACE_OK);
  const std::vector<float> expected = call.out;
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    BOOST_REQUIRE(std::fesetround(mode) == 0);
    ::feenableexcept(FE_INEXACT | FE_UNDERFLOW | FE_DIVBYZERO);
    std::ranges::fill(call.out, 0.0f);
    const advface_status status = call.run();
    const int traps = ::fegetexcept(), round = std::fegetround();
    ::fedisableexcept(FE_ALL_EXCEPT);
    std::fesetround(FE_TONEAREST);
    BOOST_TEST(status == ADVFACE_OK);
    BOOST_TEST(traps == (FE_INEXACT | FE_UNDERFLOW | FE_DIVBYZERO));
    BOOST_TEST(round == mode);
    BOOST_TEST((call.out == expected));
  }
#if defined(__SSE2__)
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | _MM_FLUSH_ZERO_ON | 0x40);  // small numbers are zero, also those that are read
  std::ranges::fill(call.out, 0.0f);
  const advface_status status = call.run();
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  BOOST_TEST((after & (_MM_FLUSH_ZERO_ON | 0x40)) == (_MM_FLUSH_ZERO_ON | 0x40));
  BOOST_TEST(status == ADVFACE_OK);
  BOOST_TEST((call.out == expected));
#endif
}

BOOST_AUTO_TEST_CASE(a_callback_has_the_hosts_arithmetic) {
  SlowCall call(300, "100000");
  std::vector<int> rounds;
  const Ask ask = [&] {
    rounds.push_back(std::fegetround());
    std::fesetround(FE_DOWNWARD);  // stays the host's
    return rounds.size() < 3;
  };
  const advface_control control = asking(ask);
  std::fesetround(FE_UPWARD);
  const advface_status status = call.run(&control);
  const int after = std::fegetround();
  std::fesetround(FE_TONEAREST);
  BOOST_TEST(status == ADVFACE_INTERRUPTED);
  BOOST_TEST(after == FE_DOWNWARD);
  BOOST_TEST((rounds == std::vector<int>{FE_UPWARD, FE_DOWNWARD, FE_DOWNWARD}));
}

BOOST_AUTO_TEST_CASE(a_key_that_does_not_come_is_not_waited_for) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  BOOST_REQUIRE(::write(ends[1], "advface-key-1\n", 14) == 14);
  int asked = 0;
  const Ask twice = [&] { return ++asked < 2; };
  const advface_control control = asking(twice);
  advface_key* key = nullptr;
  is_refused([&](advface_error** e) { return advface_key_read_fd(ends[0], &control, &key, e); },
             ADVFACE_INTERRUPTED, {"interrupted"});
  BOOST_TEST(asked == 2);
  ::close(ends[1]);
  const Ask always = [] { return true; };
  const advface_control goes_on = asking(always);
  is_refused([&](advface_error** e) { return advface_key_read_fd(ends[0], &goes_on, &key, e); },
             ADVFACE_FAILED, {"no key file"});
  ::close(ends[0]);
}

// Another program that lets nobody read.
BOOST_AUTO_TEST_CASE(a_store_that_another_program_holds_is_not_waited_for) {
  const TempDir dir;
  const std::string path = dir / "people.db";
  advface::Store::create(path, toy_space(), {{"protect", "none"}});
  int held[2], over[2];
  BOOST_REQUIRE(::pipe(held) == 0);
  BOOST_REQUIRE(::pipe(over) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    sqlite3* db = nullptr;
    bool well = sqlite3_open(path.c_str(), &db) == SQLITE_OK;
    for (const char* sql : {"PRAGMA locking_mode=EXCLUSIVE", "BEGIN EXCLUSIVE"})
      well = sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK && well;
    char c = well ? 'y' : 'n';
    if (::write(held[1], &c, 1) != 1 || ::read(over[0], &c, 1) < 0) ::_exit(1);
    ::_exit(0);
  }
  char c = 0;
  BOOST_REQUIRE(::read(held[0], &c, 1) == 1);
  int asked = 0;
  const advface::GoOn twice = [&] { return ++asked % 2 != 0; };
  if (c == 'y')
    BOOST_CHECK_EXCEPTION(advface::Store::open(path, nullptr, {}, "default", nullptr, twice), advface::Error,
                          [](const advface::Error& e) { return e.code() == ADVFACE_INTERRUPTED; });
  BOOST_TEST(c == 'y');
  BOOST_TEST(asked == 2);
  BOOST_REQUIRE(::write(over[1], &c, 1) == 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  for (const int end : {held[0], held[1], over[0], over[1]}) ::close(end);
}

BOOST_AUTO_TEST_CASE(what_is_told_has_memory_of_its_own) {
  const auto protection = protection_handle(toy_space(), {{"protect", "noise"}, {"noise-length", "0.3"}});
  std::vector<float> memory(4096), out(4 * kToyDim);
  const std::vector<float> features = LibraryWorld::features(4);
  std::ranges::copy(features, memory.begin());
  std::vector<int64_t> numbers(256);
  std::iota(numbers.begin(), numbers.end(), int64_t(0));
  const advface_array in = view(memory.data(), {4, kToyDim}), records = view(numbers.data(), {4});
  advface_array to = view(out, {4, kToyDim});
  for (void* place : {static_cast<void*>(memory.data()), static_cast<void*>(numbers.data()),
                      static_cast<void*>(out.data())})
    is_refused(
        [&](advface_error** e) {
          return advface_protect(protection.get(), &in, &records, nullptr, &to,
                                 static_cast<advface_report*>(place), e);
        },
        ADVFACE_INVALID_ARGUMENT, {"overlaps"});
  std::vector<advface_report> reports(4);
  works([&](advface_error** e) {
    return advface_protect(protection.get(), &in, &records, nullptr, &to, reports.data(), e);
  });
}

// A process that a callback forks cannot come back from it; the one that it came from goes on.
BOOST_AUTO_TEST_CASE(a_callback_that_forks) {
  SlowCall call(300, "100000");
  int text[2];
  BOOST_REQUIRE(::pipe(text) == 0);
  pid_t child = -1;
  const Ask ask = [&] {
    child = ::fork();
    if (child == 0) ::dup2(text[1], STDERR_FILENO);
    return child == 0;  // comes back
  };
  const advface_control control = asking(ask);
  BOOST_TEST(call.run(&control) == ADVFACE_INTERRUPTED);
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 70);
  ::close(text[1]);
  std::string told(300, '\0');
  told.resize(size_t(std::max<ssize_t>(::read(text[0], told.data(), told.size()), 0)));
  BOOST_TEST(told.find("returns from go_on") != std::string::npos, told);
  ::close(text[0]);
}

namespace {

// body() in a process of its own, which ends with what it returns; the process's status.
template <class Body>
int status_of(const Body& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

}  // namespace

// What SQLite has left of a file that is gone would come to life again in a new one of its name.
BOOST_AUTO_TEST_CASE(a_log_of_a_file_that_is_gone_is_refused) {
  const TempDir dir;
  const std::string path = dir / "people.db";
  for (const char* end : {"-wal", "-journal"}) {
    write_bytes(path + end, "left");
    BOOST_CHECK_EXCEPTION(advface::Store::create(path, toy_space(), {{"protect", "none"}}), advface::Error,
                          [&](const advface::Error& e) {
                            return e.code() == ADVFACE_FAILED &&
                                   std::string(e.what()).find(path + end) != std::string::npos;
                          });
    BOOST_TEST(!std::filesystem::exists(path));
    BOOST_TEST(read_bytes(path + end) == "left");
    std::filesystem::remove(path + end);
  }
  advface::Store::create(path, toy_space(), {{"protect", "none"}});
}

// A thread that is cancelled in a call ends behind it.
BOOST_AUTO_TEST_CASE(a_thread_that_is_cancelled) {
  struct Work {
    SlowCall call{100, "3000"};
    std::atomic<bool> begun = false, ended = false;
  } work;
  pthread_t thread;
  const auto run = [](void* user) -> void* {
    Work& w = *static_cast<Work*>(user);
    w.begun = true;
    w.ended = w.call.run() == ADVFACE_OK;
    return nullptr;
  };
  BOOST_REQUIRE(::pthread_create(&thread, nullptr, run, &work) == 0);
  while (!work.begun) ::usleep(1000);
  ::pthread_cancel(thread);
  ::pthread_join(thread, nullptr);
  BOOST_TEST(work.ended);
}

// A limit on the size of files is an error, and no signal that ends the host.
BOOST_AUTO_TEST_CASE(a_limit_on_the_size_of_files) {
  const TempDir dir;
  const std::string path = dir / "people.db";
  const auto fails = [&] {
    // In a new program, as a process that was forked may not use the library.
    const rlimit limit{600000, 600000};
    return ::setrlimit(RLIMIT_FSIZE, &limit);
  };
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const int status = status_of([&] {
    if (fails() != 0) return 1;
    ::setenv("ADVF_SMALL_FILES", path.c_str(), 1);
    ::execl(self.c_str(), self.c_str(), "-t", "in_a_limit", static_cast<char*>(nullptr));
    return 2;
  });
  BOOST_TEST(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
}
BOOST_AUTO_TEST_CASE(in_a_limit) {
  const char* path = std::getenv("ADVF_SMALL_FILES");
  if (!path) return;  // run by the test above
  const auto store = advface::Store::create(path, toy_space(), {{"protect", "none"}});
  bool told = false;
  for (int i = 0; i < 100 && !told; ++i) try {
      std::vector<std::string> names;
      for (int k = 0; k < 100; ++k) names.push_back("person " + std::to_string(100 * i + k));
      store.add({kToyDim, LibraryWorld::features(100)}, names);
    } catch (const advface::Error& e) {
      told = e.code() == ADVFACE_FAILED;
      BOOST_TEST(told, e.what());
    }
  BOOST_TEST(told);
}

// Only calls with this callback end; others are asked as before.
BOOST_AUTO_TEST_CASE(callbacks_of_one_function_are_ended) {
  SlowCall call(300, "100000");
  advface_control gone = {};
  gone.size = sizeof gone;
  gone.go_on = [](void*, int32_t* answer) { *answer = 1; };
  advface_end_callbacks(gone.go_on);
  is_refused([&](advface_error** e) { return call.run(&gone, e); }, ADVFACE_INTERRUPTED,
             {"advface_end_callbacks"});
  int asked = 0;
  const Ask three = [&] { return ++asked < 3; };
  const advface_control control = asking(three);
  is_refused([&](advface_error** e) { return call.run(&control, e); }, ADVFACE_INTERRUPTED,
             {"as the caller asked"});
  BOOST_TEST(asked == 3);
}

// Who is removed, or comes, between two calls of one function of the wrapper.
BOOST_AUTO_TEST_CASE(a_store_that_changes_meanwhile) {
  const TempDir dir;
  const auto store = advface::Store::create(dir / "people.db", toy_space(), {{"protect", "none"}});
  const advface::Rows rows{kToyDim, LibraryWorld::features(4)};
  std::atomic<bool> over = false;
  std::atomic<int> wrong = 0;
  std::thread writer([&] {
    for (int i = 0; i < 15; ++i) try {
        store.add(rows, {"a", "b", "c", "d"});
        for (const char* name : {"a", "b", "c", "d"}) store.remove(name);
      } catch (const advface::Error&) {
        ++wrong;
      }
    over = true;
  });
  while (!over) try {
      store.identify({kToyDim, {rows.values.begin(), rows.values.begin() + kToyDim}}, 4);
      store.describe();
    } catch (const advface::Error&) {
      ++wrong;
    }
  writer.join();
  BOOST_TEST(wrong == 0);
}
