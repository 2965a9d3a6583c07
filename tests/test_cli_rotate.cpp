// advface-key rotate: every record from one key to another, whatever breaks off in between, and what is
// refused. How often it is killed: ADVF_ROTATE_KILLS, or a few times.
#define BOOST_TEST_MODULE cli_rotate
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <iostream>

#include "advface/core/feature_file.h"
#include "advface/core/unfinished_rows.h"
#include "advface/keys/key.h"
#include "advface/protections/rotation_protection.h"
#include "cli_test_util.h"
#include "method_test_util.h"
#include "older_set.h"
#include "small_disk.h"
#include "tensor/io/npy.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

bool ready() {
  if (!has_keys()) std::cout << "SKIPPED: this build has no keys (ADVF_KEYS is off)\n";
  return has_keys();
}

constexpr int64_t kRows = 3000, kDimension = 16;

// Unit vectors, raw and behind a lock.
struct World {
  TempDir dir;
  std::string key = dir / "key", raw = dir / "raw.npy", locked = dir / "locked.npy";
  World() {
    Tensor rows = randn({kRows, kDimension}, 5, DType::f32);
    for (int64_t i = 0; i < kRows; ++i) {
      float* row = rows.mutable_data<float>() + i * kDimension;
      const double length = norm({row, size_t(kDimension)});
      for (int64_t k = 0; k < kDimension; ++k) row[k] = float(double(row[k]) / length);
    }
    save_npy(raw, rows);
    succeed("key", {"new", key});
    succeed("protect", {"--protect", "rotation", "--key", key, "--in", raw, "--out", locked});
  }
};
const World& here() {
  static const World w;
  return w;
}

// A call of its own folder.
struct Call {
  TempDir dir;
  std::string next = dir / "next", out = dir / "out.npy", part = out + ".part";
  Args args(const std::string& batch = "100") const {
    return {"rotate",      "--key", here().key, "--new-key", next, "--in",
            here().locked, "--out", out,        "--batch",   batch};
  }
  std::string folder() const { return dir.path().string(); }
  void clear() const {
    for (const auto& entry : std::filesystem::directory_iterator(dir.path()))
      std::filesystem::remove_all(entry.path());
  }
  // Stopped by Ctrl-C with a part of the rows.
  void stop() const {
    Surroundings around;
    around.interrupt_when = part;
    around.interrupt_bytes = 4000;
    const Outcome o = run_program("key", args("10"), around);
    BOOST_REQUIRE_MESSAGE(o.code == 130, o.code << o.err);
  }
};

const AppliedProtection& lock_of(const FeatureFile& file) { return file.info.protection.applied.back(); }

// What lies there is what the new key makes of the raw features, and nothing else is left.
void check_turned(const Call& call) {
  BOOST_TEST((tree(call.folder()) == Args{"next", "out.npy", "out.npy.json"}));
  const FeatureFile turned = open_feature_file(call.out);
  BOOST_TEST(lock_of(turned).networks.at("key") == Key::read(call.next).info().id);
  const TempDir dir;
  const std::string set = lock_of(turned).settings.at("key_set").substr(1, 32);
  succeed("protect", {"--protect", "rotation", "--key", call.next, "--key-set", set, "--in", here().raw,
                      "--out", dir / "anew.npy"});
  BOOST_TEST((open_feature_file(dir / "anew.npy").info.protection == turned.info.protection));
  const auto is = load_npy(call.out).to_vector<float>(),
             should = load_npy(dir / "anew.npy").to_vector<float>();
  BOOST_REQUIRE(is.size() == should.size());
  for (size_t i = 0; i < is.size(); ++i) BOOST_REQUIRE(std::abs(is[i] - should[i]) < 2e-6f);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_key_changes) {
  if (!ready()) return;
  const Call call;
  const TempDir other;
  const Outcome done = succeed("key", call.args() + Args{"--json", other / "j"});
  BOOST_TEST(done.out.find("3000 records") != std::string::npos);
  const std::string id = Key::read(call.next).info().id;
  BOOST_TEST((read_json(other / "j") == json{{"records", kRows},
                                             {"key", Key::read(here().key).info().id},
                                             {"new_key", id},
                                             {"in", here().locked},
                                             {"out", call.out}}));
  check_turned(call);
}

BOOST_AUTO_TEST_CASE(it_goes_on_where_it_was_stopped) {
  if (!ready()) return;
  const Call call;
  call.stop();
  BOOST_TEST((tree(call.folder()) == Args{"next", "out.npy.part"}));
  struct stat part {
  }, whole{};
  BOOST_REQUIRE(::stat(call.part.c_str(), &part) == 0);
  const json head = json::parse(lines_of(read_bytes(call.part))[0]);
  const Outcome on = succeed("key", call.args("10"));
  BOOST_TEST(on.err.find("goes on behind row ") != std::string::npos, on.err);
  BOOST_TEST(on.out.find("3000 records") != std::string::npos);
  BOOST_REQUIRE(::stat(call.out.c_str(), &whole) == 0);
  BOOST_TEST(part.st_mode == whole.st_mode);
  check_turned(call);
  // In the set that was begun.
  BOOST_TEST((json::parse(open_feature_file(call.out).info.protection.to_json()) == head["protection"]));
}

