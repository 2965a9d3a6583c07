#include "advface/detect/detector.h"

#include <algorithm>
#include <cmath>
#include <list>
#include <mutex>

#include "advface/detect/decoding.h"
#include "autograd/plan.h"
#include "nn/freeze.h"
#include "tensor/backend.h"
#include "tensor/io/resample.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr size_t kPlans =
    4;  // sizes of input kept; the one that was not used for the longest time goes first

int64_t filled_up(int64_t size, int64_t multiple) { return (size + multiple - 1) / multiple * multiple; }

}  // namespace

// The network's plans by size of input, and for each a state for every thread that runs it at the time.
class Detector::Runs {
 public:
  std::vector<Tensor> run(const OnnxModel& model, const std::string& name,
                          const std::vector<std::string>& wanted, const Tensor& input) {
    std::shared_ptr<Entry> entry = entry_for(model, name, wanted, input.shape());
    std::unique_ptr<PlanState> state = take(*entry);
    state->set(0, input);
    state->run();
    std::vector<Tensor> outputs;
    for (size_t i = 0; i < wanted.size(); ++i) outputs.push_back(state->get(i));
    const std::lock_guard lock(mutex_);
    entry->idle.push_back(std::move(state));
    return outputs;
  }

 private:
  struct Entry {
    Shape shape;
    std::shared_ptr<const Plan> plan;
    std::vector<std::unique_ptr<PlanState>> idle;
  };

  std::shared_ptr<Entry> entry_for(const OnnxModel& model, const std::string& name,
                                   const std::vector<std::string>& wanted, const Shape& shape) {
    const std::lock_guard lock(mutex_);
    for (auto e = entries_.begin(); e != entries_.end(); ++e) {
      if ((*e)->shape != shape) continue;
      entries_.splice(entries_.begin(), entries_, e);
      return entries_.front();
    }
    while (entries_.size() >= kPlans) entries_.pop_back();
    Tape tape(Tape::Keep::everything);
    const Tensor x = Tensor::meta(shape);
    std::vector<Tensor> y;
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      y = model.run({{name, x}}, wanted);
    }
    entries_.push_front(
        std::make_shared<Entry>(Entry{shape, compile(fold_batch_norm(tape, y), std::span(&x, 1), y), {}}));
    return entries_.front();
  }

  std::unique_ptr<PlanState> take(Entry& entry) {
    const std::lock_guard lock(mutex_);
    if (entry.idle.empty()) return std::make_unique<PlanState>(entry.plan);
    auto state = std::move(entry.idle.back());
    entry.idle.pop_back();
    return state;
  }

  std::mutex mutex_;
  std::list<std::shared_ptr<Entry>> entries_;  // the latest used first
};

Detector Detector::load(const std::string& card_path, double least_score) {
  DetectorCard card = load_detector_card(card_path);
  if (least_score > 0) card.score = least_score;
  const BackendScope cpu(backend("cpu"));
  OnnxModel network = OnnxModel::load(card.model);
  return Detector(std::move(card), std::move(network));
}

Detector Detector::from_bytes(DetectorCard card, std::string_view model) {
  const BackendScope cpu(backend("cpu"));
  OnnxModel network = OnnxModel::from_bytes(model, card.model);
  return Detector(std::move(card), std::move(network));
}

// The kinds of outputs in the order of the card, with the numbers that a cell's anchor has of each.
std::vector<Detector::Kind> Detector::kinds() const {
  const Decoding& how = decoding(card_.decoding);
  std::vector<Kind> all{{&card_.outputs.score, how.score_columns}};
  if (how.has_objects) all.push_back({&card_.outputs.object, 1});
  all.push_back({&card_.outputs.box, 4});
  all.push_back({&card_.outputs.landmarks, 2 * card_.points});
  return all;
}

std::vector<std::string> Detector::wanted() const {
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) names.insert(names.end(), kind.names->begin(), kind.names->end());
  return names;
}

Detector::Detector(DetectorCard card, OnnxModel model)
    : card_(std::move(card)), model_(std::move(model)), runs_(std::make_shared<Runs>()) {
  const auto& inputs = model_.inputs();
  check(inputs.size() == 1, card_.model, ": has ", inputs.size(),
        " inputs, and a detector takes one picture");
  check(inputs[0].name == card_.input.name, card_.path, ": \"input.name\" is \"", card_.input.name,
        "\"; the input of ", card_.model, " is: ", inputs[0].name);
  for (const std::string& name : wanted()) {
    if (model_.has_value(name)) continue;
    std::string known;
    for (const std::string& o : model_.outputs()) known += (known.empty() ? "" : ", ") + o;
    fail(card_.path, ": \"outputs\": ", card_.model, " has no tensor \"", name,
         "\"; its outputs are: ", known);
  }
  const auto& dims = inputs[0].dims;
  if (card_.input.width == 0 && dims.size() == 4)
    check(dims[2] <= 0 && dims[3] <= 0, card_.path, ": ", card_.model, " takes pictures of ", dims[3], " x ",
          dims[2], " alone; say so by \"width\" and \"height\" in \"input\"");
  // A trial, of shapes alone.
  const BackendScope cpu(backend("cpu"));
  const int64_t height = card_.input.height > 0 ? card_.input.height : card_.strides.back() * 2,
                width = card_.input.width > 0 ? card_.input.width : card_.strides.back() * 3;
  const MetaScope meta;
  const NoTapeScope off;
  check_outputs(model_.run({{card_.input.name, Tensor::meta({1, 3, height, width})}}, wanted()), height,
                width);
}

