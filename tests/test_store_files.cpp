// Sets as files, rows of fewer bytes, and stores of older versions.
#define BOOST_TEST_MODULE store_files
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>

#include "advface/store/set_exchange.h"
#include "advface/store/set_scan.h"
#include "fresh_store.h"
#include "tensor/io/half.h"
#include "tensor/ops.h"

using namespace advf;
using namespace advf::test;

BOOST_AUTO_TEST_CASE(files_of_sets_are_read_with_care) {
  Fresh f;
  f.add(some_rows(5), 0);
  export_set(*f.store, f.set, f.dir / "out.jsonl", {});
  export_set(*f.store, f.set, f.dir / "out.npy", {});
  export_set(*f.store, f.set, f.dir / "out.safetensors", {});
  for (const char* name : {"out.jsonl", "out.npy", "out.safetensors"}) {
    const ExchangedSet set = read_set_file(f.dir / name);
    BOOST_TEST(same_bits(set.rows.range(0, 5), some_rows(5)));
    BOOST_TEST((set.records[3].subject == subject(3) && set.raw == f.set.raw && set.info.cut == "embedding"));
    const std::string good = read_bytes(f.dir / name), bad = f.dir / (std::string("bad") + name);
    const int accepted = survive(
        good,
        [&](const std::string& bytes) {
          write_bytes(bad, bytes);
          read_set_file(bad);
        },
        200);
    BOOST_TEST(accepted < 300);
  }
  const std::string list = read_bytes(f.dir / "out.npy.records.tsv");
  survive(
      list, [&](const std::string& text) { parse_record_list(text, "list", 5); }, 200);
  BOOST_TEST(parse_record_list(list, "list", 5).records.size() == 5u);
  refused([&] { parse_record_list(list, "list", 6); }, {"list", "5 records", "6 rows"});
}

// Names, salts and the card go with the rows; what is cut short, or nobody would have written, is refused.
BOOST_AUTO_TEST_CASE(files_of_sets_say_all) {
  Fresh f;
  f.add(some_rows(5), 0);
  const std::vector<StoredRecord> records = f.store->records(f.set, 0, 10);
  BOOST_TEST((records[0].salt != records[1].salt && records[0].salt > 0));
  for (const char* name : {"out.jsonl", "out.npy", "out.safetensors"}) {
    export_set(*f.store, f.set, f.dir / name, {});
    const ExchangedSet set = read_set_file(f.dir / name);
    BOOST_TEST(set.info.card == f.set.info.card);
    for (size_t i = 0; i < records.size(); ++i) BOOST_TEST(set.records[i].salt == records[i].salt);
    const StoredSet again = import_set(*f.store, name, set, RowType::f16, {});
    BOOST_TEST((again.info.card == f.set.info.card && again.row_type == RowType::f16));
    BOOST_TEST(f.store->records(again, 0, 10)[3].salt == records[3].salt);
  }
  const std::string lines = read_bytes(f.dir / "out.jsonl");
  const auto parse = [](const std::string& text) { return parse_json_lines(text, "lines"); };
  BOOST_TEST(parse(lines).records.size() == 5u);
  refused([&] { parse(lines.substr(0, lines.rfind('\n', lines.size() - 2) + 1)); },
          {"lines", "has 4 records", "says 5"});
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = lines;
    text.replace(text.find(from), from.size(), to);
    write_bytes(f.dir / "changed.jsonl", text);
    return [&] { read_set_file(f.dir / "changed.jsonl"); };
  };
  const std::string salt = "\"salt\":" + std::to_string(records[1].salt);
  refused(changed(salt, "\"salt\":" + std::to_string(records[2].salt)), {"changed.jsonl", "salt", "twice"});
  refused(changed(salt, "\"salt\":" + std::to_string(kMostSalt + 1)), {"changed.jsonl:3", "salt"});
  refused(changed(salt, "\"salt\":-1"), {"changed.jsonl:3", "salt"});
  refused(changed("\"created\":\"20", "\"created\":\"yesterday 20"),
          {"changed.jsonl", "record 0", "no time"});
  refused(changed("\"quality\":\"", "\"quality\":\"good"), {"changed.jsonl", "record 0", "no JSON object"});
  std::filesystem::remove(f.dir / "out.npy.records.tsv");
  refused([&] { read_set_file(f.dir / "out.npy"); }, {"out.npy.records.tsv", "is not there"});
}

