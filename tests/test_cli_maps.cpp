// The whole job at a feature map, through the programs, at toy size: extraction, decoders for maps,
// protection with every option, attack, evaluation.
#define BOOST_TEST_MODULE cli_maps
#include <cmath>
#include <set>

#include "advface/networks/decoder.h"
#include "cli_test_util.h"
#include "method_test_util.h"
#include "tensor/io/npy.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

// The toy world's faces with another recogniser, whose cut "p" is a map after a ReLU and a pooling: its
// features, and shadows for it.
struct Maps : ToyWorld {
  const std::string cut = "p";
  const Shape shape{8, 7, 7};

  Maps() {
    write_bytes(at("toy.json"), kToyCard);
    write_bytes(at("toy.onnx"), toy_model());
    succeed("extract", Args{"--out", at("maps.npy")} + images() + recogniser() + at_cut());
    // The ascent on maps takes long under sanitizers: a few of them, for many calls.
    std::string few;
    for (const std::string& line : lines_of(read_bytes(at("maps.npy.txt"))))
      if (std::count(few.begin(), few.end(), '\n') < 48) few += line + "\n";
    write_bytes(at("few.txt"), few);
    succeed("extract",
            Args{"--out", at("few.npy"), "--list", at("few.txt")} + images() + recogniser() + at_cut());
    for (const char* decoder : {"unet", "deconv", "resup"})
      succeed("train",
              Args{"shadow", "--decoder", decoder, "--out", at(std::string(decoder) + ".safetensors")} +
                  images() + recogniser() + at_cut() + tiny_training());
  }
  Args recogniser() const { return {"--recogniser", at("toy.json")}; }
  Args at_cut() const { return {"--cut", cut}; }
  Args unet() const { return {"--shadow", at("unet.safetensors")}; }
  Args protect(const std::string& out) const {
    return Args{"--in", at("maps.npy"), "--out", out, "--steps", "2"};
  }
};
const Maps& world() {
  static const Maps maps;
  return maps;
}

double least(const Tensor& x) {
  double low = INFINITY;
  for (float v : x.to_vector<float>()) low = std::min(low, double(v));
  return low;
}

}  // namespace

BOOST_AUTO_TEST_CASE(decoders_of_maps_say_what_they_are) {
  for (const char* name : {"unet", "deconv", "resup"}) {
    const auto decoder = Decoder::load(world().at(std::string(name) + ".safetensors"));
    BOOST_TEST(decoder->info().spec.name == name);
    BOOST_TEST(decoder->info().spec.feature == world().shape);
    BOOST_TEST(decoder->info().cut == world().cut);
    BOOST_TEST((decoder->info().domain == FeatureDomain::non_negative));
    BOOST_TEST(decoder->statistics().feature_std.shape() == Shape{world().shape[0]});
    BOOST_TEST(least(decoder->statistics().feature_mean) >= 0);
  }
  const Tensor maps = load_npy(world().at("maps.npy"));
  BOOST_TEST(maps.shape().rank() == 4);
  BOOST_TEST(least(maps) >= 0);
}

// A temporary file in place of memory, and features from a file, change nothing.
BOOST_AUTO_TEST_CASE(training_from_a_temporary_file_or_a_given_file_is_the_same) {
  const TempDir dir;
  const Args base = Args{"shadow", "--decoder", "unet"} + world().images() + world().recogniser() +
                    world().at_cut() + ToyWorld::tiny_training();
  succeed("train", base + Args{"--out", dir / "spooled", "--feature-memory", "0"});
  const std::string wanted = read_bytes(world().at("unet.safetensors"));
  BOOST_TEST((read_bytes(dir / "spooled") == wanted));
  succeed("train", base + Args{"--out", dir / "given", "--features", world().at("maps.npy"), "--list",
                               world().at("maps.npy.txt")});
  const auto a = Decoder::load(dir / "given"), b = Decoder::load(world().at("unet.safetensors"));
  const Tensor maps = load_npy(world().at("maps.npy")).slice_batch(0, 5);
  BOOST_TEST(same_bits(a->reconstruct(maps), b->reconstruct(maps)));
}

