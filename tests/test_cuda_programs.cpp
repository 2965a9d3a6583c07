// The programs with --device cuda, on a device or emulated, end to end on a toy set: what they write and
// measure agrees with --device cpu, and a training that was interrupted goes on to the same bytes.
#define BOOST_TEST_MODULE cuda_programs
#include <cmath>

#include "cli_test_util.h"
#include "devices.h"
#include "method_test_util.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

bool usable() { return !devices_under_test().empty(); }

// Small, since an emulated device is slow: what need not be measured there is made on the CPU.
class World {
 public:
  World() {
    succeed("faces", {"--out", at("faces"), "--identities", "60", "--per-identity", "2", "--test-identities",
                      "20", "--image-size", "32", "--pairs", "1"});
    succeed("train", Args{"recogniser", "--out", at("rec.json"), "--batch", "16", "--epochs", "1"} +
                         images() + tiny_recogniser());
    succeed("extract", Args{"--out", at("z.npy")} + images() + recogniser());
    succeed("train",
            Args{"shadow", "--out", at("shadow.safetensors")} + images() + recogniser() + training());
    const std::vector<std::string> files = lines_of(read_bytes(at("z.npy.txt")));
    std::string few;
    for (size_t i = 0; i < 9; ++i) few += files[i] + "\n";
    write_bytes(at("few.txt"), few);
    const Tensor z = load_npy(at("z.npy"));
    save_npy(at("few.npy"), z.slice_batch(0, 9));
  }
  std::string at(const std::string& name) const { return dir_ / name; }
  Args images() const { return {"--images", at("faces/images")}; }
  Args few() const { return Args{"--list", at("few.txt")} + images(); }
  Args recogniser() const { return {"--recogniser", at("rec.json")}; }
  Args shadow() const { return {"--shadow", at("shadow.safetensors")}; }
  static Args tiny_recogniser() {
    return {"--architecture", "cnn_small", "--image-size", "32", "--embedding", "16", "--width", "25"};
  }
  // Two steps an epoch.
  static Args training() {
    return {"--image-size", "32", "--batch", "4", "--limit", "8", "--epochs", "1", "--lr", "1e-3"};
  }

 private:
  TempDir dir_;
};
const World& world() {
  static const World made;
  return made;
}

Args on(const std::string& device) { return {"--device", device}; }

// Of rows in two .npy files.
double distance(const std::string& a, const std::string& b) {
  return relative_error(load_npy(a), load_npy(b));
}

// Of all the weights in two files.
double weight_distance(const std::string& a, const std::string& b) {
  const auto left = load_safetensors(a).tensors, right = load_safetensors(b).tensors;
  BOOST_REQUIRE(left.size() == right.size());
  double worst = 0;
  for (const auto& [name, tensor] : left) {
    if (tensor.dtype() == DType::f32) worst = std::max(worst, relative_error(tensor, right.at(name)));
  }
  return worst;
}

// Every number of two results, but for times; words and lists must be the same.
void check_alike(const json& a, const json& b, double tolerance, const std::string& where = {}) {
  BOOST_REQUIRE_MESSAGE(a.type() == b.type() || (a.is_number() && b.is_number()), where);
  if (a.is_object() || a.is_array()) {
    BOOST_REQUIRE_MESSAGE(a.size() == b.size(), where);
    for (const auto& [key, value] : a.items()) {
      if (key.find("second") == 0 || key.find("_per_second") != std::string::npos || key == "out" ||
          key == "peak_memory_bytes")
        continue;
      const std::string inside = where + "/" + key;
      check_alike(value, a.is_object() ? b.at(key) : b.at(std::stoul(key)), tolerance, inside);
    }
  } else if (a.is_number()) {
    const double x = a.get<double>(), y = b.get<double>();
    BOOST_TEST(std::abs(x - y) <= tolerance * std::max(1.0, std::abs(y)), where << ": " << x << " and " << y);
  } else {
    BOOST_TEST(a == b, where << ": " << a << " and " << b);
  }
}

// Runs it on both devices; `out` is where the results go, with .cpu or .cuda behind it.
void both(const std::string& program, const Args& args, const std::string& out, double tolerance) {
  for (const char* device : {"cpu", "cuda"}) {
    const std::string path = out + "." + device;
    succeed(program, args + on(device) + Args{"--out", path, "--json", path + ".json"});
  }
  check_alike(read_json(out + ".cuda.json"), read_json(out + ".cpu.json"), tolerance);
}

}  // namespace