BOOST_AUTO_TEST_CASE(halves_are_rounded_to_the_nearest) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {  // what is one already stays
    const float value = f16_to_float(uint16_t(bits));
    if (!std::isnan(value)) BOOST_TEST(float_to_f16(value) == bits);
  }
  BOOST_TEST(std::isnan(f16_to_float(float_to_f16(std::nanf("")))));
  const Tensor some = affine(randn({4000}, 5, DType::f32), 0.1, 0);
  for (const float value : some.to_vector<float>())
    for (const float v : {value, value * 1e-5f, value * 1e5f}) {
      const uint16_t half = float_to_f16(v), step = uint16_t(half + 1), back = uint16_t(half - 1);
      const float error = std::abs(f16_to_float(half) - v);
      for (const uint16_t other : {step, back})
        if (std::isfinite(f16_to_float(other)) && (other & 0x7fff) != 0x7fff)
          BOOST_TEST(error <= std::abs(f16_to_float(other) - v), v);
    }
  // Ties go to the even one; what is too large is infinite.
  BOOST_TEST((float_to_f16(1 + 0x1p-11f) == 0x3c00 && float_to_f16(1 + 3 * 0x1p-11f) == 0x3c02));
  BOOST_TEST((float_to_f16(65519.0f) == 0x7bff && float_to_f16(65520.0f) == 0x7c00));
}

BOOST_AUTO_TEST_CASE(rows_of_fewer_bytes) {
  for (const auto& [type, bytes, most] :
       {std::tuple(RowType::f16, int64_t(2), 6e-4), {RowType::i8, int64_t(1), 9e-3}}) {
    Fresh f(type);
    const Tensor rows = some_rows(6000);
    f.add(rows, 0);
    const StoredSet set = f.store->set("default");
    BOOST_TEST((set.row_type == type && set.row_bytes() <= bytes * kDimension + 4));
    BOOST_TEST(f.store->problems().empty());
    const std::vector<float> was = rows.to_vector<float>();
    const std::vector<int64_t> numbers{0, 17, 5999};
    const std::vector<float> is = f.store->features(set, numbers).to_vector<float>();
    for (size_t i = 0; i < numbers.size(); ++i) {
      const std::span<const float> a(was.data() + size_t(numbers[i]) * kDimension, kDimension),
          b(is.data() + i * kDimension, kDimension);
      BOOST_TEST(cosine(a, b) > 1 - most * most);
      BOOST_TEST(std::fabs(norm(a) / norm(b) - 1) < (type == RowType::i8 ? 1e-6 : 1e-3));
    }
    const Tensor asked = some_rows(7, 77);
    const auto found = nearest_in_set(*f.store, set, asked, 5),
               one = nearest_in_set(*f.store, set, asked.slice_batch(2, 3), 5);
    BOOST_TEST(std::fabs(one[0][0].score - found[2][0].score) < 1e-5f);
    const float exact = float(cosine({asked.data<float>() + 2 * kDimension, size_t(kDimension)},
                                     {was.data() + found[2][0].row * kDimension, size_t(kDimension)}));
    BOOST_TEST(std::fabs(found[2][0].score - exact) < most);
    // Damage is told here as well.
    f.store->database().execute("UPDATE features SET feature = x'00' WHERE id % 1000 = 7");
    refused([&] { nearest_in_set(*f.store, set, asked, 5); }, {f.path, "is damaged", "1 bytes"});
  }
  std::vector<std::byte> half(2);
  refused([&] { pack_row(RowType::f16, std::vector<float>{7e4f}, half); }, {"70000", "f16"});
  const std::vector<float> nothing(3, 0.0f);
  std::vector<std::byte> bytes(7);
  pack_row(RowType::i8, nothing, bytes);
  std::vector<float> back(3, 1.0f);
  unpack_row(RowType::i8, bytes, back);
  BOOST_TEST(back == nothing);
}

// A store of version 1 is brought up to date by whoever writes first: there a record's number was its salt.
BOOST_AUTO_TEST_CASE(an_older_store_is_brought_up_to_date) {
  Fresh f;
  f.add(some_rows(20), 0);
  f.store->database().execute("DELETE FROM events");
  f.store->tell("add", "default", "20 records: 0 to 19");  // without a digest of salts, which there were none
  f.store->database().execute(
      "DROP INDEX means_of_set; ALTER TABLE records DROP COLUMN bound; ALTER TABLE records DROP COLUMN "
      "mean_of; "
      "ALTER TABLE calibrations DROP COLUMN mean_of; ALTER TABLE records DROP COLUMN salt; ALTER TABLE sets "
      "DROP COLUMN card; "
      "ALTER TABLE sets DROP COLUMN row_type; DROP TABLE to_forget; PRAGMA user_version = 1");
  f.store.reset();
  refused([&] { Store(f.path, Access::read); }, {f.path, "version 1", "check --repair"});
  f.store.emplace(f.path, Access::write);
  const StoredSet set = f.store->set("default");
  BOOST_TEST((set.info.card.empty() && set.row_type == RowType::f32));
  for (const StoredRecord& r : f.store->records(set, 0, 20)) BOOST_TEST(r.salt == r.number);
  BOOST_TEST(same_bits(f.store->feature(set, 7), some_rows(20).slice_batch(7, 8)));
  BOOST_TEST(f.store->problems().empty());
  f.add(some_rows(1), 20);
  BOOST_TEST(f.store->record(set, subject(20)).salt > 20);
}

