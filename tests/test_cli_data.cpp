// What the programs do with damaged files, with files that do not belong together and with broken pictures:
// exit code 1, one line that names the file, and nothing left behind.
#define BOOST_TEST_MODULE cli_data
#include <cmath>

#include "cli_test_util.h"
#include "nn/state_dict.h"
#include "onnx_test_util.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"

using namespace advf;
using namespace advf::test;

namespace {

const ToyWorld& world() { return toy_world(); }

Args extract_call(const std::string& out) {
  return Args{"--out", out} + world().images() + world().recogniser();
}
Args protect_call(const std::string& out, const std::string& features) {
  return Args{"--out", out, "--steps", "1", "--in", features, "--shadow", world().at("shadow.safetensors")};
}
Args train_call(const std::string& out) {
  return Args{"shadow", "--out", out} + world().recogniser() + ToyWorld::tiny_training();
}

// The file cut at several places, one after the other, under `name`; `use` must refuse each.
void cut_short(const TempDir& dir, const std::string& file, const std::string& name,
               const std::function<void(const std::string& path)>& use) {
  const std::string whole = read_bytes(file);
  for (size_t length : {size_t(0), size_t(7), whole.size() / 3, whole.size() - 1}) {
    write_bytes(dir / name, whole.substr(0, length));
    use(dir / name);
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(files_that_are_cut_short) {
  const TempDir dir;
  const std::string out = dir / "out", folder = dir.path().string();
  cut_short(dir, world().at("z.npy"), "cut.npy", [&](const std::string& path) {
    refuse(folder, "protect", protect_call(out, path), 1, {path});
    refuse(folder, "train",
           train_call(out) + world().images() + Args{"--features", path, "--list", world().at("z.npy.txt")},
           1, {path});
  });
  cut_short(dir, world().at("shadow.safetensors"), "cut.safetensors", [&](const std::string& path) {
    refuse(folder, "inspect", {path}, 1, {path});
    refuse(folder, "protect", {"--in", world().at("z.npy"), "--out", out, "--shadow", path}, 1, {path});
    refuse(folder, "evaluate",
           Args{"reconstruction", "--attacker", path} + world().images() + world().recogniser(), 1, {path});
  });
  write_bytes(dir / "whole.onnx", read_bytes(world().at("rec.onnx")));
  const std::string card = read_bytes(world().at("rec.json"));
  cut_short(dir, world().at("rec.onnx"), "rec.onnx", [&](const std::string& path) {
    refuse(folder, "inspect", {path}, 1, {path});
    write_bytes(dir / "rec.json", card);
    refuse(folder, "extract", Args{"--recogniser", dir / "rec.json", "--out", out} + world().images(), 1,
           {path});
  });
  cut_short(dir, world().at("rec.json"), "cut.json", [&](const std::string& path) {
    if (read_bytes(path).size() + 2 > card.size()) return;  // only the last line's end is missing
    refuse(folder, "inspect", {path}, 1, {path});
    refuse(folder, "extract", Args{"--recogniser", path, "--out", out} + world().images(), 1, {path});
  });
  const std::string labels = read_bytes(world().at("faces/labels.csv"));
  for (size_t length : {size_t(0), size_t(4), labels.size() / 3, labels.size() - 5}) {
    write_bytes(dir / "cut.csv", labels.substr(0, length));
    // A whole line may be missing: then it is an image that has no label.
    refuse(folder, "train", train_call(out) + world().images() + Args{"--labels", dir / "cut.csv"}, 1, {},
           Late::yes);
  }
  cut_short(dir, world().at("faces/test/pairs.txt"), "cut.txt", [&](const std::string& path) {
    if (read_bytes(path).size() + 1 == read_bytes(world().at("faces/test/pairs.txt")).size()) return;
    refuse(folder, "evaluate",
           Args{"recognition", "--pairs", path, "--images", world().at("faces/test/images")} +
               world().recogniser(),
           1, {path});
  });
}

BOOST_AUTO_TEST_CASE(features_that_do_not_fit) {
  const TempDir dir;
  const std::string out = dir / "out", folder = dir.path().string();
  const int64_t d = ToyWorld::kDimension;
  const auto features = [&](const char* name, const Tensor& rows) {
    save_npy(dir / name, rows);
    return dir / name;
  };
  std::vector<float> unit(size_t(4 * d), 0.0f);
  for (int64_t i = 0; i < 4; ++i) unit[size_t(i * d + i)] = 1;
  const auto changed = [&](int64_t row, float value) {
    std::vector<float> v = unit;
    v[size_t(row * d + row)] = value;
    return Tensor::from(v, {4, d});
  };
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {features("wide.npy", Tensor::zeros({4, d + 1})), {"wide.npy", "17", "16"}},
      {features("map.npy", Tensor::zeros({4, d, 1, 1})), {"map.npy", "shape"}},
      {features("number.npy", Tensor::zeros({})), {"number.npy"}},
      {features("nan.npy", changed(2, NAN)), {"nan.npy", "row 2", "nan"}},
      {features("inf.npy", changed(3, INFINITY)), {"inf.npy", "row 3", "inf"}},
      {features("zero.npy", changed(1, 0)), {"zero.npy", "row 1"}},
      {features("long.npy", changed(0, 7)), {"long.npy", "row 0", "norm 7"}}};
  for (const auto& [path, words] : cases) refuse(folder, "protect", protect_call(out, path), 1, words);
  // The bad record lies in a later chunk.
  refuse(folder, "protect",
         protect_call(out, dir / "nan.npy") + Args{"--batch", "1", "--report", dir / "report"}, 1, {"row 2"});

  write_bytes(dir / "short.txt", "a.png\nb.png\n");
  refuse(folder, "train",
         train_call(out) + world().images() +
             Args{"--features", world().at("z.npy"), "--list", dir / "short.txt"},
         1, {"z.npy", "200", "short.txt", "2"});
  refuse(folder, "evaluate",
         Args{"recognition", "--pairs", world().at("faces/test/pairs.txt"), "--images",
              world().at("faces/test/images"), "--protected", world().at("z.npy"), "--protected-list",
              world().at("z.npy.txt")} +
             world().recogniser(),
         1, {"z.npy.txt", "does not name"}, Late::yes);
  refuse(folder, "evaluate",
         Args{"reconstruction", "--attacker", world().at("shadow.safetensors"), "--protected",
              "p=" + dir / "wide.npy"} +
             world().images() + world().recogniser(),
         1, {"wide.npy", "shape"}, Late::yes);
}

BOOST_AUTO_TEST_CASE(decoders_of_another_recogniser_or_cut) {
  const TempDir dir;
  const std::string out = dir / "out", folder = dir.path().string(),
                    shadow = world().at("shadow.safetensors");
  // A recogniser with an embedding of another length, and one with other weights.
  const Args other =
      Args{"recogniser", "--out", dir / "other.json", "--batch", "16", "--epochs", "1", "--seed", "3"} +
      world().images() + ToyWorld::tiny_recogniser();
  succeed("train", other);
  const TensorFile file = load_safetensors(shadow);
  Metadata metadata = file.metadata;
  metadata["cut"] = "elsewhere";
  save_safetensors(dir / "cut.safetensors", file.tensors, metadata);
  metadata = file.metadata;
  metadata.erase("format");
  save_safetensors(dir / "weights.safetensors", file.tensors, metadata);
  metadata = file.metadata;
  metadata["decoder"] = "gan";
  save_safetensors(dir / "gan.safetensors", file.tensors, metadata);
  TensorMap fewer = file.tensors;
  const std::string lost = fewer.begin()->first;
  fewer.erase(fewer.begin());
  save_safetensors(dir / "fewer.safetensors", fewer, file.metadata);

  const auto attack = [&](const std::string& card, const std::string& decoder) {
    return Args{"reconstruction", "--recogniser", card, "--attacker", decoder} + world().images();
  };
  const std::string card = world().at("rec.json");
  refuse(folder, "evaluate", attack(dir / "other.json", shadow), 1, {"other.json", shadow, "recogniser"});
  refuse(folder, "evaluate", attack(card, dir / "cut.safetensors"), 1, {"cut.safetensors", "elsewhere"});
  refuse(folder, "evaluate", attack(card, dir / "weights.safetensors"), 1, {"weights.safetensors", "format"});
  refuse(folder, "evaluate", attack(card, dir / "gan.safetensors"), 1, {"gan", "deconv", "resup"});
  refuse(folder, "evaluate", attack(card, dir / "fewer.safetensors"), 1, {"fewer.safetensors", lost});
  refuse(folder, "evaluate", attack(card, shadow) + Args{"--attacker", dir / "cut.safetensors"}, 1,
         {"cut.safetensors", "elsewhere"});
  refuse(folder, "train",
         Args{"attacker", "--out", out, "--recogniser", dir / "other.json", "--shadow", shadow} +
             world().images() + ToyWorld::tiny_training(),
         1, {"other.json", shadow}, Late::yes);
  refuse(folder, "extract", extract_call(out) + Args{"--cut", "nowhere"}, 1, {"rec.onnx", "nowhere"});
  refuse(folder, "train", train_call(out) + world().images() + Args{"--cut", "nowhere"}, 1,
         {"rec.onnx", "nowhere"});
  write_bytes(dir / "thresholds.json", R"({"judges": {"second": {"threshold": 0.5}}})");
  refuse(folder, "evaluate", attack(card, shadow) + Args{"--thresholds", dir / "thresholds.json"}, 1,
         {"thresholds.json", "deployed"}, Late::yes);
}

BOOST_AUTO_TEST_CASE(broken_pictures_are_counted_and_too_many_end_the_run) {
  const TempDir dir;
  const std::string out = dir / "out", images = dir / "images", folder = dir.path().string();
  std::filesystem::copy(world().at("faces/images"), images, std::filesystem::copy_options::recursive);
  const auto names = lines_of(read_bytes(world().at("z.npy.txt")));
  const std::string good = read_bytes(images + "/" + names[5]);
  write_bytes(images + "/" + names[5], good.substr(0, good.size() / 2));
  write_bytes(images + "/" + names[9], "not a picture");
  write_bytes(images + "/" + names[11], "");
  const Args call = Args{"--images", images, "--out", out} + world().recogniser();
  // 3 of 200 are 1.5 %.
  refuse(folder, "extract", call, 1, {images, "3 of 200", "1 %", names[5]}, Late::yes);
  refuse(folder, "extract", call + Args{"--batch", "1"}, 1, {images, "of 200", names[11]}, Late::yes);
  refuse(folder, "train", train_call(out) + Args{"--images", images}, 1, {images, "3 of 200"}, Late::yes);
  refuse(folder, "train",
         Args{"recogniser", "--out", out, "--batch", "16", "--images", images} + ToyWorld::tiny_recogniser(),
         1, {images, "3 of 200"}, Late::yes);

  const Outcome o = succeed("extract", call + Args{"--max-broken", "0.02", "--json", dir / "z.json"});
  BOOST_TEST(o.out.find("3 images could not be read") != std::string::npos, o.out);
  BOOST_TEST(o.err.find(names[9]) != std::string::npos, "the broken pictures are not named: " << o.err);
  const nlohmann::json result = read_json(dir / "z.json");
  BOOST_TEST(result["images"] == 197);
  BOOST_TEST(result["broken"] == 3);
  const auto listed = lines_of(read_bytes(out + ".txt"));
  BOOST_TEST(listed.size() == 197u);
  BOOST_TEST((std::find(listed.begin(), listed.end(), names[9]) == listed.end()));
  // The others have the features that they have without broken neighbours.
  const Tensor all = load_npy(world().at("z.npy")), rest = load_npy(out);
  BOOST_TEST((all.slice_batch(12, 200).to_vector<float>() == rest.slice_batch(9, 197).to_vector<float>()));
  succeed("train", train_call(dir / "decoder") + Args{"--images", images, "--max-broken", "0.02"});
}

// Rows of files that are not finite or no unit vectors, wherever they come in, by file and row.
BOOST_AUTO_TEST_CASE(rows_that_are_no_features) {
  const TempDir dir;
  const std::string out = dir / "out", folder = dir.path().string();
  const Tensor z = load_npy(world().at("z.npy"));
  const std::string list = world().at("z.npy.txt");
  const auto spoilt = [&](const std::string& name, size_t row, const std::function<float(float)>& change) {
    auto values = z.to_vector<float>();
    for (size_t k = 0; k < 16; ++k) values[row * 16 + k] = change(values[row * 16 + k]);
    save_npy(dir / name, Tensor::from(values, z.shape()));
    return dir / name;
  };
  const std::string nan = spoilt("nan.npy", 3, [](float) { return NAN; }),
                    zero = spoilt("zero.npy", 5, [](float) { return 0.f; }),
                    twice = spoilt("twice.npy", 7, [](float v) { return 2 * v; });
  const std::string pairs = dir / "pairs.csv";
  succeed("evaluate", Args{"pairs", "--split", "all", "--folds", "2", "--out", pairs} + world().images());
  const auto recognition = [&](const std::string& file) {
    return Args{"recognition", "--pairs", pairs, "--protected", file, "--protected-list", list} +
           world().images() + world().recogniser();
  };
  succeed("evaluate", recognition(world().at("z.npy")));  // what is refused below is not the call
  for (const auto& [file, row, word] :
       {std::tuple(nan, "row 3", "finite"), {zero, "row 5", "zero"}, {twice, "row 7", "norm 2"}}) {
    refuse(folder, "train", train_call(out) + world().images() + Args{"--features", file, "--list", list}, 1,
           {file, row, word}, Late::yes);
    refuse(folder, "train",
           {"recalibrate", "--shadow", world().at("shadow.safetensors"), "--in", file, "--out", out}, 1,
           {file, row, word});
    refuse(folder, "protect", {"--shadow", world().at("shadow.safetensors"), "--in", file, "--out", out}, 1,
           {file, row, word});
    refuse(folder, "evaluate", recognition(file), 1, {file, row, word}, Late::yes);
    refuse(folder, "evaluate",
           Args{"reconstruction", "--attacker", world().at("shadow.safetensors"), "--fmr", "0.1",
                "--protected", "x=" + file} +
               world().images() + world().recogniser(),
           1, {file, row, word}, Late::yes);
  }
}

// A recogniser that divides each picture by its own length: a black one has none, and is a broken picture.
BOOST_AUTO_TEST_CASE(a_picture_without_a_feature_is_broken) {
  const TempDir dir;
  write_bytes(dir / "net.onnx", OnnxBuilder()
                                    .input("x", {1, 3, 4, 4})
                                    .output("e")
                                    .floats("w", {48, 16}, std::vector<float>(768, 0.1f))
                                    .node("Flatten", {"x"}, {"f"})
                                    .node("ReduceL2", {"f"}, {"n"}, {{"axes", {1}}})
                                    .node("Div", {"f", "n"}, {"d"})
                                    .node("MatMul", {"d", "w"}, {"e"})
                                    .bytes());
  write_bytes(dir / "net.json", R"({"model": "net.onnx",
    "input": {"name": "x", "width": 4, "height": 4, "channels": "RGB", "mean": 0, "scale": 1},
    "crop": {"template": "arcface112", "margin": 0},
    "embedding": {"name": "e", "dimension": 16, "unit_norm": false, "normalise": true}, "metric": "cosine"})");
  for (int i = 0; i < 4; ++i)
    write_bytes(dir / ("images/" + std::to_string(i) + ".ppm"),
                "P6 4 4 255\n" + std::string(48, char(i == 2 ? 0 : 40 + i)));
  const Args call{"--recogniser", dir / "net.json", "--images", dir / "images", "--out", dir / "z.npy"};
  refuse(dir.path().string(), "extract", call, 1, {"1 of 4", "2.ppm", "not finite"}, Late::yes);
  const Outcome o = succeed("extract", call + Args{"--max-broken", "0.5", "--json", dir / "z.json"});
  BOOST_TEST(o.err.find("2.ppm: its feature is not finite") != std::string::npos, o.err);
  BOOST_TEST(
      (lines_of(read_bytes(dir / "z.npy.txt")) == std::vector<std::string>{"0.ppm", "1.ppm", "3.ppm"}));
  BOOST_TEST(load_npy(dir / "z.npy").dim(0) == 3);
  BOOST_TEST(read_json(dir / "z.json")["broken"] == 1);

  // An embedding of zero, which cannot be normalised.
  write_bytes(dir / "net.onnx", OnnxBuilder()
                                    .input("x", {1, 3, 4, 4})
                                    .output("e")
                                    .floats("w", {48, 16}, std::vector<float>(768, 0.1f))
                                    .node("Flatten", {"x"}, {"f"})
                                    .node("MatMul", {"f", "w"}, {"e"})
                                    .bytes());
  refuse(dir.path().string(), "extract", call, 1, {"1 of 4", "2.ppm", "no direction"}, Late::yes);
  succeed("extract", call + Args{"--max-broken", "0.5"});
  BOOST_TEST(load_npy(dir / "z.npy").dim(0) == 3);
  // Where no picture has a feature the network or its card is at fault, not a picture.
  for (int i = 0; i < 4; ++i)
    write_bytes(dir / ("images/" + std::to_string(i) + ".ppm"), "P6 4 4 255\n" + std::string(48, '\0'));
  refuse(dir.path().string(), "extract", call + Args{"--max-broken", "1"}, 1,
         {"net.json", "each of 4 pictures"}, Late::yes);
}

// A training that has gone astray is no success, whatever its loss says; neither is a protection without
// noise.
BOOST_AUTO_TEST_CASE(trainings_that_diverge) {
  const TempDir dir;
  const std::string out = dir / "out", folder = dir.path().string();
  const Args set = Args{"--out", out, "--batch", "16", "--epochs", "2"} + world().images();
  const Args nets = set + world().recogniser() + world().shadow();
  refuse(folder, "train", Args{"generator", "--lr", "100"} + nets, 1, {"diverged", "--lr"}, Late::yes);
  refuse(folder, "train", Args{"adapter", "--lr", "1e30", "--steps", "1"} + nets, 1, {"diverged", "--lr"},
         Late::yes);
  refuse(folder, "train", Args{"recogniser", "--lr", "1e4"} + set + ToyWorld::tiny_recogniser(), 1,
         {"diverged", "--lr"}, Late::yes);
  refuse(folder, "protect", protect_call(out, world().at("z.npy")) + Args{"--step-size", "1e-30"}, 1,
         {"record 0", "at every step"}, Late::yes);
  refuse(folder, "protect", protect_call(out, world().at("z.npy")) + Args{"--epsilon", "0"}, 2,
         {"--epsilon 0"});
}

// What the command line, the names of the files and their heads tell is told before any picture is read: then
// one line is all that is printed.
BOOST_AUTO_TEST_CASE(what_can_be_told_before_the_work_is) {
  const TempDir dir;
  const std::string out = dir / "out", folder = dir.path().string(), missing = dir / "nowhere",
                    shadow = world().at("shadow.safetensors"), tests = world().at("faces/test/images");
  const auto file = [&](const char* name, const std::string& text) {
    write_bytes(dir / name, text);
    return dir / name;
  };
  const auto names = lines_of(read_bytes(world().at("z.npy.txt")));
  const std::string few = file("few.txt", names[0] + "\n" + names[1] + "\n");
  const std::string labels = file("labels.csv", "file,identity\n" + names[0] + ",a\n");
  const std::string fingerprint = read_json(world().at("z.json"))["recogniser"];
  const std::string thresholds =
      file("thresholds.json", R"({"fmr": 0.001, "judges": {"deployed": {"threshold": 0.5, "fingerprint": ")" +
                                  fingerprint + "\"}}}");
  const Tensor z = load_npy(world().at("z.npy"));
  std::vector<float> rows = z.to_vector<float>();
  rows.back() = NAN;
  save_npy(dir / "nan.npy", Tensor::from(rows, z.shape()));

