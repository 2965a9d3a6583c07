// What the programs do with wrong calls (exit code 2) and with what cannot be done (1): one line on stderr
// that names the option, file or value, and nothing left behind.
#define BOOST_TEST_MODULE cli_errors
#include <cmath>

#include "cli_test_util.h"
#include "tensor/cpu/kernels.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"

using namespace advf;
using namespace advf::test;

namespace {

const ToyWorld& world() { return toy_world(); }

// Complete calls that would succeed, each writing to `out`.
Args extract_call(const std::string& out) {
  return Args{"--out", out} + world().images() + world().recogniser();
}
Args protect_call(const std::string& out) {
  return Args{"--out", out, "--steps", "1", "--in", world().at("z.npy")} + world().shadow();
}
Args shadow_call(const std::string& out) {
  return Args{"shadow", "--out", out} + world().images() + world().recogniser() + ToyWorld::tiny_training();
}
Args attacker_call(const std::string& out) {
  return Args{"attacker", "--out", out} + world().images() + world().recogniser() + ToyWorld::tiny_training();
}
Args recogniser_call(const std::string& out) {
  return Args{"recogniser", "--out", out, "--epochs", "1", "--batch", "16"} + world().images() +
         ToyWorld::tiny_recogniser();
}
Args generator_call(const std::string& out) {
  return Args{"generator", "--out", out, "--epochs", "1", "--batch", "16", "--width", "16"} +
         world().images() + world().recogniser() + world().shadow();
}
Args adapter_call(const std::string& out) {
  Args call = generator_call(out);
  call[0] = "adapter";
  return call;
}
Args recognition_call() {
  return Args{"recognition", "--images", world().at("faces/test/images"), "--pairs",
              world().at("faces/test/pairs.txt")} +
         world().recogniser();
}
Args reconstruction_call() {
  return Args{"reconstruction", "--attacker", world().at("shadow.safetensors")} + world().images() +
         world().recogniser();
}

// The call with the value of one option replaced.
Args with(Args call, const std::string& option, const std::string& value) {
  const auto at = std::find(call.begin(), call.end(), option);
  if (at == call.end()) return call + Args{option, value};
  *(at + 1) = value;
  return call;
}

struct Case {
  std::string program;
  Args args;
  std::vector<std::string> words;
};

void refuse_all(const TempDir& dir, const std::vector<Case>& cases, int code, Late late = Late::no) {
  for (const Case& c : cases) refuse(dir.path().string(), c.program, c.args, code, c.words, late);
}

}  // namespace

