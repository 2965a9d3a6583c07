#include "advface/networks/train_detector.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "advface/core/faces.h"
#include "advface/detect/decoding.h"
#include "advface/networks/detector_loss.h"
#include "autograd/tape.h"
#include "nn/onnx/export.h"
#include "tensor/hash.h"
#include "tensor/io/atomic_file.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 16;
constexpr uint64_t kMirrorStream = 0x6d6972726f72;  // and the epoch
constexpr const char* kDecoding = "scrfd";          // how the network's numbers are meant

// Two runs are the same only if the net, the pictures and their faces are.
std::string describe(const DetectorData& data, int width_percent) {
  const Tensor pictures = data.picture(part_of(data.train, 0, kBatch)).on_host();
  uint64_t hash = fnv1a({pictures.raw(), pictures.bytes()});
  for (const auto& faces : data.faces)
    for (const Face& f : faces) hash = fnv1a(std::as_bytes(std::span(&f.x, 1)), hash);
  return "detector " + std::to_string(width_percent) + " " + std::to_string(pictures.dim(3)) + " x " +
         std::to_string(pictures.dim(2)) + " " + std::to_string(data.faces.size()) + " " + hex(hash);
}

// In a picture of this width whose left and right are exchanged.
Face mirrored_face(Face face, double width) {
  face.x = width - face.x - face.width;
  for (Point& p : face.landmarks) p.x = width - p.x;
  std::swap(face.landmarks.at(0), face.landmarks.at(1));
  std::swap(face.landmarks.at(3), face.landmarks.at(4));
  return face;
}

// The faces that the network sees in each picture.
std::vector<std::vector<Face>> seen(const std::vector<DetectorGrid>& grids, int64_t height, int64_t width) {
  const int64_t n = grids[0].logits.dim(0);
  std::vector<std::vector<Face>> faces{size_t(n)};
  for (const DetectorGrid& g : grids) {
    const std::vector<float> scores = sigmoid(g.logits).to_vector<float>(),
                             distances = g.distances.to_vector<float>(), points = g.points.to_vector<float>();
    DetectorLevel level;
    level.stride = g.stride;
    level.rows = height / g.stride;
    level.columns = width / g.stride;
    const size_t cells = size_t(level.cells());
    for (size_t i = 0; i < size_t(n); ++i) {
      level.scores = std::span(scores).subspan(i * cells, cells);
      level.boxes = std::span(distances).subspan(4 * i * cells, 4 * cells);
      level.landmarks = std::span(points).subspan(10 * i * cells, 10 * cells);
      decoding(kDecoding).decode(level, DetectorTrainer::kScore, faces[i]);
    }
  }
  for (auto& some : faces) some = suppress(std::move(some), DetectorTrainer::kOverlap);
  return faces;
}

}  // namespace

DetectorTrainer::DetectorTrainer(DetectorNet& net, const DetectorData& data, const TrainSettings& settings,
                                 int width_percent)
    : Trainer({{"net", &net}}, data.train, settings, {.weight_decay = 1e-4, .decoupled = true},
              describe(data, width_percent)),
      net_(net),
      data_(data),
      seed_(settings.seed) {
  check(!data.validation.empty(), "there are no pictures to validate the detector on");
}

Tensor DetectorTrainer::network_input(const Tensor& pictures01) {
  return affine(pictures01, 255 * kScale, -kMean * kScale);
}

std::vector<std::vector<Face>> DetectorTrainer::faces_of(const std::vector<int64_t>& rows) const {
  std::vector<std::vector<Face>> faces;
  for (const int64_t r : rows) faces.push_back(data_.faces.at(size_t(r)));
  return faces;
}

// Half of the pictures are mirrored, drawn anew for each epoch.
Tensor DetectorTrainer::loss(const std::vector<int64_t>& rows) {
  const Philox rng{seed_, kMirrorStream + history().size()};
  std::vector<uint8_t> which;
  std::vector<std::vector<Face>> faces = faces_of(rows);
  Tensor pictures = data_.picture(rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    which.push_back(uint8_t(rng.below(uint64_t(rows[i]), 2)));
    if (which.back())
      for (Face& face : faces[i]) face = mirrored_face(face, double(pictures.dim(3)));
  }
  pictures = mirrored(pictures, which);
  return detector_loss(net_.forward(network_input(pictures)),
                       detector_targets(faces, pictures.dim(2), pictures.dim(3)));
}