  const Args attack = Args{"reconstruction", "--attacker", shadow} + world().images() + world().recogniser();
  const std::vector<std::pair<Args, std::vector<std::string>>> reconstruction = {
      {{"--split", "all"}, {shadow, "trained on"}},
      {{"--split", "all", "--thresholds", thresholds}, {shadow, "trained on"}},
      {{"--labels", labels}, {"labels.csv", names[1]}},
      {{"--list", few}, {"no image to test on"}},
      {{"--thresholds", missing}, {missing}},
      {{"--second-recogniser", missing}, {missing}},
      {{"--thresholds", thresholds, "--second-recogniser", world().at("rec.json")}, {"second"}},
      {{"--protected", "p=" + missing}, {missing}},
      {{"--protected", "p=" + dir / "nan.npy"}, {"nan.npy", "row 199"}},
      {{"--shadow", missing}, {missing}}};
  for (const auto& [more, words] : reconstruction) refuse(folder, "evaluate", attack + more, 1, words);

  refuse(folder, "evaluate",
         Args{"reconstruction", "--attacker", shadow, "--split", "all", "--images", tests} +
             world().recogniser(),
         1, {"outside the test", "--thresholds"});

  const Args pairs = Args{"recognition", "--pairs", world().at("faces/test/pairs.txt"), "--images", tests} +
                     world().recogniser();
  const std::vector<std::pair<Args, std::vector<std::string>>> recognition = {
      {{"--protected", world().at("z.npy"), "--protected-list", few}, {"z.npy", "200", "few.txt", "2"}},
      {{"--protected", dir / "nan.npy", "--protected-list", world().at("z.npy.txt")}, {"nan.npy", "row 199"}},
      {{"--shadow", shadow, "--list", few}, {"few.txt", "does not name"}},
      {{"--shadow", missing}, {missing}}};
  for (const auto& [more, words] : recognition) refuse(folder, "evaluate", pairs + more, 1, words);

