// A store: what is in it, what is gone, and that both hold whatever breaks off.
#define BOOST_TEST_MODULE store
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "advface/store/calibration.h"
#include "advface/store/set_scan.h"
#include "fresh_store.h"
#include "tensor/parallel.h"

using namespace advf;
using namespace advf::test;

namespace {

FeatureInfo noisy(const std::string& length) {
  return {"c0ffee0123456789", "embedding",
          ProtectionId{{AppliedProtection{"noise", {{"noise_length", length}, {"seed", "1"}}, {}}}, ""}};
}

}  // namespace

BOOST_AUTO_TEST_CASE(what_is_added_is_there) {
  Fresh f;
  const Tensor rows = some_rows(50);
  f.add(rows.slice_batch(0, 30), 0);
  f.add(rows.slice_batch(30, 50), 30);
  Store again(f.path, Access::read);
  const StoredSet set = again.set("default");
  BOOST_TEST((set.records == 50 && set.dimension == kDimension && set.info.recogniser == "c0ffee0123456789"));
  const StoredRecord r = again.record(set, subject(34));
  BOOST_TEST((r.number == 34 && r.photograph == "photo.jpg"));
  BOOST_TEST(same_bits(again.feature(set, 34), rows.slice_batch(34, 35)));
  BOOST_TEST(again.records(set, 10, 5).back().number == 14);
  BOOST_TEST(again.problems().empty());
  refused([&] { again.record(set, "nobody"); }, {f.path, "default", "nobody"});
  refused([&] { again.set("other"); }, {f.path, "no set other", "there are: default"});
  refused([&] { Store::create(f.path); }, {f.path, "there already"});
}

BOOST_AUTO_TEST_CASE(a_number_never_comes_twice) {
  Fresh f;
  f.add(some_rows(5), 0);
  f.store->remove("default", std::vector{subject(4), subject(1)});
  BOOST_TEST(f.store->set("default").records == 3);
  BOOST_TEST(f.store->reserve_numbers(f.set, 2) == 5);  // given away, and not used
  f.add(some_rows(1, 4), 4);
  BOOST_TEST(f.store->record(f.set, subject(4)).number == 7);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_leaves_nothing) {
  Fresh f;
  f.add(some_rows(3), 0);
  const auto add = [&](const Tensor& rows, std::vector<StoredRecord> records) {
    f.store->add(f.set, rows, records);
  };
  refused([&] { add(some_rows(2), people(2, 2, 10)); },
          {f.path, subject(2), "already", "Nothing was written"});
  refused([&] { add(randn({1, 9}, 1, DType::f32), people(9, 1, 10)); }, {f.path, "[1,9]", "24 values"});
  refused([&] { add(some_rows(1), {{10, "", "", "", "", 1}}); }, {f.path, "record 10", "empty"});
  refused([&] { add(some_rows(1), {{10, "a\nb", "", "", "", 1}}); }, {f.path, "control character"});
  refused([&] { add(some_rows(1), {{10, "\xff", "", "", "", 1}}); }, {f.path, "no UTF-8"});
  refused([&] { add(some_rows(1), {{10, std::string(5000, 'x'), "", "", "", 1}}); }, {f.path, "5000"});
  refused(
      [&] {
        f.store->remove("default", std::vector<std::string>{subject(0), "nobody"});
      },
      {"nobody was removed"});
  BOOST_TEST((f.store->set("default").records == 3 && f.store->problems().empty()));
  // Names are values, whatever they hold.
  for (const char* name : {"'; DROP TABLE records; --", "a\"b", "%", "Jürgen", "\\", "?1"}) {
    add(some_rows(1), {{f.store->reserve_numbers(f.set, 1), name, "';--", "", "", fresh_salt()}});
    BOOST_TEST(f.store->record(f.set, name).subject == name);
  }
  BOOST_TEST(f.store->problems().empty());
}

