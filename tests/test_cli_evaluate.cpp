// advface-evaluate recognition at the command line, on a toy set: the documented structure of its results,
// and what must hold between them.
#define BOOST_TEST_MODULE cli_evaluate
#include <cmath>
#include <map>
#include <set>

#include "advface/core/dataset.h"
#include "cli_evaluate_test_util.h"
#include "cli_test_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

const ToyWorld& advf::test::world() { return toy_world(); }

BOOST_AUTO_TEST_CASE(recognition_without_and_with_protection_on_each_side) {
  const json none = recognition({});
  BOOST_TEST(none["protected"] == "none");
  BOOST_TEST(!none.contains("epsilon"));
  // Noise of no size changes nothing.
  for (const char* side : {"gallery", "probe", "both"}) {
    const json r = recognition(world().shadow() + Args{"--epsilon", "1e-5", "--steps", "1", "--side", side});
    BOOST_TEST(r["protected"] == side);
    BOOST_TEST(r["epsilon"] == 1e-5);
    BOOST_TEST(r["accuracy"] == none["accuracy"]);
    BOOST_TEST(std::abs(r["operating_points"]["1e-2"]["threshold"].get<double>() -
                        none["operating_points"]["1e-2"]["threshold"].get<double>()) < 1e-4);
  }
  // Noise of any size does.
  const json gallery = recognition(world().shadow() + Args{"--epsilon", "0.3", "--steps", "2"}),
             probe =
                 recognition(world().shadow() + Args{"--epsilon", "0.3", "--steps", "2", "--side", "probe"});
  BOOST_TEST(gallery["protected"] == "gallery");
  BOOST_TEST(gallery["operating_points"] != none["operating_points"]);
  BOOST_TEST(gallery["operating_points"] != probe["operating_points"]);
}

// Protecting here and taking what advface-protect wrote are the same thing, bit for bit: a record is known by
// its row in what advface-extract writes of the folder or list, whatever part of it is looked at.
BOOST_AUTO_TEST_CASE(recognition_on_a_file_of_protected_features) {
  const TempDir dir;
  // The last fold alone, and one image that no pair names cannot be read: the numbers have gaps.
  const std::string images = dir / "images";
  std::filesystem::copy(world().at("faces/test/images"), images, std::filesystem::copy_options::recursive);
  write_bytes(images + "/000_broken.png", "not a picture");
  const auto lines = lines_of(read_bytes(world().at("faces/test/pairs.txt")));
  std::string few = "2\t2\n";
  for (size_t l = lines.size() - 8; l < lines.size(); ++l) few += lines[l] + "\n";
  write_bytes(dir / "pairs.txt", few);
  const Args source{"--images", images, "--max-broken", "0.1"};
  const Args strength{"--epsilon", "0.05", "--steps", "2"};
  const auto both_ways = [&](const Args& list) {
    succeed("extract", source + list + Args{"--out", dir / "z.npy"} + world().recogniser());
    succeed("protect", Args{"--in", dir / "z.npy", "--out", dir / "p.npy"} + strength + world().shadow());
    std::vector<json> results;
    for (const Args& way : {Args{"--protected", dir / "p.npy", "--protected-list", dir / "z.npy.txt"},
                            world().shadow() + strength}) {
      succeed("evaluate",
              Args{"recognition", "--pairs", dir / "pairs.txt", "--side", "both", "--json", dir / "r.json"} +
                  source + list + world().recogniser() + way);
      results.push_back(read_json(dir / "r.json"));
      for (const char* key : {"epsilon", "protection", "settled"}) results.back().erase(key);
    }
    BOOST_TEST(results[0] == results[1], results[0].dump() << "\n" << results[1].dump());
    return results[1];
  };
  const json whole = both_ways({});
  // Another list is another set, with other numbers.
  const auto names = lines_of(read_bytes(dir / "z.npy.txt"));
  std::string reversed;
  for (size_t i = names.size(); i-- > 0;) reversed += names[i] + "\n";
  write_bytes(dir / "list.txt", reversed);
  BOOST_TEST(both_ways({"--list", dir / "list.txt"}) != whole);
  write_bytes(dir / "short.txt", names[0] + "\n");
  refuse(dir.path().string(), "evaluate",
         Args{"recognition", "--pairs", dir / "pairs.txt", "--list", dir / "short.txt"} + source +
             world().recogniser() + world().shadow(),
         1, {"short.txt", "does not name"}, Late::yes);
}

namespace {

// Writes pairs of two people whom everybody was trained on; one of them.
std::string pairs_of_trained_people(const std::string& path) {
  const Labels labels = labels_from_folders(load_labels(world().at("faces/labels.csv")).files);
  const Split split = split_by_identity(labels, 1);
  std::set<std::string> seen;
  for (size_t i = 0; seen.size() < 2; ++i) seen.insert(labels.identities[size_t(split.train[i])]);
  const std::string a = *seen.begin(), b = *seen.rbegin();
  std::string pairs = "2\t1\n";
  for (int fold = 0; fold < 2; ++fold)
    pairs += (fold ? a : b) + "\t1\t2\n" + a + "\t1\t" + b + "\t" + (fold ? "1" : "2") + "\n";
  write_bytes(path, pairs);
  return a;
}

}  // namespace

