// advface-evaluate reconstruction at the command line, on a toy set with attackers: its rows, which attacker
// meets which features, that nobody is tested on people they were trained on, and a generator throughout.
#define BOOST_TEST_MODULE cli_reconstruction
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <sstream>

#include "advface/core/feature_file.h"
#include "advface/core/feature_rows.h"
#include "cli_evaluate_test_util.h"
#include "cli_test_util.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

// The toy world with attackers: one that knows raw features, one trained on protected ones, and a judge.
struct Trained : ToyWorld {
  Trained() {
    const Args base = Args{"attacker"} + images() + recogniser() + tiny_training();
    succeed("train", base + Args{"--out", at("raw.safetensors"), "--json", at("raw.json")});
    succeed("train", base + shadow() +
                         Args{"--epsilon", "0.02", "--steps", "2", "--out", at("adaptive.safetensors"),
                              "--json", at("adaptive.json")});
    succeed("train",
            Args{"recogniser", "--out", at("second.json"), "--batch", "16", "--epochs", "1", "--seed", "7"} +
                images() + tiny_recogniser());
  }
};

// A mean with its interval.
void check_interval(const json& v, double low, double high, const std::string& what) {
  BOOST_TEST((v.is_object() && v.size() == 3u), what << ": " << v.dump());
  BOOST_TEST((between(v["mean"], low, high) && between(v["low"], low, high) && between(v["high"], low, high)),
             what << ": " << v.dump());
  BOOST_TEST((v["low"].get<double>() <= v["mean"].get<double>() &&
              v["mean"].get<double>() <= v["high"].get<double>()),
             what << ": " << v.dump());
}

Args attackers() {
  return {"--attacker", "raw=" + world().at("raw.safetensors"), "--attacker",
          "adaptive=" + world().at("adaptive.safetensors")};
}

json reconstruction(const Args& args) {
  const TempDir dir;
  const Outcome o =
      succeed("evaluate", Args{"reconstruction", "--json", dir / "r.json"} + world().recogniser() + args);
  BOOST_TEST(o.out.find("SSIM") != std::string::npos);
  return read_json(dir / "r.json");
}

}  // namespace

const ToyWorld& advf::test::world() {
  static const Trained made;
  return made;
}

// An ensemble of the shadow and of one who adapts to it, all pushed towards the mean face. A decoder that was
// trained on protected features stands in for an attacker where they come to it raw, and not where something
// else has protected them.
BOOST_AUTO_TEST_CASE(shadows_that_adapt) {
  const TempDir dir;
  const Args in{"--in", toy_world().at("z.npy"), "--out", dir / "p.npy"},
      adaptive{"--shadow", world().at("adaptive.safetensors")};
  succeed("protect", in + toy_world().shadow() + adaptive + Args{"--objective", "mean-face", "--steps", "2"});
  BOOST_TEST(open_feature_file(dir / "p.npy").info.protection.describe() ==
             "protected, epsilon 0.02, objective mean-face, steps 2");
  refuse(dir.path().string(), "protect", in + Args{"--protect", "noise", "--protect", "advface"} + adaptive,
         1, {"advface", "epsilon 0.02", "noise"});
}

BOOST_AUTO_TEST_CASE(attackers_say_what_they_were_trained_on) {
  const json raw = read_json(world().at("raw.json")), adaptive = read_json(world().at("adaptive.json"));
  BOOST_TEST((raw["decoder"] == "resup" && adaptive["decoder"] == "resup"));
  BOOST_TEST(raw["trained_on"] == "raw");
  BOOST_TEST(adaptive["trained_on"] == "protected, epsilon 0.02, steps 2");
  BOOST_TEST(raw["train_images"] == adaptive["train_images"]);
  BOOST_TEST(raw["parameters"] == adaptive["parameters"]);
  BOOST_TEST((read_bytes(world().at("raw.safetensors")) != read_bytes(world().at("adaptive.safetensors"))));
}