BOOST_AUTO_TEST_CASE(maps_are_protected_with_every_option) {
  const TempDir dir;
  const Args recogniser = world().recogniser(),
             photographs = world().images() + Args{"--list", world().at("few.txt")};
  const auto protect = [](const std::string& out) {
    return Args{"--in", world().at("few.npy"), "--out", out, "--steps", "2"};
  };
  const std::vector<Args> calls = {{"--epsilon", "0.3"},
                                   {"--norm", "l2"},
                                   {"--loss", "structure", "--method", "mi-fgsm"},
                                   Args{"--loss", "identity", "--method", "adam"} + recogniser,
                                   Args{"--objective", "shadow-pair"} + recogniser,
                                   Args{"--objective", "cycle", "--method", "bim"} + recogniser,
                                   Args{"--objective", "original"} + photographs,
                                   Args{"--keep-recognition", "0.999"} + recogniser,
                                   {"--bn", "recalibrated"},
                                   {"--shadow", world().at("resup.safetensors"), "--ensemble", "hardest"}};
  const Tensor z = load_npy(world().at("few.npy"));
  for (const Args& options : calls) {
    const Args call = world().unet() + options;
    succeed("protect", protect(dir / "p") + call + Args{"--json", dir / "j", "--report", dir / "r"});
    const Tensor p = load_npy(dir / "p");
    BOOST_TEST(p.shape() == z.shape());
    BOOST_TEST(least(p) >= 0);
    BOOST_TEST(!same_bits(p, z));
    const json result = read_json(dir / "j");
    BOOST_TEST(result["mean_loss_after"].get<double>() > result["mean_loss_before"].get<double>(),
               as_text("protect", call));
    // Chunks and threads change nothing.
    succeed("protect", protect(dir / "q") + call + Args{"--batch", "19", "--threads", "1"});
    BOOST_TEST((read_bytes(dir / "p") == read_bytes(dir / "q")), as_text("protect", call));
    if (!result.contains("keep_recognition")) continue;
    BOOST_TEST(result["least_recognition_cosine"].get<double>() >= 0.999);
    for (const std::string& line : lines_of(read_bytes(dir / "r"))) {
      const json r = json::parse(line);
      BOOST_TEST(r["recognition_cosine"].get<double>() >= 0.999);
      BOOST_TEST((r["noise_kept"].get<double>() >= 0 && r["noise_kept"].get<double>() <= 1));
    }
  }
  succeed("protect", protect(dir / "p") + world().unet() + Args{"--bn", "batch"});
}

// The command and the mode do the same.
BOOST_AUTO_TEST_CASE(a_recalibrated_shadow_is_the_mode_recalibrated) {
  const TempDir dir;
  succeed("train", Args{"recalibrate", "--in", world().at("maps.npy"), "--out", dir / "s"} + world().unet());
  succeed("protect", world().protect(dir / "a") + Args{"--shadow", dir / "s"});
  succeed("protect", world().protect(dir / "b") + world().unet() + Args{"--bn", "recalibrated"});
  succeed("protect", world().protect(dir / "c") + world().unet());
  BOOST_TEST((read_bytes(dir / "a") == read_bytes(dir / "b")));
  BOOST_TEST((read_bytes(dir / "a") != read_bytes(dir / "c")));
}

BOOST_AUTO_TEST_CASE(attack_and_evaluation_at_a_map) {
  const TempDir dir;
  const Args protection = world().unet() + Args{"--epsilon", "0.3", "--steps", "2", "--norm", "l2"};
  const Args common =
      world().images() + world().recogniser() + world().at_cut() + Args{"--feature-memory", "0"};
  succeed("train", Args{"attacker", "--decoder", "resup", "--out", dir / "adaptive"} + common + protection +
                       ToyWorld::tiny_training());
  succeed("evaluate", Args{"reconstruction", "--attacker", "adaptive=" + dir / "adaptive", "--attacker",
                           "transfer=" + world().at("deconv.safetensors"), "--json", dir / "r.json"} +
                          common + protection);
  const json r = read_json(dir / "r.json");
  std::set<std::string> seen;
  for (const json& row : r["rows"])
    seen.insert(row["attacker"].get<std::string>() + "/" + row["features"].get<std::string>());
  for (const char* row :
       {"adaptive/protected, epsilon 0.3, norm l2, steps 2", "transfer/raw",
        "transfer/protected, epsilon 0.3, norm l2, steps 2", "transfer/noise, epsilon 0.3, norm l2, steps 2"})
    BOOST_TEST(seen.contains(row), row);
  BOOST_TEST(r["cut"] == world().cut);
  const Args faces = Args{"recognition",
                          "--images",
                          world().at("faces/test/images"),
                          "--pairs",
                          world().at("faces/test/pairs.txt"),
                          "--json",
                          dir / "v.json"} +
                     world().recogniser() + world().at_cut();
  succeed("evaluate", faces + protection + Args{"--side", "both"});
  const json v = read_json(dir / "v.json");
  BOOST_TEST(v["protection"]["norm"] == "l2");
}

