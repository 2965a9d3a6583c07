// Protections by name on the command line: one, several behind each other, fitted ones; what is stored, what
// is said of it, what evaluation makes of it; and calls that are refused.
#define BOOST_TEST_MODULE cli_protections
#include <boost/test/unit_test.hpp>
#include <set>

#include "advface/core/feature_file.h"
#include "cli_test_util.h"
#include "file_test_util.h"
#include "older_set.h"
#include "tensor/io/npy.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

// The toy world, with a projection of its features.
struct World {
  TempDir dir;
  std::string projection = dir / "projection.safetensors";
  Args data = toy_world().images() + toy_world().recogniser();
  Args project{"--protect", "projection", "--projection", projection};

  World() {
    succeed("train",
            Args{"fit", "projection", "--dims", "6", "--out", projection, "--json", dir / "fit.json"} + data);
  }
  std::string at(const std::string& name) const { return dir / name; }
};

const World& here() {
  static const World w;
  return w;
}

Args features(const std::string& out) { return {"--in", toy_world().at("z.npy"), "--out", out}; }

bool same_array(const std::string& a, const std::string& b) { return read_bytes(a) == read_bytes(b); }

}  // namespace

BOOST_AUTO_TEST_CASE(a_projection_from_its_fit_to_a_verdict) {
  const json fit = read_json(here().at("fit.json"));
  BOOST_TEST((fit["dims"] == 6 && fit["fitted"] == "projection" && fit["protection"].empty()));
  BOOST_TEST(fit["validation_separation"].get<double>() > 0);
  const TempDir dir;
  const std::string file = dir / "p.npy";
  succeed("protect",
          features(file) + here().project + Args{"--json", dir / "p.json", "--report", dir / "p.jsonl"});
  const Tensor stored = load_npy(file);
  BOOST_TEST(stored.shape() == Shape({200, 6}));
  const json p = read_json(dir / "p.json");
  BOOST_TEST((p["dims"] == 6 && p["projection"] == here().projection && !p.contains("mean_cosine")));
  BOOST_TEST(lines_of(read_bytes(dir / "p.jsonl"))[7] == R"({"record":7})");
  for (const char* name : {"p.npy", "p.npy.json"}) {
    const Outcome seen = succeed("inspect", {dir / name, "--json", dir / "i.json"});
    BOOST_TEST(seen.out.find("protected, projection dims 6") != std::string::npos, seen.out);
    const json i = read_json(dir / "i.json");
    BOOST_TEST((i["rows"] == 200 && i["feature_shape"] == json{6} && i["protection"] == p["protection"]));
  }

  // Decoders of projected features: from the file, and protected here; the same training.
  const Args tiny = here().data + ToyWorld::tiny_training();
  succeed("train", Args{"attacker", "--out", dir / "here"} + tiny + here().project);
  succeed("train",
          Args{"attacker", "--features", file, "--list", toy_world().at("z.npy.txt"), "--out", dir / "file"} +
              tiny);
  BOOST_TEST(same_array(dir / "here", dir / "file"));
  const Outcome told = run_program(
      "evaluate", Args{"reconstruction", "--attacker", "adaptive=" + (dir / "here"), "--attacker",
                       "shadow=" + toy_world().at("shadow.safetensors"), "--json", dir / "r.json"} +
                      here().data + here().project);
  BOOST_TEST(told.code == 0, told.err);
  const json r = read_json(dir / "r.json");
  std::set<std::string> rows, left_out;
  for (const json& row : r["rows"])
    rows.insert(row["attacker"].get<std::string>() + ": " + row["features"].get<std::string>());
  for (const json& pair : r["left_out"])
    left_out.insert(pair["attacker"].get<std::string>() + ": " + pair["features"].get<std::string>());
  BOOST_TEST((rows == std::set<std::string>{"mean face: none", "photograph: none",
                                            "adaptive: protected, projection dims 6", "shadow: raw",
                                            "shadow: identity only"}));
  BOOST_TEST((left_out == std::set<std::string>{"adaptive: raw", "adaptive: identity only",
                                                "shadow: protected, projection dims 6"}));
  for (const json& row : r["rows"])
    if (row["kind"] == "protected") BOOST_TEST(row["feature_cosine"].is_null());

  // The probe is projected too, so that it does not matter which side is called stored.
  std::vector<json> sides;
  for (const char* side : {"gallery", "probe", "both"}) {
    succeed("evaluate",
            Args{"recognition", "--images", toy_world().at("faces/test/images"), "--pairs",
                 toy_world().at("faces/test/pairs.txt"), "--side", side, "--json", dir / "v.json"} +
                toy_world().recogniser() + here().project);
    sides.push_back(read_json(dir / "v.json"));
    BOOST_TEST(sides.back()["protected_by"] == p["protection"]);
    sides.back().erase("protected");
    BOOST_TEST(sides.back() == sides[0], side);
  }
  // A file of projected features does not say how to project the probe.
  const Args tested{"--images", toy_world().at("faces/test/images")};
  succeed("extract", tested + toy_world().recogniser() + Args{"--out", dir / "t.npy"});
  succeed("protect", Args{"--in", dir / "t.npy", "--out", dir / "tp.npy"} + here().project);
  refuse(dir.path().string(), "evaluate",
         Args{"recognition", "--pairs", toy_world().at("faces/test/pairs.txt"), "--protected", dir / "tp.npy",
              "--protected-list", dir / "t.npy.txt"} +
             tested + toy_world().recogniser(),
         1, {"tp.npy", "probe", "--protect"});
}