  const Args train = Args{"--out", out} + world().images() + world().recogniser();
  const Args usual = ToyWorld::tiny_training(), one_step{"--steps", "1", "--shadow", shadow};
  const std::vector<std::pair<Args, std::vector<std::string>>> training = {
      {Args{"shadow", "--labels", labels} + usual, {"labels.csv", names[1]}},
      {Args{"shadow", "--list", few} + usual, {"images to train on", "16"}},
      {{"shadow", "--image-size", "32", "--batch", "2000"}, {"images to train on", "2000"}},
      {Args{"shadow", "--resume"} + usual, {"out.checkpoint", "--resume"}},
      {Args{"shadow", "--from", missing} + usual, {missing}},
      {Args{"shadow", "--from", shadow, "--image-size", "64", "--batch", "16"}, {shadow, "64"}},
      {Args{"attacker", "--shadow", missing} + usual, {missing}},
      {{"generator", "--shadow", shadow, "--batch", "2000"}, {"images to train on", "2000"}},
      {Args{"generator", "--resume"} + Args{"--shadow", shadow, "--batch", "16"}, {"out.checkpoint"}},
      {Args{"adapter", "--labels", labels, "--batch", "16"} + one_step, {"labels.csv", names[1]}},
      {{"adapter", "--shadow", missing, "--batch", "16"}, {missing}}};
  for (const auto& [verb, words] : training) {
    const Args call = Args{verb[0]} + train + Args(verb.begin() + 1, verb.end());
    refuse(folder, "train", call, 1, words);
  }
  const Args recogniser = Args{"recogniser", "--out", out} + world().images() + ToyWorld::tiny_recogniser();
  refuse(folder, "train", recogniser + Args{"--batch", "2000"}, 1, {"images to train on", "2000"});
  refuse(folder, "train", recogniser + Args{"--labels", labels}, 1, {"labels.csv", names[1]});
  refuse(folder, "train", recogniser + Args{"--batch", "16", "--resume"}, 1, {"out.checkpoint"});
  refuse(folder, "protect",
         Args{"--image", world().at("faces/images/" + names[0]), "--out", out, "--shadow", missing} +
             world().recogniser(),
         1, {missing});
}

BOOST_AUTO_TEST_CASE(pictures_all_broken) {
  const TempDir dir;
  for (const char* name : {"a/1.png", "b/2.jpg"})
    write_bytes(dir / ("images/" + std::string(name)), "broken");
  const Args images{"--images", dir / "images", "--max-broken", "1"};
  const std::string out = dir / "out", folder = dir.path().string();
  refuse(folder, "extract", Args{"--out", out} + images + world().recogniser(), 1,
         {dir / "images", "no image"}, Late::yes);
  refuse(folder, "train", train_call(out) + images, 1, {}, Late::yes);
  refuse(folder, "train", Args{"recogniser", "--out", out} + images + ToyWorld::tiny_recogniser(), 1, {},
         Late::yes);
  refuse(
      folder, "evaluate",
      Args{"reconstruction", "--attacker", world().at("shadow.safetensors")} + images + world().recogniser(),
      1, {}, Late::yes);
}
