// kill -9 and a full disk at any moment of every verb that writes: what was acknowledged is there, nothing is
// half there, and the same call goes on or begins anew. Kills of each verb: ADVF_STORE_KILLS, or a few.
#define BOOST_TEST_MODULE cli_store_crash
#include <iostream>

#include "advface/store/store.h"
#include "store_test_util.h"
#include "tensor/hash.h"

using namespace advf;
using namespace advf::test;

namespace {

// What a set holds, by generation: subjects and rows.
enum class Rows { no, yes };
std::string contents(const std::string& path, const std::string& set_name, Rows rows = Rows::yes) {
  Store store(path, Database::Access::read);
  std::string all;
  for (const Generation g : {Generation::current, Generation::next}) {
    const auto set = store.find_set(set_name, g);
    all += set ? set->info.protection.describe() + (set->generation == Generation::next ? " next\n" : "\n")
               : "none\n";
    if (!set) continue;
    for (const StoredRecord& r : store.records(*set, 0, -1)) {
      if (rows == Rows::no) {
        all += r.subject + "\n";
        continue;
      }
      const Tensor row = store.feature(*set, r.number);
      all +=
          r.subject + " " + std::string(reinterpret_cast<const char*>(row.data<float>()), row.bytes()) + "\n";
    }
  }
  return all;
}

struct WritingVerb {
  std::string name;
  Args before;  // what is done first; empty: nothing
  Args call;
  std::string set = "default";
  // Numbers that were given to what was killed are not given again, and other numbers have other salts.
  Rows same = Rows::yes;
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
    return {
        {"add", {}, Args{"add", db(), "--in", at("second.npy")} + key(), "default", Rows::no},
        {"remove", {}, {"remove", db(), "--subjects", at("some.txt")}},
        {"remove set", {}, {"remove", db(), "--whole-set"}, "default", Rows::yes, true},
        {"calibrate",
         {},
         {"calibrate", db(), "--in", at("others.npy"), "--people", at("others.txt"), "--fmr", "0.01"}},
        {"init",
         {},
         Args{"init", db(), "--set", "other", "--protect", "rotation"} + world().recogniser() + key(),
         "other"},
        {"import", {}, {"import", db(), "--in", at("out.jsonl"), "--set", "other"}, "other", Rows::yes, true},
        {"renew", {}, renew, "default", Rows::yes, true},
        {"switch", renew + Args{"--keep-both"}, {"renew", db(), "--switch"}, "default", Rows::yes, true},
        {"give up", renew + Args{"--keep-both"}, {"renew", db(), "--give-up"}}};
  }
  void start(const WritingVerb& verb) const {
    for (const char* end : {"", "-wal", "-shm", "-journal"}) std::filesystem::remove(db() + end);
    std::filesystem::copy(at("base.db"), db());
    if (!verb.before.empty()) succeed("store", verb.before);
  }
};

std::string problems_of(const std::string& path) {
  Store store(path, Database::Access::write);
  store.erase_retired();
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
    const std::string before = contents(scene.db(), verb.set);
    const auto begin = std::chrono::steady_clock::now();
    succeed("store", verb.call);
    const auto took =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
    const std::string after = contents(scene.db(), verb.set),
                      names = contents(scene.db(), verb.set, verb.same);
    for (int k = 0; k < kills; ++k) {
      scene.start(verb);
      const Philox rng{uint64_t(k), fnv1a(verb.name)};
      const bool ended = run_and_kill("store", verb.call, took * int64_t(rng.below(0, 1000)) / 900);
      early += !ended, ++all;
      BOOST_TEST(problems_of(scene.db()) == "", verb.name << ", kill " << k);
      const std::string there = contents(scene.db(), verb.set);
      if (!verb.goes_on)
        BOOST_TEST((there == before || there == after), verb.name << ", kill " << k << ": half there");
      if (ended)
        BOOST_TEST((there == after), verb.name << ", kill " << k << ": was acknowledged and is lost");
      if (there != after) {
        succeed("store", verb.call);
        BOOST_TEST((contents(scene.db(), verb.set, verb.same) == names),
                   verb.name << ", kill " << k << ": does not go on");
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
    const std::string before = contents(scene.db(), verb.set);
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
        BOOST_TEST((contents(scene.db(), verb.set) == before),
                   verb.name << " with room for " << around.max_file_bytes);
    }
  }
  BOOST_TEST(failed > 0);
}