void Detector::check_outputs(const std::vector<Tensor>& outputs, int64_t height, int64_t width) const {
  const auto cells_at = [&](int64_t stride) { return height / stride * (width / stride) * card_.anchors; };
  size_t output = 0;
  for (const Kind& kind : kinds())
    for (size_t i = 0; i < kind.names->size(); ++i, ++output) {
      const bool one = kind.names->size() < card_.strides.size();
      int64_t cells = cells_at(card_.strides[i]);
      for (size_t l = 1; one && l < card_.strides.size(); ++l) cells += cells_at(card_.strides[l]);
      const Shape& s = outputs[output].shape();
      check(s.numel() == cells * kind.each && s.rank() >= 2 && s[s.rank() - 1] == kind.each &&
                outputs[output].dtype() == DType::f32,
            card_.path, ": \"outputs\": \"", (*kind.names)[i], "\" has shape ", s, " for a picture of ",
            width, " x ", height, "; at ", one ? "all strides" : "stride " + std::to_string(card_.strides[i]),
            " it should hold ", cells, " rows of ", kind.each,
            " (\"strides\", \"anchors\" or \"points\" are not those of ", card_.model, ")");
    }
}

std::vector<Face> Detector::decode(const std::vector<Tensor>& outputs, int64_t height, int64_t width) const {
  check_outputs(outputs, height, width);
  const Decoding& how = decoding(card_.decoding);
  std::vector<Face> faces;
  int64_t before = 0;  // cells of the finer levels
  for (size_t l = 0; l < card_.strides.size(); ++l) {
    DetectorLevel level;
    level.stride = card_.strides[l];
    level.rows = height / level.stride;
    level.columns = width / level.stride;
    level.anchors = card_.anchors;
    level.points = size_t(card_.points);
    if (how.has_priors) level.priors = card_.priors[l];
    level.offset_variance = card_.offset_variance;
    level.size_variance = card_.size_variance;
    std::vector<std::span<const float>> values;
    size_t output = 0;
    for (const Kind& kind : kinds()) {
      const bool one = kind.names->size() < card_.strides.size();
      const Tensor& t = outputs[output + (one ? 0 : l)];
      values.push_back(std::span(t.data<float>(), size_t(t.numel()))
                           .subspan(size_t(one ? before * kind.each : 0), size_t(level.cells() * kind.each)));
      output += kind.names->size();
    }
    level.scores = values[0];
    if (how.has_objects) level.objects = values[1];
    level.boxes = values[values.size() - 2];
    level.landmarks = values.back();
    how.decode(level, card_.score, faces);
    before += level.cells();
  }
  return faces;
}

Tensor Detector::input_of(const Image& image, int width, int height) const {
  const int64_t multiple = card_.strides.back();
  const int64_t full_width = card_.input.width > 0 ? card_.input.width : filled_up(width, multiple),
                full_height = card_.input.height > 0 ? card_.input.height : filled_up(height, multiple);
  const BackendScope cpu(backend("cpu"));
  const size_t plane = size_t(width) * size_t(height);
  std::vector<float> rgb(3 * plane);
  if (width == image.width && height == image.height) {
    for (size_t i = 0; i < plane; ++i)
      for (size_t c = 0; c < 3; ++c)
        rgb[c * plane + i] = float(image.pixels[image.channels == 3 ? 3 * i + c : i]);
  } else {
    crop_resize_into(image, whole(image), height, width, rgb.data());
    for (float& v : rgb) v *= 255.0f;
  }
  Tensor input = Tensor::zeros({1, 3, full_height, full_width});
  float* out = input.mutable_data<float>();
  for (size_t c = 0; c < 3; ++c) {
    const float* from = &rgb[(card_.input.channels == "BGR" ? 2 - c : c) * plane];
    const float mean = float(card_.input.mean[c]), scale = float(card_.input.scale[c]);
    for (int y = 0; y < height; ++y) {
      float* row = out + (int64_t(c) * full_height + y) * full_width;
      for (int x = 0; x < width; ++x) row[x] = (from[size_t(y) * size_t(width) + size_t(x)] - mean) * scale;
    }
  }
  return input;
}

std::vector<Face> Detector::candidates(const Tensor& input) const {
  const BackendScope cpu(backend("cpu"));
  const NoTapeScope off;
  const MetaScope real(false);
  return decode(runs_->run(model_, card_.input.name, wanted(), input), input.dim(2), input.dim(3));
}

std::vector<Face> Detector::find(const Image& image, const DetectorView& view) const {
  std::vector<Face> all;
  std::vector<double> done;
  for (const int64_t side : view.sides) {
    double scale = std::min(view.enlarge, double(side) / std::max(image.width, image.height));
    if (card_.input.width > 0)
      scale = std::min(
          {scale, double(card_.input.width) / image.width, double(card_.input.height) / image.height});
    if (std::find(done.begin(), done.end(), scale) != done.end()) continue;
    done.push_back(scale);
    const auto shrunk = [&](int size) { return std::max(1, int(std::lround(size * scale))); };
    const int width = shrunk(image.width), height = shrunk(image.height);
    const double across = double(image.width) / width, down = double(image.height) / height;
    for (Face& face : candidates(input_of(image, width, height))) {
      face.x *= across;
      face.width *= across;
      face.y *= down;
      face.height *= down;
      for (Point& p : face.landmarks) p = {p.x * across, p.y * down};
      all.push_back(std::move(face));
    }
  }
  return suppress(std::move(all), card_.overlap);
}

}  // namespace advf