BOOST_AUTO_TEST_CASE(wrong_calls) {
  const TempDir dir;
  const std::string out = dir / "out";
  refuse_all(
      dir,
      {{"protect", {}, {"--"}},
       {"protect", protect_call(out) + Args{"--shado", "x"}, {"--shado"}},
       {"protect", {"--in", "a", "--out", "b"}, {"--shadow"}},
       {"protect", protect_call(out) + Args{"--epsilon"}, {"--epsilon"}},
       {"protect", protect_call(out) + Args{"--epsilon", "0.0x"}, {"--epsilon", "0.0x"}},
       {"protect", protect_call(out) + Args{"--epsilon", "-0.1"}, {"epsilon", "-0.1"}},
       {"protect", protect_call(out) + Args{"--epsilon", "nan"}, {"epsilon", "nan"}},
       {"protect", protect_call(out) + Args{"--epsilon", "inf"}, {"epsilon", "inf"}},
       {"protect", with(protect_call(out), "--steps", "0"), {"steps", "0"}},
       {"protect", with(protect_call(out), "--steps", "2.5"), {"--steps", "2.5"}},
       {"protect", protect_call(out) + Args{"--step-size", "-1"}, {"--step-size is -1"}},
       {"protect", protect_call(out) + Args{"--objective", "indirect"}, {"indirect", "direct", "cycle"}},
       {"protect", protect_call(out) + Args{"--objective", "cycle"}, {"cycle", "--recogniser"}},
       {"protect", protect_call(out) + Args{"--objective", "original"}, {"original", "--images", "--list"}},
       {"protect", protect_call(out) + Args{"--images", "x"}, {"--images", "original"}},
       {"protect", protect_call(out) + Args{"--eyes", "1,2,3,4"}, {"--eyes", "--recogniser"}},
       {"protect", protect_call(out) + Args{"--loss", "l1"}, {"l1", "pixel", "structure"}},
       {"protect", protect_call(out) + Args{"--loss", "identity"}, {"identity", "--recogniser"}},
       {"protect", protect_call(out) + Args{"--method", "cw"}, {"cw", "mi-fgsm", "adam"}},
       {"protect", with(protect_call(out), "--steps", "3") + Args{"--method", "fgsm"}, {"fgsm", "3"}},
       {"protect", protect_call(out) + Args{"--norm", "l3"}, {"l3", "linf", "l2"}},
       {"protect", protect_call(out) + Args{"--bn", "none"}, {"none", "running", "recalibrated"}},
       {"protect", protect_call(out) + Args{"--ensemble", "best"}, {"best", "mean", "hardest"}},
       {"protect", protect_call(out) + Args{"--keep-recognition", "1.1"}, {"1.1", "0", "1"}},
       {"protect", protect_call(out) + Args{"--keep-recognition", "nan"}, {"nan"}},
       {"protect", protect_call(out) + world().shadow(), {"twice", "shadow.safetensors"}},
       {"protect", protect_call(out) + Args{"--batch", "0"}, {"--batch", "0"}},
       {"protect", protect_call(out) + Args{"--threads", "-1"}, {"--threads", "-1"}},
       {"protect", protect_call(out) + Args{"--seed", "-1"}, {"--seed", "-1"}},
       {"protect", protect_call(out) + Args{"--device", "tpu"}, {"tpu", "cpu", "reference", "cuda"}},
       {"protect", protect_call(out) + Args{"stray"}, {"stray"}},
       {"extract", extract_call(out) + Args{"--eyes", "1,2,3"}, {"--eyes"}},
       {"extract", extract_call(out) + Args{"--eyes", "10,20,10,20"}, {"10", "20"}},
       {"extract", extract_call(out) + Args{"--max-broken", "1.5"}, {"--max-broken", "1.5"}},
       {"extract", extract_call(out) + Args{"--max-broken", "nan"}, {"--max-broken", "nan"}},
       {"extract", extract_call(out) + Args{"--batch", "-3"}, {"--batch", "-3"}},
       {"inspect", {}, {"FILE"}},
       {"inspect", {world().at("z.npy.txt")}, {"z.npy.txt", ".safetensors", ".npy"}},
       {"inspect", {world().at("rec.onnx"), "--size", "-1"}, {"--size", "-1"}},
       {"faces", {"--out", out, "--identities", "0"}, {"--identities", "0"}},
       {"faces", {"--out", out, "--image-size", "8"}, {"--image-size", "8"}},
       {"train", {}, {"subcommand"}},
       {"train", {"victim"}, {"victim"}},
       {"train", shadow_call(out) + Args{"--decoder", "gan"}, {"gan", "deconv", "resup"}},
       {"train", with(shadow_call(out), "--image-size", "33"), {"33", "multiple of 16"}},
       {"train", with(shadow_call(out), "--epochs", "0"), {"epochs", "0"}},
       {"train", with(shadow_call(out), "--batch", "1"), {"batch", "1"}},
       {"train", shadow_call(out) + Args{"--lr", "-0.1"}, {"rate", "-0.1"}},
       {"train", with(generator_call(out), "--width", "5"), {"width", "5"}},
       {"train", generator_call(out) + Args{"--blocks", "-1"}, {"blocks", "-1"}},
       {"train", generator_call(out) + Args{"--method", "pgd"}, {"--method"}},
       {"train", generator_call(out) + Args{"--features", "z.npy"}, {"--features", "--list"}},
       {"train", with(adapter_call(out), "--batch", "1"), {"batch", "1"}},
       {"train", adapter_call(out) + Args{"--method", "generator"}, {"--generator"}},
       {"train", shadow_call(out) + Args{"--split-seed", "-1"}, {"--split-seed", "-1"}},
       {"train", shadow_call(out) + Args{"--lr", "nan"}, {"rate", "nan"}},
       {"train", shadow_call(out) + Args{"--features", "f.npy"}, {"--features", "--list"}},
       {"train", attacker_call(out) + Args{"--epsilon", "0.1"}, {"--epsilon", "--shadow"}},
       {"train", attacker_call(out) + world().shadow() + Args{"--epsilon", "-1"}, {"epsilon", "-1"}},
       {"train", attacker_call(out) + Args{"--norm", "l2"}, {"--norm", "--shadow"}},
       {"train", attacker_call(out) + world().shadow() + Args{"--norm", "l3"}, {"l3", "linf", "l2"}},
       {"train", shadow_call(out) + Args{"--decoder", "unet"}, {"unet", "[16]"}},
       {"train",
        attacker_call(out) + world().shadow() + Args{"--features", "f.npy", "--list", "l.txt"},
        {"--features", "--shadow"}},
       {"train", with(recogniser_call(out), "--architecture", "vgg"), {"vgg", "cnn_small", "mobilefacenet"}},
       {"train", with(recogniser_call(out), "--width", "1"), {"width", "1"}},
       {"train", with(recogniser_call(out), "--embedding", "-5"), {"embedding", "-5"}},
       {"train", recogniser_call(out) + Args{"--margin", "-1"}, {"--margin", "-1"}},
       {"train", recogniser_call(out) + Args{"--scale", "0"}, {"--scale", "0"}},
       {"evaluate", {}, {"subcommand"}},
       {"evaluate", {"everything"}, {"everything"}},
       {"evaluate",
        recognition_call() + world().shadow() + Args{"--side", "left"},
        {"left", "gallery", "both"}},
       {"evaluate", recognition_call() + Args{"--protected", "p.npy"}, {"--protected", "--protected-list"}},
       {"evaluate",
        recognition_call() + world().shadow() + Args{"--protected", "p.npy", "--protected-list", "l.txt"},
        {"--protected", "--shadow"}},
       {"evaluate", recognition_call() + Args{"--epsilon", "0.1"}, {"--epsilon", "--shadow"}},
       {"evaluate", recognition_call() + world().shadow() + Args{"--epsilon", "-2"}, {"epsilon", "-2"}},
       {"evaluate", recognition_call() + Args{"--method", "bim"}, {"--method", "--shadow"}},
       {"evaluate", recognition_call() + world().shadow() + Args{"--loss", "l1"}, {"l1", "identity"}},
       {"evaluate", reconstruction_call() + world().shadow() + Args{"--bn", "x"}, {"x", "recalibrated"}},
       {"evaluate", reconstruction_call() + Args{"--split", "some"}, {"some", "test", "all"}},
       {"evaluate", reconstruction_call() + Args{"--limit", "-1"}, {"--limit", "-1"}},
       {"evaluate", reconstruction_call() + Args{"--fmr", "2"}, {"--fmr", "2"}},
       {"evaluate", reconstruction_call() + Args{"--fmr", "nan"}, {"--fmr", "nan"}},
       {"evaluate",
        reconstruction_call() + world().shadow() + Args{"--epsilons", "0.1,x"},
        {"--epsilons", "x"}},
       {"evaluate",
        reconstruction_call() + world().shadow() + Args{"--epsilons", "0.1,-2"},
        {"epsilon", "-2"}},
       {"evaluate", reconstruction_call() + Args{"--epsilons", "0.1"}, {"--epsilons", "--shadow"}},
       {"evaluate", reconstruction_call() + Args{"--protected", "p.npy"}, {"NAME=FILE", "p.npy"}},
       {"bench", {"--repeat", "0"}, {"--repeat", "0"}}},
      2);
}

