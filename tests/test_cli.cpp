// The programs one after the other, as a user runs them, on a toy set: their files, their results and that
// neither threads nor batches change a byte.
#define BOOST_TEST_MODULE cli
#include <set>

#include "advface/core/dataset.h"
#include "cli_test_util.h"
#include "nn/state_dict.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

const ToyWorld& world() { return toy_world(); }

bool between(const json& v, double low, double high) {
  return v.is_number() && v.get<double>() >= low && v.get<double>() <= high;
}

std::set<std::string> keys_of(const json& object) {
  std::set<std::string> keys;
  for (const auto& [key, unused] : object.items()) keys.insert(key);
  return keys;
}

// The largest deviation of a row's norm from 1.
double off_the_sphere(const Tensor& rows) {
  double worst = 0;
  for (int64_t i = 0; i < rows.dim(0); ++i) {
    double norm = 0;
    for (float v : rows.slice_batch(i, i + 1).to_vector<float>()) norm += double(v) * double(v);
    worst = std::max(worst, std::abs(std::sqrt(norm) - 1));
  }
  return worst;
}

void check_history(const json& result, int epochs, const std::string& score) {
  BOOST_TEST(result["history"].size() == size_t(epochs));
  for (size_t e = 0; e < result["history"].size(); ++e) {
    const json& h = result["history"][e];
    BOOST_TEST(h["epoch"] == int(e) + 1);
    BOOST_TEST(between(h["train_loss"], 0, 100));
    BOOST_TEST(h["validation_loss"].is_number());
    BOOST_TEST(between(h["validation_" + score], -1, 1));
  }
}

}  // namespace

namespace {

constexpr const char* kPrograms[] = {"faces", "protect", "extract", "inspect", "train", "evaluate", "bench"};

// The verbs that a program names in its help.
std::vector<std::string> verbs_of(const std::string& program) {
  std::vector<std::string> verbs;
  bool listed = false;
  for (const std::string& line : lines_of(run_program(program, {"--help"}).out)) {
    if (listed && line.starts_with("  ") && line.find_first_not_of(' ') == 2)
      verbs.push_back(line.substr(2, line.find(' ', 2) - 2));
    else if (listed && !line.starts_with("  "))
      break;
    listed = listed || line.starts_with("Subcommands:");
  }
  return verbs;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_program_explains_itself) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const char* program : kPrograms) {
    all.emplace_back(program, "");
    for (const std::string& verb : verbs_of(program)) all.emplace_back(program, verb);
  }
  BOOST_TEST(all.size() >= 7u + 10u);  // the verbs were found
  for (const auto& [program, verb] : all) {
    const Args args = verb.empty() ? Args{"--help"} : Args{verb, "--help"};
    const Outcome o = run_program(program, args);
    const std::string command = as_text(program, args);
    BOOST_TEST(o.code == 0, command);
    BOOST_TEST(o.err.empty(), command << ": " << o.err);
    BOOST_TEST(o.out.find("advface-" + program) != std::string::npos, command);
    BOOST_TEST(o.out.find("Example") != std::string::npos, command << " gives no example");
    const bool only_verbs = verb.empty() && (program == "train" || program == "evaluate");
    const char* with_default = program == "bench" ? "--repeat" : "--seed";
    const std::vector<std::string> lines = lines_of(o.out);
    const auto option = std::find_if(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find(with_default) != std::string::npos;
    });
    BOOST_TEST(
        (only_verbs || (option != lines.end() && option->find_first_of("0123456789") != std::string::npos)),
        command << " does not tell the default of " << with_default);
  }
  for (const char* program : kPrograms) {
    const Outcome o = run_program(program, {"--version"});
    BOOST_TEST((o.code == 0 && o.out == "0.1.0\n" && o.err.empty()), program << ": " << o.out << o.err);
  }
}