// A generator and an adapter, which learns through the rest of the recogniser.
BOOST_AUTO_TEST_CASE(networks_of_maps) {
  const TempDir dir;
  const Args data = world().images() + world().recogniser() + world().at_cut();
  const Args net{"--batch", "16", "--width", "16", "--blocks", "1"};
  const Args ball = world().unet() + Args{"--epsilon", "0.5"};
  succeed("train", Args{"generator", "--epochs", "3", "--out", dir / "g", "--json", dir / "g.json"} + data +
                       net + ball);
  BOOST_TEST(read_json(dir / "g.json")["history"][2]["validation_gain"].get<double>() > 1);
  const Args generated{"--protect", "generator", "--generator", dir / "g"};
  const Args bound = Args{"--keep-recognition", "0.99"} + world().recogniser();
  succeed("protect", Args{"--in", world().at("maps.npy"), "--out", dir / "p", "--json", dir / "p.json"} +
                         generated + bound);
  BOOST_TEST(least(load_npy(dir / "p")) >= 0);
  BOOST_TEST(read_json(dir / "p.json")["least_recognition_cosine"].get<double>() >= 0.99);

  succeed("train", Args{"adapter", "--epochs", "4", "--out", dir / "a", "--json", dir / "a.json"} + data +
                       net + generated);
  const json a = read_json(dir / "a.json");
  BOOST_TEST(a["trained_on"] == "protected, generator epsilon 0.5");
  BOOST_TEST(a["history"][3]["validation_cosine"].get<double>() >
             a["validation_cosine_unaided"].get<double>());
  succeed("evaluate",
          Args{"recognition", "--images", world().at("faces/test/images"), "--pairs",
               world().at("faces/test/pairs.txt"), "--json", dir / "v.json", "--adapter", dir / "a"} +
              world().recogniser() + world().at_cut() + generated);
  BOOST_TEST(read_json(dir / "v.json")["offline"]["accuracy"]["mean"].is_number());
}

// With protected features under a recalibrated shadow, which are made again.
BOOST_AUTO_TEST_CASE(an_interrupted_training_on_maps_goes_on_to_the_same_bytes) {
  const TempDir dir;
  const Args base = Args{"attacker", "--decoder", "unet",     "--bn", "recalibrated", "--steps", "1",
                         "--batch",  "16",        "--epochs", "4",    "--image-size", "32"} +
                    world().images() + world().recogniser() + world().at_cut() + world().unet();
  succeed("train", base + Args{"--out", dir / "whole"});
  Surroundings around;
  around.interrupt_when = dir / "part.checkpoint";
  const Outcome stopped = run_program("train", base + Args{"--out", dir / "part"}, around);
  complain("train", base, stopped, 130, {"interrupted"}, Late::yes);
  const auto other = run_program("train", base + Args{"--out", dir / "part", "--resume", "--epsilon", "0.3"});
  complain("train", base, other, 1, {"part.checkpoint", "another run"}, Late::yes);
  succeed("train", base + Args{"--out", dir / "part", "--resume", "--threads", "1", "--feature-memory", "0"});
  BOOST_TEST((read_bytes(dir / "part") == read_bytes(dir / "whole")));
}