BOOST_AUTO_TEST_CASE(attributes_from_their_fit_to_a_verdict) {
  const TempDir dir;
  const std::string folder = dir.path().string(), eraser = dir / "eraser.safetensors";
  const Args labels{"--labels", toy_world().at("faces/labels.csv")},
      fit = Args{"fit", "attributes"} + here().data + labels,
      erase{"--protect", "attributes", "--eraser", eraser};
  succeed("train", fit + Args{"--attributes", "Smiling,Beard", "--people", "20", "--out", eraser, "--json",
                              dir / "fit.json"});
  const json f = read_json(dir / "fit.json");
  BOOST_TEST((f["attributes"] == "Smiling,Beard" && f["erasure"] == "leace" && f["directions"] == 2));
  BOOST_TEST((!f.contains("rounds") && f["protection"].empty()));
  BOOST_TEST(f["train_separation"].get<double>() < 0.2 * f["train_separation_raw"].get<double>());

  succeed("protect", features(dir / "e.npy") + erase + Args{"--json", dir / "e.json"});
  const json e = read_json(dir / "e.json");
  BOOST_TEST((e["eraser"] == eraser && e["mean_cosine"] < 1 && e["mean_cosine"] > 0.3));
  BOOST_TEST(succeed("inspect", {dir / "e.npy"}).out.find("protected, attributes Smiling, Beard") !=
             std::string::npos);
  // Before a shadow that knows raw features, and as many directions as rounds ask for.
  succeed("protect", features(dir / "both.npy") + erase + Args{"--protect", "advface", "--steps", "2"} +
                         toy_world().shadow());
  succeed("train", fit + Args{"--attributes", "Beard", "--erasure", "nullspace", "--rounds", "3", "--out",
                              dir / "null", "--json", dir / "null.json"});
  BOOST_TEST(
      (read_json(dir / "null.json")["directions"] == 3 && read_json(dir / "null.json")["rounds"] == 3));

  // The probe is erased too.
  std::vector<json> sides;
  for (const char* side : {"gallery", "both"}) {
    succeed("evaluate",
            Args{"recognition", "--images", toy_world().at("faces/test/images"), "--pairs",
                 toy_world().at("faces/test/pairs.txt"), "--side", side, "--json", dir / "v.json"} +
                toy_world().recogniser() + erase);
    sides.push_back(read_json(dir / "v.json"));
    sides.back().erase("protected");
  }
  BOOST_TEST(sides[0] == sides[1]);

  // Probes meet what is protected here and what a file holds alike; and are trained on others alone.
  const Args ask = Args{"attributes", "--epochs", "3", "--json", dir / "a.json", "--attributes", "Smiling"} +
                   here().data + labels;
  succeed("evaluate", ask + erase + Args{"--protected", "file=" + (dir / "e.npy")});
  const json all = read_json(dir / "a.json");
  BOOST_REQUIRE(all["rows"].size() == 10u);
  BOOST_TEST(all["rows"][3]["asked_about"] == "protected, file");
  BOOST_TEST(all["rows"][2]["balanced_accuracy"] == all["rows"][4]["balanced_accuracy"]);
  BOOST_TEST(all["protections"]["protected, file"] == e["protection"]);
  succeed("evaluate", ask + erase + Args{"--unseen"});
  const json others = read_json(dir / "a.json");
  BOOST_TEST((others["train_images"] < all["train_images"] && others["images"] == all["images"]));

  refuse(folder, "evaluate", ask + Args{"--unseen"}, 2, {"--unseen", "--protect"});
  refuse(folder, "evaluate", ask + Args{"--protect", "attributes", "--eraser", dir / "null", "--unseen"}, 1,
         {"Smiling is", "no network of the protection"});
  refuse(folder, "evaluate", ask + Args{"--protected", "e.npy"}, 2, {"NAME=FILE"});
  const Args no = fit + Args{"--out", dir / "no"};
  refuse(folder, "train", no, 2, {"fit attributes", "--attributes"});
  refuse(folder, "train", no + Args{"--attributes", "Beard,,"}, 2, {"--attributes", "empty"});
  refuse(folder, "train", no + Args{"--attributes", "Bread"}, 1, {"labels.csv", "Bread", "mean Beard?"});
  refuse(folder, "train",
         Args{"fit", "attributes", "--attributes", "Beard", "--out", dir / "no"} + here().data, 1,
         {"no attributes", "--labels"});
  refuse(folder, "train", no + Args{"--attributes", "Beard", "--rounds", "3"}, 2,
         {"--rounds", "--erasure nullspace"});
  refuse(folder, "train", no + Args{"--attributes", "Beard", "--dims", "3"}, 2, {"--dims", "attributes"});
  refuse(folder, "protect", features(dir / "no") + Args{"--protect", "attributes"}, 2,
         {"--eraser", "advface-train fit attributes"});
  refuse(folder, "protect",
         features(dir / "no") + Args{"--protect", "attributes", "--eraser", here().projection}, 1,
         {"projection.safetensors", "advface-attributes-1"});
}