// Whatever set the earlier call has named: it is not derived from what goes in.
BOOST_AUTO_TEST_CASE(the_set_that_was_begun_goes_on) {
  if (!ready()) return;
  const Call call;
  succeed("key", {"new", call.next});
  const FeatureFile from = open_feature_file(here().locked);
  const auto old_key = std::make_shared<const Key>(Key::read(here().key)),
             new_key = std::make_shared<const Key>(Key::read(call.next));
  AppliedProtection begun = lock_of(from);
  begun.settings["key_set"] = '"' + std::string(32, 'a') + '"';
  const KeyChange change(lock_of(from), old_key, new_key, "locked.npy", &begun);
  RowsToMake what{from.rows.sample_hash(), from.info.protection};
  what.protection.applied.back() = change.after();
  UnfinishedRows(call.part, from.rows.row()).begin(what);
  succeed("key", call.args());
  BOOST_TEST(lock_of(open_feature_file(call.out)).settings.at("key_set") == begun.settings.at("key_set"));
  check_turned(call);
}

BOOST_AUTO_TEST_CASE(killed_at_any_moment) {
  if (!ready()) return;
  const Call call;
  const char* asked = std::getenv("ADVF_ROTATE_KILLS");
  const int kills = asked ? std::atoi(asked) : 12;
  const auto begin = std::chrono::steady_clock::now();
  succeed("key", call.args());
  const auto took =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  int early = 0, parts = 0;
  for (int k = 0; k < kills; ++k) {
    call.clear();
    const bool ended =
        run_and_kill("key", call.args(), took * int64_t(Philox{uint64_t(k), 3}.below(0, 1000)) / 900);
    early += !ended;
    parts += std::filesystem::exists(call.part);
    if (ended) check_turned(call);
    succeed("key", call.args());
    check_turned(call);
  }
  BOOST_TEST(early > kills / 4);
  std::cout << kills << " kills, " << early << " before the end, " << parts << " with a part of the rows\n";
}

BOOST_AUTO_TEST_CASE(a_disk_that_is_full_at_any_byte) {
  if (!ready()) return;
  const Call call;
  int kept = 0, failed = 0;
  for (uint64_t room = 600; room < uint64_t(kRows * kDimension * 4 + 2000); room += room / 2) {
    call.clear();
    succeed("key", {"new", call.next});
    Surroundings around;
    around.max_file_bytes = room;
    const Outcome o = run_program("key", call.args(), around);
    complain("key", call.args(), o, 1, {call.out, "writing failed"}, Late::yes);
    BOOST_TEST(!std::filesystem::exists(call.out));
    ++failed;
    kept += std::filesystem::exists(call.part);
    succeed("key", call.args());
    check_turned(call);
  }
  BOOST_TEST((failed > 10 && kept > failed / 2));
}

BOOST_AUTO_TEST_CASE(on_a_disk_that_is_full) {
  if (!ready()) return;
  const SmallDisk disk;
  if (!disk.mounted()) return;
  const TempDir dir;
  const FeatureRows raw = FeatureRows::open(here().raw);
  save_npy(dir / "few.npy", raw.range(0, 400));
  const std::string out = disk.path() + "/out.npy";
  succeed("protect", {"--protect", "rotation", "--key", here().key, "--in", dir / "few.npy", "--out",
                      dir / "locked.npy"});
  const Args call{"rotate",           "--key", here().key, "--new-key", dir / "next", "--in",
                  dir / "locked.npy", "--out", out,        "--batch",   "50"};
  write_bytes(disk.path() + "/ballast", std::string(44 << 10, 'x'));
  complain("key", call, run_program("key", call), 1,
           {out + ".part", "No space left on device", "the same command goes on"}, Late::yes);
  BOOST_TEST((tree(disk.path()) == Args{"ballast", "out.npy.part"}));
  std::filesystem::remove(disk.path() + "/ballast");
  succeed("key", call);
  BOOST_TEST((tree(disk.path()) == Args{"out.npy", "out.npy.json"}));
  BOOST_TEST(load_npy(out).dim(0) == 400);
}