void DetectorTrainer::pass(const std::vector<int64_t>& rows) {
  net_.forward(network_input(data_.picture(rows)));
}

std::pair<double, double> DetectorTrainer::validate() {
  score_ = {};
  double sum = 0;
  int64_t batches = 0;
  for (int64_t begin = 0; begin < int64_t(data_.validation.size()); begin += kBatch, ++batches) {
    const std::vector<int64_t> rows = part_of(data_.validation, begin, begin + kBatch);
    const Tensor pictures = data_.picture(rows);
    const int64_t height = pictures.dim(2), width = pictures.dim(3);
    const auto truth = faces_of(rows);
    const std::vector<DetectorGrid> grids = net_.grids(network_input(pictures));
    sum += detector_loss(DetectorNet::joined(grids), detector_targets(truth, height, width)).item();
    const auto found = seen(grids, height, width);
    for (size_t i = 0; i < found.size(); ++i) score_.add(found[i], truth[i]);
  }
  return {sum / double(batches), score_.f1()};
}

// The score of the last validation, which a run that goes on behind its last epoch tells.
TensorMap DetectorTrainer::more_state() {
  return {{"score", Tensor::from(std::vector<double>{double(score_.pictures), double(score_.faces),
                                                     double(score_.found), double(score_.wrong),
                                                     score_.landmark_errors},
                                 {5})}};
}

void DetectorTrainer::load_more(TensorMap tensors, const std::string& path) {
  const Tensor score = tensors["score"];
  check(score.defined() && score.dtype() == DType::f64 && score.shape() == Shape{5}, path,
        ": the checkpoint does not say how the detector did; it is damaged");
  const std::vector<double> v = score.to_vector<double>();
  score_ = {int64_t(v[0]), int64_t(v[1]), int64_t(v[2]), int64_t(v[3]), v[4]};
}

void write_detector(DetectorNet& net, const std::string& card_path, const std::string& trained_on) {
  namespace fs = std::filesystem;
  const fs::path model = fs::path(card_path).replace_extension(".onnx");
  net.train(false);
  std::map<uint64_t, std::string> names;
  for (const Named& n : net.state()) names[n.tensor->id()] = n.name;
  Tape tape(Tape::Keep::everything);
  const int64_t stride = DetectorNet::kStrides.back();
  const Tensor input = Tensor::zeros({1, 3, 2 * stride, 3 * stride});
  std::vector<std::pair<Tensor, std::string>> outputs;
  nlohmann::ordered_json listed = {{"score", nlohmann::json::array()},
                                   {"box", nlohmann::json::array()},
                                   {"landmarks", nlohmann::json::array()}};
  {
    const TapeScope scope(tape);
    for (const DetectorGrid& g : net.grids(input)) {
      const auto add = [&](const char* kind, const Tensor& t) {
        outputs.emplace_back(t, kind + ("_" + std::to_string(g.stride)));
        listed[kind].push_back(outputs.back().second);
      };
      add("score", sigmoid(g.logits));
      add("box", g.distances);
      add("landmarks", g.points);
    }
  }
  export_onnx(model.string(), tape, input, "input", outputs, names, OpenSizes::picture);
  const nlohmann::ordered_json card = {{"model", model.filename().string()},
                                       {"input",
                                        {{"name", "input"},
                                         {"channels", "RGB"},
                                         {"mean", DetectorTrainer::kMean},
                                         {"scale", DetectorTrainer::kScale}}},
                                       {"decoding", kDecoding},
                                       {"strides", DetectorNet::kStrides},
                                       {"outputs", listed},
                                       {"score", DetectorTrainer::kScore},
                                       {"overlap", DetectorTrainer::kOverlap},
                                       {"trained_on", trained_on}};
  AtomicFile file(card_path);
  file.write(card.dump(2) + "\n");
  file.commit();
}

}  // namespace advf
