// Stores through the library: what is there, what is told where it is not.
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "advface/store/calibration.h"
#include "advface/store/store.h"
#include "library_test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int64_t kPeople = 12;

struct People {
  TempDir dir;
  std::vector<float> features = LibraryWorld::features(kPeople), probes = features;
  std::vector<std::string> names;
  Owned<advface_key> key = made<advface_key>(
      advface_key_free, [&](auto** h, auto** e) { return advface_key_new((dir / "key").c_str(), h, e); });

  People() {
    for (int64_t i = 0; i < kPeople; ++i) names.push_back("person " + std::to_string(i));
  }
  std::string path() const { return dir / "people.db"; }
  Owned<advface_store> create(const SettingList& settings, bool keyed, const char* set = nullptr) {
    const advface_space space = toy_space();
    return made<advface_store>(advface_store_close, [&](auto** h, auto** e) {
      return advface_store_create(path().c_str(), set, &space, settings.data(), settings.size(),
                                  keyed ? key.get() : nullptr, nullptr, h, e);
    });
  }
  Failure add(const advface_store* store, int64_t begin, int64_t end, std::vector<int64_t>& numbers) {
    std::vector<float> rows(features.begin() + begin * kToyDim, features.begin() + end * kToyDim);
    std::vector<const char*> subjects;
    for (int64_t i = begin; i < end; ++i) subjects.push_back(names[size_t(i)].c_str());
    numbers.assign(size_t(end - begin), -1);
    const advface_array in = view(rows, {end - begin, kToyDim});
    advface_array out = view(numbers, {end - begin});
    return outcome_of([&](advface_error** e) {
      return advface_store_add(store, &in, subjects.data(), subjects.size(), nullptr, &out, e);
    });
  }
};

// What another program does to the file: this process has an SQLite within the library and one of the test's
// own, which know nothing of each other's locks.
template <class Work>
void elsewhere(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      work();
      ::_exit(0);
    } catch (...) {
      ::_exit(1);
    }
  }
  int status = -1;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
}

// Another program that writes, as long as this lives.
class OtherWriter {
 public:
  explicit OtherWriter(const std::string& path) {
    int begun[2], end[2];
    BOOST_REQUIRE(::pipe(begun) == 0 && ::pipe(end) == 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::close(end[1]);
      try {
        Store store(path, Database::Access::write);
        const Transaction all(store.database());
        char byte = 0;
        const bool told = ::write(begun[1], &byte, 1) == 1;
        ::_exit(told && ::read(end[0], &byte, 1) == 0 ? 0 : 1);
      } catch (...) {
        ::_exit(1);
      }
    }
    char byte = 0;
    ::close(end[0]);
    ::close(begun[1]);
    BOOST_REQUIRE(::read(begun[0], &byte, 1) == 1);
    ::close(begun[0]);
    end_ = end[1];
  }
  ~OtherWriter() {
    ::close(end_);
    int status = -1;
    BOOST_TEST(::waitpid(child_, &status, 0) == child_);
    BOOST_TEST(status == 0);
  }
  OtherWriter(const OtherWriter&) = delete;

 private:
  pid_t child_ = 0;
  int end_ = -1;
};

