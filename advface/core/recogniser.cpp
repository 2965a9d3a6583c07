#include "advface/core/recogniser.h"

#include <cmath>
#include <filesystem>
#include <sstream>

#include "advface/core/card_reader.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {

RecogniserCard parse_card(const std::string& text, const std::string& path) {
  const nlohmann::json root = parse_json(text, path);
  check(!root.is_object() || !root.contains("decoding"), path,
        ": is the card of a detector, which finds faces; name it with --detector, and a recogniser's here");
  constexpr int64_t kMaxSide = 4096, kMaxDimension = 1 << 20;
  RecogniserCard card;
  card.path = path;
  CardReader top(root, path, "");
  card.model = (std::filesystem::path(path).parent_path() / top.text("model")).string();
  CardReader input = top.object("input");
  card.input.name = input.text("name");
  card.input.width = input.whole("width", 1, kMaxSide);
  card.input.height = input.whole("height", 1, kMaxSide);
  card.input.channels = input.one_of("channels", {"RGB", "BGR"});
  card.input.mean = input.by_channel("mean");
  card.input.scale = input.by_channel("scale");
  for (const double s : card.input.scale) check(s != 0, path, ": \"input.scale\" must not be 0");
  if (input.has("layout")) card.input.channels_last = input.one_of("layout", {"NCHW", "NHWC"}) == "NHWC";
  input.finish();
  CardReader crop = top.object("crop");
  card.crop.face_template = crop.text("template");
  card.crop.margin = crop.number("margin");
  if (crop.has("points")) {
    check(card.crop.face_template == "points", path,
          ": \"crop.points\" are for the template \"points\", not for \"", card.crop.face_template,
          "\", whose points are known");
    const auto points = crop.points("points", 5, 5);
    for (size_t i = 0; i < 5; ++i)
      card.crop.points.push_back(
          {points[i][0] / double(card.input.width), points[i][1] / double(card.input.height)});
  }
  check(card.crop.margin > -0.5 && card.crop.margin <= 4, path, ": \"crop.margin\" must lie in (-0.5, 4]");
  crop.finish();
  CardReader embedding = top.object("embedding");
  card.embedding.name = embedding.text("name");
  card.embedding.dimension = embedding.whole("dimension", 1, kMaxDimension);
  card.embedding.unit_norm = embedding.flag("unit_norm");
  card.embedding.normalise = embedding.flag("normalise");
  check(card.embedding.unit_norm || card.embedding.normalise, path,
        ": embeddings are compared on the unit sphere; set \"embedding.unit_norm\" where the network's "
        "output has"
        " norm 1, otherwise \"embedding.normalise\"");
  embedding.finish();
  card.metric = top.one_of("metric", {"cosine"});
  card.default_cut = top.has("default_cut") ? top.text("default_cut") : card.embedding.name;
  if (top.has("domains")) {
    CardReader domains = top.object("domains");
    for (const std::string& cut : domains.keys())
      card.domains[cut] = domain_from(
          domains.one_of(cut.c_str(), {name_of(FeatureDomain::real), name_of(FeatureDomain::non_negative)}),
          path);
  }
  if (top.has("trained_against")) card.trained_against = top.text("trained_against");
  top.finish();
  return card;
}

std::string feeding_hash(const RecogniserCard& card) {
  const RecogniserCard::Input& in = card.input;
  std::ostringstream text;
  text.precision(17);
  text << in.name << "\n" << in.width << " " << in.height << " " << in.channels << " " << in.channels_last;
  for (const auto& values : {in.mean, in.scale})
    for (const double v : values) text << " " << v;
  text << "\n" << card.crop.face_template << " " << card.crop.margin;
  for (const Point& p : card.crop.points) text << " " << p.x << " " << p.y;
  text << "\n" << card.embedding.name << " " << card.embedding.normalise;
  return hex(fnv1a(text.str()));
}

RecogniserCard load_card(const std::string& path) { return parse_card(read_card_text(path), path); }

Recogniser Recogniser::load(const std::string& card_path, DType dtype) {
  RecogniserCard card = load_card(card_path);
  OnnxModel network = OnnxModel::load(card.model, dtype);
  return Recogniser(std::move(card), std::move(network));
}

Recogniser Recogniser::from_bytes(RecogniserCard card, std::string_view model, DType dtype) {
  OnnxModel network = OnnxModel::from_bytes(model, card.model, dtype);
  return Recogniser(std::move(card), std::move(network));
}

Shape Recogniser::input_shape(int64_t n) const {
  const int64_t h = card_.input.height, w = card_.input.width;
  return card_.input.channels_last ? Shape{n, h, w, 3} : Shape{n, 3, h, w};
}