// Images of 112 pixels, from a map and from a vector; beside those of another size they are refused.
BOOST_AUTO_TEST_CASE(decoders_of_larger_images) {
  const TempDir dir;
  const Args few = Args{
      "--images", world().at("faces/test/images"), "--image-size", "112", "--epochs", "1", "--batch", "8"};
  const Args map = world().recogniser() + world().at_cut();
  succeed("train", Args{"shadow", "--decoder", "unet", "--out", dir / "map"} + few + map);
  succeed("train", Args{"shadow", "--decoder", "deconv", "--out", dir / "vector"} + few +
                       static_cast<const ToyWorld&>(world()).recogniser());
  BOOST_TEST(Decoder::load(dir / "map")->info().spec.image_size == 112);
  save_npy(dir / "few.npy", load_npy(world().at("maps.npy")).slice_batch(0, 4));
  succeed("protect",
          Args{"--in", dir / "few.npy", "--out", dir / "p", "--steps", "1", "--shadow", dir / "map"});
  save_npy(dir / "few.npy", load_npy(world().at("z.npy")).slice_batch(0, 4));
  succeed("protect",
          Args{"--in", dir / "few.npy", "--out", dir / "p", "--steps", "1", "--shadow", dir / "vector"});
  refuse(dir.path().string(), "evaluate",
         Args{"reconstruction", "--attacker", dir / "map", "--attacker", world().at("unet.safetensors")} +
             world().images() + map,
         1, {"unet.safetensors", "32 pixels", "112"});
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_named) {
  const TempDir dir;
  const std::string folder = dir.path().string(), out = dir / "out";
  // Two cuts with features of one shape.
  toy_decoder(toy_recogniser(), "r")->save(dir / "r.safetensors");
  toy_decoder(toy_recogniser(), "c")->save(dir / "c.safetensors");
  const std::vector<std::string> both{"toy.json", "cut at c", "r.safetensors", "the cut r"};
  const Args at_c = world().recogniser() + Args{"--cut", "c"}, by_r{"--shadow", dir / "r.safetensors"};
  refuse(folder, "train",
         Args{"attacker", "--out", out} + world().images() + at_c + by_r + ToyWorld::tiny_training(), 1, both,
         Late::yes);
  refuse(folder, "evaluate",
         Args{"reconstruction", "--attacker", dir / "c.safetensors"} + world().images() + at_c + by_r, 1,
         both, Late::yes);
  refuse(folder, "evaluate",
         Args{"recognition", "--images", world().at("faces/test/images"), "--pairs",
              world().at("faces/test/pairs.txt")} +
             at_c + by_r,
         1, both, Late::yes);
  const std::string photograph =
      world().at("faces/images/" + lines_of(read_bytes(world().at("maps.npy.txt")))[0]);
  refuse(folder, "protect", Args{"--image", photograph, "--out", out} + at_c + by_r, 1, both, Late::yes);
  // A shadow of the embedding on maps, and the other way round.
  refuse(folder, "protect", Args{"--in", world().at("maps.npy"), "--out", out} + world().shadow(), 1,
         {"maps.npy", "[16]", world().shape.str()});
  refuse(folder, "protect", Args{"--in", world().at("z.npy"), "--out", out} + world().unet(), 1,
         {"z.npy", "[16]", world().shape.str()});
  refuse(folder, "protect", world().protect(out) + world().unet() + world().shadow(), 1,
         {"[16]", world().shape.str()});
  refuse(folder, "train",
         Args{"attacker", "--out", out} + world().images() + world().recogniser() + world().unet() +
             ToyWorld::tiny_training(),
         1, {"toy.json", "unet.safetensors", "[12]", world().shape.str()}, Late::yes);
  refuse(folder, "train", Args{"recalibrate", "--in", world().at("z.npy"), "--out", out} + world().unet(), 1,
         {"z.npy", "unet.safetensors"});
  refuse(folder, "protect", world().protect(out) + world().unet() + Args{"--loss", "identity"}, 2,
         {"identity", "--recogniser"});
  refuse(folder, "protect", world().protect(out) + world().unet() + Args{"--keep-recognition", "0.9"}, 2,
         {"keep", "--recogniser"});
  refuse(folder, "protect", world().protect(out) + world().unet() + Args{"--bn", "batch", "--batch", "1"}, 1,
         {"two records"});
}
