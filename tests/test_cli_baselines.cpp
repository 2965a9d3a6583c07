// The protections that others are measured against, on the command line: from their options to what is
// stored, what is said of it and what recognition makes of it; and calls that are refused.
#define BOOST_TEST_MODULE cli_baselines
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "advface/core/feature_file.h"
#include "cli_test_util.h"
#include "file_test_util.h"
#include "method_test_util.h"
#include "tensor/io/npy.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

// The toy world's vectors, and maps of another recogniser with their split of channels.
struct World {
  TempDir dir;
  std::string maps = dir / "maps.npy", duet = dir / "duet.safetensors", card = dir / "toy.json";
  Args map_cut{"--recogniser", card, "--cut", "p"};

  World() {
    write_bytes(card, kToyCard);
    write_bytes(dir / "toy.onnx", toy_model());
    succeed("extract", Args{"--out", maps} + toy_world().images() + map_cut);
    succeed("train",
            Args{"fit", "duet", "--out", duet, "--json", dir / "fit.json"} + toy_world().images() + map_cut);
  }
  Args vectors_to(const std::string& out) const { return {"--in", toy_world().at("z.npy"), "--out", out}; }
  Args maps_to(const std::string& out) const { return {"--in", maps, "--out", out, "--recogniser", card}; }
  // What recognition makes of it, of vectors or of maps.
  json verify(const std::string& out, const Args& protection, const std::string& side, bool of_maps) const {
    succeed("evaluate", Args{"recognition", "--images", toy_world().at("faces/test/images"), "--pairs",
                             toy_world().at("faces/test/pairs.txt"), "--side", side, "--json", out} +
                            (of_maps ? map_cut : toy_world().recogniser()) + protection);
    json result = read_json(out);
    result.erase("protected");
    return result;
  }
};
const World& here() {
  static const World w;
  return w;
}

}  // namespace

BOOST_AUTO_TEST_CASE(noise_with_a_guarantee) {
  const TempDir dir;
  const Args gaussian{"--protect", "noise", "--mechanism", "gaussian", "--privacy-epsilon", "50"};
  const std::string summary = "noise gaussian, privacy epsilon 50, delta 1e-05, L2 clip 1, sigma 0.2995";
  succeed("protect", here().vectors_to(dir / "a.npy") + gaussian + Args{"--json", dir / "a.json"});
  const json a = read_json(dir / "a.json");
  BOOST_TEST((a["mechanism"] == "gaussian" && a["delta"] == 1e-5 && a["clip"] == 1));
  BOOST_TEST(std::abs(a["noise_scale"].get<double>() - 0.29952121512167204) < 1e-9);
  // Whoever finds the features does not find the seed beside them.
  BOOST_TEST((!a.contains("seed") && read_bytes(dir / "a.npy.json").find("seed") == std::string::npos));
  BOOST_TEST(succeed("inspect", {dir / "a.npy"}).out.find(summary) != std::string::npos);
  succeed("protect", here().vectors_to(dir / "b.npy") + gaussian + Args{"--seed", "2"});
  succeed("protect", here().vectors_to(dir / "c.npy") + gaussian + Args{"--delta", "1e-4"});
  BOOST_TEST(read_bytes(dir / "a.npy") != read_bytes(dir / "b.npy"));
  BOOST_TEST(
      (open_feature_file(dir / "a.npy").info.protection == open_feature_file(dir / "b.npy").info.protection));
  BOOST_TEST(open_feature_file(dir / "c.npy")
                 .info.protection.difference(open_feature_file(dir / "a.npy").info.protection)
                 .starts_with("delta is"));
  succeed("protect", here().maps_to(dir / "m.npy") + Args{"--protect", "noise", "--mechanism", "laplace",
                                                          "--privacy-epsilon", "3", "--clip", "40"});
  BOOST_TEST(succeed("inspect", {dir / "m.npy"}).out.find("laplace, privacy epsilon 3, L1 clip 40") !=
             std::string::npos);
  // The noise of given length is what it ever was, by its name and without.
  succeed("protect", here().vectors_to(dir / "d.npy") + Args{"--protect", "noise"});
  succeed("protect", here().vectors_to(dir / "e.npy") + Args{"--protect", "noise", "--mechanism", "length"});
  BOOST_TEST(read_bytes(dir / "d.npy") == read_bytes(dir / "e.npy"));
  BOOST_TEST(read_bytes(dir / "d.npy.json") == read_bytes(dir / "e.npy.json"));
  BOOST_TEST(read_json(dir / "d.npy.json")["protection"][0]["settings"] ==
             json({{"noise_length", 0.4}, {"seed", 1}}));
}

