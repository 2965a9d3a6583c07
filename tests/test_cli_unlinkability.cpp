// Two protected sets at the command line: unlinkability by every linker, known pairs, networks and decoders
// that were trained behind a lock, and calls that are refused.
#define BOOST_TEST_MODULE cli_unlinkability
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <iostream>
#include <map>

#include "advface/keys/key.h"
#include "cli_test_util.h"
#include "tensor/io/npy.h"
#include "xml_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

bool ready() {
  if (!has_keys()) std::cout << "SKIPPED: this build has no keys (ADVF_KEYS is off)\n";
  return has_keys();
}

// A key whose bytes everybody knows, so that the numbers here are the same every time, and one at random.
struct World {
  TempDir dir;
  std::string key = dir / "key", other = dir / "other";
  Args lock{"--protect", "rotation", "--key", key};
  Args per_set = lock + Args{"--key-mode", "per-set"};
  Args data =
      toy_world().images() + toy_world().recogniser() + Args{"--labels", toy_world().at("faces/labels.csv")};
  World() {
    write_bytes(key,
                "advface-key-1\nid 0001020304050607\ndate 2025-01-31T12:00:00Z\n"
                "key 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
                "check 8bbcc1a137a25a392f898be897ba4618\n");
    chmod(key.c_str(), 0600);
    if (has_keys()) succeed("key", {"new", other});
  }
};
const World& here() {
  static const World w;
  return w;
}

using Rows = std::map<std::string, json>;  // by "attacker features-kind pairs"

struct Result {
  json all;
  Rows rows;
  std::string err;
};

Result unlinkability(const Args& args) {
  const TempDir dir;
  const Outcome o = succeed("evaluate", Args{"unlinkability", "--json", dir / "u.json"} + here().data + args);
  BOOST_TEST(o.out.find("D_sys") != std::string::npos);
  Result result{read_json(dir / "u.json"), {}, o.err};
  for (const json& row : result.all["rows"]) {
    result.rows[row["attacker"].get<std::string>() + " " + row["kind"].get<std::string>() + " " +
                row["pairs"].get<std::string>()] = row;
    const double low = row["d_sys_corrected"]["low"], high = row["d_sys_corrected"]["high"];
    BOOST_TEST((0 <= low && low <= high && high <= 1), row.dump());
    BOOST_TEST((row["d_sys"] >= 0 && row["d_sys"] <= 1 && row["p_value"] > 0 && row["p_value"] <= 1));
    BOOST_TEST(row["auc"].size() == 3u);
  }
  BOOST_TEST(result.all["curves"].size() > 0u);
  return result;
}

double d_sys(const Result& result, const std::string& row) {
  BOOST_REQUIRE_MESSAGE(result.rows.contains(row), "no row " << row);
  return result.rows.at(row)["d_sys"];
}

bool at_chance(const Result& result, const std::string& row) {
  return result.rows.at(row)["p_value"].get<double>() > 0.02;
}

json linkage(const Args& args) {
  const TempDir dir;
  succeed("evaluate", Args{"linkage", "--json", dir / "l.json"} + here().data + args);
  return read_json(dir / "l.json");
}

}  // namespace

