// advface-store as an operator uses it: from features and photographs to decisions, and to erasure.
#define BOOST_TEST_MODULE cli_store
#include <sys/stat.h>

#include <sys/stat.h>

#include <algorithm>

#include "advface/store/store.h"
#include "older_set.h"
#include "store_test_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

const ToyWorld& world() { return toy_world(); }

}  // namespace

BOOST_AUTO_TEST_CASE(from_features_to_a_decision) {
  for (const char* mode : {"per-record", "per-set"}) {
    const Operator o({"--protect", "rotation", "--key-mode", mode});
    // The score is that of the raw features, the decision that of the threshold.
    for (const int64_t i : {0, 7}) {
      const double score = o.raw_cosine(i, 3);
      const std::string who = lines_of(read_bytes(o.at("first.txt")))[size_t(i)];
      const json yes = o.verify(who, 3, 0, o.key() + Args{"--threshold", std::to_string(score - 1e-3)});
      BOOST_TEST(std::fabs(yes["decisions"][0]["score"].get<double>() - score) < 1e-5);
      BOOST_TEST((yes["accepted"] == true && yes["false_match_rate"].is_null() && yes["subject"] == who));
      BOOST_TEST(o.verify(who, 3, 3,
                          o.key() + Args{"--threshold", std::to_string(score + 1e-3)})["accepted"] == false);
    }
    // 1:N finds what the raw features say.
    std::vector<std::pair<double, int64_t>> order;
    for (int64_t i = 0; i < 40; ++i) order.push_back({-o.raw_cosine(i, 5), i});
    std::sort(order.begin(), order.end());
    save_npy(o.at("probe.npy"), load_npy(o.at("second.npy")).slice_batch(5, 6));
    const Outcome found = run_program("store", Args{"identify", o.db(), "--in", o.at("probe.npy"), "--top",
                                                    "4", "--json", o.at("j"), "--threshold", "-1"} +
                                                   o.key());
    BOOST_TEST(found.code == 0, found.err);
    const json list = read_json(o.at("j"))["decisions"][0]["candidates"];
    BOOST_REQUIRE(list.size() == 4u);
    for (size_t k = 0; k < 4; ++k) {
      BOOST_TEST(list[k]["record"] == order[k].second);
      BOOST_TEST(std::fabs(list[k]["score"].get<double>() + order[k].first) < 1e-5);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_photograph_is_enrolled_and_verified) {
  const Operator o;
  const Args recogniser = world().recogniser();
  succeed("store",
          Args{"add", o.db(), "--image", o.photograph(100), "--subject", "anna"} + recogniser + o.key());
  succeed("store", Args{"add", o.db(), "--image", o.photograph(102), "--image", o.photograph(103),
                        "--subject", "ben", "--average", "0"} +
                       recogniser + o.key());
  const Args verify =
      Args{"verify", o.db(), "--subject", "anna", "--threshold", "0.999"} + recogniser + o.key();
  const Outcome same = run_program("store", verify + Args{"--image", o.photograph(100)});
  BOOST_TEST((same.code == 0 && same.out.starts_with("accepted: anna")), same.out << same.err);
  BOOST_TEST(same.out.find("nobody knows how often") != std::string::npos);
  const Outcome other = run_program("store", verify + Args{"--image", o.photograph(104), "--log"});
  BOOST_TEST((other.code == 3 && other.out.starts_with("rejected: anna")), other.out << other.err);
  succeed("store", {"show", o.db(), "--subject", "ben", "--json", o.at("j")});
  BOOST_TEST(read_json(o.at("j"))["shown"][0]["subject"] == "ben");
  const std::string log = succeed("store", {"log", o.db()}).out;
  BOOST_TEST((log.find("verify\tdefault\trejected, record 40") != std::string::npos &&
              log.find("anna") == std::string::npos),
             log);
  succeed("store", {"log", o.db(), "--verify"});
  complain("store", {"log"}, run_program("store", {"log", o.db(), "--verify", "--known", ""}), 2,
           {"--known"});
  succeed("store", Args{"check", o.db()} + o.key());
}

// Nobody's probe is nobody's decision.
BOOST_AUTO_TEST_CASE(a_probe_without_rows_is_refused) {
  const Operator o;
  const Tensor first = load_npy(o.at("first.npy"));
  save_npy(o.at("none.npy"), Tensor::zeros({0, first.dim(1)}));
  for (const Args& verb : {Args{"verify", o.db(), "--subject", "id_000001"}, Args{"identify", o.db()}})
    complain("store", verb,
             run_program("store", verb + Args{"--in", o.at("none.npy"), "--threshold", "0.5"} + o.key()), 1,
             {"none.npy"}, Late::yes);
}

BOOST_AUTO_TEST_CASE(a_calibrated_set_says_what_a_score_means) {
  const Operator o;
  refuse(o.dir.path().string(), "store",
         Args{"verify", o.db(), "--in", o.at("second.npy"), "--subject", "id_000001"} + o.key(), 2,
         {"no calibration", "--threshold"}, Late::yes);
  const Args others{"--in", o.at("others.npy"), "--people", o.at("others.txt")};
  succeed("store", Args{"calibrate", o.db(), "--fmr", "0.01", "--json", o.at("j")} + others);
  const json told = read_json(o.at("j"));
  BOOST_TEST(
      (told["impostor_scores"] == 120 * 118 / 2 && told["people"] == 60 && told["genuine_scores"] == 60));
  BOOST_TEST(
      (told["false_match_rate"].get<double>() <= 0.01 && told["false_match_rate"].get<double>() > 0.008));
  const bool accepted = o.raw_cosine(1, 1) >= told["threshold"].get<double>();
  const json decided = o.verify("id_000001", 1, accepted ? 0 : 3, o.key());
  BOOST_TEST(decided["threshold"] == told["threshold"]);
  BOOST_TEST(decided["false_match_rate"] == told["false_match_rate"]);
  BOOST_TEST(decided["calibration"].get<std::string>().find("7080 impostor scores of 60 people") !=
             std::string::npos);
  refuse(
      o.dir.path().string(), "store",
      Args{"verify", o.db(), "--in", o.at("second.npy"), "--subject", "id_000001", "--fmr", "1e-6"} + o.key(),
      1, {"7080 impostor scores", "more people"}, Late::yes);
  succeed("store", {"stats", o.db(), "--out", o.at("scores.svg")});
  BOOST_TEST(read_bytes(o.at("scores.svg")).starts_with("<svg"));
}

BOOST_AUTO_TEST_CASE(who_is_removed_is_gone) {
  const Operator o({"--protect", "none"}, false);
  const Tensor rows = load_npy(o.at("first.npy"));
  const std::string who = lines_of(read_bytes(o.at("first.txt")))[12];
  const std::string bytes(reinterpret_cast<const char*>(rows.data<float>() + 12 * ToyWorld::kDimension),
                          ToyWorld::kDimension * sizeof(float));
  BOOST_TEST(read_bytes(o.db()).find(bytes) != std::string::npos);
  succeed("store", {"remove", o.db(), "--subject", who});
  BOOST_TEST(tree(o.dir.path().string()).size() == 8u);  // no log beside it
  BOOST_TEST((read_bytes(o.db()).find(bytes) == std::string::npos &&
              read_bytes(o.db()).find(who) == std::string::npos));
  succeed("store", {"backup", o.db(), "--out", o.at("copy.db")});
  succeed("store", {"check", o.at("copy.db")});
  BOOST_TEST(read_bytes(o.at("copy.db")).find(bytes) == std::string::npos);
  succeed("store", {"remove", o.db(), "--whole-set"});
  BOOST_TEST(succeed("store", {"list", o.db(), "--sets"}).out == "");
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_told_in_one_line) {
  const Operator o;
  const std::string folder = o.dir.path().string(), first = o.at("first.npy");
  const auto wrong = [&](const Args& args, int code, const std::vector<std::string>& words) {
    const std::string before = read_bytes(o.db());
    refuse(folder, "store", args, code, words, Late::yes);
    BOOST_TEST((read_bytes(o.db()) == before), as_text("store", args) << " changed the store");
  };
  Tensor bad = load_npy(first);
  bad.mutable_data<float>()[ToyWorld::kDimension + 3] = std::nanf("");
  save_npy(o.at("nan.npy"), bad);
  save_npy(o.at("wide.npy"), Tensor::full({2, 17}, 0.1));
  save_npy(o.at("long.npy"), Tensor::full({2, ToyWorld::kDimension}, 0.5));
  write_bytes(o.at("other.json"), "");
  write_bytes(o.at("text.db"), std::string(5000, 'x'));
  write_bytes(o.at("broken.jpg"), "no picture");
  const Args add = Args{"add", o.db()} + o.key();
  wrong(add + Args{"--in", first, "--subjects", o.at("first.txt")}, 1, {"id_000000", "already"});
  wrong(add + Args{"--in", o.at("nan.npy")}, 1, {"nan.npy", "row 1"});
  wrong(add + Args{"--in", o.at("wide.npy")}, 1, {"wide.npy", "[17]", "[16]"});
  wrong(add + Args{"--in", o.at("long.npy")}, 1, {"long.npy", "row 0", "norm 2"});
  wrong(add + Args{"--in", first, "--subjects", o.at("others.txt")}, 1, {"names 120 people", "40 rows"});
  wrong(add + Args{"--image", o.at("broken.jpg")} + world().recogniser(), 1, {"broken.jpg"});
  wrong({"add", o.db(), "--in", first}, 2, {"--key"});
  wrong({"add", o.db(), "--in", first, "--key", o.at("wrong")}, 1, {"wrong key"});
  wrong({"verify", o.db(), "--in", first, "--subject", "id_000000", "--threshold", "0.5", "--key",
         o.at("wrong")},
        1, {"wrong key"});
  wrong({"identify", o.db(), "--in", first, "--threshold", "0.5", "--key", o.at("wrong")}, 1, {"wrong key"});
  wrong(add + Args{"--in", first, "--shadow", world().at("shadow.safetensors")}, 2,
        {"--shadow", "for nothing here"});
  wrong(add, 2, {"--in", "--image"});
  wrong(add + Args{"--in", first, "--subject", "anna"}, 2, {"--subject is for --image"});
  wrong(add + Args{"--in", first, "--set", "other"}, 1, {"no set other", "default"});
  wrong(add + Args{"--in", first, "--next"}, 1, {"is not being renewed"});
  wrong({"verify", o.db(), "--in", first, "--subject", "'; DROP TABLE records; --", "--threshold", "0",
         "--key", o.at("key")},
        1, {"nobody in the set default", "DROP TABLE"});
  wrong({"verify", o.db(), "--in", first, "--threshold", "0"}, 2, {"--subject"});
  wrong({"verify", o.db(), "--in", first, "--subject", "x", "--threshold", "nan"}, 2, {"--threshold"});
  wrong({"remove", o.db(), "--subject", "nobody"}, 1, {"nobody was removed"});
  wrong({"remove", o.db()}, 2, {"--subject"});
  wrong({"check", o.db(), "--key", o.at("wrong")}, 1, {"1 problems"});
  wrong({"list", o.at("text.db")}, 1, {"text.db", "no SQLite database"});
  wrong({"list", o.at("none.db")}, 1, {"none.db", "No such file"});
  wrong(Args{"init", o.db(), "--protect", "none"} + world().recogniser(), 1, {"default is there already"});
  wrong(Args{"init", o.at("new.db")} + world().recogniser(), 2, {"--protect none"});
  wrong(Args{"init", o.at("new.db"), "--protect", "none", "--epsilon", "1"} + world().recogniser(), 2,
        {"--protect none"});
  wrong(Args{"init", o.at("new.db"), "--protect", "rotation"} + world().recogniser(), 2, {"--key"});
  // A record would depend on those that are protected with it.
  for (const char* mode : {"batch", "recalibrated"})
    wrong(Args{"init", o.at("new.db"), "--bn", mode} + world().recogniser() + world().shadow(), 2,
          {"--bn running", "advface-train recalibrate"});
  wrong({"backup", o.db(), "--out", o.db()}, 2, {"--out", "replace"});
  wrong({"frobnicate"}, 2, {"no verb", "frobnicate", "verify"});
}

// Two copies of a store that both grow give no salt twice, and a key that comes again gives other rotations.
BOOST_AUTO_TEST_CASE(no_rotation_comes_twice) {
  const Operator o;
  const auto row_of = [&](const std::string& db, const std::string& subject) {
    Store store(db, Database::Access::read);
    const StoredSet set = store.set("default");
    return store.feature(set, store.record(set, subject).number);
  };
  succeed("store", {"backup", o.db(), "--out", o.at("copy.db")});
  save_npy(o.at("one.npy"), load_npy(o.at("second.npy")).slice_batch(0, 1));
  write_bytes(o.at("one.txt"), "anna\n");
  for (const std::string& db : {o.db(), o.at("copy.db")})
    succeed("store", Args{"add", db, "--in", o.at("one.npy"), "--subjects", o.at("one.txt")} + o.key());
  BOOST_TEST(!same_bits(row_of(o.db(), "anna"), row_of(o.at("copy.db"), "anna")));
  for (const char* mode : {"per-record", "per-set"}) {
    const Operator p({"--protect", "rotation", "--key-mode", mode});
    const Tensor first = row_of(p.db(), p.name(3));
    const double score = p.raw_cosine(3, 3);
    for (const auto& [from, to] : {std::pair("key", "next"), {"next", "key"}})
      succeed("store", {"renew", p.db(), "--old-key", p.at(from), "--new-key", p.at(to)});
    BOOST_TEST(!same_bits(row_of(p.db(), p.name(3)), first));
    p.verify(p.name(3), 3, 0, p.key() + Args{"--threshold", std::to_string(score - 1e-3)});
    p.verify(p.name(3), 3, 3, p.key() + Args{"--threshold", std::to_string(score + 1e-3)});
  }
  // Whoever reads the export without its list would turn every row by a wrong rotation.
  succeed("store", {"export", o.db(), "--out", o.at("out.npy")});
  refuse(o.dir.path().string(), "key",
         Args{"rotate", "--new-key", o.at("other"), "--in", o.at("out.npy"), "--out", o.at("turned.npy")} +
             o.key(),
         1, {"out.npy", "salts of their own", "advface-store import"}, Late::yes);
  struct stat info {};
  for (const char* name : {"out.npy", "out.npy.json", "out.npy.records.tsv"})
    BOOST_TEST((::stat(o.at(name).c_str(), &info) == 0 && (info.st_mode & 0777) == 0600), name);
}

BOOST_AUTO_TEST_CASE(rows_of_fewer_bytes_decide_nearly_alike) {
  for (const auto& [rows, most] : {std::pair("f16", 1e-3), {"i8", 2e-2}}) {
    const Operator o({"--protect", "rotation", "--rows", rows});
    const double score = o.raw_cosine(3, 3);
    const json told = o.verify(o.name(3), 3, 0, o.key() + Args{"--threshold", std::to_string(score - most)});
    BOOST_TEST(std::fabs(told["decisions"][0]["score"].get<double>() - score) < most);
    succeed("store", {"renew", o.db(), "--old-key", o.at("key"), "--new-key", o.at("next")});
    succeed("store", {"show", o.db(), "--json", o.at("j")});
    BOOST_TEST(read_json(o.at("j"))["rows"] == rows);
    o.verify(o.name(3), 3, 0, Args{"--key", o.at("next"), "--threshold", std::to_string(score - 2 * most)});
    succeed("store", {"check", o.db(), "--key", o.at("next")});
  }
  const Operator o;
  refuse(o.dir.path().string(), "store",
         Args{"init", o.at("new.db"), "--protect", "none", "--rows", "f8"} + world().recogniser(), 2,
         {"--rows", "f8"}, Late::yes);
}

// As much as a key, a protection or a recogniser can change of a set, and what stays.
BOOST_AUTO_TEST_CASE(a_set_is_renewed) {
  const Operator o;
  const double score = o.raw_cosine(3, 3);
  const Args others{"--in", o.at("others.npy"), "--people", o.at("others.txt")},
      least{"--threshold", std::to_string(score - 1e-3)}, next{"--key", o.at("next")};
  succeed("store", Args{"calibrate", o.db(), "--fmr", "0.01"} + others);
  succeed("store", {"renew", o.db(), "--old-key", o.at("key"), "--new-key", o.at("next"), "--keep-both"});
  o.verify(o.name(3), 3, 0, o.key() + least);
  o.verify(o.name(3), 3, 0, next + least + Args{"--next"});
  const std::string folder = o.dir.path().string();
  refuse(folder, "store", {"renew", o.db(), "--old-key", o.at("key"), "--new-key", o.at("wrong")}, 1,
         {"is being renewed to", "--give-up"}, Late::yes);
  succeed("store", {"renew", o.db(), "--switch"});
  // The score means what it meant, and the old key opens nothing.
  BOOST_TEST(o.verify(o.name(3), 3, 0, next + least)["false_match_rate"].is_number());
  refuse(folder, "store",
         Args{"verify", o.db(), "--in", o.at("probe.npy"), "--subject", o.name(3)} + least + o.key(), 1,
         {"wrong key"}, Late::yes);
  // A protection below the lock: other scores, which nobody has measured.
  succeed("store", {"renew", o.db(), "--old-key", o.at("next"), "--protect", "noise", "--noise-length", "0.3",
                    "--protect", "rotation", "--key", o.at("key"), "--key-mode", "per-set"});
  const json noisy = o.verify(o.name(3), 3, 0, o.key() + Args{"--threshold", "-1"});
  BOOST_TEST(noisy["false_match_rate"].is_null());
  BOOST_TEST(std::fabs(noisy["decisions"][0]["score"].get<double>() - score) > 1e-4);
  succeed("store", Args{"check", o.db()} + o.key());
  // What has no lock takes another protection on top, and not another key.
  const Operator raw({"--protect", "none"}, false);
  refuse(raw.dir.path().string(), "store",
         {"renew", raw.db(), "--old-key", raw.at("key"), "--new-key", raw.at("next")}, 1,
         {"is raw", "there is none"}, Late::yes);
  succeed("store", {"renew", raw.db(), "--protect", "rotation", "--key", raw.at("key")});
  raw.verify(raw.name(3), 3, 0, Args{"--key", raw.at("key")} + least);
  const Tensor rows = load_npy(raw.at("first.npy"));
  for (size_t i = 0; i < 40; ++i)
    BOOST_TEST((read_bytes(raw.db()).find({reinterpret_cast<const char*>(rows.data<float>() + i * 16), 64}) ==
                std::string::npos));
}

BOOST_AUTO_TEST_CASE(another_recogniser_wants_people_to_come_again) {
  const Operator o;
  const Args images = world().images();
  succeed("train",
          Args{"recogniser", "--out", o.at("rec2.json"), "--architecture", "cnn_small", "--image-size", "32",
               "--embedding", "20", "--width", "50", "--epochs", "1", "--batch", "16"} +
              images);
  const Args other{"--recogniser", o.at("rec2.json")};
  const Args migrate =
      Args{"migrate", o.db(), "--protect", "rotation", "--out", o.at("who.txt")} + other + o.key();
  const std::string folder = o.dir.path().string();
  refuse(folder, "store", Args{"migrate", o.db(), "--protect", "rotation"} + world().recogniser() + o.key(),
         1, {"is the recogniser that the set"}, Late::yes);
  succeed("store", migrate);
  BOOST_TEST(lines_of(read_bytes(o.at("who.txt"))).size() == 40u);
  const Args anew =
      Args{"add", o.db(), "--next", "--image", o.photograph(0), "--subject", o.name(0)} + o.key();
  refuse(folder, "store", anew + world().recogniser(), 1, {"rec.json", "people.db"}, Late::yes);
  succeed("store", anew + other);
  succeed("store", migrate);
  BOOST_TEST(lines_of(read_bytes(o.at("who.txt"))).size() == 39u);
  o.verify(o.name(3), 3, 0, o.key() + Args{"--threshold", "-1"});  // as before, until the switch
  refuse(folder, "store", {"migrate", o.db(), "--switch"}, 1, {"39 of 40", "--leave-behind"}, Late::yes);
  succeed("store", {"migrate", o.db(), "--switch", "--leave-behind"});
  succeed("store", {"list", o.db(), "--json", o.at("j")});
  const json list = read_json(o.at("j"));
  BOOST_TEST((list["records"].size() == 1u && list["records"][0]["record"] == 0 &&
              list["sets"][0]["dimension"] == 20));
  refuse(folder, "store",
         Args{"verify", o.db(), "--in", o.at("second.npy"), "--subject", o.name(0), "--threshold", "0"} +
             o.key(),
         1, {"second.npy", "[16]", "[20]"}, Late::yes);
}

BOOST_AUTO_TEST_CASE(a_set_goes_out_and_comes_back) {
  const Operator o;
  succeed("store", {"remove", o.db(), "--subject", o.name(0)});  // so that rows are not numbers
  const Args least{"--threshold", std::to_string(o.raw_cosine(3, 3) - 1e-3)};
  for (const char* end : {"npy", "jsonl", "safetensors"}) {
    const std::string file = o.at(std::string("out.") + end), set = std::string("of_") + end;
    succeed("store", {"export", o.db(), "--out", file});
    succeed("store", {"import", o.db(), "--in", file, "--set", set});
    o.verify(o.name(3), 3, 0, o.key() + least + Args{"--set", set});
    refuse(o.dir.path().string(), "store", {"import", o.db(), "--in", file, "--set", set}, 1,
           {set, "there already"}, Late::yes);
    succeed("store", {"export", o.db(), "--out", o.at("again.npy"), "--set", set});
    BOOST_TEST((read_bytes(o.at("again.npy")) == read_bytes(o.at("out.npy"))));
  }
  succeed("store", Args{"check", o.db()} + o.key());
  // What advface-protect has written, and what an older version kept as a set.
  const Args protect = Args{"--protect", "rotation", "--in", o.at("first.npy")} + o.key();
  succeed("protect", protect + Args{"--out", o.at("p.npy")});
  write_older_set(o.at("set.npy"), o.at("p.npy"));
  for (const char* file : {"p.npy", "set.npy"}) {
    succeed("store", {"import", o.at("new.db"), "--in", o.at(file), "--set", file});
    succeed("store", {"list", o.at("new.db"), "--set", file, "--json", o.at("j")});
    const std::string who = read_json(o.at("j"))["records"][3]["subject"];
    BOOST_TEST(who == (std::string(file) == "p.npy" ? "p.npy:3" : "photo 3"));
    const Outcome same = run_program(
        "store", Args{"verify", o.at("new.db"), "--set", file, "--subject", who, "--in", o.at("probe.npy")} +
                     o.key() + least);
    BOOST_TEST(same.code == 0, same.err << same.out);
  }
  const auto wrong = [&](const std::string& file, const std::vector<std::string>& words) {
    refuse(o.dir.path().string(), "store", {"import", o.at("none.db"), "--in", file}, 1, words, Late::yes);
  };
  wrong(world().at("z.npy"), {"z.npy", "raw", "--protect none"});
  wrong(o.at("first.npy"), {"first.npy", "unknown protection", "--protect none"});
  const std::string lines = read_bytes(o.at("out.jsonl"));
  write_bytes(o.at("twice.jsonl"), lines + lines_of(lines)[1] + "\n");
  wrong(o.at("twice.jsonl"), {"twice.jsonl", "has 40 records", "says 39"});
  write_bytes(o.at("cut.jsonl"), lines.substr(0, lines.size() - 20));
  wrong(o.at("cut.jsonl"), {"cut.jsonl:40", "not valid JSON"});
  write_bytes(o.at("out.npy.records.tsv"), "nothing");
  wrong(o.at("out.npy"), {"out.npy.records.tsv", "another list"});
}