BOOST_AUTO_TEST_CASE(few_bits_and_another_order) {
  const TempDir dir;
  succeed("protect", here().vectors_to(dir / "q.npy") + Args{"--protect", "quantise", "--bits", "1"});
  for (const float v : load_npy(dir / "q.npy").to_vector<float>())
    BOOST_TEST(std::abs(std::abs(double(v)) - 0.25) < 1e-6);  // 16 values of one size
  BOOST_TEST(succeed("inspect", {dir / "q.npy"}).out.find("quantise bits 1") != std::string::npos);

  const Args shuffle{"--protect", "shuffle"};
  succeed("protect", here().vectors_to(dir / "s.npy") + shuffle + Args{"--json", dir / "s.json"});
  BOOST_TEST(!read_json(dir / "s.json").contains("mean_cosine"));
  // The cosine of two vectors does not see the order; of maps the maps themselves are compared.
  const json raw = here().verify(dir / "v.json", {}, "both", false);
  for (const char* side : {"gallery", "probe", "both"}) {
    const json shuffled = here().verify(dir / "v.json", shuffle + Args{"--seed", "5"}, side, false);
    BOOST_TEST(std::abs(shuffled["accuracy"]["mean"].get<double>() - raw["accuracy"]["mean"].get<double>()) <
               1e-3);
  }
  const json one = here().verify(dir / "v.json", shuffle, "gallery", true),
             other = here().verify(dir / "v.json", shuffle + Args{"--seed", "5"}, "both", true);
  BOOST_TEST(std::abs(one["eer"].get<double>() - other["eer"].get<double>()) < 1e-3);
  BOOST_TEST(one["eer"].get<double>() < 0.5);
}

BOOST_AUTO_TEST_CASE(maps_without_channels_or_frequencies) {
  const TempDir dir;
  const json fit = read_json(here().dir / "fit.json");
  BOOST_TEST((fit["fitted"] == "duet" && fit["channels"] == 8));
  BOOST_TEST((fit["validation_energy_share"] > 0.25 && fit["validation_energy_share"] < 1));
  const Args duet{"--protect", "duet", "--duet", here().duet};
  succeed("protect", here().maps_to(dir / "d.npy") + duet +
                         Args{"--hidden-share", "0.5", "--duet-fill", "mean", "--json", dir / "d.json"});
  const json d = read_json(dir / "d.json");
  BOOST_TEST((d["hidden_channels"] == 4 && d["duet"] == here().duet && d["mean_cosine"] < 1));
  BOOST_TEST(succeed("inspect", {dir / "d.npy"}).out.find("duet hidden share 0.5, fill mean") !=
             std::string::npos);
  const Args frequency{"--protect", "frequency", "--low-frequencies", "2"};
  succeed("protect", here().maps_to(dir / "f.npy") + frequency);
  for (const float v : load_npy(dir / "f.npy").to_vector<float>()) BOOST_REQUIRE(v >= 0);
  // The probe goes through the same, so it does not matter which side is called stored.
  for (const Args& protection : {duet, frequency}) {
    const json whole = here().verify(dir / "v.json", protection, "both", true);
    for (const char* side : {"gallery", "probe"})
      BOOST_TEST(here().verify(dir / "v.json", protection, side, true)["accuracy"] == whole["accuracy"],
                 side);
  }
  // One behind the other; and a decoder trained on raw maps meets what is still a map.
  succeed("train", Args{"attacker", "--decoder", "unet", "--out", dir / "unet.safetensors"} +
                       toy_world().images() + here().map_cut + ToyWorld::tiny_training());
  succeed("evaluate",
          Args{"reconstruction", "--attacker", dir / "unet.safetensors", "--json", dir / "r.json"} +
              toy_world().images() + here().map_cut + duet + frequency);
  bool met = false;
  const json result = read_json(dir / "r.json");
  for (const json& row : result["rows"])
    met = met || row["features"] == "protected, duet hidden share 0.25, then frequency low frequencies 2";
  BOOST_TEST(met);
}