BOOST_AUTO_TEST_CASE(reconstruction_and_training_on_a_file_of_protected_features) {
  const TempDir dir;
  const Args strength{"--epsilon", "0.05", "--steps", "2"};
  succeed("protect", Args{"--in", world().at("z.npy"), "--out", dir / "p.npy"} + strength + world().shadow());
  const json r = reconstruction(
      world().images() + strength + world().shadow() +
      Args{"--attacker", world().at("raw.safetensors"), "--protected", "file=" + dir / "p.npy"});
  std::map<std::string, json> rows;
  for (json row : r["rows"]) {
    const std::string features = row["features"];
    row.erase("features");
    if (features != "raw" && features != "identity only" && features != "none")
      BOOST_TEST(row["epsilon"] == 0.05);
    if (features.find(", ") != std::string::npos)
      rows[features + (row["moment_matched"].get<bool>() ? "/matched" : "")] = row;
  }
  BOOST_TEST(rows.size() == 8u);
  for (const char* kind : {"protected, ", "noise, "})
    for (const char* matched : {"", "/matched"})
      BOOST_TEST(rows[kind + std::string("epsilon 0.05, steps 2") + matched] ==
                 rows[kind + std::string("file") + matched]);
  // The adaptive attacker of the same features, from images and from the file.
  const Args train = Args{"attacker"} + world().images() + world().recogniser() + ToyWorld::tiny_training();
  succeed("train", train + strength + world().shadow() + Args{"--out", dir / "here"});
  succeed("train", train + Args{"--features", dir / "p.npy", "--list", world().at("z.npy.txt"), "--out",
                                dir / "file"});
  const auto here = load_safetensors(dir / "here").tensors, file = load_safetensors(dir / "file").tensors;
  BOOST_TEST(here.size() == file.size());
  for (const auto& [name, tensor] : here)
    BOOST_TEST(std::memcmp(tensor.raw(), file.at(name).raw(), tensor.bytes()) == 0, name);
  // Both are adaptive attackers of that protection, and of no other.
  const json met = reconstruction(world().images() + strength + world().shadow() +
                                  Args{"--attacker", "here=" + dir / "here", "--attacker",
                                       "file=" + dir / "file", "--protected", "p=" + dir / "p.npy"});
  std::set<std::string> pairs;
  for (const json& row : met["rows"])
    if (!row["moment_matched"].get<bool>())
      pairs.insert(row["attacker"].get<std::string>() + "/" + row["features"].get<std::string>());
  BOOST_TEST(pairs == (std::set<std::string>{"mean face/none", "photograph/none",
                                             "here/protected, epsilon 0.05, steps 2", "here/protected, p",
                                             "file/protected, epsilon 0.05, steps 2", "file/protected, p"}));
  BOOST_TEST(met["protections"]["protected, p"] == met["protections"]["protected, epsilon 0.05, steps 2"]);
  BOOST_TEST(met["left_out"].size() == 8u);  // raw, two of noise, identity only; of each
}

