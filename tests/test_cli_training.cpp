// Trainings of stronger attackers, and of a recogniser against one, on the command line.
#define BOOST_TEST_MODULE cli_training
#include "cli_test_util.h"
#include "tensor/io/safetensors.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

const ToyWorld& world() { return toy_world(); }
Args data() { return world().images() + world().recogniser(); }
Args tiny(const std::string& verb, int epochs) {
  return Args{verb, "--image-size", "32", "--batch", "16", "--epochs", std::to_string(epochs)} + data();
}
void interrupt(const Args& args, const std::string& out) {
  Surroundings around;
  around.interrupt_when = out + ".checkpoint";
  BOOST_TEST(run_program("train", args + Args{"--out", out}, around).code == 130);
  BOOST_TEST(std::filesystem::exists(out + ".checkpoint"));
}

}  // namespace

// All at once, on protected features; interrupted and resumed to the same bytes.
BOOST_AUTO_TEST_CASE(an_attacker_with_everything) {
  const TempDir dir;
  const std::string second = dir / "second.json";
  succeed("train", Args{"recogniser", "--out", second, "--batch", "16", "--epochs", "1", "--seed", "7"} +
                       world().images() + ToyWorld::tiny_recogniser());
  const Args how =
      tiny("attacker", 6) + world().shadow() +
      Args{"--mirror",  "--average",         "3",    "--decoder-loss",           "identity", "--decoder-loss",
           "structure", "--loss-recogniser", second, "--loss-recogniser-weight", "0.1",      "--steps",
           "2"};
  succeed("train", how + Args{"--out", dir / "whole.safetensors", "--json", dir / "whole.json"});
  const json result = read_json(dir / "whole.json");
  succeed("inspect", {second, "--json", dir / "second.inspected.json"});
  const std::string fingerprint = read_json(dir / "second.inspected.json")["fingerprint"],
                    loss = "identity, weight 0.5; structure, weight 0.5; second, weight 0.1, recogniser " +
                           fingerprint;
  BOOST_TEST(result["decoder_loss"] == loss);
  BOOST_TEST((result["mirror"] == true && result["average"] == 3));
  BOOST_TEST(result["validation_ssim"] != result["history"].back()["validation_ssim"]);
  BOOST_TEST((result["flat"]["over_epochs"] == 2 && result["flat"]["more_than_shorter"].is_null()));
  interrupt(how, dir / "part");
  succeed("train", how + Args{"--out", dir / "part", "--resume", "--threads", "1"});
  BOOST_TEST((read_bytes(dir / "part") == read_bytes(dir / "whole.safetensors")));
  const std::string seen = succeed("inspect", {dir / "whole.safetensors"}).out;
  for (const std::string& line : {"decoder.loss = " + loss, std::string("decoder.mirrored = yes"),
                                  "training.flat = " + result["flat"]["verdict"].get<std::string>(),
                                  std::string("training.epochs = 6")})
    BOOST_TEST(seen.find(line + "\n") != std::string::npos, line << " in " << seen);
  // The statistics are those without mirrors; the features as they are are protected as they were.
  succeed("train", tiny("attacker", 1) + world().shadow() + Args{"--steps", "2", "--out", dir / "plain"});
  const auto with = load_safetensors(dir / "whole.safetensors").tensors,
             without = load_safetensors(dir / "plain").tensors;
  for (const char* name : {"statistics.feature_mean", "statistics.feature_std", "statistics.mean_face"})
    BOOST_TEST((with.at(name).to_vector<float>() == without.at(name).to_vector<float>()), name);
}

// Another setting is another run.
BOOST_AUTO_TEST_CASE(a_checkpoint_of_other_settings_is_refused) {
  const TempDir dir;
  const std::string out = dir / "d";
  interrupt(tiny("shadow", 8), out);
  for (const Args& other : {Args{"--mirror"}, Args{"--average", "2"}, Args{"--decoder-loss", "structure"},
                            Args{"--pixel-weight", "2"}}) {
    const Args args = tiny("shadow", 8) + other + Args{"--out", out, "--resume"};
    complain("train", args, run_program("train", args), 1, {out + ".checkpoint", "another run"}, Late::yes);
  }
}

