// advface-store as an operator uses it: from features and photographs to decisions, and to erasure.
#define BOOST_TEST_MODULE cli_store
#include <algorithm>

#include "cli_test_util.h"
#include "method_test_util.h"
#include "tensor/io/npy.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

const ToyWorld& world() { return toy_world(); }

// The toy world's features and people, a key, and a store of the first forty people.
struct Operator {
  explicit Operator(const Args& protect = {"--protect", "rotation"}, bool keyed = true) : keyed_(keyed) {
    const Tensor z = load_npy(world().at("z.npy"));
    std::string first, second, others;
    const auto files = lines_of(read_bytes(world().at("z.npy.txt")));
    std::vector<int64_t> enrolled, again, rest;
    for (size_t i = 0; i < files.size(); ++i) {
      const std::string who = files[i].substr(0, files[i].find('/')) + "\n";
      if (i >= 80)
        others += who, rest.push_back(int64_t(i));
      else if (i % 2 == 0)
        first += who, enrolled.push_back(int64_t(i));
      else
        second += who, again.push_back(int64_t(i));
    }
    const FeatureRows rows(z);
    save_npy(at("first.npy"), rows.at(enrolled));
    save_npy(at("second.npy"), rows.at(again));
    save_npy(at("others.npy"), rows.at(rest));
    write_bytes(at("first.txt"), first);
    write_bytes(at("others.txt"), others);
    succeed("key", {"new", at("key")});
    succeed("key", {"new", at("wrong")});
    succeed("store", Args{"init", db()} + world().recogniser() + protect + key());
    succeed("store", Args{"add", db(), "--in", at("first.npy"), "--subjects", at("first.txt")} + key());
  }
  std::string at(const std::string& name) const { return dir / name; }
  std::string db() const { return at("people.db"); }
  Args key() const { return keyed_ ? Args{"--key", at("key")} : Args{}; }
  std::string photograph(size_t i) const {
    return world().at("faces/images/" + lines_of(read_bytes(world().at("z.npy.txt"))).at(i));
  }
  // What verify says of the probe in row i of second.npy.
  json verify(const std::string& subject, int64_t i, int code, const Args& more = {}) const {
    save_npy(at("probe.npy"), load_npy(at("second.npy")).slice_batch(i, i + 1));
    const Outcome o = run_program(
        "store", Args{"verify", db(), "--in", at("probe.npy"), "--subject", subject, "--json", at("j")} +
                     key() + more);
    BOOST_TEST(o.code == code, o.err << o.out);
    return read_json(at("j"));
  }
  TempDir dir;

 private:
  bool keyed_;
};

double raw_cosine(const Operator& o, int64_t a, int64_t b) {
  const Tensor first = load_npy(o.at("first.npy")).slice_batch(a, a + 1),
               second = load_npy(o.at("second.npy")).slice_batch(b, b + 1);
  return cosine({first.data<float>(), size_t(first.numel())}, {second.data<float>(), size_t(second.numel())});
}

}  // namespace

BOOST_AUTO_TEST_CASE(from_features_to_a_decision) {
  for (const char* mode : {"per-record", "per-set"}) {
    const Operator o({"--protect", "rotation", "--key-mode", mode});
    // The score is that of the raw features, the decision that of the threshold.
    for (const int64_t i : {0, 7}) {
      const double score = raw_cosine(o, i, 3);
      const std::string who = lines_of(read_bytes(o.at("first.txt")))[size_t(i)];
      const json yes = o.verify(who, 3, 0, {"--threshold", std::to_string(score - 1e-3)});
      BOOST_TEST(std::fabs(yes["decisions"][0]["score"].get<double>() - score) < 1e-5);
      BOOST_TEST((yes["accepted"] == true && yes["false_match_rate"].is_null() && yes["subject"] == who));
      BOOST_TEST(o.verify(who, 3, 3, {"--threshold", std::to_string(score + 1e-3)})["accepted"] == false);
    }
    // 1:N finds what the raw features say.
    std::vector<std::pair<double, int64_t>> order;
    for (int64_t i = 0; i < 40; ++i) order.push_back({-raw_cosine(o, i, 5), i});
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
  succeed("store", Args{"check", o.db()} + o.key());
}

BOOST_AUTO_TEST_CASE(a_calibrated_set_says_what_a_score_means) {
  const Operator o;
  refuse(o.dir.path().string(), "store",
         Args{"verify", o.db(), "--in", o.at("second.npy"), "--subject", "id_000001"} + o.key(), 2,
         {"no calibration", "--threshold"}, Late::yes);
  const Args others{"--in", o.at("others.npy"), "--people", o.at("others.txt")};
  succeed("store", Args{"calibrate", o.db(), "--fmr", "0.01", "--json", o.at("j")} + others);
  const json told = read_json(o.at("j"));
  BOOST_TEST((told["impostor_scores"] == 120 * 118 && told["people"] == 60 && told["genuine_scores"] == 120));
  BOOST_TEST(
      (told["false_match_rate"].get<double>() <= 0.01 && told["false_match_rate"].get<double>() > 0.008));
  const bool accepted = raw_cosine(o, 1, 1) >= told["threshold"].get<double>();
  const json decided = o.verify("id_000001", 1, accepted ? 0 : 3);
  BOOST_TEST(decided["threshold"] == told["threshold"]);
  BOOST_TEST(decided["false_match_rate"] == told["false_match_rate"]);
  BOOST_TEST(decided["calibration"].get<std::string>().find("14160 impostor scores of 60 people") !=
             std::string::npos);
  refuse(
      o.dir.path().string(), "store",
      Args{"verify", o.db(), "--in", o.at("second.npy"), "--subject", "id_000001", "--fmr", "1e-6"} + o.key(),
      1, {"14160 impostor scores", "more people"}, Late::yes);
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
  wrong({"backup", o.db(), "--out", o.db()}, 2, {"--out", "replace"});
  wrong({"frobnicate"}, 2, {"no verb", "frobnicate", "verify"});
}
