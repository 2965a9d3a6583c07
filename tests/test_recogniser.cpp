// The recogniser plug-in: cards, cut points, and the embeddings of real networks against PyTorch's.
#define BOOST_TEST_MODULE recogniser
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <iostream>

#include "advface/core/faces.h"
#include "advface/core/features.h"
#include "advface/core/recogniser.h"
#include "autograd/gradcheck.h"
#include "file_test_util.h"
#include "onnx_test_util.h"
#include "recogniser_test_util.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

namespace fs = std::filesystem;

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
// Four minutes under the sanitizer, which finds nothing in these kernels that it does not find above.
BOOST_AUTO_TEST_CASE(facenet_on_reference, *boost::unit_test::enable_if<!kUnderSanitizer>()) {
  compare_to_reference("facenet_casia_160", "reference", 1);
}
BOOST_AUTO_TEST_CASE(facenet_on_cpu) { compare_to_reference("facenet_casia_160", "cpu", 2); }

// ---- cards

BOOST_AUTO_TEST_CASE(cards_are_strict) {
  const RecogniserCard card = parse_card(kCard, "folder/card.json");
  BOOST_TEST(card.model == "folder/net.onnx");
  BOOST_TEST(card.default_cut == "r");
  BOOST_TEST((parse_card(with(kCard, ",\n  \"default_cut\": \"r\"", ""), "c").default_cut == "e"));
  const auto refuse = [](const std::string& from, const std::string& to, const std::string& word) {
    refused([&] { parse_card(with(kCard, from, to), "card.json"); }, {"card.json", word});
  };
  refuse("\"metric\"", "\"metrics\": 1, \"metric\"", "\"metrics\": unknown key");
  refuse("\"margin\": 0.1", "\"margin\": 0.1, \"extra\": 2", "\"crop.extra\": unknown key");
  refuse("\"width\": 5,", "", "\"input.width\" is missing");
  refuse("\"width\": 5", "\"width\": 5.5", "\"input.width\" must be a whole number");
  refuse("\"width\": 5", "\"width\": -5", "\"input.width\" must be a whole number");
  refuse("BGR", "GBR", "allowed: RGB, BGR");
  refuse("0.02", "0", "input.scale");
  refuse("\"mean\": 100", "\"mean\": \"100\"", "\"input.mean\" must be a finite number");
  refuse("\"mean\": 100", "\"mean\": 1e999", "not valid JSON");
  refuse("cosine", "manhattan", "allowed: cosine");
  refuse("\"normalise\": true", "\"normalise\": false", "unit sphere");
  refuse("{\"template\"", "[{\"template\"", "not valid JSON");
  refuse("\"width\": 5", "\"width\": 5, \"width\": 6", "the key input.width stands there twice");
  refused([] { load_card("/nowhere/card.json"); }, {"/nowhere/card.json"});
  survive(
      kCard, [](const std::string& text) { parse_card(text, "card.json"); }, 3000);
}

BOOST_AUTO_TEST_CASE(a_card_must_fit_its_model) {
  const auto refuse = [](const std::string& from, const std::string& to,
                         const std::vector<std::string>& words) {
    refused([&] { Recogniser::from_bytes(parse_card(with(kCard, from, to), "card.json"), small_network()); },
            words);
  };
  refuse("\"name\": \"x\"", "\"name\": \"image\"", {"input.name", "image", "x"});
  refuse("\"name\": \"e\"", "\"name\": \"z\"", {"embedding.name", "\"z\""});
  refuse("\"dimension\": 6", "\"dimension\": 7", {"embedding.dimension", "7", "[1,6]"});
  refuse("\"width\": 5", "\"width\": 6", {"[?,3,4,5]", "[1,3,4,6]"});
  refuse("\"default_cut\": \"r\"", "\"default_cut\": \"a\"", {"'a' does not cut", "'r' goes round"});
  refuse("\"default_cut\": \"r\"", "\"default_cut\": \"q\"", {"'q'"});
}

