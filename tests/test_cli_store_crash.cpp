// kill -9 and a full disk at any moment of every verb that writes: what was acknowledged is there, nothing is
// half there, and the same call goes on or begins anew. Kills of each verb: ADVF_STORE_KILLS, or a few.
#define BOOST_TEST_MODULE cli_store_crash
#include <iostream>

#include "advface/protections/protection_chain.h"
#include "advface/protections/registry.h"
#include "advface/protections/rotation_protection.h"
#include "advface/store/store.h"
#include "store_test_util.h"
#include "tensor/hash.h"

using namespace advf;
using namespace advf::test;

namespace {

// What a set holds, by generation: subjects, and what lies under the lock, which is drawn anew at every call.
struct Contents {
  std::string names;
  std::vector<float> rows;

  bool operator==(const Contents& other) const {
    if (names != other.names || rows.size() != other.rows.size()) return false;
    for (size_t i = 0; i < rows.size(); ++i)
      if (std::fabs(rows[i] - other.rows[i]) > 1e-5f) return false;
    return true;
  }
};

// Opened with whichever of these keys the set says it is locked with.
std::vector<float> opened(Store& store, const StoredSet& set, const std::vector<StoredRecord>& records,
                          const std::vector<std::string>& keys) {
  const AppliedProtection& lock = set.info.protection.applied.back();
  const std::shared_ptr<ProtectionSpec> spec = spec_of(lock, store.path());
  for (const std::string& file : keys)
    if (auto key = std::make_shared<const Key>(Key::read(file)); key->info().id == lock.networks.at("key"))
      dynamic_cast<RotationSpec&>(*spec).source->take(key);
  ProtectionInput input;
  input.space = set.raw;
  input.what = input.beside_what = store.path();
  input.beside = &set.info.protection;
  input.to_keep = true;
  std::vector<int64_t> numbers, salts;
  for (const StoredRecord& r : records) numbers.push_back(r.number), salts.push_back(r.salt);
  const FeatureRows rows(store.features(set, numbers));
  const int64_t n = rows.count();
  return ProtectionChain({spec}, input)
      .unlocked(rows, salts, int64_t(1) << 40, {})
      .range(0, n)
      .to_vector<float>();
}

Contents contents(const Operator& o, const std::string& set_name) {
  Store store(o.db(), Database::Access::read);
  Contents all;
  for (const Generation g : {Generation::current, Generation::next}) {
    const auto set = store.find_set(set_name, g);
    all.names +=
        set ? set->info.protection.describe() + (g == Generation::next ? " next\n" : "\n") : "none\n";
    if (!set || set->records == 0) continue;
    const std::vector<StoredRecord> records = store.records(*set, 0, -1);
    for (const StoredRecord& r : records) all.names += r.subject + "\n";
    const std::vector<float> rows = opened(store, *set, records, {o.at("key"), o.at("next")});
    all.rows.insert(all.rows.end(), rows.begin(), rows.end());
  }
  return all;
}

struct WritingVerb {
  std::string name;
  Args before;  // what is done first; empty: nothing
  Args call;
  std::string set = "default";
  bool goes_on = false;  // part of it may be there, and the same call completes it
};

// A store of 40 people, and files that the verbs take.
struct Scene : Operator {
  Scene() : Operator({"--protect", "rotation", "--rotation", "fast"}) {
    Tensor many = randn({3000, ToyWorld::kDimension}, 5, DType::f32);
    for (int64_t i = 0; i < 3000; ++i) {
      float* row = many.mutable_data<float>() + i * ToyWorld::kDimension;
      const double length = norm({row, size_t(ToyWorld::kDimension)});
      for (int k = 0; k < ToyWorld::kDimension; ++k) row[k] = float(double(row[k]) / length);
    }
    save_npy(at("many.npy"), many);
    succeed("store", Args{"add", db(), "--in", at("many.npy")} + key());
    succeed("store", {"export", db(), "--out", at("out.jsonl")});
    succeed("key", {"new", at("next")});
    std::string some;
    for (int i = 100; i < 1500; ++i) some += at("many.npy") + ":" + std::to_string(i) + "\n";
    write_bytes(at("some.txt"), some);
    std::filesystem::copy(db(), at("base.db"));
  }
  std::vector<WritingVerb> verbs() const {
    const Args renew{"renew", db(), "--old-key", at("key"), "--new-key", at("next"), "--batch", "500"};
    const Args anew{"renew", db(), "--protect", "rotation", "--key", at("next"), "--from-photographs"};
    return {{"add", {}, Args{"add", db(), "--in", at("second.npy")} + key()},
            {"remove", {}, {"remove", db(), "--subjects", at("some.txt")}},
            {"remove set", {}, {"remove", db(), "--whole-set"}, "default", true},
            {"calibrate",
             {},
             {"calibrate", db(), "--in", at("others.npy"), "--people", at("others.txt"), "--fmr", "0.01"}},
            {"init",
             {},
             Args{"init", db(), "--set", "other", "--protect", "rotation"} + world().recogniser() + key(),
             "other"},
            {"import", {}, {"import", db(), "--in", at("out.jsonl"), "--set", "other"}, "other", true},
            {"renew", {}, renew, "default", true},
            {"begin anew", {}, anew},
            {"add next",
             anew,
             {"add", db(), "--next", "--in", at("many.npy"), "--key", at("next"), "--skip-known"}},
            {"switch", renew + Args{"--keep-both"}, {"renew", db(), "--switch"}, "default", true},
            {"give up", renew + Args{"--keep-both"}, {"renew", db(), "--give-up"}}};
  }
  void start(const WritingVerb& verb) const {
    for (const char* end : {"", "-wal", "-shm", "-journal"}) std::filesystem::remove(db() + end);
    std::filesystem::copy(at("base.db"), db());
    if (!verb.before.empty()) succeed("store", verb.before);
  }
};

// Of what a call that broke off has left, once it is repaired.
std::string problems_of(const std::string& path) {
  Store store(path, Database::Access::write);
  store.give_up_imports();
  store.erase_retired();
  store.forget();
  std::string all;
  for (const std::string& p : store.problems()) all += p + "; ";
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(killed_at_any_moment) {
  const Scene scene;
  const char* asked = std::getenv("ADVF_STORE_KILLS");
  const int kills = asked ? std::atoi(asked) : 4;
  int early = 0, all = 0;
  for (const WritingVerb& verb : scene.verbs()) {
    scene.start(verb);
    const Contents before = contents(scene, verb.set);
    const auto begin = std::chrono::steady_clock::now();
    succeed("store", verb.call);
    const auto took =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    const Contents after = contents(scene, verb.set);
    for (int k = 0; k < kills; ++k) {
      scene.start(verb);
      const Philox rng{uint64_t(k), fnv1a(verb.name)};
      const bool ended = run_and_kill("store", verb.call, took * int64_t(rng.below(0, 1000)) / 900);
      early += !ended, ++all;
      BOOST_TEST(problems_of(scene.db()) == "", verb.name << ", kill " << k);
      const Contents there = contents(scene, verb.set);
      if (!verb.goes_on)
        BOOST_TEST((there == before || there == after), verb.name << ", kill " << k << ": half there");
      if (ended)
        BOOST_TEST((there == after), verb.name << ", kill " << k << ": was acknowledged and is lost");
      if (!(there == after)) {
        succeed("store", verb.call);
        BOOST_TEST((contents(scene, verb.set) == after), verb.name << ", kill " << k << ": does not go on");
      }
    }
  }
  BOOST_TEST(early > all / 4);
  std::cout << all << " kills, " << early << " before the end\n";
}

BOOST_AUTO_TEST_CASE(a_disk_that_is_full_at_any_byte) {
  const Scene scene;
  const char* asked = std::getenv("ADVF_STORE_KILLS");
  const int tries = asked ? std::atoi(asked) / 10 : 4;
  int failed = 0;
  for (const WritingVerb& verb : scene.verbs()) {
    scene.start(verb);
    const Contents before = contents(scene, verb.set);
    const uint64_t size = std::filesystem::file_size(scene.db());
    for (int k = 0; k < tries; ++k) {
      scene.start(verb);
      Surroundings around;
      around.max_file_bytes = 1 + Philox{uint64_t(k), fnv1a(verb.name)}.below(1, size + size / 3);
      const Outcome o = run_program("store", verb.call, around);
      BOOST_TEST((o.code == 0 || o.code == 1), verb.name << ": " << o.code << o.err);
      BOOST_TEST(problems_of(scene.db()) == "", verb.name << " with room for " << around.max_file_bytes);
      if (o.code == 0) continue;
      ++failed;
      BOOST_TEST(lines_of(o.err).back().starts_with("advface-store: " + scene.dir.path().string()), o.err);
      if (!verb.goes_on && verb.name != "remove" && verb.name != "give up")
        BOOST_TEST((contents(scene, verb.set) == before),
                   verb.name << " with room for " << around.max_file_bytes);
    }
  }
  BOOST_TEST(failed > 0);
}

// A new file is whole or not there, and what a killed call has left beside it goes with the next one.
BOOST_AUTO_TEST_CASE(new_files_of_killed_calls) {
  const Scene scene;
  const char* asked = std::getenv("ADVF_STORE_KILLS");
  const int kills = asked ? std::atoi(asked) : 4;
  const size_t files = tree(scene.dir.path().string()).size();
  const std::string out = scene.at("fresh.db");
  for (const Args& call :
       {Args{"backup", scene.db(), "--out", out},
        Args{"init", out, "--protect", "rotation"} + Operator::world().recogniser() + scene.key()}) {
    const auto begin = std::chrono::steady_clock::now();
    succeed("store", call);
    const auto took =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    for (int k = 0; k < kills; ++k) {
      std::filesystem::remove(out);
      const bool ended =
          run_and_kill("store", call, took * int64_t(Philox{uint64_t(k), call.size()}.below(0, 1000)) / 900);
      if (std::filesystem::exists(out)) {
        Store made(out, Database::Access::read);
        made.check_log();  // of the killed call, which goes to the file with the last who closes it
        BOOST_TEST(made.problems().empty(), call[0] << ", kill " << k);
      } else {
        BOOST_TEST(!ended, call[0] << ", kill " << k << ": was acknowledged and is lost");
        succeed("store", call);
      }
      Store(scene.db(), Database::Access::read).check_log();  // likewise of the killed reader
      BOOST_TEST(tree(scene.dir.path().string()).size() == files + 1, call[0] << ", kill " << k);
    }
    std::filesystem::remove(out);
  }
}