// Records come and go in any order, on pages that fill, empty and are used again.
BOOST_AUTO_TEST_CASE(no_byte_of_what_was_removed_stays) {
  Fresh f;
  const int64_t n = 4000;
  const Tensor rows = some_rows(n);
  for (int64_t i = 0; i < n; i += 400) f.add(rows.slice_batch(i, i + 400), i);
  const Philox rng{5, 1};
  std::vector<bool> gone(size_t(n), false);
  for (int round = 0; round < 8; ++round) {
    std::vector<std::string> names;
    for (int64_t k = 0; k < 100; ++k) {
      const auto i = size_t(rng.below(uint64_t(round * 100 + k), uint64_t(n)));
      if (!gone[i]) names.push_back(subject(int64_t(i)));
      gone[i] = true;
    }
    BOOST_REQUIRE(is_anywhere(f.path, names[0]));
    f.store->remove("default", names);
    f.store->forget();
    f.add(some_rows(50, uint64_t(100 + round)), n + 50 * round);
  }
  f.store->remove("default", std::vector{subject(n)});
  f.store->forget();
  const std::string all = read_bytes(f.path);
  int64_t left = 0;
  for (int64_t i = 0; i < n; ++i) {
    const bool there = all.find(bytes_of_row(rows, i)) != std::string::npos;
    BOOST_TEST(there == !gone[size_t(i)], "record " << i);
    // A name may begin as another does.
    if (gone[size_t(i)]) left += is_anywhere(f.path, subject(i) + "photo");
  }
  BOOST_TEST(left == 0);
  BOOST_TEST(f.store->problems().empty());
  // A part of the row is not there either.
  for (int64_t i = 0; i < n; ++i)
    if (gone[size_t(i)]) BOOST_TEST((all.find(bytes_of_row(rows, i).substr(20, 12)) == std::string::npos));
}

BOOST_AUTO_TEST_CASE(a_reader_in_the_way_is_told) {
  Fresh f;
  f.add(some_rows(3), 0);
  Store reader(f.path, Access::read);
  Transaction reading(reader.database(), Transaction::Kind::read);
  BOOST_TEST(reader.set("default").records == 3);
  Store writer(f.path, Access::write, {.seconds = 0.05});
  writer.remove("default", std::vector{subject(1)});
  refused([&] { writer.forget(); }, {f.path, "bytes may still lie in the file", "--repair"});
  reading.commit();
  writer.forget();
  BOOST_TEST(!is_anywhere(f.path, bytes_of_row(some_rows(3), 1)));
  Transaction writing(writer.database());
  Store other(f.path, Access::write, {.seconds = 0.05});
  refused([&] { other.reserve_numbers(f.set, 1); }, {f.path, "another program writes to it"});
}

// Who waits is asked, what is thrown comes out, and nothing is written then.
BOOST_AUTO_TEST_CASE(a_wait_is_stopped) {
  Fresh f;
  f.add(some_rows(3), 0);
  std::optional<Transaction> writing(std::in_place, f.store->database());
  int asked = 0;
  Store other(f.path, Access::write, {.seconds = 30, .stop = [&] { return ++asked == 4; }});
  BOOST_CHECK_THROW(other.remove("default", std::vector{subject(1)}), Interrupted);
  BOOST_TEST(asked == 4);
  other.database().set_stop([]() -> bool { throw std::out_of_range("mine"); });
  BOOST_CHECK_THROW(other.remove("default", std::vector{subject(1)}), std::out_of_range);
  writing.reset();
  BOOST_CHECK_THROW(other.remove("default", std::vector{subject(1)}), std::out_of_range);
  other.database().set_stop([] { return true; });  // asked once more where nobody is in the way
  BOOST_CHECK_THROW(other.remove("default", std::vector{subject(1)}), Interrupted);
  BOOST_TEST(other.set("default").records == 3);
  other.database().set_stop({});
  other.remove("default", std::vector{subject(1)});
  BOOST_TEST(other.set("default").records == 2);
}

// As a block of rows has it, at any number of threads; also for probes enough for matrix products.
BOOST_AUTO_TEST_CASE(nearest_of_a_set) {
  Fresh f;
  const int64_t n = 20000;
  const Tensor rows = some_rows(n);
  f.add(rows, 0);
  const auto unit = [](const Tensor& t) {
    std::vector<float> v = t.to_vector<float>();
    for (size_t i = 0; i < v.size(); i += size_t(kDimension)) {
      const double length = norm({v.data() + i, size_t(kDimension)});
      for (size_t k = 0; k < size_t(kDimension); ++k) v[i + k] = float(double(v[i + k]) / length);
    }
    return Tensor::from(v, t.shape());
  };
  for (const int64_t probes : {1, 9}) {
    const Tensor asked = some_rows(probes, 77);
    const auto expected = nearest_rows(unit(rows), unit(asked), 10);
    std::vector<std::vector<Neighbour>> first;
    for (const int threads : {1, 3}) {
      set_num_threads(threads);
      const auto found = nearest_in_set(*f.store, f.store->set("default"), asked, 10);
      for (size_t p = 0; p < size_t(probes); ++p)
        for (size_t k = 0; k < 10; ++k) {
          BOOST_TEST(found[p][k].row == expected[p][k].row);
          BOOST_TEST(std::fabs(found[p][k].score - expected[p][k].score) < 1e-5f);
          if (threads > 1) BOOST_TEST(found[p][k].score == first[p][k].score);
        }
      first = found;
    }
    set_num_threads(0);
    const auto through = nearest_of_each(
        *f.store, f.store->set("default"), probes,
        [&](int64_t p, std::span<const int64_t> numbers) {
          return FeatureRows(asked).at(std::vector<int64_t>(numbers.size(), p));
        },
        10);
    for (size_t p = 0; p < size_t(probes); ++p) BOOST_TEST(through[p][3].row == expected[p][3].row);
  }
}