BOOST_AUTO_TEST_CASE(both_halves_make_the_whole) {
  const Recogniser r = small();
  std::vector<std::string> names;
  for (const CutPoint& p : r.cut_points()) names.push_back(p.name);
  BOOST_TEST((names == std::vector<std::string>{"c", "r", "m", "g", "f", "e"}));
  BOOST_TEST((r.feature_shape("r") == Shape{7, 4, 5}));
  BOOST_TEST((r.feature_shape("e") == Shape{6}));
  BOOST_TEST(r.cut_point("r").macs == 7 * 4 * 5 * 27);
  BOOST_TEST(r.cut_point("e").macs == 7 * 4 * 5 * 27 + 42);
  BOOST_TEST(r.fingerprint().size() == 16u);
  const Tensor x = randn({3, 3, 4, 5}, 5, DType::f32);
  const Tensor whole = r.embed(x);
  for (const std::string& cut : names)
    BOOST_TEST(relative_error(r.embed_from(r.features(x, cut), cut), whole) < 1e-6, cut);
  for (const float norm : reduce_sum(mul(whole, whole), {1}).to_vector<float>())
    BOOST_TEST(std::fabs(norm - 1) < 1e-5);
  const Tensor z = r.features(x, "e");
  BOOST_TEST(r.embed_from(z, "e").id() == z.id());
  refused([&] { r.features(randn({1, 3, 5, 4}, 1, DType::f32), "r"); }, {"(N,3,4,5)", "[1,3,5,4]"});
  refused([&] { r.embed_from(x, "r"); }, {"'r'", "[7,4,5]", "[3,3,4,5]"});
}

BOOST_AUTO_TEST_CASE(preprocessing) {
  const Recogniser r = small();
  const std::vector<float> colours{0.2f, 0.4f, 1.0f};
  std::vector<float> image;
  for (const float c : colours) image.insert(image.end(), 20, c);
  const auto out = r.preprocess(Tensor::from(image, {1, 3, 4, 5})).to_vector<float>();
  for (size_t c = 0; c < 3; ++c)  // BGR: the first channel of the network is the last of the image
    BOOST_TEST(std::fabs(out[c * 20] - (255 * colours[2 - c] - 100) * 0.02) < 1e-5);
  BOOST_TEST((r.preprocess(Tensor::full({2, 3, 9, 7}, 0.5)).shape() == Shape{2, 3, 4, 5}));
  refused([&] { r.preprocess(Tensor::zeros({1, 1, 4, 5})); }, {"(N,3,h,w)", "[1,1,4,5]"});
}

BOOST_AUTO_TEST_CASE(gradients_through_preprocessing_and_both_halves) {
  const BackendScope scope(backend("reference"));
  const Recogniser r = small(DType::f64);
  const double error = gradient_error(
      [&](const std::vector<Tensor>& x) {
        const Tensor z = r.features(r.preprocess(x[0]), "r");
        return std::vector<Tensor>{r.embed_from(z, "r"), r.embed(r.preprocess(x[0]))};
      },
      {randn({2, 3, 6, 6}, 9)}, {true}, 2);
  BOOST_TEST(error < 1e-6);
}

// Channels last, and a mean and a scale for each channel.
BOOST_AUTO_TEST_CASE(layout_and_channels_of_the_card) {
  const std::string by_channel = with(with(kCard, "\"mean\": 100", "\"mean\": [10, 20, 30]"),
                                      "\"scale\": 0.02", "\"scale\": [0.5, 0.25, 2]");
  const Recogniser three = Recogniser::from_bytes(parse_card(by_channel, "card.json"), small_network());
  std::vector<float> image;
  for (const float c : {0.2f, 0.4f, 1.0f}) image.insert(image.end(), 20, c);
  const auto fed = three.preprocess(Tensor::from(image, {1, 3, 4, 5})).to_vector<float>();
  const double expected[] = {(255 * 1.0 - 10) * 0.5, (255 * 0.4 - 20) * 0.25, (255 * 0.2 - 30) * 2};  // BGR
  for (size_t c = 0; c < 3; ++c) BOOST_TEST(std::fabs(fed[c * 20] - expected[c]) < 1e-4);
  refused([&] { parse_card(with(kCard, "\"mean\": 100", "\"mean\": [1, 2]"), "card.json"); },
          {"card.json", "input.mean", "three"});
  refused([&] { parse_card(with(kCard, "\"scale\": 0.02", "\"scale\": [1, 0, 1]"), "card.json"); },
          {"card.json", "must not be 0"});

  // The small network that takes channels last gives what it gives otherwise.
  const std::string last = small_network(true);
  const std::string nhwc = with(kCard, "\"channels\"", "\"layout\": \"NHWC\", \"channels\"");
  const Recogniser r = Recogniser::from_bytes(parse_card(nhwc, "card.json"), last), plain = small();
  BOOST_TEST((r.input_shape(2) == Shape{2, 4, 5, 3}));
  const Tensor images = Tensor::full({2, 3, 9, 9}, 0.5);
  BOOST_TEST(relative_error(r.embed(r.preprocess(images)), plain.embed(plain.preprocess(images))) < 1e-6);
  refused([&] { Recogniser::from_bytes(parse_card(kCard, "card.json"), last); },
          {"card.json", "\"layout\": \"NHWC\"", "--inputs-as-nchw"});
  refused([&] { Recogniser::from_bytes(parse_card(nhwc, "card.json"), small_network()); },
          {"card.json", "channels first"});
  refused([&] { parse_card(with(nhwc, "NHWC", "HWC"), "card.json"); }, {"card.json", "allowed: NCHW, NHWC"});
  const std::string two = OnnxBuilder()
                              .input("x", {1, 3, 4, 5})
                              .input("z", {1})
                              .output("e")
                              .node("Add", {"x", "z"}, {"e"})
                              .bytes();
  refused([&] { Recogniser::from_bytes(parse_card(kCard, "card.json"), two); },
          {"net.onnx", "2 inputs", "one image"});
}