// Every option that names a file to read, with a name that does not exist and with a folder.
// Two results that would go to one file, and a result that would replace what is read.
BOOST_AUTO_TEST_CASE(outputs_that_meet_each_other_or_an_input) {
  const TempDir dir;
  const std::string a = dir / "a.npy";
  for (const char* name : {"rec.json", "rec.onnx", "shadow.safetensors", "z.npy"})
    write_bytes(dir / name, read_bytes(world().at(name)));
  write_bytes(dir / "labels.csv", "file,identity\n");
  const Args images = world().images(), card{"--recogniser", dir / "rec.json"};
  const Args shadow{"--shadow", dir / "shadow.safetensors"}, in{"--in", dir / "z.npy"};
  const Args train = Args{"shadow"} + images + card;
  const Args attack = Args{"reconstruction", "--attacker", dir / "shadow.safetensors"} + images + card;
  refuse_all(
      dir,
      {{"extract", images + card + Args{"--out", a, "--json", a}, {"--out", "--json", "both write"}},
       {"extract", images + card + Args{"--out", a, "--json", a + ".txt"}, {"a.npy.txt"}},
       {"extract", images + card + Args{"--out", a, "--json", a + ".json"}, {"a.npy.json"}},
       {"extract", images + card + Args{"--out", a, "--list-out", dir / "./a.npy"}, {"--list-out"}},
       {"extract", images + card + Args{"--out", dir / "rec.onnx"}, {"rec.onnx", "--recogniser reads"}},
       {"protect", shadow + in + Args{"--out", a, "--json", a + ".json"}, {"a.npy.json"}},
       {"protect", shadow + in + Args{"--out", a, "--report", a}, {"--report"}},
       {"protect", shadow + in + Args{"--out", dir / "shadow.safetensors"}, {"--shadow reads"}},
       {"protect", shadow + in + Args{"--out", dir / "z.npy"}, {"--out would replace", "--in reads"}},
       {"protect", shadow + in + Args{"--out", a, "--json", dir / "z.npy"}, {"--json", "would replace"}},
       {"train", train + Args{"--out", a, "--samples", a}, {"--samples"}},
       {"train", train + Args{"--out", a, "--json", a + ".curve.svg"}, {"curve.svg"}},
       {"train",
        train + Args{"--out", dir / "labels.csv", "--labels", dir / "labels.csv"},
        {"--labels reads"}},
       {"train", Args{"recogniser", "--out", dir / "x.onnx"} + images, {"x.onnx", "both write"}},
       {"evaluate", attack + Args{"--sheet", a, "--json", a}, {"--sheet"}},
       {"evaluate", attack + Args{"--scores", a, "--sheet", a}, {"--scores"}}},
      2);
  // What is no file may stand twice.
  succeed("extract", images + card + Args{"--out", a, "--json", "/dev/null", "--list-out", "/dev/null"});
}