// An attacker who was trained on other features has no row, and the reason is told: other strength, other
// shadow, a file of which nobody knows how it was protected. One who was trained on such a file meets
// everything.
BOOST_AUTO_TEST_CASE(pairs_that_are_left_out_have_a_reason) {
  const TempDir dir;
  succeed("train", Args{"shadow", "--out", dir / "other.safetensors", "--seed", "5"} + world().images() +
                       world().recogniser() + ToyWorld::tiny_training());
  const Args strength{"--epsilon", "0.02", "--steps", "2"};
  succeed("protect",
          Args{"--in", world().at("z.npy"), "--out", dir / "old.npy"} + strength + world().shadow());
  std::filesystem::remove(dir / "old.npy.json");
  succeed("train", Args{"attacker", "--features", dir / "old.npy", "--list", world().at("z.npy.txt"), "--out",
                        dir / "stray"} +
                       world().images() + world().recogniser() + ToyWorld::tiny_training());
  const Args attack = world().images() + Args{"--attacker", "adaptive=" + world().at("adaptive.safetensors")};
  const auto reasons = [&](const Args& args) {
    std::map<std::string, std::string> list;
    const json result = reconstruction(attack + args);
    for (const json& pair : result["left_out"])
      list[pair["attacker"].get<std::string>() + "/" + pair["features"].get<std::string>()] = pair["reason"];
    return list;
  };
  auto list = reasons(world().shadow() + Args{"--epsilons", "0.04,0.02", "--steps", "2"});
  BOOST_TEST(list.size() == 5u);
  BOOST_TEST(list["adaptive/protected, epsilon 0.04, steps 2"].find("epsilon is 0.02, not 0.04") !=
             std::string::npos);
  BOOST_TEST(list["adaptive/raw"].find("protected, epsilon 0.02, steps 2") != std::string::npos);
  list =
      reasons(Args{"--shadow", dir / "other.safetensors", "--attacker", "stray=" + dir / "stray"} + strength);
  BOOST_TEST(list["adaptive/protected, epsilon 0.02, steps 2"].find("the shadow is ") != std::string::npos);
  BOOST_TEST(list.size() == 4u);  // nothing of the stray
  list = reasons(
      {"--protected", "old=" + dir / "old.npy", "--attacker", "raw=" + world().at("raw.safetensors")});
  BOOST_TEST(list["adaptive/protected, old"].find("old.npy.json") != std::string::npos);
}

// Nobody under test may have been trained on, whatever split, labels or part say.
BOOST_AUTO_TEST_CASE(an_attacker_is_never_tested_on_people_it_was_trained_on) {
  const TempDir dir;
  const std::string folder = dir.path().string(), raw = world().at("raw.safetensors");
  const Args all = Args{"reconstruction", "--attacker", raw} + world().images() + world().recogniser();
  refuse(folder, "evaluate", all + Args{"--split", "all"}, 1, {"raw.safetensors", "trained on", "id_0"},
         Late::yes);
  // The validation people were not trained on, and are others than the test people.
  for (const char* part : {"validation", "test"})
    succeed("evaluate", all + Args{"--split", part, "--json", dir / part});
  BOOST_TEST(read_json(dir / "validation")["part"] == "validation");
  BOOST_TEST(read_json(dir / "validation")["rows"] != read_json(dir / "test")["rows"]);
  const Args train = Args{"attacker"} + world().images() + world().recogniser() + ToyWorld::tiny_training();
  succeed("train", train + Args{"--out", dir / "seed.safetensors", "--split-seed", "2"});
  // Another seed of the split: the shadow is of another one, and some of the people under test were its own.
  refuse(folder, "evaluate",
         Args{"reconstruction", "--attacker", dir / "seed.safetensors"} + world().images() +
             world().recogniser() + world().shadow(),
         1, {"shadow.safetensors", "trained on"}, Late::yes);
  refuse(folder, "evaluate", all + Args{"--attacker", dir / "seed.safetensors"}, 1, {"--split-seed"});
  // A file whose split seed was changed by hand.
  TensorFile lie = load_safetensors(raw);
  lie.metadata["split_seed"] = "2";
  save_safetensors(dir / "lie.safetensors", lie.tensors, lie.metadata);
  refuse(
      folder, "evaluate",
      Args{"reconstruction", "--attacker", dir / "lie.safetensors"} + world().images() + world().recogniser(),
      1, {"lie.safetensors", "trained on"}, Late::yes);
  lie.tensors.erase("people");
  save_safetensors(dir / "older.safetensors", lie.tensors, lie.metadata);
  refuse(folder, "evaluate",
         Args{"reconstruction", "--attacker", dir / "older.safetensors"} + world().images() +
             world().recogniser(),
         1, {"older.safetensors", "people", "train it again"});
}