Calibration some_scores() {
  Calibration calibration;
  for (int i = 0; i < 100; ++i) calibration.add_impostor(float(i) / 200);
  calibration.finish();
  calibration.people = 15;
  calibration.threshold = calibration.threshold_at(0.2);
  return calibration;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_store_from_its_beginning_to_its_end) {
  for (const bool keyed : {true, false}) {
    People people;
    auto store = people.create({{"protect", keyed ? "rotation" : "none"}}, keyed);
    std::vector<int64_t> numbers;
    BOOST_TEST(people.add(store.get(), 0, 5, numbers).status == ADVFACE_OK);
    BOOST_TEST((numbers == std::vector<int64_t>{0, 1, 2, 3, 4}));
    BOOST_TEST(people.add(store.get(), 5, kPeople, numbers).status == ADVFACE_OK);
    const Failure twice = people.add(store.get(), 3, 4, numbers);
    BOOST_TEST(twice.status == ADVFACE_FAILED);
    BOOST_TEST(twice.text.find("person 3") != std::string::npos);
    // Closed and opened again.
    store.reset();
    store = made<advface_store>(advface_store_close, [&](auto** h, auto** e) {
      return advface_store_open(people.path().c_str(), nullptr, nullptr, 0,
                                keyed ? people.key.get() : nullptr, nullptr, nullptr, h, e);
    });
    const advface_array probes = view(people.probes, {kPeople, kToyDim});
    std::vector<double> scores(kPeople);
    advface_array out = view(scores, {kPeople});
    double threshold = 0;
    works([&](advface_error** e) {
      return advface_store_verify(store.get(), "person 4", &probes, nullptr, &out, &threshold, e);
    });
    BOOST_TEST(std::abs(scores[4] - 1) < 1e-5);
    BOOST_TEST(std::isnan(threshold));
    std::vector<int64_t> found(kPeople * 3);
    std::vector<float> values(kPeople * 3);
    advface_array to = view(found, {kPeople, 3}), at = view(values, {kPeople, 3});
    const auto identify = [&](advface_error** e) {
      return advface_store_identify(store.get(), &probes, nullptr, &to, &at, &threshold, e);
    };
    works(identify);
    for (int64_t i = 0; i < kPeople; ++i) BOOST_TEST(found[size_t(3 * i)] == i);
    BOOST_TEST(text_from([&](auto... rest) {
                 return advface_store_subject(store.get(), 7, nullptr, rest...);
               }) == "person 7");
    const char* gone[] = {"person 7", "person 2"};
    works([&](advface_error** e) { return advface_store_remove(store.get(), gone, 2, nullptr, e); });
    is_refused([&](advface_error** e) { return advface_store_remove(store.get(), gone, 1, nullptr, e); },
               ADVFACE_NOT_FOUND, {"person 7", "nobody was removed"});
    is_refused(
        [&](advface_error** e) {
          return advface_store_verify(store.get(), "person 2", &probes, nullptr, &out, nullptr, e);
        },
        ADVFACE_NOT_FOUND, {"person 2"});
    is_refused(
        [&](advface_error** e) {
          return advface_store_subject(store.get(), 7, nullptr, nullptr, 0, nullptr, e);
        },
        ADVFACE_NOT_FOUND, {"record 7"});
    works(identify);
    BOOST_TEST(found[3 * 7] != 7);
    const auto told = nlohmann::json::parse(
        text_from([&](auto... rest) { return advface_store_describe(store.get(), nullptr, rest...); }));
    BOOST_TEST(told["records"] == kPeople - 2);
    BOOST_TEST(told["calibration"].is_null());
    // Calibrated by another program, the set decides.
    elsewhere([&] {
      Store below(people.path(), Database::Access::write);
      some_scores().write(below, below.set("default"));
    });
    works([&](advface_error** e) {
      return advface_store_verify(store.get(), "person 4", &probes, nullptr, &out, &threshold, e);
    });
    BOOST_TEST(threshold == some_scores().threshold);
    elsewhere([&] { Store(people.path(), Database::Access::write).remove_set("default"); });
    is_refused(identify, ADVFACE_FAILED, {"renewed or removed"});
  }
}

// Who waits for another program is asked, and what is stopped then has changed nothing; also where the other
// one ends just then.
BOOST_AUTO_TEST_CASE(a_wait_is_stopped) {
  People people;
  const auto store = people.create({{"protect", "rotation"}}, true);
  std::vector<int64_t> numbers;
  BOOST_TEST(people.add(store.get(), 0, 3, numbers).status == ADVFACE_OK);
  struct Asked {
    std::optional<OtherWriter> other;
    int times = 0, goes_on = 0;
    bool ends_other = false;
  };
  std::vector<float> row = LibraryWorld::features(1, 9);
  const advface_array in = view(row, {1, kToyDim});
  const char *gone = "person 1", *comes = "person 9";
  const advface_space space = toy_space();
  const advface_setting rotation{"protect", "rotation"};
  advface_store* unused = nullptr;
  const auto start = std::chrono::steady_clock::now();
  for (const bool ends_other : {false, true})
    for (int verb = 0; verb < 3; ++verb) {
      Asked asked;
      asked.other.emplace(people.path());
      asked.goes_on = 3;
      asked.ends_other = ends_other;
      advface_control control = {};
      control.size = sizeof control;
      control.user = &asked;
      control.go_on = [](void* user, int32_t* answer) {
        Asked& a = *static_cast<Asked*>(user);
        if (++a.times > a.goes_on) return;
        if (a.times == a.goes_on && a.ends_other) a.other.reset();
        *answer = 1;
      };
      is_refused(
          [&](advface_error** e) {
            if (verb == 0) return advface_store_add(store.get(), &in, &comes, 1, &control, nullptr, e);
            if (verb == 1) return advface_store_remove(store.get(), &gone, 1, &control, e);
            return advface_store_create(people.path().c_str(), "other", &space, &rotation, 1,
                                        people.key.get(), &control, &unused, e);
          },
          ADVFACE_INTERRUPTED, {"interrupted"});
      BOOST_TEST(asked.times == 4);
    }
  BOOST_TEST((std::chrono::steady_clock::now() - start < std::chrono::seconds(20)));
  const auto told = nlohmann::json::parse(
      text_from([&](auto... rest) { return advface_store_describe(store.get(), nullptr, rest...); }));
  BOOST_TEST(told["records"] == 3);
  elsewhere([&] {
    Store below(people.path(), Database::Access::read);
    check(below.sets().size() == 1 && below.problems().empty(), "something was written");
  });
  works([&](advface_error** e) { return advface_store_remove(store.get(), &gone, 1, nullptr, e); });
}