// A network that takes one image, in the layout that the card says.
void Recogniser::check_declared_input() const {
  const auto& inputs = model_.inputs();
  check(inputs.size() == 1, card_.model, ": has ", inputs.size(),
        " inputs, and a recogniser takes one image; export it with everything else fixed");
  const std::vector<int64_t>& dims = inputs[0].dims;
  if (dims.size() != 4) return;
  const bool last = dims[3] == 3 && dims[1] != 3, first = dims[1] == 3 && dims[3] != 3;
  check(!last || card_.input.channels_last, card_.path, ": ", card_.model,
        " takes images with their channels last; set \"layout\": \"NHWC\" in \"input\" (or export it with "
        "channels first: tf2onnx has --inputs-as-nchw)");
  check(!first || !card_.input.channels_last, card_.path, ": \"input.layout\" is NHWC, but ", card_.model,
        " takes images with their channels first; leave the key out");
}

// Where the file leaves all sizes open, a wrong layout shows in the first node that it does not fit.
std::vector<OnnxModel::Traced> Recogniser::traced_one_image() const {
  const std::vector<int64_t>& dims = model_.inputs()[0].dims;
  const bool told = dims.size() == 4 && (dims[1] > 0 || dims[3] > 0);
  try {
    return model_.trace({{card_.input.name, input_shape(1)}}, {card_.embedding.name});
  } catch (const Error& e) {
    if (told) throw;
    fail(e.what(), "; it was fed ", input_shape(1), ", as ", card_.path,
         " has it: is \"input\" right, its size and its \"layout\" (NCHW or NHWC)?");
  }
}

Recogniser::Recogniser(RecogniserCard card, OnnxModel model)
    : card_(std::move(card)), model_(std::move(model)) {
  check_declared_input();
  const auto& inputs = model_.inputs();
  check(inputs[0].name == card_.input.name, card_.path, ": \"input.name\" is \"", card_.input.name,
        "\"; the inputs of ", card_.model, " are: ", inputs[0].name);
  const std::string& embedding = card_.embedding.name;
  check(model_.has_value(embedding), card_.path, ": \"embedding.name\": ", card_.model, " has no tensor \"",
        embedding, "\"");
  const auto traced = traced_one_image();
  check(!traced.empty() && traced.back().name == embedding && traced.back().shape.rank() >= 2 &&
            traced.back().shape.numel() == card_.embedding.dimension && traced.back().shape[0] == 1,
        card_.path, ": \"embedding.dimension\" is ", card_.embedding.dimension, "; \"", embedding, "\" of ",
        card_.model, " has shape ", traced.empty() ? Shape() : traced.back().shape);

  const auto cuts = model_.cuts(embedding);
  int64_t macs = 0;
  auto next = cuts.begin();
  for (const auto& t : traced) {
    macs += t.macs;
    if (next == cuts.end() || t.name != *next) continue;
    ++next;
    if (t.shape.rank() >= 2 && t.shape[0] == 1)
      cut_points_.push_back({t.name, t.op_type, row_of(t.shape), macs});
  }
  cut_points_.back().shape = {card_.embedding.dimension};
  settle_rows();
  cut_point(card_.default_cut);
  for (const auto& [cut, domain] : card_.domains) {
    cut_point(cut);
    check(cut != embedding, card_.path, ": \"domains.", cut, "\": embeddings live on the unit sphere");
  }
}

// What is computed of a photograph must not depend on the photographs beside it. Only a trial shows all the
// ways in which a graph can mix them: two images, one of noise and one of dark and bright stripes.
void Recogniser::settle_rows() {
  const NoTapeScope quiet;
  const MetaScope real(false);
  const int64_t pixels = 3 * card_.input.height * card_.input.width;
  const Philox noise{0x0b5e55ed, 0};
  std::vector<double> values;
  for (int64_t i = 0; i < 2 * pixels; ++i) {
    const double u = double(noise.uniform(uint64_t(i)));
    values.push_back(i < pixels ? u : 0.1 + 0.8 * double(i / 7 % 2) * u);
  }
  const Shape shape{2, 3, card_.input.height, card_.input.width};
  const Tensor pair = preprocess(model_.dtype() == DType::f64
                                     ? Tensor::from(values, shape)
                                     : Tensor::from(std::vector<float>(values.begin(), values.end()), shape));
  std::vector<std::string> names;
  for (const CutPoint& p : cut_points_) names.push_back(p.name);
  const OnnxModel::RowTest test = model_.test_rows({{card_.input.name, pair}}, names);
  if (!test.apart.back()) {
    one_at_a_time_ = test.why;
    model_ = model_.one_at_a_time();
    plans_ = std::make_shared<RowPlans>(1);
    return;
  }
  size_t next = 0;  // a cut at which another dimension counts images cannot be stored by rows
  std::erase_if(cut_points_, [&](const CutPoint&) { return !test.apart[next++]; });
}

FeatureDomain Recogniser::domain(const std::string& cut) const {
  cut_point(cut);
  if (cut == card_.embedding.name) return FeatureDomain::sphere;
  if (const auto said = card_.domains.find(cut); said != card_.domains.end()) return said->second;
  return model_.non_negative(cut) ? FeatureDomain::non_negative : FeatureDomain::real;
}