// Until version 4 a record was not bound to its salt.
BOOST_AUTO_TEST_CASE(records_of_version_3_are_bound_to_their_salts) {
  Fresh f;
  f.add(some_rows(20), 0);
  f.store->database().execute("ALTER TABLE records DROP COLUMN bound; PRAGMA user_version = 3");
  f.store.reset();
  f.store.emplace(f.path, Access::write);
  const StoredSet set = f.store->set("default");
  f.store->check_salts(set);
  BOOST_TEST(same_bits(f.store->feature(set, 7), some_rows(20).slice_batch(7, 8)));
  BOOST_TEST(f.store->problems().empty());
  BOOST_TEST(f.store->database().number("SELECT count(*) FROM records WHERE bound = 0") == 0);
  f.store->database().execute("UPDATE records SET salt = 5 WHERE id & 1023 = 7");
  refused([&] { f.store->feature(set, 7); }, {f.path, "record 7", "salt"});
}

// Under another salt a record turns its own person away: that is no decision, and nothing is made of it.
BOOST_AUTO_TEST_CASE(a_salt_that_was_changed_is_told) {
  Fresh f;
  f.add(some_rows(40), 0);
  const Tensor asked = some_rows(1, 77);
  const auto search = [&] {
    nearest_of_each(
        *f.store, f.set, 1,
        [&](int64_t, std::span<const int64_t> salts) {
          return FeatureRows(asked).at(std::vector<int64_t>(salts.size(), 0));
        },
        3);
  };
  search();
  f.store->check_salts(f.set);
  for (const char* salt :
       {"salt + 1", "0", "-salt", "(SELECT salt FROM records AS r WHERE r.id & 1023 = 8)"}) {
    f.store->database().execute("UPDATE records SET salt = " + std::string(salt) + " WHERE id & 1023 = 7");
    const std::vector<std::string> words{f.path, "is damaged", "record 7", "changed"};
    refused([&] { f.store->feature(f.set, 7); }, words);
    refused([&] { f.store->check_salts(f.set); }, words);
    refused(search, words);
    f.store->feature(f.set, 8);
    f.store->database().execute("UPDATE records SET salt = (checksum | bound) - (checksum & bound)");
    search();
  }
  // Whom it is of can be removed, and then all is well.
  f.store->database().execute("UPDATE records SET salt = 0 WHERE id & 1023 = 7");
  f.store->remove("default", std::vector{subject(7)});
  f.store->check_salts(f.set);
  search();
  // Where the damage came before records were bound to their salts, the event tells.
  f.add(some_rows(5, 4), 40);
  f.store->database().execute(
      "UPDATE records SET salt = salt + 1 WHERE id & 1023 = 42;"
      "UPDATE records SET bound = (checksum | salt) - (checksum & salt)");
  refused([&] { f.store->check_salts(f.set); }, {f.path, "event 4", "a salt was changed"});
}

// A backup that is put back under the log of what came later: SQLite takes the log for its own.
BOOST_AUTO_TEST_CASE(a_log_of_another_moment_is_not_used) {
  const TempDir dir;
  const std::string path = dir / "people.db", log = path + "-wal";
  std::string old, later;
  {
    Fresh f;
    f.add(some_rows(40), 0);
    BOOST_TEST(f.store->database().erase_removed());
    old = read_bytes(f.path);
    f.add(some_rows(4000), 40);
    BOOST_TEST(f.store->database().erase_removed());
    f.add(some_rows(3), 4040);
    later = read_bytes(f.path);
    write_bytes(log, read_bytes(f.path + "-wal"));
  }
  for (const Access access : {Access::read, Access::write}) {
    write_bytes(path, old);
    const std::string left = read_bytes(log);
    {
      Store store(path, access);
      refused([&] { store.check_log(); }, {path, "not of one moment", "remove that log"});
    }
    BOOST_TEST((read_bytes(path) == old && read_bytes(log) == left));  // nothing moved to the file
  }
  // Its own log of a program that was killed is taken, and ends in the file.
  write_bytes(path, later);
  {
    Store store(path, Access::write);
    BOOST_TEST(store.database().found_log());
    store.check_log();
    BOOST_TEST(store.set("default").records == 4043);
  }
  BOOST_TEST(!std::filesystem::exists(log));
  // Nor is a log of those who use it now one that was left.
  Store one(path, Access::write);
  one.tell("test", "", "");
  BOOST_TEST(std::filesystem::file_size(log) > 0u);
  const pid_t other = ::fork();
  if (other == 0) ::_exit(Store(path, Access::read).database().found_log() ? 1 : 0);
  int status = -1;
  BOOST_TEST((::waitpid(other, &status, 0) == other && status == 0));
}