// The same in recognition: the shadow was trained on people of the set that these pairs come from.
BOOST_AUTO_TEST_CASE(recognition_is_never_measured_on_people_whom_the_shadow_saw) {
  const TempDir dir;
  const std::string a = pairs_of_trained_people(dir / "pairs.txt");
  const Args call =
      Args{"recognition", "--pairs", dir / "pairs.txt"} + world().images() + world().recogniser();
  succeed("evaluate", call);  // raw features: nobody's shadow takes part
  refuse(dir.path().string(), "evaluate", call + world().shadow(), 1, {"shadow.safetensors", "trained on", a},
         Late::yes);
  // Labels say who is on a picture, not the folder it lies in.
  const Labels labels = load_labels(world().at("faces/labels.csv"));
  std::string csv = "file,identity\n";
  for (size_t i = 0; i < size_t(labels.size()); ++i)
    csv += labels.files[i] + ",new" + labels.identities[i] + "\n";
  write_bytes(dir / "labels.csv", csv);
  succeed("evaluate", call + world().shadow() + Args{"--labels", dir / "labels.csv", "--steps", "1"});
}

// Online and offline in one call: protected features behind the adapter, everything else as without it.
BOOST_AUTO_TEST_CASE(offline_accuracy_stands_beside_online_accuracy) {
  const TempDir dir;
  const std::string folder = dir.path().string(), file = dir / "a.safetensors";
  const Args protection = world().shadow() + Args{"--epsilon", "0.3", "--steps", "2"};
  succeed("train", Args{"adapter", "--batch", "16", "--epochs", "10", "--width", "64", "--out", file,
                        "--json", dir / "a.json"} +
                       world().images() + world().recogniser() + protection);
  const json a = read_json(dir / "a.json");
  BOOST_TEST(a["trained_on"] == "protected, epsilon 0.3, steps 2");
  BOOST_TEST(a["history"][9]["validation_cosine"].get<double>() >
             a["validation_cosine_unaided"].get<double>() + 0.01);

  std::map<std::string, json> offline;
  for (const char* side : {"gallery", "both"}) {
    const json without = recognition(protection + Args{"--side", side});
    json with = recognition(protection + Args{"--side", side, "--adapter", file});
    offline[side] = with["offline"];
    BOOST_TEST(between(offline[side]["accuracy"]["mean"], 0.2, 1));
    BOOST_TEST(offline[side]["adapter"] == file);
    BOOST_TEST(offline[side]["operating_points"] != with["operating_points"]);
    with.erase("offline");
    BOOST_TEST(with == without);
  }
  // The raw side does not go through it.
  BOOST_TEST(offline["gallery"]["operating_points"] != offline["both"]["operating_points"]);
  // The same from a file.
  succeed("extract", test_images() + world().recogniser() + Args{"--out", dir / "z.npy"});
  succeed("protect", Args{"--in", dir / "z.npy", "--out", dir / "p.npy"} + protection);
  const Args given{"--protected", dir / "p.npy", "--protected-list", dir / "z.npy.txt"};
  BOOST_TEST(recognition(given + Args{"--adapter", file})["offline"] == offline["gallery"]);

  const Args call = Args{"recognition", "--pairs", world().at("faces/test/pairs.txt"), "--adapter", file} +
                    test_images() + world().recogniser();
  refuse(folder, "evaluate", call, 2, {"--adapter", "--shadow"});
  refuse(folder, "evaluate", call + world().shadow() + Args{"--epsilon", "0.1"}, 1,
         {"a.safetensors", "epsilon 0.3", "epsilon 0.1"});
  const std::string other = dir / "other.safetensors";
  succeed("train", Args{"shadow", "--seed", "2", "--out", other} + world().images() + world().recogniser() +
                       world().tiny_training());
  refuse(folder, "evaluate", call + Args{"--shadow", other, "--epsilon", "0.3", "--steps", "2"}, 1,
         {"a.safetensors", "the shadow"});
  const std::string seen = pairs_of_trained_people(dir / "pairs.txt");
  refuse(folder, "evaluate",
         Args{"recognition", "--pairs", dir / "pairs.txt", "--adapter", file} + given + world().images() +
             world().recogniser(),
         1, {"a.safetensors", "trained on", seen});
  refuse(folder, "train", Args{"adapter", "--out", dir / "no"} + world().images() + world().recogniser(), 2,
         {"--shadow"});
}

// Settings are chosen on people who are neither trained on nor tested on: pairs of the validation part.
BOOST_AUTO_TEST_CASE(recognition_on_drawn_pairs) {
  const TempDir dir;
  succeed("evaluate", Args{"pairs", "--split", "validation", "--folds", "2", "--out", dir / "p.csv", "--json",
                           dir / "p.json"} +
                          world().images());
  const json drawn = read_json(dir / "p.json");
  BOOST_TEST(drawn["pairs"].get<size_t>() + 1 == lines_of(read_bytes(dir / "p.csv")).size());
  succeed("evaluate", Args{"recognition", "--pairs", dir / "p.csv", "--json", dir / "r.json"} +
                          world().images() + world().recogniser());
  BOOST_TEST(read_json(dir / "r.json")["pairs"] == drawn["pairs"]);
  refuse(dir.path().string(), "evaluate",
         Args{"pairs", "--folds", "1000", "--out", dir / "no.csv"} + world().images(), 1, {"1000", "people"});
}