// A generator at the embedding: trained, interrupted, used by every program that protects.
BOOST_AUTO_TEST_CASE(a_generator_protects_in_one_pass) {
  const TempDir dir;
  const std::string folder = dir.path().string(), file = dir / "g.safetensors";
  const Args ball = world().shadow() + Args{"--epsilon", "0.05"};
  const Args train = Args{"generator", "--batch", "16", "--epochs", "8", "--width", "64"} + world().images() +
                     world().recogniser() + ball;
  succeed("train", train + Args{"--out", file, "--json", dir / "g.json"});
  const json g = read_json(dir / "g.json");
  BOOST_TEST(g["history"].size() == 8u);
  BOOST_TEST(g["history"][7]["validation_gain"].get<double>() > 1.2, g["history"].dump());
  BOOST_TEST((g["protection"]["epsilon"] == 0.05 && !g["protection"].contains("method")));
  const std::string part = dir / "part";
  Surroundings around;
  around.interrupt_when = part + ".checkpoint";
  BOOST_TEST(run_program("train", train + Args{"--out", part}, around).code == 130);
  succeed("train", train + Args{"--out", part, "--resume", "--threads", "1"});
  BOOST_TEST((read_bytes(part) == read_bytes(file)));

  const Args use{"--protect", "generator", "--generator", file};
  const Args in{"--in", world().at("z.npy"), "--out"};
  succeed("protect", in + Args{dir / "p", "--json", dir / "p.json", "--report", dir / "p.jsonl"} + use);
  succeed("protect", in + Args{dir / "q", "--batch", "33", "--threads", "1", "--seed", "9"} + use);
  BOOST_TEST((read_bytes(dir / "p") == read_bytes(dir / "q")));
  const json p = read_json(dir / "p.json");
  BOOST_TEST((p["generator"] == file && p["epsilon"] == 0.05 && !p.contains("mean_losses")));
  BOOST_TEST(lines_of(read_bytes(dir / "p.jsonl")).size() == size_t(p["records"].get<int>()));
  BOOST_TEST(recognition(use + Args{"--side", "both"})["protected_by"][0]["name"] == "generator");
  const json r = reconstruction(world().images() + use + Args{"--attacker", world().at("raw.safetensors")});
  std::set<std::string> features;
  for (const json& row : r["rows"]) features.insert(row["features"]);
  BOOST_TEST(features.contains("protected, generator epsilon 0.05"), r["rows"].dump());

  const auto wrong = [&](const Args& options, int code, const std::vector<std::string>& words) {
    refuse(folder, "protect", in + Args{dir / "no"} + options, code, words);
  };
  const Args network{"--generator", file}, protect{"--protect", "generator"};
  wrong(world().shadow() + Args{"--method", "generator"}, 2, {"--protect generator", "--generator FILE"});
  wrong(world().shadow() + network, 2, {"--generator", "protection generator", "advface"});
  wrong(network, 2, {"--generator", "--protect"});
  wrong(protect, 2, {"--generator FILE"});
  wrong(protect + network + Args{"--epsilon", "0.05"}, 2, {"--epsilon", "protection advface", "generator"});
  wrong(protect + network + world().shadow(), 2, {"--shadow", "protection advface"});
  wrong(protect + protect + network, 2, {"generator twice"});
  wrong(Args{"--protect", "genrator"} + network, 2, {"genrator", "did you mean generator?", "advface"});
  wrong(protect + Args{"--generator", world().at("shadow.safetensors")}, 1,
        {"shadow", "advface-generator-1"});
  refuse(folder, "train", train + Args{"--out", dir / "no", "--steps", "3"}, 2, {"--steps"});
  refuse(folder, "train", train + Args{"--out", dir / "no", "--bn", "batch"}, 2, {"batch"});
  refuse(folder, "train", train + Args{"--out", dir / "no", "--blocks", "99"}, 2, {"99"});
}