BOOST_AUTO_TEST_CASE(faces_are_as_many_as_asked_for_and_the_same_at_any_thread_count) {
  const json result = read_json(world().at("faces.json"));
  BOOST_TEST(result["images"] == (ToyWorld::kPeople + ToyWorld::kTestPeople) * ToyWorld::kPhotos);
  BOOST_TEST(result["pairs"] == 40);
  const Labels labels = load_labels(world().at("faces/labels.csv"));
  BOOST_TEST(labels.size() == ToyWorld::kPeople * ToyWorld::kPhotos);
  const PairList pairs = load_pairs(world().at("faces/test/pairs.txt"));
  BOOST_TEST((pairs.folds == 10 && pairs.per_fold == 2));
  const TempDir dir;
  const Args small{"--identities",      "5", "--per-identity", "2", "--image-size", "32",
                   "--test-identities", "0", "--pairs",        "0"};
  succeed("faces", small + Args{"--out", dir / "one", "--threads", "1"});
  succeed("faces", small + Args{"--out", dir / "three", "--threads", "3"});
  BOOST_TEST(tree(dir / "one") == tree(dir / "three"));
  for (const std::string& name : tree(dir / "one"))
    if (!std::filesystem::is_directory(dir / ("one/" + name)))
      BOOST_TEST((read_bytes(dir / ("one/" + name)) == read_bytes(dir / ("three/" + name))), name);
}

BOOST_AUTO_TEST_CASE(a_recogniser_is_trained_and_inspected) {
  const json trained = read_json(world().at("rec.result.json"));
  BOOST_TEST(trained["architecture"] == "cnn_small");
  BOOST_TEST(between(trained["people"], 60, 95));
  BOOST_TEST(trained["train_images"] == trained["people"].get<int>() * ToyWorld::kPhotos);
  BOOST_TEST(between(trained["validation_pairs"], 20, 100));
  check_history(trained, 2, "accuracy");
  BOOST_TEST(std::filesystem::exists(world().at("rec.json.curve.svg")));
  BOOST_TEST(!std::filesystem::exists(world().at("rec.json.checkpoint")));

  const TempDir dir;
  const Outcome card = succeed("inspect", {world().at("rec.json"), "--json", dir / "card.json"});
  const json c = read_json(dir / "card.json");
  BOOST_TEST(c["kind"] == "recogniser");
  BOOST_TEST(c["embedding"]["dimension"] == ToyWorld::kDimension);
  BOOST_TEST(c["cut_points"].back()["name"] == c["embedding"]["name"]);
  BOOST_TEST(c["cut_points"].back()["macs"] == c["macs"]);
  BOOST_TEST(between(c["parameters"], 1e4, 1e6));
  BOOST_TEST(between(c["macs"], 1e5, 1e7));
  BOOST_TEST(c["ops_without_fast_cpu_kernel"].is_array());
  BOOST_TEST(card.out.find(c["fingerprint"].get<std::string>()) != std::string::npos);
  BOOST_TEST(read_json(world().at("z.json"))["recogniser"] == c["fingerprint"]);

  succeed("inspect", {world().at("rec.onnx"), "--json", dir / "onnx.json"});
  const json o = read_json(dir / "onnx.json");
  BOOST_TEST(o["kind"] == "onnx");
  BOOST_TEST(o["macs"] == c["macs"]);
  BOOST_TEST(o["ops"]["Conv"].is_number());
  BOOST_TEST(o["cut_points"].size() >= c["cut_points"].size());
}