BOOST_AUTO_TEST_CASE(sets_under_two_keys) {
  if (!ready()) return;
  const TempDir dir;
  const Args whole{"--split", "all", "--epochs", "0"};
  // A rotation for each record: no linker finds anything, whatever it knows.
  const Result each = unlinkability(here().lock + Args{"--other", "seed=2", "--out", dir / "u.svg"} + whole);
  BOOST_TEST(each.all["same_protection"] == false);
  BOOST_TEST((each.all["images"] == 200 && each.all["people"] == 100 && each.all["known_images"] == 0));
  for (const std::string pairs : {"same_photo", "other_photo"}) {
    for (const std::string linker : {"none", "profile"})
      BOOST_TEST(at_chance(each, linker + " protected " + pairs), linker << pairs);
    BOOST_TEST(d_sys(each, "none raw same_photo") == 1);
  }
  BOOST_TEST(each.all["left_out"].size() == 2u);  // nobody is left to know
  const Element picture = parse_xml(read_bytes(dir / "u.svg"));
  BOOST_TEST(picture.all("svg").size() == each.rows.size());
  // What a row's curve says can be drawn by itself.
  write_bytes(dir / "u.json", each.all.dump());
  succeed("evaluate", {"plot", "--out", dir / "p.svg", "--series",
                       "mated=" + (dir / "u.json") + ",list=curves,row=4,x=score,y=mated"});
  // One for a set: the very photographs are found by what records are to each other, without any pair.
  const Result set = unlinkability(here().per_set + Args{"--other", "seed=2"} + whole);
  BOOST_TEST(d_sys(set, "none protected same_photo") < 0.5);
  BOOST_TEST(d_sys(set, "profile protected same_photo") == 1);
  // And by who knows people in both, whose number is above that of the dimensions.
  const Result known = unlinkability(here().per_set + Args{"--other", "seed=2", "--epochs", "30"});
  BOOST_TEST(known.all["known_images"].get<int>() >= 150);
  BOOST_TEST(known.all["left_out"].empty());
  BOOST_TEST(d_sys(known, "linear protected same_photo") == 1);
  BOOST_TEST(known.rows.at("network protected same_photo")["auc"]["mean"].get<double>() > 0.8);
  const Result apart = unlinkability(here().lock + Args{"--other", "seed=2", "--epochs", "2"});
  for (const std::string linker : {"none", "profile", "linear", "network"})
    BOOST_TEST(at_chance(apart, linker + " protected same_photo"), linker);
  // Fast rotations alike; another key is another set.
  const Result fast =
      unlinkability(here().lock + Args{"--rotation", "fast", "--other", "key=" + here().other} + whole);
  BOOST_TEST(fast.rows.at("none protected same_photo")["d_sys"] < 0.5);
  BOOST_TEST(fast.all["protections"]["first"] != fast.all["protections"]["second"]);
}

// One key for both, or no word about the second set: told, and linked.
BOOST_AUTO_TEST_CASE(one_set_beside_itself) {
  if (!ready()) return;
  for (const Args& more : {Args{}, Args{"--other", "key=" + here().key}}) {
    const Result one = unlinkability(here().lock + Args{"--split", "all", "--epochs", "0"} + more);
    BOOST_TEST(one.err.find("one set beside itself") != std::string::npos);
    BOOST_TEST(one.all["same_protection"] == true);
    BOOST_TEST(d_sys(one, "none protected same_photo") == 1);
  }
}

// Protections without a key, and the same by any number of threads.
BOOST_AUTO_TEST_CASE(sets_without_a_key) {
  const Args noise{"--protect", "noise", "--noise-length", "0.02", "--other", "seed=2", "--epochs", "2"};
  const Result two = unlinkability(noise + Args{"--threads", "2"});
  BOOST_TEST(two.all == unlinkability(noise + Args{"--threads", "1"}).all);
  BOOST_TEST(d_sys(two, "none protected same_photo") > 0.8);
  BOOST_TEST(two.all["same_protection"] == false);
  BOOST_TEST(unlinkability({}).rows.size() == 4u);  // raw features alone
  // Places that a seed has exchanged are no cosine's, but a line leads back.
  const Result moved = unlinkability({"--protect", "shuffle", "--other", "seed=2", "--epochs", "0"});
  BOOST_TEST(d_sys(moved, "linear protected same_photo") == 1);
  BOOST_TEST(moved.all["left_out"].size() == 1u);
}

