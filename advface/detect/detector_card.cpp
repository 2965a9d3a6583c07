#include "advface/detect/detector_card.h"

#include <filesystem>

#include "advface/core/card_reader.h"
#include "advface/detect/decoding.h"

namespace advf {
namespace {

constexpr size_t kMaxLevels = 8;
constexpr int64_t kMaxStride = 256, kMaxSide = 4096, kMaxAnchors = 16;

DetectorCard::Input read_input(CardReader in, const std::string& path) {
  DetectorCard::Input input;
  input.name = in.text("name");
  input.channels = in.one_of("channels", {"RGB", "BGR"});
  input.mean = in.by_channel("mean");
  input.scale = in.by_channel("scale");
  for (const double s : input.scale) check(s != 0, path, ": \"input.scale\" must not be 0");
  check(in.has("width") == in.has("height"), path,
        ": \"input\" has one of \"width\" and \"height\"; give both, or neither where the network takes any "
        "size");
  if (in.has("width")) {
    input.width = in.whole("width", 1, kMaxSide);
    input.height = in.whole("height", 1, kMaxSide);
  }
  in.finish();
  return input;
}

// "priors": {"min_sizes": [[16, 32], [64, 128]], "variances": [0.1, 0.2]}; gives the number of anchors.
void read_priors(CardReader in, const std::string& path, DetectorCard& card) {
  card.priors = in.number_lists("min_sizes", card.strides.size(), 1, size_t(kMaxAnchors));
  for (const std::vector<double>& sides : card.priors) {
    check(sides.size() == card.priors[0].size(), path,
          ": \"priors.min_sizes\" must be as many at each stride");
    for (const double side : sides)
      check(side > 0 && side <= kMaxSide, path, ": \"priors.min_sizes\" must lie between 0 and ", kMaxSide,
            ", not ", side);
  }
  const std::vector<double> variances = in.numbers("variances", 2, 2);
  for (const double v : variances)
    check(v > 0 && v <= 10, path, ": \"priors.variances\" must lie between 0 and 10, not ", v);
  card.offset_variance = variances[0];
  card.size_variance = variances[1];
  card.anchors = int64_t(card.priors[0].size());
  in.finish();
}

// One name for each stride, or one for all.
std::vector<std::string> output_names(CardReader& outputs, const char* key, size_t levels) {
  std::vector<std::string> names = outputs.texts(key, 1, kMaxLevels);
  return names.size() == 1 ? names : outputs.texts(key, levels, levels);
}

}  // namespace

DetectorCard parse_detector_card(const std::string& text, const std::string& path) {
  const nlohmann::json root = parse_json(text, path);
  check(!root.is_object() || !root.contains("embedding"), path,
        ": is the card of a recogniser; name it with --recogniser, and a detector's with --detector");
  CardReader top(root, path, "");
  DetectorCard card;
  card.path = path;
  card.model = (std::filesystem::path(path).parent_path() / top.text("model")).string();
  card.input = read_input(top.object("input"), path);
  std::vector<std::string> names;
  for (const Decoding& d : decodings()) names.push_back(d.name);
  card.decoding = top.one_of("decoding", names);
  const Decoding& how = decoding(card.decoding);
  card.strides = top.wholes("strides", 1, kMaxLevels, 1, kMaxStride);
  for (size_t i = 1; i < card.strides.size(); ++i)
    check(card.strides[i] > card.strides[i - 1], path, ": \"strides\" must rise");
  for (const int64_t s : card.strides) {
    check(card.strides.back() % s == 0, path, ": \"strides\": ", card.strides.back(), " is no multiple of ",
          s);
    check(card.input.width % s == 0 && card.input.height % s == 0, path, ": \"input\": ", card.input.width,
          " x ", card.input.height, " is no multiple of the stride ", s);
  }
  const size_t levels = card.strides.size();
  CardReader outputs = top.object("outputs");
  card.outputs.score = output_names(outputs, "score", levels);
  if (how.has_objects) card.outputs.object = output_names(outputs, "object", levels);
  card.outputs.box = output_names(outputs, "box", levels);
  card.outputs.landmarks = output_names(outputs, "landmarks", levels);
  outputs.finish();
  if (how.has_priors) read_priors(top.object("priors"), path, card);
  check(!how.has_priors || !top.has("anchors"), path, ": \"anchors\": the decoding ", card.decoding,
        " has as many as there are \"priors\"");
  if (top.has("anchors")) card.anchors = top.whole("anchors", 1, kMaxAnchors);
  check(card.anchors == 1 || !how.one_anchor_only, path, ": \"anchors\": the decoding ", card.decoding,
        " has one to a cell");
  if (top.has("points")) card.points = top.whole("points", 2, 5);
  check(card.points == 2 || card.points == 5, path, ": \"points\" must be 5, or 2 for the eyes alone");
  if (top.has("score")) card.score = top.number("score");
  if (top.has("overlap")) card.overlap = top.number("overlap");
  if (top.has("trained_on")) card.trained_on = top.text("trained_on");
  check(card.score > 0 && card.score < 1, path, ": \"score\" must lie between 0 and 1");
  check(card.overlap > 0 && card.overlap < 1, path, ": \"overlap\" must lie between 0 and 1");
  top.finish();
  return card;
}

DetectorCard load_detector_card(const std::string& path) {
  return parse_detector_card(read_card_text(path), path);
}

bool is_detector_card(const std::string& path) {
  const nlohmann::json root = parse_json(read_card_text(path), path);
  return root.is_object() && root.contains("decoding");
}

}  // namespace advf
