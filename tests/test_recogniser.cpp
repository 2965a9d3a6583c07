// The recogniser plug-in: cards, cut points, and the embeddings of real networks against PyTorch's.
#define BOOST_TEST_MODULE recogniser
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "advface/recogniser.h"
#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "tensor/io/npy.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

namespace fs = std::filesystem;

// The folder of real models, or "" after saying that the test is skipped.
std::string models() {
  const char* set = std::getenv("ADVF_SHARED");
  const fs::path root = set ? fs::path(set) : fs::path(ADVF_TEST_DATA) / "../../../shared";
  if (fs::exists(root / "models")) return (root / "models").string();
  std::cout << "SKIPPED: no models; set ADVF_SHARED to a folder with models/ in it\n";
  return "";
}

// p(c,y,x) = (7x + 13y + 29c + floor(x y / 5)) mod 256 with c = R, G, B, in [0,1].
std::vector<float> synthetic_image(int64_t height, int64_t width) {
  std::vector<float> image;
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x)
        image.push_back(float((7 * x + 13 * y + 29 * c + x * y / 5) % 256) / 255);
  return image;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = std::fabs(double(a[i]) - double(b[i]));
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

// Raw network output of `batch` rows: the synthetic image, and (as the first of two) its mirror image in y.
void compare_to_reference(const std::string& name, const char* device, int64_t batch) {
  const std::string folder = models();
  if (folder.empty()) return;
  const BackendScope scope(backend(device));
  const Recogniser r = Recogniser::load(folder + "/" + name + ".json");
  const int64_t height = r.card().input.height, width = r.card().input.width;
  const std::vector<float> image = synthetic_image(height, width);
  std::vector<float> pixels;
  for (int64_t i = 1; i < batch; ++i) pixels.insert(pixels.end(), image.rbegin(), image.rend());
  pixels.insert(pixels.end(), image.begin(), image.end());
  const Tensor x = r.preprocess(Tensor::from(pixels, {batch, 3, height, width}));
  const std::string& output = r.card().embedding.name;
  const std::vector<float> raw = r.model().run({{r.card().input.name, x}}, {output})[0].to_vector<float>();
  const std::vector<float> expected = load_npy(folder + "/reference/" + name + ".npy").to_vector<float>();
  const size_t d = size_t(r.card().embedding.dimension);
  BOOST_REQUIRE_EQUAL(expected.size(), d);
  const double error = largest_difference(std::span(raw).last(d), expected);
  std::cout << name << " on " << device << ", batch " << batch << ": largest difference " << error << "\n";
  BOOST_TEST(error <= 1e-4);
  if (batch == 1) return;
  const Tensor first = x.slice_batch(0, 1);
  const auto alone = r.model().run({{r.card().input.name, first}}, {output})[0].to_vector<float>();
  BOOST_TEST(largest_difference(std::span(raw).first(d), alone) <= 1e-5);
  BOOST_TEST(largest_difference(std::span(raw).first(d), expected) > 1e-2);  // it is another image
}

}  // namespace

BOOST_AUTO_TEST_CASE(mobilefacenet_on_reference) {
  compare_to_reference("mobilefacenet_112", "reference", 1);
}
BOOST_AUTO_TEST_CASE(mobilefacenet_on_cpu) { compare_to_reference("mobilefacenet_112", "cpu", 2); }
BOOST_AUTO_TEST_CASE(facenet_on_reference) { compare_to_reference("facenet_casia_160", "reference", 1); }
BOOST_AUTO_TEST_CASE(facenet_on_cpu) { compare_to_reference("facenet_casia_160", "cpu", 2); }