BOOST_AUTO_TEST_CASE(sets_from_files) {
  if (!ready()) return;
  const TempDir dir;
  const std::string one(32, '1'), two(32, '2');
  for (const std::string& set : {one, two})
    succeed("protect", Args{"--in", toy_world().at("z.npy"), "--out", dir / set + ".npy", "--key-set", set} +
                           here().per_set);
  const Args same{"--epochs", "0", "--split", "test"};
  const Result files = unlinkability(
      same + Args{"--protected", "old=" + dir / one + ".npy", "--protected", "new=" + dir / two + ".npy"});
  const Result made =
      unlinkability(same + here().per_set + Args{"--key-set", one, "--other", "key-set=" + two});
  for (const auto& [name, row] : made.rows) {
    BOOST_TEST(std::abs(files.rows.at(name)["d_sys"].get<double>() - row["d_sys"].get<double>()) < 1e-9,
               name);
    BOOST_TEST(files.rows.at(name)["auc"] == row["auc"]);
  }
  BOOST_TEST(files.all["protections"]["old"] == made.all["protections"]["first"]);
  const std::string folder = dir.path().string();
  const Args call = Args{"unlinkability"} + here().data;
  refuse(folder, "evaluate", call + Args{"--protected", "a=" + dir / one + ".npy"}, 2, {"two sets"});
  refuse(folder, "evaluate",
         call + Args{"--protected", "a=" + dir / one + ".npy", "--protected", "a=" + dir / two + ".npy"}, 1,
         {"a twice"});
  save_npy(dir / "few.npy", load_npy(dir / one + ".npy").slice_batch(0, 120));
  refuse(folder, "evaluate",
         call + Args{"--protected", "a=" + dir / one + ".npy", "--protected", "b=" + dir / "few.npy"}, 1,
         {"few.npy", "200 images"});
  refuse(folder, "evaluate",
         call + Args{"--protected", "a=" + dir / one + ".npy", "--protected", "b=" + toy_world().at("z.npy")},
         1, {"z.npy", "raw"});
}

BOOST_AUTO_TEST_CASE(unlinkability_calls_that_are_refused) {
  const TempDir dir;
  const std::string folder = dir.path().string();
  const Args call = Args{"unlinkability"} + here().data, noise = call + Args{"--protect", "noise"};
  refuse(folder, "evaluate", call + Args{"--other", "seed=2"}, 2, {"--other", "--protect"});
  refuse(folder, "evaluate", noise + Args{"--other", "seed"}, 2, {"SETTING=VALUE"});
  refuse(folder, "evaluate", noise + Args{"--other", "key=x"}, 2, {"key=x", "there are", "noise-length"});
  refuse(folder, "evaluate", noise + Args{"--other", "seed=-1"}, 2, {"seed", "-1"});
  refuse(folder, "evaluate", noise + Args{"--other", "seed=two"}, 2, {"seed", "two"});
  refuse(folder, "evaluate", noise + Args{"--protected", "a=x", "--protected", "b=y"}, 2, {"files"});
  refuse(folder, "evaluate", noise + Args{"--limit", "2"}, 1, {"person"});
  refuse(folder, "evaluate", noise + Args{"--limit", "3"}, 1, {"two such people"});
  refuse(folder, "evaluate", noise + Args{"--odds", "0"}, 2, {"--odds"});
  refuse(folder, "evaluate", noise + Args{"--epochs", "-1"}, 2, {"--epochs"});
  refuse(folder, "evaluate", noise + Args{"--out", dir / "no/u.svg"}, 1, {"no/u.svg"});
  refuse(folder, "evaluate", noise + Args{"--out", dir / "u.png"}, 2, {"--out", "u.png", ".svg"});
  if (!ready()) return;
  const Args lock = call + here().lock;
  refuse(folder, "evaluate", lock + Args{"--other", "key=" + dir / "absent"}, 1, {"absent"});
  refuse(folder, "evaluate", lock + Args{"--other", "key=" + toy_world().at("z.npy")}, 1, {"z.npy"});
  refuse(folder, "evaluate", lock + Args{"--other", "key-set=12"}, 2, {"32"});
  refuse(folder, "evaluate", lock + Args{"--other", "key=" + here().other, "--json", here().other}, 2,
         {"--json would replace", "--other"});
}