// Beside a run of half the epochs the verdict is about longer training; other runs are refused.
BOOST_AUTO_TEST_CASE(whether_longer_training_helps) {
  const TempDir dir;
  const std::string half = dir / "half";
  succeed("train", tiny("shadow", 2) + Args{"--out", half, "--json", dir / "half.json"});
  BOOST_TEST(read_json(dir / "half.json")["flat"]["verdict"] == "too short");
  const Outcome o =
      succeed("train", tiny("shadow", 4) + Args{"--out", dir / "d", "--shorter", half, "--flat-within", "0.5",
                                                "--json", dir / "d.json"});
  const json result = read_json(dir / "d.json"), flat = result["flat"];
  BOOST_TEST((flat["verdict"] == "flat" && flat["within"] == 0.5));
  const double more =
      result["validation_ssim"].get<double>() - read_json(dir / "half.json")["validation_ssim"].get<double>();
  BOOST_TEST(std::abs(flat["more_than_shorter"].get<double>() - more) < 1e-9);
  BOOST_TEST(o.out.find("flat: ") != std::string::npos, o.out);
  const auto no = [&](const Args& args, const std::vector<std::string>& words) {
    const Args all = args + Args{"--out", dir / "no", "--shorter", half};
    complain("train", all, run_program("train", all), 1, words, Late::yes);
  };
  no(tiny("shadow", 3), {half, "2 epochs", "half of 3"});
  no(tiny("shadow", 4) + Args{"--lr", "0.1"}, {half, "otherwise", "lr 0.1"});
  no(tiny("shadow", 4) + Args{"--mirror"}, {half, "otherwise"});
}

BOOST_AUTO_TEST_CASE(settings_of_training_that_are_refused) {
  const TempDir dir;
  const Args base = tiny("attacker", 2) + Args{"--out", dir / "no"};
  const auto no = [&](const Args& args, const std::vector<std::string>& words) {
    refuse(dir.path().string(), "train", base + args, 2, words);
  };
  no({"--mirror", "--features", "z.npy", "--list", "z.npy.txt"}, {"--mirror", "z.npy", "--features"});
  no({"--average", "3"}, {"average", "1 to 2", "3"});
  no({"--average", "0"}, {"average", "0"});
  no({"--pixel-weight", "-1"}, {"pixel_weight", "-1"});
  no({"--structure-weight", "1"}, {"--structure-weight", "l1"});
  no({"--decoder-loss", "second"}, {"second", "--loss-recogniser"});
  no({"--flat-within", "-1"}, {"--flat-within", "-1"});
  const Args recogniser = Args{"recogniser", "--out", dir / "no.json"} + world().images();
  for (const auto& [args, words] :
       {std::pair<Args, std::vector<std::string>>{{"--against", "unet"}, {"unet", "deconv", "resup"}},
        {{"--against-weight", "2"}, {"--against"}},
        {{"--against", "deconv", "--against-weight", "0"}, {"weight", "0"}},
        {{"--against", "deconv", "--against-weight", "nan"}, {"nan"}},
        {{"--against", "deconv", "--against-steps", "0"}, {"steps", "0"}},
        {{"--against", "deconv", "--against-lr", "-1"}, {"rate", "-1"}},
        {{"--against", "deconv", "--against-size", "50"}, {"50", "multiple of 16"}}})
    refuse(dir.path().string(), "train", recogniser + args, 2, words);
}

// The card says whom it was trained against, the history what both lost; interrupted and resumed to the same
// bytes; a fresh decoder is trained on it as on any other.
BOOST_AUTO_TEST_CASE(a_recogniser_against_a_decoder) {
  const TempDir dir;
  const Args how = Args{"recogniser", "--batch",          "16", "--epochs",        "4", "--against",
                        "deconv",     "--against-weight", "3",  "--against-steps", "2", "--against-size",
                        "32"} +
                   world().images() + ToyWorld::tiny_recogniser();
  succeed("train", how + Args{"--out", dir / "whole.json", "--json", dir / "result.json"});
  const std::string against = "deconv of 32 pixels, weight 3, 2 steps, rate 0.001";
  const json result = read_json(dir / "result.json");
  BOOST_TEST(result["against"] == against);
  BOOST_REQUIRE(result["history"].size() == 4u);
  for (const json& e : result["history"]) {
    const double train = e["train_reconstruction"], validation = e["validation_reconstruction"];
    BOOST_TEST((train > 0 && train <= 1 && validation > 0 && validation < 10));
  }
  BOOST_TEST(read_json(dir / "whole.json")["trained_against"] == against);
  const std::string seen = succeed("inspect", {dir / "whole.json"}).out;
  BOOST_TEST(seen.find("trained against " + against + "\n") != std::string::npos, seen);
  interrupt(how, dir / "part.json");
  const Args other = how + Args{"--out", dir / "part.json", "--resume", "--against-lr", "0.1"};
  complain("train", other, run_program("train", other), 1, {"another run", "0.1"}, Late::yes);
  succeed("train", how + Args{"--out", dir / "part.json", "--resume", "--threads", "1"});
  BOOST_TEST((read_bytes(dir / "part.onnx") == read_bytes(dir / "whole.onnx")));
  succeed("train", Args{"attacker", "--recogniser", dir / "whole.json", "--out", dir / "retrained"} +
                       world().images() + ToyWorld::tiny_training());
  // Without one the card is as ever.
  BOOST_TEST(!read_json(world().at("rec.json")).contains("trained_against"));
}