BOOST_AUTO_TEST_CASE(files_that_do_not_exist_and_folders) {
  const TempDir dir;
  const std::string out = dir / "out", missing = dir / "missing", folder = dir.path().string();
  const std::string no = "No such file", kind = "regular file";
  for (const auto& [path, why] : {std::pair{missing, no}, {folder, kind}}) {
    refuse_all(
        dir,
        {{"protect", with(protect_call(out), "--in", path), {path, why}},
         {"protect", with(protect_call(out), "--shadow", path), {path, why}},
         {"protect",
          Args{"--out", out, "--in", world().at("z.npy"), "--protect", "generator", "--generator", path},
          {path, why}},
         {"train", with(generator_call(out), "--shadow", path), {path, why}},
         {"extract", with(extract_call(out), "--recogniser", path), {path, why}},
         {"extract", extract_call(out) + Args{"--list", path}, {path, why}},
         {"train", with(shadow_call(out), "--recogniser", path), {path, why}},
         {"train",
          shadow_call(out) + Args{"--features", path, "--list", world().at("z.npy.txt")},
          {path, why}},
         {"train", with(recogniser_call(out), "--list", path), {path, why}},
         {"bench", {"--filter", "W3", "--facenet", path}, {path, why}},
         {"evaluate", with(recognition_call(), "--pairs", path), {path, why}},
         {"evaluate", with(recognition_call(), "--recogniser", path), {path, why}},
         {"evaluate", with(reconstruction_call(), "--attacker", path), {path, why}},
         {"inspect", {path + "/a.json"}, {path + "/a.json"}},
         {"inspect", {path + "/a.onnx"}, {path + "/a.onnx"}},
         {"inspect", {path + "/a.safetensors"}, {path + "/a.safetensors"}}},
        1);
    refuse_all(dir,
               {{"train", shadow_call(out) + Args{"--labels", path}, {path, why}},
                {"train", recogniser_call(out) + Args{"--labels", path}, {path, why}},
                {"train", attacker_call(out) + Args{"--shadow", path}, {path, why}},
                {"train", shadow_call(out) + Args{"--resume"}, {out + ".checkpoint", no}},
                {"evaluate", recognition_call() + Args{"--shadow", path}, {path, why}},
                {"evaluate", recognition_call() + world().shadow() + Args{"--adapter", path}, {path, why}},
                {"train", with(adapter_call(out), "--shadow", path), {path, why}},
                {"train", generator_call(out) + Args{"--resume"}, {out + ".checkpoint", no}},
                {"evaluate",
                 recognition_call() + Args{"--protected", path, "--protected-list", world().at("z.npy.txt")},
                 {path, why}},
                {"evaluate",
                 recognition_call() + Args{"--protected", world().at("z.npy"), "--protected-list", path},
                 {path, why}},
                {"evaluate", reconstruction_call() + Args{"--labels", path}, {path, why}},
                {"evaluate", reconstruction_call() + Args{"--shadow", path}, {path, why}},
                {"evaluate", reconstruction_call() + Args{"--second-recogniser", path}, {path, why}},
                {"evaluate", reconstruction_call() + Args{"--thresholds", path}, {path, why}},
                {"evaluate", reconstruction_call() + Args{"--protected", "p=" + path}, {path, why}}},
               1, Late::yes);
  }
  const TempDir empty;  // beside what is written
  refuse_all(dir,
             {{"extract", with(extract_call(out), "--images", missing), {missing, "folder"}},
              {"extract", with(extract_call(out), "--images", world().at("z.npy")), {"z.npy", "folder"}},
              {"extract", with(extract_call(out), "--images", folder), {folder, "no pictures"}},
              {"train", with(recogniser_call(out), "--images", empty.path().string()), {"no pictures"}},
              {"evaluate", with(recognition_call(), "--images", folder), {folder, "pairs"}},
              {"faces", {"--out", world().at("faces")}, {world().at("faces"), "not empty"}},
              {"faces", {"--out", world().at("z.npy")}, {"z.npy"}}},
             1);
}