BOOST_AUTO_TEST_CASE(features_agree) {
  if (!usable()) return;
  const TempDir dir;
  both("extract", world().few() + world().recogniser(), dir / "z", 1e-6);
  BOOST_TEST(distance(dir / "z.cuda", dir / "z.cpu") < 1e-5);
  BOOST_TEST(read_bytes(dir / "z.cuda.txt") == read_bytes(dir / "z.cpu.txt"));
}

BOOST_AUTO_TEST_CASE(a_shadow_is_trained_and_protects) {
  if (!usable()) return;
  const TempDir dir;
  both("train", Args{"shadow"} + world().images() + world().recogniser() + World::training(), dir / "s",
       1e-3);
  BOOST_TEST(weight_distance(dir / "s.cuda", dir / "s.cpu") < 1e-2);
  // Each device with the shadow that it trained.
  for (const char* device : {"cpu", "cuda"})
    succeed("protect",
            on(device) + Args{"--shadow", dir / ("s." + std::string(device)), "--in", world().at("few.npy"),
                              "--epsilon", "0.1", "--steps", "3", "--out", dir / ("z." + std::string(device)),
                              "--report", dir / ("r." + std::string(device))});
  // A sign of a small gradient may differ.
  BOOST_TEST(distance(dir / "z.cuda", dir / "z.cpu") < 5e-2);
  const auto here = lines_of(read_bytes(dir / "r.cuda")), there = lines_of(read_bytes(dir / "r.cpu"));
  BOOST_REQUIRE(here.size() == 9u);
  BOOST_REQUIRE(there.size() == 9u);
  for (size_t i = 0; i < here.size(); ++i) {
    const json a = json::parse(here[i]), b = json::parse(there[i]);
    BOOST_TEST(a["loss_before"].get<double>() == b["loss_before"].get<double>(),
               boost::test_tools::tolerance(2e-2));
    BOOST_TEST(a["loss_after"].get<double>() > 2 * a["loss_before"].get<double>());
    BOOST_TEST(a["loss_after"].get<double>() == b["loss_after"].get<double>(),
               boost::test_tools::tolerance(0.1));
  }
}

BOOST_AUTO_TEST_CASE(an_interrupted_training_goes_on_to_the_same_bytes) {
  if (!usable()) return;
  const TempDir dir;
  Args base;
  for (const char* epochs : {"2", "100"}) {  // many where they are too short to be interrupted
    base = Args{"shadow"} + on("cuda") + world().images() + world().recogniser() +
           Args{"--image-size", "32", "--batch", "4", "--limit", "8", "--epochs", epochs};
    const auto start = std::chrono::steady_clock::now();
    succeed("train", base + Args{"--out", dir / "whole"});
    if (std::chrono::steady_clock::now() - start > std::chrono::seconds(3)) break;
  }
  Surroundings around;
  around.interrupt_when = dir / "part.checkpoint";
  const Outcome stopped = run_program("train", base + Args{"--out", dir / "part"}, around);
  BOOST_TEST(stopped.code == 130, stopped.err);
  BOOST_REQUIRE(std::filesystem::exists(dir / "part.checkpoint"));
  succeed("train", base + Args{"--resume", "--out", dir / "part"});
  BOOST_TEST((read_bytes(dir / "part") == read_bytes(dir / "whole")));
}

BOOST_AUTO_TEST_CASE(the_other_networks_are_trained) {
  if (!usable()) return;
  const TempDir dir;
  const Args faces = world().images() + world().recogniser(), few{"--batch", "4", "--limit", "8"};
  const Args once = few + Args{"--epochs", "1"};
  both("train",
       Args{"attacker", "--image-size", "32", "--epsilon", "0.05", "--steps", "1"} + faces + once +
           world().shadow(),
       dir / "attacker", 1e-2);
  both("train",
       Args{"generator", "--epsilon", "0.05", "--width", "16", "--blocks", "1"} + faces + once +
           world().shadow(),
       dir / "generator", 1e-2);
  both("train",
       Args{"adapter", "--epsilon", "0.05", "--steps", "1", "--width", "16", "--blocks", "1"} + faces + once +
           world().shadow(),
       dir / "adapter", 1e-2);
  both("train", Args{"recalibrate", "--in", world().at("few.npy")} + world().shadow(), dir / "recalibrated",
       1e-6);
  BOOST_TEST(weight_distance(dir / "recalibrated.cuda", dir / "recalibrated.cpu") < 1e-4);
  BOOST_TEST(weight_distance(dir / "recalibrated.cuda", world().at("shadow.safetensors")) > 1e-2);
}