BOOST_AUTO_TEST_CASE(events_are_a_chain) {
  Fresh f;
  f.store->set_actor("anna");
  f.add(some_rows(2), 0);
  const std::string noted = f.store->verify_events();
  f.store->remove("default", std::vector{subject(1)});
  const std::string last = f.store->verify_events(noted);
  BOOST_TEST((last != noted && f.store->events(1, 10).size() == 3));
  const StoredEvent event = f.store->events(3, 1)[0];
  BOOST_TEST((event.actor == "anna" && event.what == "remove" && event.detail == "1 records: 1"));
  refused([&] { f.store->verify_events("sha256:0"); }, {f.path, "no event has the digest"});
  for (const auto& [sql, words] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"UPDATE events SET actor = 'ben' WHERE number = 2", {"event 2", "was changed"}},
           {"UPDATE events SET detail = '' WHERE number = 3", {"event 3", "was changed"}},
           {"DELETE FROM events WHERE number = 2", {"event 2", "missing"}}}) {
    Transaction undone(f.store->database());
    f.store->database().execute(sql);
    refused([&] { f.store->verify_events(); }, words);
  }
  // Without its end it is a chain, which only a digest tells that was noted elsewhere.
  f.store->database().execute("DELETE FROM events WHERE number = 3");
  BOOST_TEST(f.store->verify_events() == noted);
  refused([&] { f.store->verify_events(last); }, {"no event has the digest"});
}

BOOST_AUTO_TEST_CASE(a_set_is_renewed_in_one_moment) {
  Fresh f;
  const Tensor rows = some_rows(10), turned = some_rows(10, 9);
  f.add(rows, 0);
  const SetDescription noised{noisy("0.25"), f.set.raw, kDimension};
  StoredSet next = f.store->begin_set("default", Generation::next, noised);
  refused([&] { f.store->begin_set("default", Generation::next, noised); },
          {f.path, "being renewed already"});
  auto todo = f.store->not_yet_renewed(f.set, next, 0, 6);
  BOOST_TEST((todo.size() == 6u && todo[5].number == 5));
  f.store->remove("default", std::vector{subject(2)});  // meanwhile
  f.store->renew(f.set, next, turned.slice_batch(0, 6), todo);
  refused([&] { f.store->switch_to_next("default", false); }, {f.path, "4 of 9 records", "--leave-behind"});
  f.add(some_rows(1, 12), 20);  // who comes meanwhile is renewed as well
  todo = f.store->not_yet_renewed(f.set, next, 0, 100);
  BOOST_TEST((todo.size() == 5u && todo[4].number == 10));
  f.store->renew(f.set, next, turned.slice_batch(5, 10), todo);
  BOOST_TEST(same_bits(f.store->feature(f.set, 3), rows.slice_batch(3, 4)));  // both are there
  BOOST_TEST(same_bits(f.store->feature(next, 3), turned.slice_batch(3, 4)));
  f.store->remove("default", std::vector{subject(4)});  // of both
  f.store->switch_to_next("default", false);
  f.store->erase_retired();
  f.store->forget();
  const StoredSet now = f.store->set("default");
  BOOST_TEST((now.id == next.id && now.records == 9 && now.info.protection == noisy("0.25").protection));
  refused([&] { f.store->add(f.set, some_rows(1), people(50, 1, 50)); }, {"renewed or removed meanwhile"});
  for (int64_t i = 0; i < 10; ++i) BOOST_TEST(!is_anywhere(f.path, bytes_of_row(rows, i)));
  BOOST_TEST(f.store->problems().empty());
}