BOOST_AUTO_TEST_CASE(features_are_unit_vectors_in_the_order_of_their_list) {
  const Tensor z = load_npy(world().at("z.npy"));
  BOOST_TEST(z.shape() == (Shape{ToyWorld::kPeople * ToyWorld::kPhotos, ToyWorld::kDimension}));
  BOOST_TEST(off_the_sphere(z) < 1e-5);
  const json result = read_json(world().at("z.json"));
  BOOST_TEST(result["images"] == z.dim(0));
  BOOST_TEST(result["broken"] == 0);
  BOOST_TEST(result["feature_shape"] == json::array({ToyWorld::kDimension}));
  const auto names = lines_of(read_bytes(world().at("z.npy.txt")));
  BOOST_TEST(names.size() == size_t(z.dim(0)));

  const TempDir dir;
  const Args base = world().images() + world().recogniser();
  for (const char* threads : {"1", "3"}) {
    const std::string out = dir / (std::string("z") + threads);
    succeed("extract", base + Args{"--out", out, "--threads", threads, "--batch", threads});
    BOOST_TEST((read_bytes(out) == read_bytes(world().at("z.npy"))), threads << " threads");
    BOOST_TEST((read_bytes(out + ".txt") == read_bytes(world().at("z.npy.txt"))));
  }
  // The reference backend gives other bits but the same features.
  write_bytes(dir / "some.txt", names[7] + "\n" + names[3] + "\n");
  succeed("extract", base + Args{"--out", dir / "some.npy", "--list", dir / "some.txt", "--list-out",
                                 dir / "listed.txt", "--device", "reference"});
  BOOST_TEST(read_bytes(dir / "listed.txt") == read_bytes(dir / "some.txt"));
  const auto some = load_npy(dir / "some.npy").to_vector<float>();
  for (int64_t i = 0; i < ToyWorld::kDimension; ++i) {
    BOOST_TEST(std::abs(some[size_t(i)] - z.data<float>()[7 * ToyWorld::kDimension + i]) < 1e-4);
    BOOST_TEST(std::abs(some[size_t(ToyWorld::kDimension + i)] -
                        z.data<float>()[3 * ToyWorld::kDimension + i]) < 1e-4);
  }
}

// Without --cut every program takes the card's.
BOOST_AUTO_TEST_CASE(the_default_cut_of_the_card) {
  const TempDir dir;
  succeed("inspect", {world().at("rec.json"), "--json", dir / "card.json"});
  const json info = read_json(dir / "card.json"), cut = info["cut_points"][info["cut_points"].size() - 2];
  json card = read_json(world().at("rec.json"));
  card["model"] = world().at("rec.onnx");
  card["default_cut"] = cut["name"];
  write_bytes(dir / "map.json", card.dump());
  const Args map{"--recogniser", dir / "map.json"};
  succeed("extract", world().images() + map + Args{"--out", dir / "map.npy", "--json", dir / "map.result"});
  succeed("extract", world().images() + world().recogniser() +
                         Args{"--out", dir / "asked.npy", "--cut", cut["name"].get<std::string>()});
  succeed("extract", world().images() + map +
                         Args{"--out", dir / "z.npy", "--cut", info["embedding"]["name"].get<std::string>()});
  const json result = read_json(dir / "map.result");
  BOOST_TEST(result["cut"] == cut["name"]);
  BOOST_TEST(result["feature_shape"] == cut["shape"]);
  BOOST_TEST((read_bytes(dir / "map.npy") == read_bytes(dir / "asked.npy")));
  BOOST_TEST((read_bytes(dir / "z.npy") == read_bytes(world().at("z.npy"))));
  // An image-like map is a cut as any other.
  const auto& cuts = info["cut_points"];
  const auto image =
      std::find_if(cuts.begin(), cuts.end(), [](const json& c) { return c["shape"].size() == 3; });
  BOOST_REQUIRE((image != cuts.end()));
  card["default_cut"] = (*image)["name"];
  write_bytes(dir / "image.json", card.dump());
  const Args shadow{"shadow", "--out", dir / "s.safetensors", "--recogniser", dir / "image.json"};
  succeed("train", shadow + world().images() + ToyWorld::tiny_training());
  succeed("inspect", {dir / "s.safetensors", "--json", dir / "s.json"});
  BOOST_TEST(read_json(dir / "s.json")["metadata"]["cut"] == (*image)["name"]);
  // Those that take decoders compare it with theirs.
  complain("evaluate", {},
           run_program("evaluate", Args{"reconstruction", "--attacker", world().at("shadow.safetensors")} +
                                       map + world().images()),
           1, {"map.json", "shadow.safetensors"});
  succeed("evaluate", Args{"recognition", "--pairs", world().at("faces/test/pairs.txt"), "--images",
                           world().at("faces/test/images"), "--json", dir / "r.json"} +
                          map);
  BOOST_TEST(read_json(dir / "r.json")["cut"] == cut["name"]);
}

