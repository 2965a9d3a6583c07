// For tests of recognisers: where the real models lie, and a small network with its card.
#pragma once
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "advface/core/recogniser.h"
#include "onnx_test_util.h"
#include "test_util.h"

namespace advf::test {

// The folder of real models, or "" after saying that the test is skipped.
inline std::string models() {
  const char* set = std::getenv("ADVF_SHARED");
  const std::filesystem::path root =
      set ? std::filesystem::path(set) : std::filesystem::path(ADVF_TEST_DATA) / "../../../shared";
  if (std::filesystem::exists(root / "models")) return (root / "models").string();
  std::cout << "SKIPPED: no models; set ADVF_SHARED to a folder with models/ in it\n";
  return "";
}

inline const std::string kCard = R"({
  "model": "net.onnx",
  "input": {"name": "x", "width": 5, "height": 4, "channels": "BGR", "mean": 100, "scale": 0.02},
  "crop": {"template": "arcface112", "margin": 0.1},
  "embedding": {"name": "e", "dimension": 6, "unit_norm": false, "normalise": true},
  "metric": "cosine",
  "default_cut": "r"
})";

inline std::string with(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  BOOST_REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

inline std::vector<float> values(size_t n, uint64_t seed) {
  return randn({int64_t(n)}, seed, DType::f32).to_vector<float>();
}

// The end that the networks below share: the mean over the image of `from`, times v (weights,6), is e.
inline std::string with_end(OnnxBuilder& b, const std::string& from, const std::vector<float>& v) {
  return b.output("e")
      .floats("v", {int64_t(v.size()) / 6, 6}, v)
      .node("GlobalAveragePool", {from}, {"g"})
      .node("Flatten", {"g"}, {"f"})
      .node("MatMul", {"f", "v"}, {"e"})
      .bytes();
}

// conv -> relu r -> (sigmoid a) * r -> pool -> matmul e; channels first, or last behind a transposition.
inline std::string small_network(bool channels_last = false) {
  OnnxBuilder b;
  if (channels_last)
    b.input("x", {1, 4, 5, 3}).node("Transpose", {"x"}, {"t"}, {{"perm", {0, 3, 1, 2}}});
  else
    b.input("x", {1, 3, 4, 5});
  b.floats("w", {7, 3, 3, 3}, values(189, 1))
      .node("Conv", {channels_last ? "t" : "x", "w"}, {"c"}, {{"pads", {1, 1, 1, 1}}})
      .node("Relu", {"c"}, {"r"})
      .node("Sigmoid", {"r"}, {"a"})
      .node("Mul", {"a", "r"}, {"m"});
  return with_end(b, "m", values(42, 2));
}

inline Recogniser small(DType dtype = DType::f32) {
  return Recogniser::from_bytes(parse_card(kCard, "folder/card.json"), small_network(), dtype);
}

}  // namespace advf::test