BOOST_AUTO_TEST_CASE(wrong_options) {
  const TempDir dir;
  const std::string folder = dir.path().string();
  const auto wrong = [&](const Args& options, const std::vector<std::string>& words, int code = 2) {
    refuse(folder, "protect", here().vectors_to(dir / "no") + options, code, words);
  };
  const Args noise{"--protect", "noise"}, gaussian = noise + Args{"--mechanism", "gaussian"},
                                          laplace = noise + Args{"--mechanism", "laplace"};
  wrong(noise + Args{"--mechanism", "gauss"}, {"mechanism", "gauss", "laplace"});
  wrong(gaussian, {"--mechanism gaussian", "--privacy-epsilon"});
  wrong(gaussian + Args{"--epsilon", "1"}, {"--epsilon", "advface", "noise"});
  for (const char* epsilon : {"0", "-1", "nan", "501", "x"})
    wrong(gaussian + Args{"--privacy-epsilon", epsilon}, {epsilon});
  const Args one{"--privacy-epsilon", "1"};
  for (const char* delta : {"0", "1", "nan", "1e-20"})
    wrong(gaussian + one + Args{"--delta", delta}, {"delta", delta});
  for (const char* clip : {"0", "-2", "inf", "nan"})
    wrong(laplace + one + Args{"--clip", clip}, {"clip", clip});
  wrong(laplace + one + Args{"--clip", "1e308"}, {"clip is 1e308", "not above"});
  wrong(laplace + one + Args{"--delta", "1e-5"}, {"--delta", "--mechanism gaussian"});
  wrong(laplace + one + Args{"--noise-length", "1"}, {"--noise-length", "--mechanism length"});
  for (const char* option : {"--privacy-epsilon", "--clip"})
    wrong(noise + Args{option, "1"}, {option, "--mechanism laplace or gaussian"});
  refuse(folder, "protect", here().maps_to(dir / "no") + laplace + one, 2, {"maps.npy", "--clip"});
  refuse(folder, "protect", Args{"--in", here().maps, "--out", dir / "no"} + laplace + one, 2,
         {"maps.npy", "--recogniser"});

  for (const char* bits : {"0", "9", "-1", "2.5", "x"})
    wrong({"--protect", "quantise", "--bits", bits}, {"bits", bits});
  for (const char* name : {"quantise", "shuffle", "frequency"})
    refuse(folder, "protect", Args{"--in", here().maps, "--out", dir / "no", "--protect", name}, 2,
           {"maps.npy", name, "--recogniser"});
  wrong({"--protect", "shuffle", "--bits", "2"}, {"--bits", "quantise", "shuffle"});

  for (const char* low : {"0", "-3", "513", "1.5"})
    wrong({"--protect", "frequency", "--low-frequencies", low}, {"low", low});
  wrong({"--protect", "frequency"}, {"z.npy", "frequency", "maps", "[16]", "--cut"}, 1);
  refuse(folder, "protect",
         here().maps_to(dir / "no") + Args{"--protect", "frequency", "--low-frequencies", "7"}, 1,
         {"--low-frequencies 7", "maps.npy", "[8,7,7]"});

  const Args duet{"--protect", "duet", "--duet", here().duet};
  wrong({"--protect", "duet"}, {"--duet", "advface-train fit duet"});
  wrong(duet, {"z.npy", "duet", "maps", "[16]", "--cut"}, 1);
  for (const char* share : {"0", "1", "nan", "-0.5"})
    wrong(duet + Args{"--hidden-share", share}, {"share", share});
  wrong(duet + Args{"--duet-fill", "noise"}, {"--duet-fill is", "noise", "zero", "mean"});
  wrong({"--duet", here().duet}, {"--duet", "--protect"});
  refuse(
      folder, "protect",
      here().maps_to(dir / "no") + Args{"--protect", "duet", "--duet", toy_world().at("shadow.safetensors")},
      1, {"shadow.safetensors", "advface-duet-1"});
  refuse(folder, "train",
         Args{"fit", "duet", "--out", dir / "no"} + toy_world().images() + toy_world().recogniser(), 1,
         {"duet", "maps", "[16]"}, Late::yes);
  refuse(folder, "train",
         Args{"fit", "duet", "--dims", "3", "--out", dir / "no"} + toy_world().images() + here().map_cut, 2,
         {"--dims", "duet"});
  // Whom the split was fitted on, nobody is verified with.
  const Args faces = toy_world().images();
  succeed("evaluate", Args{"pairs", "--split", "all", "--folds", "2", "--out", dir / "pairs.csv"} + faces);
  refuse(folder, "evaluate",
         Args{"recognition", "--pairs", dir / "pairs.csv"} + faces + here().map_cut + duet, 1,
         {"duet.safetensors", "trained on"}, Late::yes);
}