BOOST_AUTO_TEST_CASE(outputs_that_cannot_be_written) {
  const TempDir dir;
  const std::string bad = dir / "missing/out", out = dir / "out", folder = dir.path().string();
  for (const std::string& path : {bad, folder}) {
    refuse_all(dir,
               {{"protect", with(protect_call(out), "--out", path), {path}},
                {"protect", protect_call(out) + Args{"--report", path}, {path}},
                {"protect", protect_call(out) + Args{"--json", path}, {path}},
                {"extract", with(extract_call(out), "--out", path), {path}},
                {"extract", extract_call(out) + Args{"--list-out", path}, {path}},
                {"train", with(shadow_call(out), "--out", path), {path}},
                {"train", shadow_call(out) + Args{"--samples", path}, {path}},
                {"train", shadow_call(out) + Args{"--json", path}, {path}},
                {"train", with(recogniser_call(out), "--out", path), {path}},
                {"train", with(generator_call(out), "--out", path), {path}},
                {"train", with(adapter_call(out), "--out", path), {path}},
                {"evaluate", recognition_call() + Args{"--json", path}, {path}},
                {"evaluate", reconstruction_call() + Args{"--sheet", path}, {path}},
                {"inspect", {world().at("rec.json"), "--json", path}, {path}},
                {"faces", {"--out", out, "--json", path}, {path}}},
               1);
  }
  // A device is written to, not replaced; stdout on a full disk is a failure.
  const Args call{world().at("rec.json"), "--json", "/dev/full"};
  const Outcome full = run_program("inspect", call);
  BOOST_TEST(full.code == 1);
  BOOST_TEST(full.err.find("/dev/full: writing failed") != std::string::npos, full.err);
  BOOST_TEST(!std::filesystem::is_regular_file("/dev/full"));
  const Outcome direct = run_program("inspect", {world().at("rec.json"), "--json", "/dev/stdout"});
  BOOST_TEST(direct.code == 0, direct.err);
  BOOST_TEST(direct.out.find("\"fingerprint\"") != std::string::npos);
  BOOST_TEST(std::filesystem::is_symlink("/dev/stdout"));
  Surroundings around;
  around.stdout_to = "/dev/full";
  const Outcome o = run_program("inspect", {world().at("rec.json")}, around);
  BOOST_TEST(o.code == 1);
  BOOST_TEST(o.err.find("standard output") != std::string::npos, o.err);
}