// A reader in the way of forgetting: people are removed, and the caller is told what is left to do.
BOOST_AUTO_TEST_CASE(a_removal_that_is_not_forgotten) {
  People people;
  const auto store = people.create({{"protect", "rotation"}}, true);
  std::vector<int64_t> numbers;
  BOOST_TEST(people.add(store.get(), 0, 3, numbers).status == ADVFACE_OK);
  int begun[2], end[2];
  BOOST_REQUIRE(::pipe(begun) == 0 && ::pipe(end) == 0);
  const pid_t child = ::fork();
  char byte = 0;
  if (child == 0) {
    ::close(end[1]);
    try {
      Store reader(people.path(), Database::Access::read);
      const Transaction all(reader.database(), Transaction::Kind::read);
      reader.sets();
      ::_exit(::write(begun[1], &byte, 1) == 1 && ::read(end[0], &byte, 1) == 0 ? 0 : 1);
    } catch (...) {
      ::_exit(1);
    }
  }
  ::close(end[0]);
  BOOST_REQUIRE(::read(begun[0], &byte, 1) == 1);
  int times = 0;
  advface_control control = {};
  control.size = sizeof control;
  control.user = &times;
  control.go_on = [](void* user, int32_t* answer) { *answer = ++*static_cast<int*>(user) < 5 ? 1 : 0; };
  const char* gone = "person 1";
  is_refused([&](advface_error** e) { return advface_store_remove(store.get(), &gone, 1, &control, e); },
             ADVFACE_FAILED, {"in no set any more", "--repair"});
  BOOST_TEST(times == 5);
  for (const int file : {end[1], begun[0], begun[1]}) ::close(file);
  int status = -1;
  BOOST_TEST(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
  is_refused([&](advface_error** e) { return advface_store_remove(store.get(), &gone, 1, nullptr, e); },
             ADVFACE_NOT_FOUND, {"person 1"});
}

BOOST_AUTO_TEST_CASE(stores_that_cannot_be) {
  People people;
  const advface_space space = toy_space();
  advface_store* unused = nullptr;
  const auto create = [&](const SettingList& settings, const advface_key* key, const std::string& path,
                          const advface_space& of) {
    return [&, key, path, settings, of](advface_error** e) {
      return advface_store_create(path.c_str(), nullptr, &of, settings.data(), settings.size(), key, nullptr,
                                  &unused, e);
    };
  };
  is_refused(create({}, nullptr, people.path(), space), ADVFACE_INVALID_ARGUMENT, {"protect"});
  is_refused(create({{"protect", "rotation"}}, nullptr, people.path(), space), ADVFACE_INVALID_ARGUMENT,
             {"--key"});
  is_refused(create({{"protect", "none"}, {"key", "x"}}, nullptr, people.path(), space),
             ADVFACE_INVALID_ARGUMENT, {"none"});
  advface_space maps = space;
  maps.rank = 3, maps.domain = ADVFACE_REAL;
  maps.shape[1] = maps.shape[2] = 4;
  is_refused(create({{"protect", "none"}}, nullptr, people.path(), maps), ADVFACE_INVALID_ARGUMENT, {"maps"});
  is_refused(create({{"protect", "none"}}, nullptr, "/nowhere/people.db", space), ADVFACE_FAILED,
             {"/nowhere"});
  BOOST_TEST(!std::filesystem::exists(people.path()));
  const auto store = people.create({{"protect", "rotation"}}, true);
  is_refused(create({{"protect", "none"}}, nullptr, people.path(), space), ADVFACE_FAILED, {"already"});
  BOOST_TEST(std::filesystem::exists(people.path()));
  const auto open = [&](const char* path, const char* set, const SettingList& settings,
                        const advface_key* key) {
    return [&, path, set, settings, key](advface_error** e) {
      return advface_store_open(path, set, settings.data(), settings.size(), key, nullptr, nullptr, &unused,
                                e);
    };
  };
  const std::string path = people.path();
  const auto wrong = made<advface_key>(advface_key_free, [&](auto** h, auto** e) {
    return advface_key_new((people.dir / "wrong").c_str(), h, e);
  });
  is_refused(open(path.c_str(), nullptr, {}, wrong.get()), ADVFACE_FAILED, {"wrong key"});
  is_refused(open(path.c_str(), nullptr, {}, nullptr), ADVFACE_INVALID_ARGUMENT, {"--key"});
  is_refused(open(path.c_str(), "other", {}, people.key.get()), ADVFACE_FAILED, {"no set other"});
  is_refused(open(path.c_str(), nullptr, {{"key", "x"}}, people.key.get()), ADVFACE_INVALID_ARGUMENT,
             {"once"});
  is_refused(open((people.dir / "key").c_str(), nullptr, {}, people.key.get()), ADVFACE_FAILED, {"key"});
  is_refused(open("/nowhere", nullptr, {}, people.key.get()), ADVFACE_FAILED, {"/nowhere"});
  // Keys: one that others may read, and one over a pipe.
  advface_key* none = nullptr;
  std::filesystem::permissions(people.dir / "wrong", std::filesystem::perms(0644));
  is_refused(
      [&](advface_error** e) { return advface_key_read((people.dir / "wrong").c_str(), nullptr, &none, e); },
      ADVFACE_FAILED, {"wrong"});
  is_refused([&](advface_error** e) { return advface_key_read_fd(-1, nullptr, &none, e); },
             ADVFACE_INVALID_ARGUMENT, {"-1"});
  is_refused([&](advface_error** e) { return advface_key_new((people.dir / "key").c_str(), &none, e); },
             ADVFACE_FAILED, {"key"});
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  const std::string text = read_bytes(people.dir / "key");
  BOOST_REQUIRE(::write(ends[1], text.data(), text.size()) == ssize_t(text.size()));
  ::close(ends[1]);
  const auto piped = made<advface_key>(
      advface_key_free, [&](auto** h, auto** e) { return advface_key_read_fd(ends[0], nullptr, h, e); });
  ::close(ends[0]);
  BOOST_TEST(text_from([&](auto... rest) { return advface_key_describe(piped.get(), rest...); }) ==
             text_from([&](auto... rest) { return advface_key_describe(people.key.get(), rest...); }));
  // Features of another kind, and subjects that do not go with them.
  std::vector<float> rows(2 * 11);
  const char* subjects[] = {"a", "", nullptr};
  advface_array in = view(rows, {2, 11});
  const auto add = [&](const char* const* names, uint64_t count) {
    return [&, names, count](advface_error** e) {
      return advface_store_add(store.get(), &in, names, count, nullptr, nullptr, e);
    };
  };
  is_refused(add(subjects, 2), ADVFACE_INVALID_ARGUMENT, {"[2,11]", "[12]"});
  std::vector<float> features = LibraryWorld::features(2);
  in = view(features, {2, kToyDim});
  is_refused(add(subjects, 1), ADVFACE_INVALID_ARGUMENT, {"1 subjects for 2"});
  is_refused(add(subjects, 2), ADVFACE_INVALID_ARGUMENT, {"subject 1", "empty"});
  is_refused(add(nullptr, 2), ADVFACE_INVALID_ARGUMENT, {"NULL", "a subject is wanted"});
  features[0] = NAN;
  const char* good[] = {"a", "b"};
  is_refused(add(good, 2), ADVFACE_FAILED, {"row 0", "nan"});
}