namespace {

// Sizes open, so that both layouts are accepted; every value of the image has its own weight.
std::string weighing_network() {
  return OnnxBuilder()
      .input("x", {0, 0, 0, 0})
      .output("e")
      .floats("v", {75, 6}, values(450, 3))
      .node("Flatten", {"x"}, {"f"})
      .node("MatMul", {"f", "v"}, {"e"})
      .bytes();
}
std::string square_card() {
  return with(with(kCard, "\"height\": 4", "\"height\": 5"), "\"default_cut\": \"r\"",
              "\"default_cut\": \"e\"");
}

}  // namespace

// Cards that feed one network differently do not share what they computed.
BOOST_AUTO_TEST_CASE(a_cache_of_features_knows_its_card) {
  const TempDir dir;
  const std::string network = weighing_network(), text = square_card();
  Image image(5, 5, 3);
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = uint8_t(37 * i % 251);
  fs::create_directory(dir / "images");
  write_png(dir / "images/a.png", image);
  const std::string mean = "\"mean\": 100", layout = "\"channels\"";
  std::vector<std::vector<float>> seen;
  for (const std::string& card :
       {text, with(text, layout, "\"layout\": \"NHWC\", \"channels\""),
        with(text, mean, "\"mean\": 100.0004"), with(text, mean, "\"mean\": [100, 100, 101]"),
        with(text, "0.02", "0.0200001")}) {
    const Recogniser r = Recogniser::from_bytes(parse_card(card, "card.json"), network);
    std::vector<float> rows[3];  // without a cache, into it, out of it
    for (int i = 0; i < 3; ++i) {
      FaceSource faces = FaceSource::open(dir / "images");
      rows[i] = extract_features(r, "e", faces, {}, i == 0 ? "" : dir / "cache", {})
                    .features.range(0, 1)
                    .to_vector<float>();
    }
    BOOST_TEST((rows[0] == rows[1] && rows[0] == rows[2]), card);
    for (const auto& other : seen) BOOST_TEST((other != rows[0]), card);
    seen.push_back(rows[0]);
  }
}