// Raw and stored features of other people give one rotation for a set away, and of single records nothing.
BOOST_AUTO_TEST_CASE(known_pairs) {
  if (!ready()) return;
  using Cosines = std::map<int64_t, json>;
  const auto cosines = [&](const Args& more) {
    const json result = linkage(Args{"--known-pairs", "1,15,16,160"} + more);
    Cosines list;
    for (const json& row : result["rows"])
      if (row["known_pairs"].is_number()) {
        BOOST_TEST((row["attacker"] == "known pairs" && row["kind"] == "protected"));
        list[row["known_pairs"]] = row["cosine"];
      }
    BOOST_REQUIRE(list.size() == 4u);
    return list;
  };
  const auto mean = [](const json& interval) { return interval["mean"].get<double>(); };
  Cosines set = cosines(here().per_set), each = cosines(here().lock);
  BOOST_TEST((mean(set[1]) < mean(set[15]) && mean(set[16]) > 0.98 && mean(set[160]) > 0.9999));
  // Every interval holds 0: the toy world's features are much alike, and so are ten people's cosines.
  for (const auto& [pairs, interval] : each)
    BOOST_TEST((interval["low"] < 0 && interval["high"] > 0), pairs << ": " << interval.dump());
  Cosines fast = cosines(here().per_set + Args{"--rotation", "fast"});
  BOOST_TEST(mean(fast[160]) > 0.9999);
  const json raw = linkage({});
  for (const json& row : raw["rows"])
    BOOST_TEST((row["known_pairs"].is_null() && std::abs(mean(row["cosine"]) - 1) < 1e-6));
  const TempDir dir;
  const std::string folder = dir.path().string();
  const Args call = Args{"linkage"} + here().data;
  refuse(folder, "evaluate", call + Args{"--known-pairs", "4"}, 2, {"--known-pairs", "--protect"});
  for (const std::string wrong : {"0", "x", "-3"})
    refuse(folder, "evaluate", call + here().lock + Args{"--known-pairs", wrong}, 2, {"--known-pairs"});
  refuse(folder, "evaluate", call + here().lock + Args{"--known-pairs", "4,4"}, 2, {"4 twice"});
  refuse(folder, "evaluate", call + here().lock + Args{"--known-pairs", "5000"}, 1,
         {"5000", "not under test"});
}

// Trained on pairs of one set: it reads that set, where one rotation is for all, and no other; what it knows
// is told.
BOOST_AUTO_TEST_CASE(networks_trained_behind_a_lock) {
  if (!ready()) return;
  const TempDir dir;
  for (const auto& [file, lock] : {std::pair{"set", here().per_set}, {"each", here().lock}})
    succeed("train",
            Args{"linkage", "--epochs", "60", "--batch", "16", "--width", "64", "--out", dir / file} +
                here().data + lock);
  const auto read = [&](const std::string& file, const Args& lock) {
    const json result = linkage(lock + Args{"--attacker", "net=" + dir / file});
    BOOST_REQUIRE(result["locks"].size() == 1u);
    for (const json& row : result["rows"])
      if (row["attacker"] == "net")
        return std::pair(row["auc"]["mean"].get<double>(), result["locks"][0]["pairs_of"].get<std::string>());
    BOOST_FAIL("no row of the network");
    return std::pair(0.0, std::string());
  };
  const auto mine = read("set", here().per_set), others = read("set", here().per_set + Args{"--seed", "2"}),
             key = read("set", Args{"--protect", "rotation", "--key", here().other, "--key-mode", "per-set"}),
             each = read("each", here().lock);
  BOOST_TEST((mine.second == "this set" && each.second == "this set"));
  BOOST_TEST((others.second == "another key or set" && key.second == "another key or set"));
  BOOST_TEST(mine.first > 0.7);
  BOOST_TEST((others.first < 0.65 && each.first < 0.65), others.first << " " << each.first);
}

// A decoder of one set, asked about another, has nothing but the mean face.
BOOST_AUTO_TEST_CASE(decoders_trained_behind_a_lock) {
  if (!ready()) return;
  const TempDir dir;
  succeed("train",
          Args{"attacker", "--image-size", "32", "--batch", "16", "--epochs", "12", "--out", dir / "a"} +
              here().data + here().per_set);
  const auto ssim = [&](const Args& more, const std::string& pairs_of) {
    succeed("evaluate", Args{"reconstruction", "--attacker", "a=" + dir / "a", "--json", dir / "j", "--sets",
                             "protected"} +
                            here().data + here().per_set + more);
    const json result = read_json(dir / "j");
    BOOST_TEST((result["locks"].size() == 1u && result["locks"][0]["pairs_of"] == pairs_of));
    std::map<std::string, double> of;
    for (const json& row : result["rows"])
      if (!row["moment_matched"].get<bool>()) of[row["attacker"]] = row["ssim"]["mean"];
    return of.at("a") - of.at("mean face");
  };
  const double mine = ssim({}, "this set"), other = ssim({"--seed", "2"}, "another key or set");
  BOOST_TEST((mine > 0.02 && other < 0.01), mine << " and " << other << " above the mean face");
}