BOOST_AUTO_TEST_CASE(what_is_no_store_is_named) {
  const TempDir dir;
  const auto opened = [](const std::string& path) { Store(path, Access::read); };
  write_bytes(dir / "text", "no database, but long enough to have a header" + std::string(2000, '\n'));
  write_bytes(dir / "empty", "");
  refused([&] { opened(dir / "text"); }, {dir / "text", "is no SQLite database"});
  refused([&] { opened(dir / "empty"); }, {dir / "empty", "is empty"});
  refused([&] { opened(dir / "none"); }, {dir / "none", "No such file"});
  refused([&] { opened(dir.path().string()); }, {dir.path().string(), "is no file"});
  { SqliteDatabase(dir / "other.db", Access::create).execute("CREATE TABLE t(x)"); }
  refused([&] { opened(dir / "other.db"); }, {dir / "other.db", "another program"});
  Fresh f;
  f.store->database().execute("PRAGMA user_version = 99");
  refused([&] { opened(f.path); }, {f.path, "version 99", "up to 4"});
  BOOST_TEST(f.dir.count() >= 1u);
  refused([&] { Store::create(f.dir / "missing/people.db"); }, {f.dir / "missing/people.db"});
}

BOOST_AUTO_TEST_CASE(damage_is_told) {
  Fresh f;
  f.add(some_rows(100), 0);
  f.store->forget();
  f.store.reset();
  const std::string good = read_bytes(f.path);
  const std::string row = bytes_of_row(some_rows(100), 40);
  std::string bad = good;
  bad[bad.find(row) + 5] = char(bad[bad.find(row) + 5] ^ 1);
  write_bytes(f.path, bad);
  const auto problems = Store(f.path, Access::read).problems();
  BOOST_TEST((problems.size() == 1u && problems[0].find("record 40") != std::string::npos));
  for (const auto& [sql, words] : std::vector<std::pair<std::string, std::string>>{
           {"DELETE FROM features WHERE id % 50 = 7", "2 records without a feature"},
           {"DELETE FROM records WHERE id % 50 = 7", "2 features without a record"},
           {"UPDATE sets SET records = 3", "but 3 are counted"},
           {"UPDATE sets SET next_number = 20", "never given"},
           {"UPDATE records SET salt = salt + 1 WHERE id % 100 = 7", "a salt was changed"},
           {"UPDATE records SET bound = 0 WHERE id % 100 = 7", "a salt was changed"},
           {"UPDATE features SET feature = x'00' WHERE id % 100 = 7", "bytes"}}) {
    write_bytes(f.path, good);
    Store store(f.path, Access::write);
    store.database().execute(sql);
    std::string all;
    for (const std::string& p : store.problems()) all += p + "\n";
    BOOST_TEST(all.find(words) != std::string::npos, sql << ": " << all);
  }
  // Any other bytes: an Error or an answer, never a crash.
  int accepted = 0;
  const Philox rng{17, 1};
  for (uint64_t i = 0; i < 250; ++i) {
    bad = good;
    for (uint64_t k = 0; k <= rng.below(5 * i, 4); ++k) {
      // Where there is something: the header of the file, or of a page.
      const size_t page = rng.below(31 * i + 2 * k, bad.size() / 32768) * 32768;
      bad[page + rng.below(7919 * i + 2 * k + 1, 160)] = char(rng.bits(4 * (104729 * i + k)));
    }
    if (i % 5 == 0) bad.resize(rng.below(11 * i + 3, bad.size()));
    write_bytes(f.path, bad);
    try {
      Store store(f.path, Access::write);
      for (const StoredSet& set : store.sets()) {
        for (int64_t from = 0;;) {
          const auto some = store.records(set, from, 7);
          if (some.empty()) break;
          from = some.back().number + 1;
        }
        if (set.dimension == kDimension) nearest_in_set(store, set, some_rows(1), 3);
      }
      store.problems();
      ++accepted;
    } catch (const Error&) {
    }
    for (const char* end : {"-wal", "-shm"}) std::filesystem::remove(f.path + end);
  }
  BOOST_TEST(accepted > 0);
}

// Records that come in another order than that of their numbers would be read for ever, a piece at a time.
BOOST_AUTO_TEST_CASE(records_out_of_order_are_told) {
  Fresh f;
  f.add(some_rows(6), 0);
  f.store->forget();
  f.store.reset();
  std::string bytes = read_bytes(f.path);
  // The page of a table (its first byte) where a name stands; behind its head of 8 bytes two for each row.
  size_t page = 0;
  while (page < bytes.size() &&
         (bytes[page] != 0x0D || bytes.substr(page, 32768).find(subject(3)) == std::string::npos))
    page += 32768;
  BOOST_REQUIRE(page < bytes.size());
  for (const size_t k : {0, 1}) std::swap(bytes[page + 8 + k], bytes[page + 8 + 6 + k]);
  write_bytes(f.path, bytes);
  Store store(f.path, Access::read);
  const StoredSet set = store.set("default");
  refused([&] { store.records(set, 0, 10); }, {f.path, "is damaged", "comes after"});
  BOOST_TEST(!store.problems().empty());
}