const CutPoint& Recogniser::cut_point(const std::string& cut) const {
  for (const CutPoint& p : cut_points_)
    if (p.name == cut) return p;
  const std::string other = model_.bypass(cut, card_.embedding.name);
  check(other.empty(), card_.model, ": '", cut, "' does not cut the network in two: '", other,
        "' goes round it");
  fail(card_.model, ": '", cut, "' cannot be a cut: its first dimension does not count images");
}

Tensor Recogniser::preprocess(const Tensor& images01) const {
  const Shape& s = images01.shape();
  check(s.rank() == 4 && s[1] == 3, "images must have shape (N,3,h,w), not ", s);
  Tensor x = images01;
  if (s[2] != card_.input.height || s[3] != card_.input.width)
    x = resize2d(x, {.size = {card_.input.height, card_.input.width}});
  if (card_.input.channels == "BGR") x = concat({slice(x, 1, 2, 3), slice(x, 1, 1, 2), slice(x, 1, 0, 1)}, 1);
  const auto &mean = card_.input.mean, &scale = card_.input.scale;
  if (mean[0] == mean[1] && mean[0] == mean[2] && scale[0] == scale[1] && scale[0] == scale[2]) {
    x = affine(x, 255 * scale[0], -mean[0] * scale[0]);
  } else {
    std::vector<Tensor> channels;
    for (int c = 0; c < 3; ++c)
      channels.push_back(
          affine(slice(x, 1, c, c + 1), 255 * scale[size_t(c)], -mean[size_t(c)] * scale[size_t(c)]));
    x = concat(channels, 1);
  }
  return card_.input.channels_last ? permute(x, {0, 2, 3, 1}) : x;
}

void Recogniser::check_input(const Tensor& x) const {
  const Shape &s = x.shape(), wanted = input_shape(s.rank() > 0 ? s[0] : 0);
  check(s == wanted, card_.path, ": the network's input must have shape (N,", wanted[1], ",", wanted[2], ",",
        wanted[3], "), not ", s);
}

// The network's output as what is stored: (N, dimension), norm 1.
Tensor Recogniser::finish(const Tensor& output) const {
  Tensor y = output;
  if (y.shape().rank() != 2) y = reshape(y, {y.dim(0), card_.embedding.dimension});
  return card_.embedding.normalise ? l2_normalise(y) : y;
}

Tensor Recogniser::run(const std::string& from, const Tensor& x, const std::string& to) const {
  const auto network = [&](const Tensor& in) {
    const Tensor y = model_.run({{from, in}}, {to})[0];
    return to == card_.embedding.name ? finish(y) : y;
  };
  if (current_recorder() || MetaScope::active()) return network(x);
  const Tensor y = plans_->run(card_.model + ": " + from + " -> " + to, network, x);
  if (to == card_.embedding.name && !card_.embedding.normalise) check_norms(y);
  return y;
}

void Recogniser::check_norms(const Tensor& embeddings) const {
  if (embeddings.dtype() != DType::f32) return;
  const size_t d = size_t(card_.embedding.dimension);
  const std::vector<float> values = embeddings.to_vector<float>();
  for (size_t i = 0; i < values.size(); i += d) {
    const double length = norm(std::span(values).subspan(i, d));
    // What is all but zero is a matter of the picture: it has no direction.
    check(!std::isfinite(length) || length < 1e-6 || is_unit_norm(length), card_.path,
          ": \"embedding.unit_norm\" says that the network's output has norm 1, but ", card_.model,
          " gave one of norm ", length, "; set \"normalise\": true and \"unit_norm\": false");
  }
}

Tensor Recogniser::features(const Tensor& network_input, const std::string& cut) const {
  check_input(network_input);
  cut_point(cut);
  return run(card_.input.name, network_input, cut);
}

Tensor Recogniser::embed_from(const Tensor& feature, const std::string& cut) const {
  const Shape& per_image = feature_shape(cut);
  check(feature.shape().rank() > 0 && feature.shape() == with_rows(feature.dim(0), per_image), card_.path,
        ": features at '", cut, "' have shape ", per_image, " per image; the tensor given has shape ",
        feature.shape());
  if (cut == card_.embedding.name) return feature;
  const Tensor y = run(cut, feature, card_.embedding.name);
  if (!current_recorder() && !MetaScope::active()) {
    check(count_not_finite(y) == 0, card_.model, ": an embedding is not finite, from features at '", cut,
          "' that are");
    const size_t d = size_t(card_.embedding.dimension);
    const auto values = y.dtype() == DType::f32 ? y.to_vector<float>() : std::vector<float>();
    for (size_t i = 0; i < values.size(); i += d)
      check(is_unit_norm(norm(std::span(values).subspan(i, d))), card_.model,
            ": an embedding has no direction, from features at '", cut, "' that are");
  }
  return y;
}

}  // namespace advf