BOOST_AUTO_TEST_CASE(protections_in_order_are_one_call_or_several) {
  const TempDir dir;
  const Args noise{"--protect", "noise", "--noise-length", "0.3"};
  succeed("protect", features(dir / "both.npy") + noise + here().project + Args{"--json", dir / "both.json"});
  succeed("protect", features(dir / "noise.npy") + noise);
  succeed("protect", Args{"--in", dir / "noise.npy", "--out", dir / "then.npy"} + here().project);
  BOOST_TEST(same_array(dir / "both.npy", dir / "then.npy"));
  BOOST_TEST(same_array(dir / "both.npy.json", dir / "then.npy.json"));
  BOOST_TEST(open_feature_file(dir / "both.npy").info.protection.describe() ==
             "protected, noise length 0.3, then projection dims 6");
  // The other way round is another thing, and a shadow in between must take what comes to it.
  succeed("protect", features(dir / "other.npy") + here().project + noise);
  BOOST_TEST(!same_array(dir / "both.npy", dir / "other.npy"));
  succeed("train", Args{"shadow", "--features", dir / "then.npy", "--list", toy_world().at("z.npy.txt"),
                        "--out", dir / "shadow"} +
                       here().data + ToyWorld::tiny_training());
  succeed("protect", features(dir / "three.npy") + noise + here().project +
                         Args{"--protect", "advface", "--shadow", dir / "shadow", "--steps", "2", "--json",
                              dir / "three.json"});
  BOOST_TEST((read_json(dir / "three.json")["mean_losses"].size() == 3u));
  refuse(dir.path().string(), "protect",
         features(dir / "no") + here().project + Args{"--protect", "advface", "--shadow", dir / "shadow"}, 1,
         {"noise length 0.3", "protected, projection dims 6"});
  refuse(dir.path().string(), "protect",
         features(dir / "no") + here().project + Args{"--protect", "advface"} + toy_world().shadow(), 1,
         {"[6]", "[16]"});
  BOOST_TEST(succeed("inspect", {dir / "both.npy"}).out.find("noise length 0.3, then projection") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(wrong_names_and_options) {
  const TempDir dir;
  const std::string folder = dir.path().string();
  const Args in = features(dir / "no");
  const auto wrong = [&](const Args& options, const std::vector<std::string>& words, int code = 2) {
    refuse(folder, "protect", in + options, code, words);
  };
  wrong({}, {"--protect", "--shadow"});
  wrong({"--protect", "nose"}, {"nose", "did you mean noise?", "advface", "generator", "projection"});
  wrong({"--protect", "noise", "--epsilon", "0.1"}, {"--epsilon", "advface", "noise"});
  wrong({"--protect", "noise", "--noise-length", "0"}, {"length", "0"});
  wrong({"--protect", "noise", "--noise-length", "nan"}, {"length", "nan"});
  wrong({"--protect", "noise", "--noise-length", "3"}, {"length", "3"});
  wrong({"--protect", "noise", "--noise-length", "0.1", "--noise-length", "0.2"}, {"--noise-length"});
  wrong({"--protect", "advface"}, {"--shadow"});
  wrong({"--protect", "projection"}, {"--projection", "advface-train fit projection"});
  wrong({"--protect", "projection", "--projection", toy_world().at("shadow.safetensors")},
        {"shadow.safetensors", "advface-projection-1"}, 1);
  wrong({"--protect", "projection", "--projection", dir / "missing"}, {"missing", "No such file"}, 1);
  wrong({"--noise-length", "0.1"}, {"--noise-length", "noise", "--protect"});
  // Nobody says where these rows live.
  save_npy(dir / "rows.npy", Tensor::full({4, 3}, 2));
  refuse(folder, "protect", {"--in", dir / "rows.npy", "--out", dir / "no", "--protect", "noise"}, 2,
         {"rows.npy", "noise", "--recogniser"});

  const Args fit = Args{"fit"} + here().data + Args{"--out", dir / "no"};
  refuse(folder, "protect",
         features(dir / "no") +
             Args{"--protect", "noise", "--protect", "advface", "--keep-recognition", "0.9"} +
             toy_world().shadow(),
         2, {"keep 0.9", "alone"});
  refuse(folder, "train", fit + Args{"projections"}, 2, {"projections", "did you mean projection?"});
  refuse(folder, "train", fit + Args{"projection", "--dims", "1"}, 2, {"dims", "1"});
  refuse(folder, "train", fit + Args{"projection", "--dims", "x"}, 2, {"dims", "x"});
  refuse(folder, "train", fit + Args{"projection", "--dims", "17"}, 1, {"--dims 17", "16"}, Late::yes);
  refuse(folder, "train", fit + Args{"projection", "--protect", "noise"}, 2, {"--features"});
  const Args adapter = Args{"adapter", "--batch", "16", "--epochs", "1", "--out", dir / "no"} + here().data;
  refuse(folder, "train", adapter, 2, {"--protect", "--shadow"});
  refuse(folder, "train", adapter + here().project, 1, {"[16]", "[6]"});
  const Args attacker = Args{"attacker", "--out", dir / "no"} + here().data + ToyWorld::tiny_training();
  refuse(folder, "train", attacker + Args{"--decoder-loss", "identiy"}, 2,
         {"identiy", "did you mean identity?"});
  refuse(folder, "train", attacker + Args{"--identity-weight", "0.5"}, 2, {"--identity-weight", "l1"});
  refuse(folder, "train", attacker + Args{"--decoder-loss", "identity", "--identity-weight", "-1"}, 2,
         {"-1"});
  refuse(folder, "evaluate",
         Args{"reconstruction", "--attacker", toy_world().at("shadow.safetensors"), "--epsilons", "0.1",
              "--protect", "noise"} +
             here().data,
         2, {"--epsilons", "--epsilon"});
  refuse(folder, "evaluate", Args{"reconstruction", "--attacker", here().projection} + here().data, 1,
         {"projection.safetensors", "not an attacker", "advface-decoder-1"});
}

// A space of its own is one whatever shape it has: here as many directions as a feature has values.
BOOST_AUTO_TEST_CASE(a_projection_that_keeps_the_shape) {
  const TempDir dir;
  const std::string file = dir / "square.safetensors", folder = dir.path().string();
  succeed("train", Args{"fit", "projection", "--dims", "16", "--out", file} + here().data);
  const Args project{"--protect", "projection", "--projection", file};
  succeed("protect", features(dir / "p.npy") + project + Args{"--json", dir / "p.json"});
  BOOST_TEST(!read_json(dir / "p.json").contains("mean_cosine"));
  // Nobody who knows raw features meets them, and no noise of equal norm is drawn beside them.
  succeed("evaluate", Args{"reconstruction", "--attacker", toy_world().at("shadow.safetensors"), "--json",
                           dir / "r.json"} +
                          here().data + project);
  const json r = read_json(dir / "r.json");
  for (const json& row : r["rows"])
    BOOST_TEST((row["kind"] != "protected" && row["kind"] != "noise"), row["features"]);
  BOOST_TEST(r["left_out"].size() == 1u);
  // Networks for raw features do not go behind it, nor an adapter.
  refuse(folder, "protect",
         features(dir / "no") + project + Args{"--protect", "advface"} + toy_world().shadow(), 1,
         {"raw", "projection dims 16"});
  refuse(folder, "protect", Args{"--in", dir / "p.npy", "--out", dir / "no"} + toy_world().shadow(), 1,
         {"raw", "projection dims 16"});
  refuse(folder, "train",
         Args{"adapter", "--batch", "16", "--epochs", "1", "--out", dir / "no"} + here().data + project, 1,
         {"adapter", "space"});
  // The sides of a pair are both projected, so it does not matter which is stored.
  std::vector<json> sides;
  for (const char* side : {"gallery", "both"}) {
    succeed("evaluate",
            Args{"recognition", "--images", toy_world().at("faces/test/images"), "--pairs",
                 toy_world().at("faces/test/pairs.txt"), "--side", side, "--json", dir / "v.json"} +
                toy_world().recogniser() + project);
    sides.push_back(read_json(dir / "v.json"));
    sides.back().erase("protected");
  }
  BOOST_TEST(sides[0] == sides[1]);
}

// What a file says of its features is held against them, and against what is done with them.
BOOST_AUTO_TEST_CASE(files_that_say_something_else) {
  const TempDir dir;
  const std::string folder = dir.path().string(), file = dir / "p.npy";
  succeed("protect", features(file) + here().project);
  const std::string good = read_bytes(file + ".json");
  const auto changed = [&](const std::string& from, const std::string& to,
                           const std::vector<std::string>& words) {
    std::string text = good;
    const size_t at = text.find(from);
    BOOST_REQUIRE_MESSAGE(at != std::string::npos, from);
    write_bytes(file + ".json", text.replace(at, from.size(), to));
    refuse(folder, "inspect", {file}, 1, words);
    write_bytes(file + ".json", good);
  };
  changed("\"dims\": 6", "\"dims\": 5", {"p.npy", "[6]", "dims 5"});
  changed("\"dims\": 6", "\"dims\": 0", {"p.npy.json", "projection"});
  changed("\"projection\": \"", "\"shadow\": \"", {"p.npy.json", "projection"});
  changed("\"name\": \"projection\"", "\"name\": \"projector\"", {"projector", "did you mean projection?"});
  // Raw features are no protected ones, by a file that says so.
  refuse(folder, "evaluate",
         Args{"reconstruction", "--attacker", toy_world().at("shadow.safetensors"), "--protected",
              "bare=" + toy_world().at("z.npy")} +
             here().data,
         1, {"z.npy", "raw"});
  refuse(
      folder, "evaluate",
      Args{"reconstruction", "--attacker", toy_world().at("shadow.safetensors"), "--epsilons", "0.04,0.04"} +
          here().data + toy_world().shadow(),
      1, {"two sets", "epsilon 0.04"}, Late::yes);
  // A network that was fitted on other features; and features of another recogniser.
  succeed("protect", features(dir / "noisy.npy") + Args{"--protect", "noise"});
  succeed("train", Args{"fit", "projection", "--dims", "4", "--features", dir / "noisy.npy", "--list",
                        toy_world().at("z.npy.txt"), "--out", dir / "of_noisy.safetensors"} +
                       here().data);
  const Args of_noisy{"--protect", "projection", "--projection", dir / "of_noisy.safetensors"};
  refuse(folder, "protect", features(dir / "no") + of_noisy, 1, {"noise length 0.4", "raw"});
  succeed("protect", Args{"--in", dir / "noisy.npy", "--out", dir / "yes.npy"} + of_noisy);
  succeed("train",
          Args{"recogniser", "--batch", "16", "--epochs", "1", "--seed", "9", "--out", dir / "other.json"} +
              toy_world().images() + ToyWorld::tiny_recogniser());
  refuse(folder, "protect",
         features(dir / "no") + Args{"--protect", "noise", "--recogniser", dir / "other.json"}, 1,
         {"z.npy", "other.json"});
  succeed("extract",
          toy_world().images() + Args{"--recogniser", dir / "other.json", "--out", dir / "other.npy"});
  refuse(folder, "train",
         Args{"recalibrate", "--in", dir / "other.npy", "--out", dir / "no"} + toy_world().shadow(), 1,
         {"other.npy", "shadow.safetensors"});
  // Every shadow of an ensemble is held against how the features come to it.
  succeed("train", Args{"shadow", "--features", dir / "noisy.npy", "--list", toy_world().at("z.npy.txt"),
                        "--out", dir / "noisy_shadow"} +
                       here().data + ToyWorld::tiny_training());
  refuse(folder, "protect",
         features(dir / "no") + toy_world().shadow() + Args{"--shadow", dir / "noisy_shadow"}, 1,
         {"noise length 0.4", "raw"});
  // A set's index lies beside no other rows.
  succeed("protect", features(dir / "p.npy") + here().project);
  write_older_set(dir / "set.npy", dir / "p.npy");
  succeed("inspect", {dir / "set.npy.index", "--json", dir / "set.json"});
  BOOST_TEST((read_json(dir / "set.json")["kind"] == "set" && read_json(dir / "set.json")["rows"] == 200));
  BOOST_TEST(succeed("inspect", {dir / "set.npy"}).out.find("projection dims 6") != std::string::npos);
  refuse(folder, "extract", Args{"--out", dir / "set.npy"} + here().data, 1, {"set.npy", "older version"},
         Late::yes);
  save_npy(dir / "set.npy", Tensor::zeros({3, 4}));
  refuse(folder, "protect", Args{"--in", dir / "set.npy", "--out", dir / "no", "--protect", "noise"}, 1,
         {"set.npy", "shape"});
}

// What it minimises stands in the decoder's file (test_attackers: it does).
BOOST_AUTO_TEST_CASE(a_decoder_that_looks_at_identity) {
  const TempDir dir;
  const Args train = Args{"attacker", "--image-size", "32", "--batch", "16", "--epochs", "6"} + here().data;
  succeed("train", train + Args{"--out", dir / "l1.safetensors"});
  succeed("train", train + Args{"--out", dir / "id.safetensors", "--decoder-loss", "identity",
                                "--identity-weight", "1", "--json", dir / "id.json"});
  BOOST_TEST(read_json(dir / "id.json")["decoder_loss"] == "identity, weight 1");
  BOOST_TEST(read_bytes(dir / "l1.safetensors") != read_bytes(dir / "id.safetensors"));
  const std::string seen = succeed("inspect", {dir / "id.safetensors"}).out;
  BOOST_TEST(seen.find("decoder.loss = identity, weight 1\n") != std::string::npos, seen);
}