// Whatever became of a cache, features are those of the pictures: what is damaged is told and made again.
BOOST_AUTO_TEST_CASE(a_damaged_cache_of_features_is_made_again) {
  const TempDir dir;
  fs::create_directory(dir / "images");
  for (int p = 0; p < 5; ++p) {
    Image image(5, 5, 3);
    for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = uint8_t((37 + p) * i % 251);
    write_png(dir / ("images/" + std::to_string(p) + ".png"), image);
  }
  write_bytes(dir / "images/broken.png", "no picture");
  std::vector<std::string> told;
  const auto features = [&] {
    // Its weights lie where it was loaded.
    const Recogniser r = Recogniser::from_bytes(parse_card(square_card(), "card.json"), weighing_network());
    FaceSource faces = FaceSource::open(dir / "images");
    faces.set_max_broken_share(0.5);
    ExtractOptions options;
    options.told = [&](const std::string& what) { told.push_back(what); };
    const FeatureSet set = extract_features(r, "e", faces, {}, dir / "cache", options);
    BOOST_TEST(faces.left_out().size() == 1u);
    BOOST_TEST((set.indices == std::vector<int64_t>{0, 1, 2, 3, 4}));
    return set.features.range(0, set.features.count()).to_vector<float>();
  };
  // Another backend has features of its own.
  {
    const BackendScope reference(backend("reference"));
    features();
    BOOST_TEST(std::distance(fs::directory_iterator(dir / "cache"), {}) == 4);
  }
  const std::vector<float> right = features();
  BOOST_TEST(std::distance(fs::directory_iterator(dir / "cache"), {}) == 8);
  fs::remove_all(dir / "cache");
  features();
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(dir / "cache"))
    files.push_back(entry.path().filename().string());
  BOOST_REQUIRE_EQUAL(files.size(), 4u);
  BOOST_TEST((features() == right && told.empty()));
  for (const std::string& name : files) {
    const std::string file = dir / ("cache/" + name), good = read_bytes(file);
    std::vector<std::string> bad{good.substr(0, good.size() - 1), "", good + "x"};
    // The lowest bit of a number, which leaves it a number, and a bit of everything else.
    for (const size_t at : {good.size() - 4, good.size() / 2, size_t(1)}) {
      bad.push_back(good);
      bad.back()[at] ^= 1;
    }
    for (const std::string& bytes : bad) {
      write_bytes(file, bytes);
      told.clear();
      BOOST_TEST((features() == right), name);
      BOOST_TEST(told.size() == 1u, name);
      if (!told.empty()) BOOST_TEST(told[0].find("made again") != std::string::npos, told[0]);
      BOOST_TEST(read_bytes(file) == good, name);
      told.clear();
      BOOST_TEST((features() == right && told.empty()));
    }
  }
}

// ---- numbers that are none, and norms that are not one

// A card that takes the network's output for unit vectors is found at the first batch, and at either half.
BOOST_AUTO_TEST_CASE(a_card_that_is_wrong_about_norms) {
  const std::string text =
      with(kCard, "\"unit_norm\": false, \"normalise\": true", "\"unit_norm\": true, \"normalise\": false");
  const Recogniser r = Recogniser::from_bytes(parse_card(text, "card.json"), small_network());
  const Tensor x = randn({3, 3, 4, 5}, 5, DType::f32);
  refused([&] { r.embed(x); }, {"card.json", "unit_norm", "\"normalise\": true"});
  const Tensor z = r.features(x, "r");
  refused([&] { r.embed_from(z, "r"); }, {"card.json", "unit_norm"});
}

BOOST_AUTO_TEST_CASE(weights_that_are_no_numbers) {
  const auto load = [](const std::string& bytes) {
    Recogniser::from_bytes(parse_card(kCard, "card.json"), bytes);
  };
  std::vector<float> bad = values(42, 2);
  bad[7] = NAN;
  const auto network = [](const std::vector<float>& v, float variance) {
    OnnxBuilder b;
    b.input("x", {1, 3, 4, 5})
        .floats("w", {7, 3, 3, 3}, values(189, 1))
        .floats("one", {7}, std::vector<float>(7, 1.0f))
        .floats("var", {7}, {1, 1, 1, variance, 1, 1, 1})
        .node("Conv", {"x", "w"}, {"c"}, {{"pads", {1, 1, 1, 1}}})
        .node("BatchNormalization", {"c", "one", "one", "one", "var"}, {"n"})
        .node("Relu", {"n"}, {"r"});
    return with_end(b, "r", v);
  };
  BOOST_CHECK_NO_THROW(load(network(values(42, 2), 0)));
  refused([&] { load(network(bad, 1)); }, {"net.onnx", "'v'", "values that are not numbers"});
  refused([&] { load(network(values(42, 2), -0.5f)); },
          {"net.onnx", "BatchNormalization 'n'", "'var'", "negative"});
  refused([&] { load(network(values(42, 2), INFINITY)); },
          {"net.onnx", "BatchNormalization 'n'", "'var'", "not finite"});
  bad[7] = INFINITY;
  refused([&] { load(network(bad, 1)); }, {"net.onnx", "MatMul 'e'", "'v'", "not finite"});
  // The same behind a node that only passes it on.
  const auto behind = [](float variance) {
    OnnxBuilder b;
    b.input("x", {1, 3, 4, 5})
        .floats("one", {3}, {1, 1, 1})
        .floats("var", {3}, {1, variance, 1})
        .node("Identity", {"var"}, {"same"})
        .node("BatchNormalization", {"x", "one", "one", "one", "same"}, {"r"});
    return with_end(b, "r", values(18, 2));
  };
  BOOST_CHECK_NO_THROW(load(behind(1)));
  refused([&] { load(behind(-1)); }, {"net.onnx", "BatchNormalization 'r'", "'same'", "negative"});
  refused([&] { load(behind(INFINITY)); }, {"net.onnx", "BatchNormalization 'r'", "'same'", "not finite"});
}