// Features that are maps, not negative, at a cut before the embedding: with the recogniser in the loop, with
// photographs, with a bound, with every kind of step.
BOOST_AUTO_TEST_CASE(maps_are_protected_in_every_way) {
  if (!usable()) return;
  const TempDir dir;
  write_bytes(dir / "toy.json", kToyCard);
  write_bytes(dir / "toy.onnx", toy_model());
  const Args card{"--recogniser", dir / "toy.json"}, cut{"--cut", "p"};
  both("extract", world().few() + card + cut, dir / "z", 1e-6);
  BOOST_TEST(distance(dir / "z.cuda", dir / "z.cpu") < 1e-5);
  succeed("train", Args{"shadow", "--decoder", "deconv", "--out", dir / "s"} + world().images() + card + cut +
                       World::training());
  const Args base = card + Args{"--in", dir / "z.cpu", "--shadow", dir / "s", "--epsilon", "0.5"};
  const std::vector<Args> ways = {
      {"--norm", "l2", "--method", "mi-fgsm", "--steps", "2"},
      {"--method", "adam", "--loss", "structure", "--steps", "2", "--keep-recognition", "0.99"},
      Args{"--objective", "original", "--steps", "2"} + world().few(),
      {"--objective", "cycle", "--loss", "identity", "--steps", "1"},
      {"--objective", "shadow-pair", "--bn", "recalibrated", "--method", "fgsm"}};
  for (const Args& way : ways) {
    std::vector<json> reports;
    for (const char* device : {"cpu", "cuda"}) {
      succeed("protect", base + way + on(device) + Args{"--out", dir / "p", "--report", dir / "r"});
      auto list = json::array();
      for (const std::string& line : lines_of(read_bytes(dir / "r"))) list.push_back(json::parse(line));
      BOOST_TEST(list.size() == 9u);
      reports.push_back(list);
    }
    for (size_t i = 0; i < 9; ++i)
      for (const auto& [key, there] : reports[0][i].items())
        if (there.is_number()) {  // not the list of losses, nor what is proved whatever the device
          const double a = there.get<double>(), b = reports[1][i].at(key).get<double>();
          // Of the start alone rounding decides nothing.
          BOOST_TEST(std::abs(a - b) < (key == "loss_before" ? 1e-3 : 0.1) * (std::abs(a) + 1e-7),
                     way[1] << ", record " << i << ", " << key << ": " << a << " and " << b);
        }
  }
}

BOOST_AUTO_TEST_CASE(a_recogniser_is_trained) {
  if (!usable()) return;
  const TempDir dir;
  both("train",
       Args{"recogniser", "--batch", "32", "--epochs", "1"} + world().images() + World::tiny_recogniser(),
       dir / "rec", 2e-2);
  // The card names its network, which any device reads.
  for (const char* device : {"cpu", "cuda"}) {
    const Args card{"--recogniser", dir / ("rec." + std::string(device))};
    succeed("extract", Args{"--out", dir / ("z." + std::string(device))} + card + world().few());
  }
  BOOST_TEST(distance(dir / "z.cuda", dir / "z.cpu") < 0.1);
}

BOOST_AUTO_TEST_CASE(evaluations_agree) {
  if (!usable()) return;
  const TempDir dir;
  const Args noise = world().shadow() + Args{"--epsilon", "0.1", "--steps", "1"};
  for (const char* device : {"cpu", "cuda"}) {
    succeed("evaluate", Args{"recognition", "--pairs", world().at("faces/test/pairs.txt"), "--images",
                             world().at("faces/test/images"), "--json", dir / (device + std::string("1"))} +
                            world().recogniser() + noise + on(device));
    succeed("evaluate",
            Args{"reconstruction", "--attacker", world().at("shadow.safetensors"), "--limit", "4", "--sheet",
                 dir / (device + std::string(".png")), "--json", dir / (device + std::string("2"))} +
                world().images() + world().recogniser() + noise + on(device));
  }
  check_alike(read_json(dir / "cuda1"), read_json(dir / "cpu1"), 0.06);
  json here = read_json(dir / "cuda2"), there = read_json(dir / "cpu2");
  here.erase("sheet");
  there.erase("sheet");
  check_alike(here, there, 0.05);
}