BOOST_AUTO_TEST_CASE(thresholds_of_another_recogniser_or_rate_are_refused) {
  const TempDir dir;
  const std::string folder = dir.path().string(), file = dir / "r.json";
  const Args call = Args{"reconstruction", "--attacker", world().at("raw.safetensors")} + world().images() +
                    world().recogniser();
  succeed("evaluate",
          call + Args{"--second-recogniser", world().at("second.json"), "--fmr", "0.02", "--json", file});
  const json r = read_json(file);
  BOOST_TEST(r["judges"]["deployed"]["fingerprint"] == read_json(world().at("z.json"))["recogniser"]);
  refuse(folder, "evaluate", call + Args{"--thresholds", file}, 1, {"r.json", "0.02", "0.001", "--fmr"},
         Late::yes);
  refuse(folder, "evaluate",
         call + Args{"--thresholds", file, "--fmr", "0.02", "--second-recogniser", world().at("rec.json")}, 1,
         {"r.json", "second", r["judges"]["second"]["fingerprint"], r["judges"]["deployed"]["fingerprint"],
          "rec.json"},
         Late::yes);
  json old = r;
  for (auto& judge : old["judges"]) judge.erase("fingerprint");
  write_bytes(dir / "old.json", old.dump());
  refuse(folder, "evaluate", call + Args{"--thresholds", dir / "old.json", "--fmr", "0.02"}, 1,
         {"old.json", "fingerprint"}, Late::yes);
}

BOOST_AUTO_TEST_CASE(reconstruction_rows_of_every_attacker_and_strength) {
  const TempDir dir;
  const Args base =
      world().images() + attackers() + world().shadow() +
      Args{"--epsilons", "0.02,0.04", "--steps", "2", "--second-recogniser", world().at("second.json"),
           "--fmr",      "0.01"};
  const json r = reconstruction(
      base + Args{"--sheet", dir / "sheet.png", "--cache", dir / "cache", "--scores", dir / "s.tsv"});
  BOOST_TEST(read_bytes(dir / "sheet.png").starts_with("\x89PNG"));
  BOOST_TEST(r["part"] == "test");
  BOOST_TEST(between(r["images"], 4, 60));
  std::set<std::string> rows;
  for (const json& row : r["rows"]) {
    const std::string name = row["attacker"].get<std::string>() + "/" + row["features"].get<std::string>() +
                             (row["moment_matched"].get<bool>() ? "/matched" : "");
    BOOST_TEST(rows.insert(name).second, name << " stands twice");
    check_interval(row["ssim"], -1, 1, name);
    check_interval(row["psnr"], 0, row["attacker"] == "photograph" ? 100 : 40, name);
    check_interval(row["mse"], 0, 1, name);
    for (const char* judge : {"deployed", "second"}) {
      check_interval(row["cosine"][judge], -1, 1, name);
      check_interval(row["replay_rate"][judge]["same_photo"], 0, 1, name);
      check_interval(row["replay_rate"][judge]["other_photo"], 0, 1, name);
    }
    BOOST_TEST(between(row["feature_cosine"], 0, 1.0001), name);
    if (row["features"] == "raw") BOOST_TEST((row["feature_cosine"] == 1 && row["epsilon"] == 0));
    BOOST_TEST(row["features"].get<std::string>().starts_with(row["kind"].get<std::string>()), name);
  }
  std::set<std::string> wanted{"mean face/none", "photograph/none"};
  for (const char* matched : {"", "/matched"}) {
    wanted.insert(std::string("raw/raw") + matched);
    wanted.insert(std::string("raw/identity only") + matched);
    for (const char* kind :
         {"protected, epsilon 0.02", "protected, epsilon 0.04", "noise, epsilon 0.02", "noise, epsilon 0.04"})
      wanted.insert(std::string("raw/") + kind + ", steps 2" + matched);
    wanted.insert(std::string("adaptive/protected, epsilon 0.02, steps 2") + matched);
  }
  BOOST_TEST(rows == wanted);
  // The scores of single images have the means that the rows state.
  const auto lines = lines_of(read_bytes(dir / "s.tsv"));
  BOOST_TEST(lines.size() == 1 + r["rows"].size() * r["images"].get<size_t>());
  double sum = 0;
  for (size_t l = 1; l <= r["images"].get<size_t>(); ++l) {
    std::istringstream line(lines[l]);
    std::vector<std::string> fields;
    for (std::string field; std::getline(line, field, '\t');) fields.push_back(field);
    BOOST_REQUIRE(fields.size() == 14u);  // five names, three of pixels, three of each recogniser
    BOOST_TEST(fields[0] == "mean face");
    sum += std::stod(fields[5]);
  }
  BOOST_TEST(std::fabs(sum / r["images"].get<double>() - r["rows"][0]["ssim"]["mean"].get<double>()) < 1e-6);
  for (const char* judge : {"deployed", "second"})
    BOOST_TEST(between(r["judges"][judge]["threshold"], -1, 1.0001));
  // The second met no raw features, of which a verdict is.
  BOOST_TEST(r["attackers"].size() == 2u);
  BOOST_TEST((r["attackers"][1]["attacker"] == "adaptive" && !r["attackers"][1].contains("counts")));
  BOOST_TEST(r["attackers"][1]["settings"]["loss"] == "l1");

  // A judge of another crop would see other faces than those it was set for.
  json card = read_json(world().at("second.json"));
  card["crop"]["margin"] = 0.25;
  card["model"] = world().at("second.onnx");
  write_bytes(dir / "wide.json", card.dump());
  refuse(dir / "", "evaluate",
         Args{"reconstruction", "--second-recogniser", dir / "wide.json", "--eyes", "18,20,30,20"} +
             world().images() + world().recogniser() + attackers(),
         1, {"wide.json", "0.25", "rec.json", "same crop"});

  // The same, with the thresholds of that result and features from the cache, at other thread counts.
  write_bytes(dir / "before.json", r.dump());
  succeed("evaluate",
          {"plot", "--out", dir / "plot.svg", "--json", dir / "plot.json", "--series",
           "raw=" + dir / "before.json,attacker=raw,kind=protected,moment_matched=false,x=epsilon,y=ssim",
           "--series",
           "replay=" + dir / "before.json,kind=protected,x=epsilon,attacker=adaptive,y=" +
               "replay_rate.second.same_photo"});
  BOOST_TEST(read_json(dir / "plot.json")["series"] == (json{{"raw", 2}, {"replay", 2}}));
  json again = reconstruction(
      base + Args{"--thresholds", dir / "before.json", "--cache", dir / "cache", "--threads", "1"});
  BOOST_TEST(again["rows"] == r["rows"]);
  BOOST_TEST(again["judges"] == r["judges"]);
}