// A minute under a sanitizer, and the networks it runs are those of other tests.
BOOST_AUTO_TEST_CASE(rows_of_the_benchmark, *boost::unit_test::enable_if<!kUnderSanitizer>()) {
  const TempDir dir;
  const Outcome table = succeed("bench", {"--filter", "W4", "--repeat", "1", "--json", dir / "bench.json"});
  BOOST_TEST(table.out.find("floors: ") != std::string::npos, table.out);
  const json result = read_json(dir / "bench.json");
  BOOST_TEST(result["rows"].empty());
  BOOST_REQUIRE(result["workloads"].size() == 2u);  // in the order of the table
  for (size_t i = 0; i < 2; ++i) {
    const json& row = result["workloads"][i];
    BOOST_TEST(row["workload"] == "W4");
    BOOST_TEST(row["variant"] == (i == 0 ? "eager" : "plan"));
    BOOST_TEST(std::fabs(row["flops"].get<double>() / (16 * 2 * 221e6) - 1) < 0.01);  // 16 images, 221 MMAC
    BOOST_TEST(std::fabs(row["units_per_s"].get<double>() * row["median_s"].get<double>() / 16 - 1) < 1e-9);
    BOOST_TEST(row["floor_bytes_s"].get<double>() > 0);
  }
  const Outcome steps = succeed("bench", {"--filter", "W5 plan", "--repeat", "1", "--steps"});
  for (const char* op : {" conv2d_fused ", " conv_transpose2d_fused ", " resize2d ", " pgd_step "})
    BOOST_TEST(steps.out.find(op) != std::string::npos, op << " in\n" << steps.out);
  // To the image and back: the forward pass twice, but for what no gradient of a weight takes.
  succeed("bench", {"--filter", "W10 plan", "--repeat", "1", "--random-facenet", "--batch", "1", "--json",
                    dir / "gradient.json"});
  const json gradient = read_json(dir / "gradient.json")["workloads"];
  BOOST_REQUIRE(gradient.size() == 1u);
  BOOST_TEST(std::fabs(gradient[0]["flops"].get<double>() / (4 * 1418e6) - 1) < 0.01);  // 1,418 MMAC an image
}

