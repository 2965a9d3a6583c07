// Toy networks for the tests of the method: a recogniser with a cut at an embedding and cuts at maps,
// decoders for them, features.
#pragma once
#include <cstring>
#include <string>
#include <vector>

#include "advface/core/recogniser.h"
#include "advface/networks/decoder.h"
#include "onnx_test_util.h"
#include "protection_test_util.h"
#include "tensor/ops.h"
#include "test_util.h"

namespace advf::test {

constexpr int64_t kToyDim = 12, kToySize = 32;

inline std::vector<float> scaled_randn(size_t n, uint64_t seed, float scale) {
  auto v = randn({int64_t(n)}, seed, DType::f32).to_vector<float>();
  for (float& x : v) x *= scale;
  return v;
}

// x (3,16,16) -> conv c -> relu r (8,8,8) -> max pool p (8,7,7) -> conv d -> relu -> mean -> e (12)
inline std::string toy_model(uint64_t last_seed = 3) {
  return OnnxBuilder()
      .input("x", {1, 3, 16, 16})
      .output("e")
      .floats("w1", {8, 3, 3, 3}, scaled_randn(8 * 27, 1, 0.3f))
      .floats("w2", {16, 8, 3, 3}, scaled_randn(16 * 72, 2, 0.2f))
      .floats("w3", {16, 12}, scaled_randn(16 * 12, last_seed, 0.5f))
      .node("Conv", {"x", "w1"}, {"c"}, {{"pads", {1, 1, 1, 1}}, {"strides", {2, 2}}})
      .node("Relu", {"c"}, {"r"})
      .node("MaxPool", {"r"}, {"p"}, {{"kernel_shape", {2, 2}}, {"strides", {1, 1}}})
      .node("Conv", {"p", "w2"}, {"d"}, {{"pads", {1, 1, 1, 1}}})
      .node("Relu", {"d"}, {"s"})
      .node("GlobalAveragePool", {"s"}, {"g"})
      .node("Flatten", {"g"}, {"f"})
      .node("MatMul", {"f", "w3"}, {"e"})
      .bytes();
}
inline const char* const kToyCard = R"({"model": "toy.onnx",
  "input": {"name": "x", "width": 16, "height": 16, "channels": "RGB", "mean": 127.5, "scale": 0.0078125},
  "crop": {"template": "arcface112", "margin": 0.0},
  "embedding": {"name": "e", "dimension": 12, "unit_norm": false, "normalise": true},
  "metric": "cosine"})";

inline Recogniser toy_recogniser(DType dtype = DType::f32) {
  return Recogniser::from_bytes(parse_card(kToyCard, "folder/toy.json"), toy_model(), dtype);
}

inline Tensor toy_images(int64_t n, uint64_t seed, int64_t size = kToySize, DType dtype = DType::f32) {
  // Smooth: noise on a coarse grid, enlarged.
  const Tensor coarse = sigmoid(randn({n, 3, 6, 6}, seed, dtype));
  return resize2d(coarse, {.size = {size, size}});
}

// For the toy recogniser's features at `cut`, with statistics of some of them and first weights.
inline std::unique_ptr<Decoder> toy_decoder(const Recogniser& r, const std::string& cut,
                                            const std::string& name = "deconv", uint64_t seed = 1,
                                            int size = int(kToySize)) {
  DecoderInfo info;
  info.spec = {name, r.feature_shape(cut), size, 32};
  info.cut = cut;
  info.recogniser = r.fingerprint();
  info.domain = cut == "e"   ? FeatureDomain::sphere
                : cut == "c" ? FeatureDomain::real
                             : FeatureDomain::non_negative;
  auto decoder = std::make_unique<Decoder>(info, seed);
  // Running statistics that are not those of a fresh network.
  uint64_t stream = 50;
  for (const Named& n : decoder->state()) {
    if (n.name.ends_with("running_mean"))
      *n.tensor = affine(randn(n.tensor->shape(), ++stream, DType::f32), 0.1, 0);
    if (n.name.ends_with("running_var"))
      *n.tensor = affine(abs(randn(n.tensor->shape(), ++stream, DType::f32)), 0.2, 0.1);
    if (n.name == "statistics.mean_face")
      *n.tensor = affine(abs(randn(n.tensor->shape(), 8, DType::f32)), 0.2, 0.1);
    if (n.name == "statistics.feature_std")
      *n.tensor = affine(abs(randn(n.tensor->shape(), 7, DType::f32)), 0.2, 0.1);
  }
  decoder->train(false);
  return decoder;
}

inline Tensor toy_features(const Recogniser& r, const std::string& cut, int64_t n, uint64_t seed = 5) {
  return r.features(r.preprocess(toy_images(n, seed)), cut);
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

}  // namespace advf::test