BOOST_AUTO_TEST_CASE(reconstruction_of_all_images_from_given_features) {
  const TempDir dir;
  succeed("extract", Args{"--out", dir / "z.npy"} + test_images() + world().recogniser());
  succeed("protect", Args{"--in", dir / "z.npy", "--out", dir / "p.npy", "--steps", "1"} + world().shadow());
  const json deployed = {{"threshold", 0.5}, {"fingerprint", read_json(world().at("z.json"))["recogniser"]}};
  write_bytes(dir / "thresholds.json", json{{"judges", {{"deployed", deployed}}}, {"fmr", 1e-3}}.dump());
  const json r = reconstruction(
      test_images() + Args{"--attacker", world().at("raw.safetensors"), "--split", "all", "--limit", "12",
                           "--thresholds", dir / "thresholds.json", "--protected", "given=" + dir / "p.npy"});
  BOOST_TEST(r["images"] == 12);
  BOOST_TEST(r["judges"]["deployed"]["threshold"] == 0.5);
  std::set<std::string> features;
  for (const json& row : r["rows"]) features.insert(row["features"]);
  BOOST_TEST(features ==
             (std::set<std::string>{"none", "raw", "protected, given", "noise, given", "identity only"}));
}

// With two photographs of everybody, what identity alone gives is what the other photograph gives.
BOOST_AUTO_TEST_CASE(identity_alone_is_the_other_photograph) {
  const TempDir dir;
  succeed("extract", Args{"--out", dir / "z.npy"} + test_images() + world().recogniser());
  const auto names = lines_of(read_bytes(dir / "z.npy.txt"));
  const auto person = [&](size_t r) { return names[r].substr(0, names[r].find('/')); };
  std::vector<int64_t> swapped;
  for (size_t r = 0; r < names.size(); ++r)
    for (size_t other = 0; other < names.size(); ++other)
      if (other != r && person(other) == person(r)) swapped.push_back(int64_t(other));
  BOOST_REQUIRE(swapped.size() == names.size());
  save_npy(dir / "swapped.npy", FeatureRows(load_npy(dir / "z.npy")).at(swapped));
  const json deployed = {{"threshold", 0.5}, {"fingerprint", read_json(world().at("z.json"))["recogniser"]}};
  write_bytes(dir / "thresholds.json", json{{"judges", {{"deployed", deployed}}}, {"fmr", 1e-3}}.dump());
  const Args base = test_images() + Args{"--attacker",   world().at("raw.safetensors"), "--split", "all",
                                         "--thresholds", dir / "thresholds.json"};
  const auto row_of = [](const json& r, const std::string& features) {
    for (const json& row : r["rows"])
      if (row["features"] == features && !row["moment_matched"].get<bool>()) return row;
    return json();
  };
  const json r = reconstruction(base + Args{"--protected", "swapped=" + dir / "swapped.npy"});
  const json identity = row_of(r, "identity only"), other = row_of(r, "protected, swapped");
  BOOST_TEST(identity["kind"] == "identity");
  BOOST_TEST(identity["with_another_photo"]["images"] == names.size());
  for (const char* bound : {"mean", "low", "high"}) {
    for (const char* measure : {"ssim", "psnr", "mse"})
      BOOST_TEST(
          std::fabs(identity[measure][bound].get<double>() - other[measure][bound].get<double>()) < 1e-4,
          measure);
    BOOST_TEST(identity["with_another_photo"]["ssim"][bound] == identity["ssim"][bound]);
  }
  BOOST_TEST(std::fabs(identity["feature_cosine"].get<double>() - other["feature_cosine"].get<double>()) <
             1e-5);
  BOOST_TEST(identity["feature_cosine"].get<double>() < 0.9999);

  // Without one photograph: its person's other one has none beside it, and everything else has.
  std::string list;
  for (size_t n = 1; n < names.size(); ++n) list += names[n] + "\n";
  write_bytes(dir / "list.txt", list);
  const json fewer = reconstruction(base + Args{"--list", dir / "list.txt", "--scores", dir / "s.tsv"});
  BOOST_TEST(fewer["images"] == names.size() - 1);
  for (const json& row : fewer["rows"])
    BOOST_TEST(row["with_another_photo"]["images"] == names.size() - 2, row.dump());
  size_t lines = 0;
  std::map<std::string, double> sums;  // of the images that both rows have
  const auto scores = lines_of(read_bytes(dir / "s.tsv"));
  std::set<std::string> known;
  for (const bool first : {true, false})
    for (const std::string& line : scores) {
      std::istringstream text(line);
      std::vector<std::string> fields;
      for (std::string field; std::getline(text, field, '\t');) fields.push_back(field);
      if (fields[2] != "0") continue;
      if (first && fields[1] == "identity only") ++lines, known.insert(fields[3]);
      if (!first && known.contains(fields[3])) sums[fields[1]] += std::stod(fields[5]);
    }
  BOOST_TEST((lines == names.size() - 2 && known.size() == lines));
  for (const char* features : {"raw", "identity only"})
    BOOST_TEST(std::fabs(sums[features] / double(lines) -
                         row_of(fewer, features)["with_another_photo"]["ssim"]["mean"].get<double>()) < 1e-6,
               features);
  // Nobody with two: no such row, and nothing to say.
  write_bytes(dir / "list.txt", names[0] + "\n" + names[names.size() - 1] + "\n");
  const json none = reconstruction(base + Args{"--list", dir / "list.txt"});
  BOOST_TEST(row_of(none, "identity only").is_null());
  BOOST_TEST(row_of(none, "raw")["with_another_photo"]["ssim"].is_null());
}