BOOST_AUTO_TEST_CASE(what_the_benchmark_needs_it_names) {
  const TempDir dir;
  const Outcome csv = succeed("bench", {"--filter", "memory relu", "--repeat", "1", "--csv"});
  const std::vector<std::string> lines = lines_of(csv.out);
  BOOST_REQUIRE(lines.size() == 2u);
  for (const std::string& line : lines) BOOST_TEST(std::count(line.begin(), line.end(), ',') == 10, line);
  BOOST_TEST(lines[1].starts_with("memory,\"relu\","), lines[1]);
  const Outcome skipped = succeed("bench", {"--filter", "W3 plan", "--repeat", "1"});
  BOOST_TEST(skipped.out.find("skipped; give the card of FaceNet with --facenet") != std::string::npos);
  const Outcome both = succeed("bench", {"--filter", "W1", "--repeat", "1", "--batch", "1"});
  for (const char* row : {"W10 gradient to the image", "W11 identity-loss training"})
    BOOST_TEST(both.out.find(row) != std::string::npos, both.out);
  const Outcome no_folder = succeed("bench", {"--filter", "W6 program", "--repeat", "1"});
  BOOST_TEST(no_folder.out.find("--scratch") != std::string::npos);
  succeed("bench", {"--write-mobilefacenet", dir / "net.onnx"});
  succeed("inspect", {dir / "net.onnx", "--json", dir / "net.json"});
  BOOST_TEST(read_json(dir / "net.json")["parameters"].get<int64_t>() > 900'000);
}

BOOST_AUTO_TEST_CASE(a_shadow_model_is_trained_and_inspected) {
  const json trained = read_json(world().at("shadow.json"));
  BOOST_TEST(trained["decoder"] == "deconv");
  BOOST_TEST(trained["trained_on"] == "raw");
  BOOST_TEST(between(trained["train_images"], 130, 190));
  BOOST_TEST(between(trained["validation_images"], 2, 60));
  check_history(trained, 1, "ssim");
  BOOST_TEST(between(trained["mean_face_ssim"], 0.05, 0.95));
  for (const char* name : {"shadow.safetensors.png", "shadow.safetensors.curve.svg"})
    BOOST_TEST(std::filesystem::exists(world().at(name)), name);
  BOOST_TEST(!std::filesystem::exists(world().at("shadow.safetensors.checkpoint")));

  const TempDir dir;
  succeed("inspect", {world().at("shadow.safetensors"), "--json", dir / "info.json"});
  const json info = read_json(dir / "info.json");
  BOOST_TEST(info["kind"] == "weights");
  BOOST_TEST(info["metadata"]["format"] == "advface-decoder-1");
  BOOST_TEST(info["metadata"]["domain"] == "sphere");
  BOOST_TEST(info["metadata"]["recogniser"] == read_json(world().at("z.json"))["recogniser"]);
  BOOST_TEST(info["parameters"] > trained["parameters"]);  // statistics are kept with the weights
}

// Images, extracted features and cached features are three ways to the same training set.
BOOST_AUTO_TEST_CASE(training_from_images_from_features_and_from_the_cache_is_the_same) {
  const TempDir dir;
  const Args base = Args{"shadow"} + world().images() + world().recogniser() + ToyWorld::tiny_training();
  const auto weights = [](const std::string& path) { return load_safetensors(path).tensors; };
  const TensorMap wanted = weights(world().at("shadow.safetensors"));
  succeed("train", base + Args{"--out", dir / "f", "--features", world().at("z.npy"), "--list",
                               world().at("z.npy.txt")});
  for (const char* name : {"c1", "c2"}) {
    succeed("train", base + Args{"--out", dir / name, "--cache", dir / "cache", "--threads", "3"});
    BOOST_TEST((read_bytes(dir / name) == read_bytes(world().at("shadow.safetensors"))), name);
  }
  const TensorMap given = weights(dir / "f");
  BOOST_TEST(given.size() == wanted.size());
  for (const auto& [name, tensor] : wanted)
    BOOST_TEST((given.at(name).bytes() == tensor.bytes() &&
                std::memcmp(given.at(name).raw(), tensor.raw(), tensor.bytes()) == 0),
               name);
}

// An attacker who has a decoder adapts it: the weights go on, and so does the list of people it saw.
BOOST_AUTO_TEST_CASE(a_training_that_begins_with_another_decoder) {
  const TempDir dir;
  const Args faces = world().images() + world().recogniser();
  const Args base = Args{"attacker", "--decoder", "deconv"} + faces + ToyWorld::tiny_training();
  const auto people = [](const std::string& path) {
    return load_safetensors(path).tensors.at("people").to_vector<int64_t>();
  };
  // After one step it gives everybody the same face, which is told.
  const Outcome few =
      succeed("train", base + Args{"--limit", "20", "--out", dir / "few", "--json", dir / "few.json"});
  BOOST_TEST(few.out.find("(the mean face: ") != std::string::npos, few.out);
  BOOST_TEST(few.err.find("warning: the decoder is no better than the mean face") != std::string::npos,
             few.err);
  BOOST_TEST(read_json(dir / "few.json")["train_images"] == 20);
  BOOST_TEST(people(dir / "few").size() < people(world().at("shadow.safetensors")).size());
  succeed("train", base + Args{"--limit", "20", "--lr", "1e-9", "--from", world().at("shadow.safetensors"),
                               "--out", dir / "on", "--json", dir / "on.json"});
  BOOST_TEST((people(dir / "on") == people(world().at("shadow.safetensors"))));
  const TensorMap on = load_safetensors(dir / "on").tensors,
                  from = load_safetensors(world().at("shadow.safetensors")).tensors;
  const char* weight = "net.stem.linear.weight";
  BOOST_TEST(relative_error(on.at(weight), from.at(weight)) < 1e-5);
  BOOST_TEST(relative_error(load_safetensors(dir / "few").tensors.at(weight), from.at(weight)) > 0.01);
  refuse(dir.path().string(), "train",
         Args{"attacker", "--decoder", "resup"} + faces + ToyWorld::tiny_training() +
             Args{"--from", world().at("shadow.safetensors"), "--out", dir / "other"},
         1, {"shadow.safetensors", "deconv", "resup", "--decoder"}, Late::yes);
}

BOOST_AUTO_TEST_CASE(an_interrupted_training_goes_on_to_the_same_bytes) {
  const TempDir dir;
  const Args base = Args{"shadow", "--image-size", "32", "--batch", "16", "--epochs", "5"} +
                    world().images() + world().recogniser();
  succeed("train", base + Args{"--out", dir / "whole"});
  const std::string part = dir / "part", checkpoint = part + ".checkpoint";
  Surroundings around;
  around.interrupt_when = checkpoint;
  const Outcome stopped = run_program("train", base + Args{"--out", part}, around);
  BOOST_TEST(stopped.code == 130, stopped.err);
  BOOST_TEST(stopped.out.empty());
  BOOST_TEST(stopped.err.find("--resume") != std::string::npos, stopped.err);
  BOOST_TEST(std::filesystem::exists(checkpoint));
  BOOST_TEST(!std::filesystem::exists(part));
  const auto refused_run = run_program("train", base + Args{"--out", part, "--resume", "--seed", "2"});
  complain("train", base, refused_run, 1, {checkpoint, "another run"}, Late::yes);
  succeed("train", base + Args{"--out", part, "--resume", "--threads", "1", "--json", dir / "part.json"});
  BOOST_TEST((read_bytes(part) == read_bytes(dir / "whole")));
  check_history(read_json(dir / "part.json"), 5, "ssim");
  BOOST_TEST(!std::filesystem::exists(checkpoint));
}

BOOST_AUTO_TEST_CASE(an_interrupted_recogniser_training_goes_on_to_the_same_bytes) {
  const TempDir dir;
  const Args base =
      Args{"recogniser", "--batch", "16", "--epochs", "8"} + world().images() + ToyWorld::tiny_recogniser();
  succeed("train", base + Args{"--out", dir / "whole.json"});
  const std::string part = dir / "part.json", checkpoint = part + ".checkpoint";
  Surroundings around;
  around.interrupt_when = checkpoint;
  const Outcome stopped = run_program("train", base + Args{"--out", part}, around);
  complain("train", base, stopped, 130, {"interrupted"}, Late::yes);
  BOOST_TEST(stopped.err.find("--resume") != std::string::npos, stopped.err);
  BOOST_TEST((tree(dir.path()) == std::vector<std::string>{"part.json.checkpoint", "whole.json",
                                                           "whole.json.curve.svg", "whole.onnx"}));
  succeed("train", base + Args{"--out", part, "--resume", "--threads", "1"});
  BOOST_TEST((read_bytes(dir / "part.onnx") == read_bytes(dir / "whole.onnx")));
  BOOST_TEST(!std::filesystem::exists(checkpoint));
}

// Programs without checkpoints leave nothing behind.
BOOST_AUTO_TEST_CASE(interrupted_programs_leave_nothing) {
  const TempDir dir;
  const std::string out = dir / "out", folder = dir.path().string();
  Surroundings writing, thinking;
  writing.interrupt_when = out + ".tmp";
  refuse(folder, "protect",
         Args{"--in", world().at("z.npy"), "--out", out, "--report", dir / "report", "--json", dir / "json",
              "--steps", "100000"} +  // in the middle of the first ascent
             world().shadow(),
         130, {"interrupted"}, Late::yes, writing);
  refuse(folder, "extract",
         Args{"--out", out, "--batch", "1", "--json", dir / "json"} + world().images() + world().recogniser(),
         130, {"interrupted"}, Late::yes, writing);
  // After the features of the images: there are many strengths to protect with.
  thinking.interrupt_after = "features 100%";
  std::string epsilons = "0.01";
  for (int i = 2; i < 200; ++i) epsilons += "," + std::to_string(i * 1e-4);
  refuse(folder, "evaluate",
         Args{"reconstruction", "--attacker", world().at("shadow.safetensors"), "--epsilons", epsilons,
              "--steps", "200", "--sheet", dir / "sheet.png", "--json", dir / "json"} +
             world().images() + world().recogniser() + world().shadow(),
         130, {"interrupted"}, Late::yes, thinking);
  // The images are gone through again there.
  refuse(folder, "evaluate",
         Args{"recognition", "--pairs", world().at("faces/test/pairs.txt"), "--images",
              world().at("faces/test/images"), "--steps", "100000", "--json", dir / "json"} +
             world().recogniser() + world().shadow(),
         130, {"interrupted"}, Late::yes, thinking);
  const TempDir inputs;  // so many rows that it is still at its work
  save_npy(inputs / "many.npy", l2_normalise(randn({1 << 17, ToyWorld::kDimension}, 3, DType::f32)));
  Surroundings started;
  started.interrupt_after = "batch norm";
  refuse(folder, "train",
         Args{"recalibrate", "--in", inputs / "many.npy", "--out", out, "--json", dir / "json"} +
             world().shadow(),
         130, {"interrupted"}, Late::yes, started);
}

BOOST_AUTO_TEST_CASE(protection_does_not_depend_on_batches_or_threads) {
  const TempDir dir;
  const Args base = Args{"--in", world().at("z.npy"), "--steps", "3"} + world().shadow();
  succeed("protect", base + Args{"--out", dir / "p", "--report", dir / "p.jsonl", "--json", dir / "p.json"});
  const std::string wanted = read_bytes(dir / "p");
  for (const auto& [batch, threads] : {std::pair{"1", "1"}, {"7", "3"}, {"256", "1"}, {"256", "3"}}) {
    const Args args =
        base + Args{"--out", dir / "q", "--batch", batch, "--threads", threads, "--report", dir / "q.jsonl"};
    succeed("protect", args);
    BOOST_TEST((read_bytes(dir / "q") == wanted), as_text("protect", args));
    BOOST_TEST((read_bytes(dir / "q.jsonl") == read_bytes(dir / "p.jsonl")), as_text("protect", args));
  }
  succeed("protect", base + Args{"--out", dir / "q", "--seed", "2"});
  BOOST_TEST((read_bytes(dir / "q") != wanted));

  const Tensor z = load_npy(world().at("z.npy")), p = load_npy(dir / "p");
  BOOST_TEST(p.shape() == z.shape());
  BOOST_TEST(off_the_sphere(p) < 1e-5);
  const auto lines = lines_of(read_bytes(dir / "p.jsonl"));
  BOOST_REQUIRE(lines.size() == size_t(z.dim(0)));
  double cosine = 0, before = 0, after = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    const json r = json::parse(lines[i]);
    BOOST_TEST(keys_of(r) == (std::set<std::string>{"record", "noise_l2", "noise_linf", "cosine",
                                                    "loss_before", "loss_after", "losses", "proved"}));
    BOOST_TEST(r["cosine"].get<double>() >= r["proved"]["least_cosine"].get<double>() - 1e-6);
    BOOST_TEST(r["record"] == i);
    BOOST_TEST(between(r["noise_linf"], 1e-4, 0.04));
    BOOST_TEST(between(r["noise_l2"], 1e-4, 0.16));
    BOOST_TEST(between(r["cosine"], 0.95, 1));
    cosine += r["cosine"].get<double>() / double(lines.size());
    before += r["loss_before"].get<double>();
    after += r["loss_after"].get<double>();
  }
  BOOST_TEST(after > before);
  const json result = read_json(dir / "p.json");
  BOOST_TEST(result["records"] == z.dim(0));
  BOOST_TEST((result["epsilon"] == 0.02 && result["steps"] == 3));
  BOOST_TEST(std::abs(result["mean_cosine"].get<double>() - cosine) < 1e-9);
  BOOST_TEST(result["peak_memory_bytes"].get<int64_t>() > 1 << 20);
}

BOOST_AUTO_TEST_CASE(an_empty_set_of_features_stays_empty) {
  const TempDir dir;
  save_npy(dir / "none.npy", Tensor::empty({0, ToyWorld::kDimension}));
  succeed("protect",
          Args{"--in", dir / "none.npy", "--out", dir / "p", "--report", dir / "r", "--json", dir / "j"} +
              world().shadow());
  BOOST_TEST(load_npy(dir / "p").shape() == (Shape{0, ToyWorld::kDimension}));
  BOOST_TEST(read_bytes(dir / "r").empty());
  BOOST_TEST(read_json(dir / "j")["records"] == 0);
}
