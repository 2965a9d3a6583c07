// Cards of detectors: what is refused, networks that do not fit them, and a decoding that needs much said in
// its card (oracles/retinaface_oracle.py).
#define BOOST_TEST_MODULE detector_cards
#include <boost/test/unit_test.hpp>

#include "advface/detect/decoding.h"
#include "detector_test_util.h"
#include "file_test_util.h"
#include "recogniser_test_util.h"
#include "tensor/io/npy.h"

using namespace advf;
using namespace advf::test;

BOOST_AUTO_TEST_CASE(detector_cards_are_read_strictly) {
  const DetectorCard c = parse_detector_card(kYunetCard, "folder/card.json");
  BOOST_TEST((c.model == "folder/net.onnx" && c.strides.size() == 3u && c.outputs.object[2] == "obj_32"));
  const auto bad = [](const std::string& from, const std::string& to, const std::vector<std::string>& words) {
    refused([&] { parse_detector_card(with(kYunetCard, from, to), "card.json"); }, words);
  };
  bad("\"yunet\"", "\"ssd\"", {"card.json", "decoding", "yunet, scrfd, retinaface"});
  bad("[8, 16, 32]", "[8, 32, 16]", {"strides", "rise"});
  bad("[8, 16, 32]", "[8, 16]", {"outputs.score", "list of 2"});
  bad("[8, 16, 32]", "[8, 12, 32]", {"32 is no multiple of 12"});
  bad("[8, 16, 32]", "[0, 16, 32]", {"strides", "1 to 256"});
  bad("\"mean\": 0", "\"mean\": \"a\"", {"input.mean"});
  bad("\"scale\": 1", "\"scale\": 0", {"input.scale"});
  bad("\"name\": \"input\"", "\"name\": \"input\", \"width\": 64", {"width", "height"});
  bad("\"score\": 0.6", "\"score\": 1.5", {"score", "between 0 and 1"});
  bad("\"score\": 0.6", "\"other\": 1", {"other", "unknown key"});
  bad("\"score\": 0.6", "\"anchors\": 2", {"anchors", "yunet"});
  bad("\"score\": 0.6", "\"points\": 3", {"points"});
  refused([] { parse_detector_card("[", "card.json"); }, {"card.json", "JSON"});
  survive(
      kYunetCard, [](const std::string& t) { parse_detector_card(t, "card.json"); }, 300);
}

BOOST_AUTO_TEST_CASE(networks_that_do_not_fit_their_card) {
  Detector::from_bytes(parse_detector_card(kToyDetectorCard, "toy.json"), toy_detector());
  const auto bad = [](const std::string& from, const std::string& to, const std::vector<std::string>& words) {
    refused(
        [&] {
          Detector::from_bytes(parse_detector_card(with(kToyDetectorCard, from, to), "toy.json"),
                               toy_detector());
        },
        words);
  };
  bad("\"x\"", "\"y\"", {"toy.json", "input.name", "the input of"});
  bad("\"box\"]", "\"bax\"]", {"toy.json", "no tensor \"bax\"", "its outputs are", "landmarks"});
  bad("[\"box\"]", "[\"score\"]", {"toy.json", "\"score\" has shape", "rows of 4"});
  bad("\"strides\": [8]", "\"strides\": [4]", {"\"strides\""});
  bad("\"decoding\"", "\"points\": 2, \"decoding\"", {"\"landmarks\" has shape", "rows of 4"});
}

namespace {

const std::string kRetinaCard = R"({
  "model": "net.onnx",
  "input": {"name": "x", "channels": "BGR", "mean": 0, "scale": 1, "width": 96, "height": 64},
  "decoding": "retinaface",
  "strides": [8, 16],
  "outputs": {"score": ["conf"], "box": ["loc"], "landmarks": ["landms"]},
  "priors": {"min_sizes": [[16, 32], [48, 64]], "variances": [0.1, 0.2]},
  "overlap": 0.999
})";

// A network that says the same of every picture.
std::string constant_network(const Tensor& outputs) {
  OnnxBuilder b;
  b.input("x", {1, 3, 64, 96})
      .floats("w", {1, 3, 1, 1}, {0, 0, 0})
      .ints("one", {1, 1, 1})
      .node("GlobalAveragePool", {"x"}, {"m"})
      .node("Conv", {"m", "w"}, {"z"})
      .node("Reshape", {"z", "one"}, {"nothing"});
  const int64_t rows = outputs.dim(0), columns = outputs.dim(1);
  int64_t begin = 0;
  for (const auto& [name, each] : {std::pair("conf", 2), {"loc", 4}, {"landms", 10}}) {
    std::vector<float> values;
    for (int64_t i = 0; i < rows; ++i)
      values.insert(values.end(), outputs.data<float>() + i * columns + begin,
                    outputs.data<float>() + i * columns + begin + each);
    begin += each;
    const std::string constant = name + std::string("_values");
    b.floats(constant, {1, rows, each}, values).node("Add", {constant, "nothing"}, {name}).output(name);
  }
  return b.bytes();
}

}  // namespace

// Against the numpy of oracles/retinaface_oracle.py, whose faces come in the order of the cells.
BOOST_AUTO_TEST_CASE(retinaface_reads_priors) {
  const Tensor outputs = load_npy(ADVF_TEST_DATA + std::string("/detector/retinaface_outputs.npy")),
               expected = load_npy(ADVF_TEST_DATA + std::string("/detector/retinaface_faces.npy"));
  const Detector detector =
      Detector::from_bytes(parse_detector_card(kRetinaCard, "retina.json"), constant_network(outputs));
  BOOST_TEST(detector.card().anchors == 2);
  BOOST_TEST(expected.dim(0) >= 20);
  BOOST_TEST(largest_difference(detector.candidates(Tensor::zeros({1, 3, 64, 96})), expected) < 1e-3);
  const auto bad = [](const std::string& from, const std::string& to, const std::vector<std::string>& words) {
    refused([&] { parse_detector_card(with(kRetinaCard, from, to), "card.json"); }, words);
  };
  bad("[[16, 32], [48, 64]]", "[[16, 32]]", {"priors.min_sizes", "list of 2"});
  bad("[[16, 32], [48, 64]]", "[[16, 32], [48]]", {"priors.min_sizes", "as many"});
  bad("[[16, 32], [48, 64]]", "[[16, 32], [48, -1]]", {"priors.min_sizes", "-1"});
  bad("[0.1, 0.2]", "[0.1, 0]", {"priors.variances", "0"});
  bad("[0.1, 0.2]", "[0.1]", {"priors.variances", "list of 2"});
  bad("\"overlap\"", "\"anchors\": 2, \"overlap\"", {"anchors", "priors"});
  bad("\"priors\"", "\"prior\"", {"priors", "missing"});
  refused(
      [&] {
        Detector::from_bytes(
            parse_detector_card(with(kRetinaCard, "[16, 32], [48, 64]", "[16], [48]"), "retina.json"),
            constant_network(outputs));
      },
      {"conf", "all strides", "120 rows of 2"});
  survive(
      kRetinaCard, [](const std::string& t) { parse_detector_card(t, "card.json"); }, 300);
}