// A detector of drawn scenes: interrupted and resumed to the same bytes, and used by another program.
BOOST_AUTO_TEST_CASE(a_detector_of_drawn_scenes) {
  const TempDir dir;
  const Args how{"detector", "--scenes", "40", "--scene-size", "64,64", "--heads", "20,40", "--epochs",
                 "16",       "--batch",  "8",  "--width",      "25"};
  const std::string out = dir / "whole.json";
  const Outcome o = succeed("train", how + Args{"--out", out, "--json", dir / "result.json"});
  BOOST_TEST(o.out.find("Not for real photographs") != std::string::npos);
  const json result = read_json(dir / "result.json");
  BOOST_TEST((result["train_scenes"] == 40 && result["validation"]["scenes"] == 8 &&
              result["history"].size() == 16u));
  BOOST_TEST(result["history"].back()["train_loss"] < result["history"][0]["train_loss"]);
  BOOST_TEST(std::filesystem::exists(out + ".curve.svg"));
  const std::string seen = succeed("inspect", {out}).out;
  BOOST_TEST(seen.find("trained on   drawn scenes; not for real photographs") != std::string::npos, seen);
  interrupt(how, dir / "part.json");
  succeed("train", how + Args{"--out", dir / "part.json", "--resume", "--threads", "1"});
  BOOST_TEST(read_bytes(dir / "part.onnx") == read_bytes(dir / "whole.onnx"));
  BOOST_TEST(!std::filesystem::exists(dir / "part.json.checkpoint"));
  // Raw pictures of drawn people; with their true landmarks every face is cut out.
  succeed("faces", {"--out", dir / "faces", "--identities", "4", "--per-identity", "1", "--scenes", "3",
                    "--scene-size", "128,96", "--heads", "24,40", "--scene-faces", "2"});
  const std::string scenes = dir / "faces/scenes";
  const size_t faces = lines_of(read_bytes(scenes + "/landmarks.csv")).size() - 1;
  BOOST_TEST((faces >= 3 && lines_of(read_bytes(scenes + "/faces.csv")).size() == faces + 1));
  succeed("align", {"--images", scenes + "/images", "--landmarks", scenes + "/landmarks.csv", "--faces",
                    "all", "--out", dir / "crops", "--size", "32"});
  BOOST_TEST(tree(dir / "crops").size() == faces);
  const std::string folder = dir.path().string();
  const auto wrong = [&](const Args& more, const std::vector<std::string>& words) {
    refuse(folder, "train", Args{"detector", "--out", dir / "x.json"} + more, 2, words);
  };
  wrong({"--scene-size", "100,64"}, {"--scene-size", "multiples of 32"});
  wrong({"--heads", "50,20"}, {"50 to 20"});
  wrong({"--scenes", "10"}, {"--scenes 10", "batch of 16"});
  wrong({"--scenes", "1000000", "--scene-size", "1024,1024"}, {"GiB"});
  wrong({"--width", "5"}, {"5 % width"});
  refuse(folder, "faces", {"--out", dir / "x", "--scenes", "1", "--scene-size", "10,10"}, 2, {"10 x 10"});
  refuse(folder, "faces", {"--out", dir / "x", "--scenes", "1", "--heads", "400,500"}, 2,
         {"heads of 400", "640 x 480", "heads of 320"});
  const Outcome few =
      succeed("faces", {"--out", dir / "few", "--identities", "2", "--per-identity", "1", "--scenes", "2",
                        "--scene-size", "64,64", "--heads", "40,42", "--json", dir / "few.json"});
  BOOST_TEST(few.err.find("of 6 faces found room") != std::string::npos, few.err);
  BOOST_TEST((read_json(dir / "few.json")["scene_faces"] == 2));
}