// Two processes that add, two that read: whoever reads sees whole records, and never fewer than before.
BOOST_AUTO_TEST_CASE(two_writers_and_two_readers) {
  Fresh f;
  f.store.reset();
  const Tensor rows = some_rows(80);
  std::vector<pid_t> children;
  const auto in_child = [&](const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        work();
      } catch (const std::exception& e) {
        std::fprintf(stderr, "%s\n", e.what());
        ::_exit(1);
      }
      ::_exit(0);
    }
    children.push_back(child);
  };
  for (const int64_t first : {0, 40})
    in_child([&] {
      Store store(f.path, Access::write);
      for (int64_t i = first; i < first + 40; ++i) {
        const int64_t number = store.reserve_numbers(f.set, 1);
        store.add(f.set, rows.slice_batch(i, i + 1), people(i, 1, number));
        if (i % 8 == 7) {
          store.remove("default", std::vector{subject(i)});
          store.database().erase_removed();
        }
      }
    });
  for (int reader = 0; reader < 2; ++reader)
    in_child([&] {
      size_t seen = 0;
      Store store(f.path, Access::read);
      const auto begun = std::chrono::steady_clock::now();
      while (seen < 91) {  // a set, 80 people, 10 of whom went again
        check(std::chrono::steady_clock::now() - begun < std::chrono::minutes(3), "the writers did not end");
        for (const std::string& problem : store.problems())  // but that a removal is not forgotten yet
          check(problem.find("whose bytes may still lie") != std::string::npos, problem);
        const size_t now = store.events(1, -1).size();
        check(now >= seen, "events went away");
        seen = now;
      }
    });
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
  }
  Store store(f.path, Access::write);
  store.forget();
  BOOST_TEST((store.set("default").records == 70 && store.problems().empty()));
}

BOOST_AUTO_TEST_CASE(who_does_it_is_a_name) {
  Fresh f;
  for (const std::string& bad :
       {std::string("a\nb"), std::string(), std::string("\xff"), std::string(5000, 'x')})
    refused([&] { f.store->set_actor(bad); }, {"who does it"});
}

// While a reader holds what was, the bytes of who was removed stay in the log: told until they are gone.
BOOST_AUTO_TEST_CASE(what_is_not_forgotten_yet_is_told) {
  Fresh f;
  f.add(some_rows(3), 0);
  f.store->forget();
  const auto told = [&] {
    std::string all;
    for (const std::string& p : f.store->problems()) all += p + "\n";
    return all;
  };
  BOOST_TEST(told() == "");
  f.store.emplace(f.path, Access::write, Patience{.seconds = 0.05});
  {
    Store reader(f.path, Access::read);
    Transaction reading(reader.database(), Transaction::Kind::read);
    reader.sets();
    f.store->remove("default", std::vector{subject(1)});
    refused([&] { f.store->forget(); }, {f.path, "another program reads"});
    BOOST_TEST(told().find("1 removals whose bytes may still lie") != std::string::npos);
  }
  f.store->forget();
  BOOST_TEST(told() == "");
  BOOST_TEST(!is_anywhere(f.path, bytes_of_row(some_rows(3), 1)));
}

BOOST_AUTO_TEST_CASE(an_emptied_log_is_told) {
  Fresh f;
  f.add(some_rows(3), 0);
  f.store->database().execute("DELETE FROM events");
  const auto problems = f.store->problems();
  BOOST_TEST((problems.size() == 1u && problems[0].find("1 sets that no event tells of") == 0));
}

// What a killed call has left goes with the next one; the file is its owner's alone from the first byte.
BOOST_AUTO_TEST_CASE(new_files_are_whole_and_private) {
  const TempDir dir;
  const std::string path = dir / "people.db";
  for (const char* end : {"", "-journal", "-wal"}) write_bytes(path + ".tmp-999999999" + end, "left");
  Store::create(path);
  BOOST_TEST(dir.count() == 1u);
  struct stat info {};
  BOOST_TEST((::stat(path.c_str(), &info) == 0 && (info.st_mode & 0777) == 0600));
  refused([&] { NewDatabaseFile again(path); }, {path, "there already"});
  refused(
      [&] {
        NewDatabaseFile(dir / "other.db").make([](const std::string& fresh) {
          SqliteDatabase(fresh, Access::create).execute("CREATE TABLE t(a)");
          BOOST_TEST(std::filesystem::exists(fresh));
          fail(fresh, ": enough");
        });
      },
      {dir / "other.db", ": enough"});
  BOOST_TEST(dir.count() == 1u);
}