BOOST_AUTO_TEST_CASE(what_an_earlier_call_left_must_fit) {
  if (!ready()) return;
  const Call call;
  call.stop();
  const std::string good = read_bytes(call.part);
  const size_t head = good.find('\n') + 1, row = size_t(kDimension) * 4;
  const auto refuses = [&](const std::string& bytes, const Args& args,
                           const std::vector<std::string>& words) {
    write_bytes(call.part, bytes);
    refuse(call.folder(), "key", args, 1, words, Late::yes);
  };
  const auto other_way = [&](const std::string& name, const std::string& value) {
    Args args = call.args("10");
    *(std::find(args.begin(), args.end(), name) + 1) = value;
    return args;
  };
  const TempDir dir;
  // Another key, or none any more: none is made either.
  succeed("key", {"new", dir / "third"});
  refuses(good, other_way("--new-key", dir / "third"), {call.part, "new key", dir / "third"});
  refuses(good, other_way("--new-key", dir / "none"), {call.part, "new key", dir / "none"});
  BOOST_TEST(!std::filesystem::exists(dir / "none"));
  // Other rows; the same, locked in another set.
  succeed("protect",
          {"--protect", "rotation", "--key", here().key, "--in", here().raw, "--out", dir / "again.npy"});
  refuses(good, other_way("--in", dir / "again.npy"), {call.part, "other rows", dir / "again.npy"});
  // A row that was changed, and more than there are.
  const size_t rows = (good.size() - head) / row;
  BOOST_REQUIRE(rows > 20u);
  std::string changed = good;
  changed[head + (rows - 11) * row + 3] = char(changed[head + (rows - 11) * row + 3] ^ 1);
  refuses(changed, call.args("10"), {call.part, "its row " + std::to_string(rows - 11), "remove it"});
  refuses(good.substr(0, head) + std::string(row * (kRows + 1), '\0'), call.args("10"),
          {call.part, "3001 rows", here().locked});
  changed = good;
  std::fill_n(changed.begin() + int64_t(head), row, '\0');
  refuses(changed, call.args("10"), {call.part, "damaged", "record 0"});
  // A description that was changed.
  changed = good;
  char& digit = changed[changed.find("key_set") + 12];
  digit = digit == '0' ? '1' : '0';
  refuses(changed, call.args("10"), {call.part, "protected otherwise"});
  refuses("my own notes\n", call.args("10"), {call.part, "no unfinished rows"});
  BOOST_TEST(read_bytes(call.part) == "my own notes\n");
  {
    write_bytes(call.part, good);
    const UnfinishedRows somebody(call.part, {kDimension});
    refuse(call.folder(), "key", call.args("10"), 1, {call.part, "another program"});
  }
  // Half a head, as a kill may leave it, is none.
  write_bytes(call.part, good.substr(0, head / 2));
  succeed("key", call.args());
  check_turned(call);
}

BOOST_AUTO_TEST_CASE(calls_that_are_refused) {
  if (!ready()) return;
  const Call call;
  const std::string folder = call.folder(), no = call.dir / "no.npy", p = call.dir / "p.npy";
  std::filesystem::copy(here().locked, p);
  std::filesystem::copy(here().locked + ".json", p + ".json");
  succeed("key", {"new", call.next});
  const auto rotate = [&](const std::string& from, const std::string& to, const std::string& in,
                          const std::string& out) {
    return Args{"rotate", "--key", from, "--new-key", to, "--in", in, "--out", out};
  };
  refuse(folder, "key", rotate(call.next, here().key, p, no), 1, {"the wrong key", p});
  // Nor is a new key made for what does not go on.
  refuse(folder, "key", rotate(call.next, call.dir / "third", p, no), 1, {"the wrong key", p});
  refuse(folder, "key", rotate(here().key, here().key, p, no), 1, {"old one"});
  refuse(folder, "key", rotate(here().key, call.next, toy_world().at("z.npy"), no), 1, {"z.npy", "raw"});
  refuse(folder, "key", rotate(here().key, call.next, here().raw, no), 1, {"raw.npy.json"});
  refuse(folder, "key", rotate(here().key, call.next, p, call.dir / "missing/no.npy"), 1,
         {"missing/no.npy", "No such file"});
  refuse(folder, "key", rotate(here().key, call.next, p, "/dev/null"), 1, {"/dev/null", "key_set"});
  BOOST_TEST(!std::filesystem::exists("/dev/null.part"));
  // What is written lies nowhere else.
  refuse(folder, "key", rotate(here().key, call.next, p, p), 2, {"--out would replace", "--in"});
  refuse(folder, "key", rotate(here().key, no, p, no), 2, {"would both write", "no.npy"});
  for (const std::string& same : {call.dir / "fresh", no + ".json", no + ".part"})
    refuse(folder, "key", rotate(here().key, call.dir / "fresh", p, no) + Args{"--json", same}, 2,
           {"would both write", same});
  // A set of an older version: where it is turned is said, and nothing is written over one.
  write_older_set(call.dir / "set.npy", p);
  refuse(folder, "key", rotate(here().key, call.next, call.dir / "set.npy", no), 1,
         {"set.npy", "older version", "advface-store import", "advface-store renew"});
  refuse(folder, "key", rotate(here().key, call.next, p, call.dir / "set.npy"), 1,
         {"set.npy", "older version", "choose another file"});
}
