// The programs with --precision bf16 on the CPU: end to end beside f32, the same at any number of threads.
// test_cli_errors has what they say where the processor lacks it.
#define BOOST_TEST_MODULE cli_precision
#include <cmath>

#include "bf16_test_util.h"
#include "cli_test_util.h"
#include "tensor/io/npy.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

const ToyWorld& world() { return toy_world(); }
const Args kHalf{"--device", "cpu", "--precision", "bf16"};

Args extract_call(const std::string& out) {
  return Args{"--out", out} + world().images() + world().recogniser();
}
Args protect_call(const std::string& out) {
  return Args{"--out", out, "--json", out + ".result", "--steps", "10", "--in", world().at("z.npy")} +
         world().shadow();
}
Args inversion_call(const std::string& out) {
  return Args{"reconstruction", "--attacker", "inversion:steps=10", "--json", out, "--limit", "8"} +
         world().images() + world().recogniser();
}

double relative(double a, double b) { return std::abs(a / b - 1); }

}  // namespace

BOOST_AUTO_TEST_CASE(features_in_bf16_are_close) {
  if (!has_bf16()) return;
  const TempDir dir;
  succeed("extract", extract_call(dir / "half.npy") + kHalf);
  const Tensor want = load_npy(world().at("z.npy")), got = load_npy(dir / "half.npy");
  const double error = relative_error(got, want);
  BOOST_TEST(error < 1e-2);
  BOOST_TEST(error > 1e-4, "not computed in bf16");
}

BOOST_AUTO_TEST_CASE(protection_in_bf16_does_not_depend_on_batches_or_threads) {
  if (!has_bf16()) return;
  const TempDir dir;
  succeed("protect", protect_call(dir / "f32.npy"));
  succeed("protect", protect_call(dir / "half.npy") + kHalf);
  BOOST_TEST((read_bytes(dir / "half.npy") != read_bytes(dir / "f32.npy")), "not computed in bf16");
  const json f32 = read_json(dir / "f32.npy.result"), half = read_json(dir / "half.npy.result");
  // What it reaches is judged in cpu_bf16_plan_cases.cpp: this shadow hardly sees its feature.
  for (const char* name : {"mean_cosine", "mean_noise_l2"})
    BOOST_TEST(relative(half[name].get<double>(), f32[name].get<double>()) < 0.005, name);
  for (const auto& [batch, threads] : {std::pair{"1", "1"}, {"7", "2"}, {"256", "1"}}) {
    succeed("protect",
            protect_call(dir / "again.npy") + kHalf + Args{"--batch", batch, "--threads", threads});
    BOOST_TEST((read_bytes(dir / "again.npy") == read_bytes(dir / "half.npy")), batch << ", " << threads);
  }
}

BOOST_AUTO_TEST_CASE(an_inversion_in_bf16_is_as_good) {
  if (!has_bf16()) return;
  const TempDir dir;
  succeed("evaluate", inversion_call(dir / "f32.json"));
  succeed("evaluate", inversion_call(dir / "half.json") + kHalf);
  const json f32 = read_json(dir / "f32.json"), half = read_json(dir / "half.json");
  BOOST_TEST((f32 != half), "not computed in bf16");
  BOOST_REQUIRE(f32["rows"].size() == half["rows"].size());
  bool inverted = false;
  for (size_t i = 0; i < f32["rows"].size(); ++i) {
    const json &want = f32["rows"][i], &got = half["rows"][i];
    inverted = inverted || want["attacker"] == "inversion";
    for (const auto& [a, b] : {std::pair{want["feature_cosine"], got["feature_cosine"]},
                               std::pair{want["ssim"]["mean"], got["ssim"]["mean"]}})
      BOOST_TEST(std::abs(a.get<double>() - b.get<double>()) < 0.01, want.dump());
  }
  BOOST_TEST(inverted);
}