// Also as anybody but root, whom no permission stops.
BOOST_AUTO_TEST_CASE(a_limit_on_the_size_of_files_is_like_a_full_disk) {
  const TempDir dir;
  const std::string out = dir / "out";
  Surroundings around;
  around.max_file_bytes = 4096;
  const std::string folder = dir.path().string();
  refuse(folder, "protect", protect_call(out), 1, {out, "writing failed"}, Late::yes, around);
  refuse(folder, "protect", protect_call("/dev/null") + Args{"--report", out}, 1, {out, "writing failed"},
         Late::yes, around);
  refuse(folder, "extract", extract_call(out), 1, {out, "writing failed"}, Late::yes, around);
  refuse(folder, "train", shadow_call(out), 1, {out, "writing failed"}, Late::yes, around);
  refuse(folder, "train", recogniser_call(out), 1, {out, "writing failed"}, Late::yes, around);
}

// Without AVX512_BF16, whether the processor or ADVF_CPU_ISA lacks it.
BOOST_AUTO_TEST_CASE(bf16_needs_the_processor) {
  const TempDir dir;
  const auto refused = [&](const Args& how, int code, const std::vector<std::string>& words) {
    refuse_all(dir,
               {{"protect", protect_call(dir / "out") + how, words},
                {"extract", extract_call(dir / "out") + how, words}},
               code);
  };
  for (const char* isa : {"avx2", "reference"}) {
    if (std::string(isa) == "avx2" && !cpu::kernels_named(isa)) continue;
    ::setenv("ADVF_CPU_ISA", isa, 1);
    refused({"--precision", "bf16"}, 1, {"AVX512_BF16", "--precision f32"});
    ::unsetenv("ADVF_CPU_ISA");
  }
  refused({"--device", "reference", "--precision", "bf16"}, 2, {"--precision bf16", "cpu or cuda"});
}

#ifdef ADVF_WITHOUT_CUDA
BOOST_AUTO_TEST_CASE(there_is_no_cuda_in_this_build) {
  const TempDir dir;
  refuse_all(dir,
             {{"protect", protect_call(dir / "out") + Args{"--device", "cuda"}, {"CUDA", "--device cpu"}},
              {"evaluate", recognition_call() + Args{"--device", "cuda"}, {"CUDA", "--device cpu"}}},
             1);
}
#endif