// What the graph shows, and what the card says instead.
BOOST_AUTO_TEST_CASE(domains_of_features) {
  const Recogniser r = small();
  BOOST_TEST((r.domain("e") == FeatureDomain::sphere));
  for (const char* cut : {"r", "m", "g", "f"})
    BOOST_TEST((r.domain(cut) == FeatureDomain::non_negative), cut);
  BOOST_TEST((r.domain("c") == FeatureDomain::real));
  const auto card = [](const std::string& domains) {
    return with(kCard, "\"metric\"", "\"domains\": " + domains + ", \"metric\"");
  };
  const auto load = [&](const std::string& domains) {
    return Recogniser::from_bytes(parse_card(card(domains), "card.json"), small_network());
  };
  const Recogniser said = load(R"({"c": "non-negative", "r": "real"})");
  BOOST_TEST((said.domain("c") == FeatureDomain::non_negative));
  BOOST_TEST((said.domain("r") == FeatureDomain::real));
  refused([&] { load(R"({"c": "sphere"})"); }, {"card.json", "domains.c", "real, non-negative"});
  refused([&] { load(R"({"a": "real"})"); }, {"'a'"});
  refused([&] { load(R"({"e": "real"})"); }, {"card.json", "domains.e"});
}

BOOST_AUTO_TEST_CASE(cuts_of_facenet) {
  const std::string folder = models();
  if (folder.empty()) return;
  const Recogniser r = Recogniser::load(folder + "/facenet_casia_160.json");
  BOOST_TEST((r.domain("MaxPool_3a_3x3") == FeatureDomain::non_negative));
  BOOST_TEST((r.feature_shape("MaxPool_3a_3x3") == Shape{64, 38, 38}));
  BOOST_TEST((r.feature_shape("Conv2d_4b_3x3") == Shape{256, 17, 17}));
  BOOST_TEST((r.feature_shape("Block35_5") == Shape{256, 17, 17}));
  BOOST_TEST((r.feature_shape("Mixed_6a") == Shape{896, 8, 8}));
  BOOST_TEST((r.feature_shape("embedding") == Shape{512}));
  BOOST_TEST(std::fabs(double(r.cut_point("embedding").macs) / 1.42e9 - 1) < 0.01);
  refused([&] { r.feature_shape("Block35_1_sum/none"); }, {"Block35_1_sum/none"});
  refused([&] { r.feature_shape("Block35_1_concat"); }, {"goes round it", "Conv2d_4b_3x3"});
}

// A detector with open sizes and twelve outputs, against onnxruntime's (oracles/yunet_oracle.py).
BOOST_AUTO_TEST_CASE(outputs_of_a_detector) {
  const std::string folder = models(), file = folder + "/yunet_2026may.onnx";
  if (folder.empty()) return;
  if (!fs::exists(file)) {
    std::cout << "SKIPPED: no " << file << "\n";
    return;
  }
  const auto expected = load_safetensors(ADVF_TEST_DATA + std::string("/yunet.safetensors")).tensors;
  BOOST_TEST(expected.size() == 24u);
  for (const char* device : {"reference", "cpu"}) {
    const BackendScope scope(backend(device));
    const OnnxModel model = OnnxModel::load(file);
    BOOST_TEST(model.outputs().size() == 12u);
    for (const auto& [height, width] : {std::pair<int64_t, int64_t>{96, 64}, {64, 128}}) {
      const Tensor image = Tensor::from(synthetic_image(height, width), {1, 3, height, width});
      const auto out = model.run({{model.inputs()[0].name, affine(image, 255, 0)}}, model.outputs());
      for (size_t i = 0; i < out.size(); ++i) {
        const std::string name =
            std::to_string(height) + "x" + std::to_string(width) + "." + model.outputs()[i];
        BOOST_TEST((out[i].shape() == expected.at(name).shape()), name);
        // Scores are sigmoids, most of them near 0, where onnxruntime's own is exact to 1e-7 only.
        const auto wanted = expected.at(name).to_vector<float>();
        double size = 1;
        for (const float v : wanted) size = std::max(size, double(std::fabs(v)));
        BOOST_TEST(largest_difference(out[i].to_vector<float>(), wanted) < 1e-5 * size,
                   name << " on " << device);
      }
    }
  }
}
