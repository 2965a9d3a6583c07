// A small detector trained on drawn scenes, without any outside model: what its cells are to say, its file
// for pictures of any size, resumed runs; how many faces it finds, how well its landmarks sit, and what a
// wrong cut costs a small recogniser.
#define BOOST_TEST_MODULE detector_training
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "advface/core/feature_domain.h"
#include "advface/core/feature_rows.h"
#include "advface/detect/detected_cut.h"
#include "advface/detect/detection_score.h"
#include "advface/networks/detector_loss.h"
#include "advface/networks/train_detector.h"
#include "advface/networks/train_recogniser.h"
#include "advface/synthetic/scene_set.h"
#include "autograd/tape.h"
#include "file_test_util.h"
#include "nn/onnx/export.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int kWidth = 50;  // percent of the network's channels

SceneSetSettings small_scenes(int64_t train, int64_t validation) {
  SceneSetSettings s;
  s.train = train;
  s.validation = validation;
  s.scene = {.width = 128, .height = 96, .faces = 2, .least_head = 28, .most_head = 72, .max_roll = 20};
  return s;
}

// Scenes with their trainer, and the network that it trains.
struct Run {
  SceneSet scenes;
  DetectorData data;
  DetectorNet net{kWidth};
  std::unique_ptr<DetectorTrainer> trainer;

  Run(const SceneSetSettings& s, const TrainSettings& settings) : scenes(s) {
    net.initialise(settings.seed);
    data.picture = [this](const std::vector<int64_t>& rows) { return scenes.batch(rows); };
    data.faces = scenes.faces();
    for (int64_t r = 0; r < scenes.size(); ++r) (r < s.train ? data.train : data.validation).push_back(r);
    trainer = std::make_unique<DetectorTrainer>(net, data, settings, kWidth);
  }
  void to_end() {
    while (!trainer->done()) trainer->step();
    trainer->finish();
  }
};

TrainSettings settings(int epochs, int64_t batch = 8) {
  return {.epochs = epochs, .batch = batch, .learning_rate = 4e-3, .seed = 3};
}

Face face_of(const Point& middle, double side) {
  Face f{middle.x - 0.4 * side, middle.y - 0.5 * side, 0.8 * side, side, 1, {}};
  for (const Point& p : FaceTemplate{}.in_crop())
    f.landmarks.push_back({f.x + p.x * f.width, f.y + p.y * f.height});
  return f;
}

// What a network that knew the targets would say, as DetectorNet::forward() does.
Tensor perfect(const DetectorTargets& t) {
  return concat({affine(t.is_face, 40, -20), t.distances, t.points}, 2);
}

}  // namespace

BOOST_AUTO_TEST_CASE(cells_learn_the_faces_near_them) {
  const Face small = face_of({41, 43}, 24), large = face_of({100, 60}, 90);
  const DetectorTargets t = detector_targets({{small, large}, {}}, 128, 192);
  const int64_t fine = 16 * 24, middle = 8 * 12, cells = fine + middle + 4 * 6;
  BOOST_REQUIRE((t.is_face.shape() == Shape{2, cells, 1} && t.points.shape() == Shape{2, cells, 10}));
  const auto is_face = t.is_face.to_vector<float>(), distances = t.distances.to_vector<float>(),
             points = t.points.to_vector<float>(), weight = t.weight.to_vector<float>();
  // (40, 40) is the cell of row 5, column 5 of stride 8; (96, 64) that of row 2, column 3 of stride 32.
  for (const auto& [cell, stride, x, y, face] :
       {std::tuple(size_t(5 * 24 + 5), 8.0, 40.0, 40.0, &small),
        {size_t(fine + middle + 2 * 6 + 3), 32.0, 96.0, 64.0, &large}}) {
    BOOST_TEST(is_face[cell] == 1);
    BOOST_TEST(std::abs(x - double(distances[4 * cell]) * stride - face->x) < 1e-4);
    BOOST_TEST(std::abs(y + double(distances[4 * cell + 3]) * stride - face->y - face->height) < 1e-4);
    BOOST_TEST(std::abs(x + double(points[10 * cell]) * stride - face->landmarks[0].x) < 1e-4);
  }
  for (size_t i = size_t(cells); i < is_face.size(); ++i) BOOST_TEST((is_face[i] == 0 && weight[i] == 1));
  BOOST_TEST(t.positives == std::count(is_face.begin(), is_face.end(), 1.0f));
  // The large face is none for the finest grid; beside its middle a cell of its own grid is let off.
  BOOST_TEST((is_face[8 * 24 + 12] == 0 && weight[8 * 24 + 12] == 1));
  BOOST_TEST(std::count(weight.begin(), weight.end(), 0.0f) > 0);
  // Nothing is wrong with what was asked for; whatever is changed is.
  const Tensor right = perfect(t);
  BOOST_TEST(detector_loss(right, t).item() < 1e-5);
  std::vector<float> values = right.to_vector<float>();
  const size_t cell = 5 * 24 + 5;
  for (const size_t k : {0, 2, 7}) {
    std::vector<float> other = values;
    other[15 * cell + k] += k == 0 ? -30.0f : 0.5f;
    BOOST_TEST(detector_loss(Tensor::from(other, right.shape()), t).item() > 1e-3);
  }
  const DetectorTargets none = detector_targets({{}, {}}, 64, 64);
  BOOST_TEST(std::isfinite(detector_loss(perfect(none), none).item()));
}

BOOST_AUTO_TEST_CASE(found_and_wrong_faces_are_counted) {
  const Face a = face_of({30, 30}, 20), b = face_of({80, 30}, 20);
  Face near = face_of({31, 30}, 20), second = face_of({30, 32}, 20), stranger = face_of({30, 90}, 20);
  near.score = 0.9;
  second.score = stranger.score = 0.8;
  DetectionScore s;
  s.add({second, near, stranger}, {a, b});
  s.add({}, {});
  BOOST_TEST((s.pictures == 2 && s.faces == 2 && s.found == 1 && s.wrong == 2));
  BOOST_TEST(
      (s.recall() == 0.5 && std::abs(s.precision() - 1.0 / 3) < 1e-12 && std::abs(s.f1() - 0.4) < 1e-12));
  const double eyes = a.landmarks[1].x - a.landmarks[0].x;
  BOOST_TEST(std::abs(s.landmark_error() - 1 / eyes) < 1e-3);
  BOOST_TEST((DetectionScore().f1() == 0 && DetectionScore().landmark_error() == 0));
}

BOOST_AUTO_TEST_CASE(scenes_to_train_on) {
  const SceneSet a(small_scenes(20, 10)), b(small_scenes(20, 10));
  set_num_threads(1);
  const SceneSet c(small_scenes(20, 10));
  set_num_threads(0);
  const auto all = a.batch({0, 29, 7}).to_vector<float>();
  BOOST_TEST(
      (all == b.batch({0, 29, 7}).to_vector<float>() && all == c.batch({0, 29, 7}).to_vector<float>()));
  size_t none = 0, two = 0;
  for (const auto& faces : a.faces()) {
    none += faces.empty();
    two += faces.size() == 2;
  }
  BOOST_TEST((none > 0 && two > 0 && a.size() == 30));
  refused([&] { a.batch({30}); }, {"30 of 30"});
  refused([] { SceneSet(small_scenes(0, 1)); }, {"train"});
  refused([] { SceneSet(small_scenes(10'000'000, 1)); }, {"GiB"});
  refused([] { SceneSet(small_scenes(4, 4), [](int64_t) { return false; }); }, {""});
}

BOOST_AUTO_TEST_CASE(a_resumed_run_ends_at_the_same_weights) {
  const TempDir dir;
  const auto weights = [](Run& run) {
    run.to_end();
    std::string bytes;
    for (const Named& n : run.net.state())
      bytes.append(reinterpret_cast<const char*>(n.tensor->raw()), n.tensor->bytes());
    return bytes;
  };
  const SceneSetSettings scenes = small_scenes(24, 8);
  Run whole(scenes, settings(2)), first(scenes, settings(2)), second(scenes, settings(2));
  for (int i = 0; i < 4; ++i) first.trainer->step();
  first.trainer->save_checkpoint(dir / "c");
  second.trainer->load_checkpoint(dir / "c");
  BOOST_TEST(weights(whole) == weights(second));
  BOOST_TEST(second.trainer->last_score().faces == whole.trainer->last_score().faces);
  Run other(small_scenes(25, 8), settings(2));
  refused([&] { other.trainer->load_checkpoint(dir / "c"); }, {"another run"});
}

BOOST_AUTO_TEST_CASE(its_file_takes_pictures_of_any_size) {
  const TempDir dir;
  DetectorNet net(25);
  net.initialise(5);
  write_detector(net, dir / "d.json", "nothing");
  const Detector detector = Detector::load(dir / "d.json", 0.001);
  BOOST_TEST(detector.card().trained_on == "nothing");
  for (const auto& [height, width] : {std::pair(64, 96), {160, 32}, {32, 256}}) {
    const Tensor x = randn({1, 3, height, width}, 3, DType::f32);
    const auto grids = net.grids(x);
    for (const DetectorGrid& g : grids) {
      const std::string stride = "_" + std::to_string(g.stride);
      const auto out = detector.model().run({{"input", x}}, {"score" + stride, "landmarks" + stride});
      BOOST_TEST(relative_error(out[0], sigmoid(g.logits)) < 1e-5);
      BOOST_TEST(relative_error(out[1], g.points) < 1e-5);
    }
  }
  refused([&] { net.forward(Tensor::zeros({1, 3, 64, 48})); }, {"multiples of 32", "[1,3,64,48]"});
  refused([] { DetectorNet(10); }, {"10 %", "25 to 400"});
  // What means another thing for each size of picture has no such file.
  Tape tape(Tape::Keep::everything);
  const Tensor x = Tensor::zeros({1, 3, 8, 8});
  Tensor larger, row;
  {
    const TapeScope scope(tape);
    larger = resize2d(x, {.size = {16, 16}});
    row = reshape(x, {1, 3 * 64});
  }
  for (const Tensor& y : {larger, row}) {
    BOOST_CHECK_NO_THROW(to_onnx("net.onnx", tape, x, "x", {{y, "y"}}));
    refused(
        [&] {
          to_onnx("net.onnx", tape, x, "x", {{y, "y"}}, {}, OpenSizes::picture);
        },
        {"net.onnx", "size of picture"});
  }
}

namespace {

// Photographs of people as a camera would have them: one person each, somewhere in a scene.
struct Album {
  std::vector<Image> pictures;
  std::map<std::string, std::vector<Face>> truth;  // by name
  std::vector<int64_t> person;

  Album(int64_t first_person, int64_t people, int64_t each) {
    SceneOptions o{.width = 128, .height = 96, .faces = 1, .least_head = 40, .most_head = 62};
    o.max_roll = 15;
    o.identities = 1;
    for (int64_t i = 0; i < people * each; ++i) {
      o.first_identity = first_person + i / each;
      Scene scene = draw_scene(11, first_person * each + i, o);
      BOOST_REQUIRE_EQUAL(scene.faces.size(), 1u);
      pictures.push_back(std::move(scene.image));
      truth[name(i)] = {scene.faces[0].face};
      person.push_back(o.first_identity);
    }
  }
  static std::string name(int64_t i) { return std::to_string(i) + ".png"; }

  // (N, 3, size, size); where no face was found the whole picture.
  Tensor crops(std::shared_ptr<const FaceFinder> finder, int size, int64_t* none = nullptr) const {
    DetectionSettings settings;
    settings.min_face = 8;
    const FaceCut cut = detected_cut(std::move(finder), {}, settings);
    std::vector<float> values;
    for (size_t i = 0; i < pictures.size(); ++i) {
      CutResult result = cut.cut(pictures[i], name(int64_t(i)), name(int64_t(i)), size);
      if (result.faces == 0) {
        if (none) ++*none;
        result = FaceCut().cut(pictures[i], "", "", size);
      }
      values.insert(values.end(), result.pixels.begin(), result.pixels.end());
    }
    return Tensor::from(values, {int64_t(pictures.size()), 3, size, size});
  }

  // By the true landmarks, displaced to the right by a share of the box's width and drawn out by a factor.
  std::shared_ptr<const FaceFinder> told(double shift = 0, double factor = 1) const {
    auto faces = truth;
    for (auto& [unused, list] : faces)
      for (Face& f : list)
        for (Point& p : f.landmarks)
          p = {f.x + f.width / 2 + shift * f.width + factor * (p.x - f.x - f.width / 2),
               f.y + f.height / 2 + factor * (p.y - f.y - f.height / 2)};
    return std::make_shared<const FaceFinder>(faces, "truth");
  }
};

constexpr int kCrop = 32;

double accuracy(const Module& recogniser, const Album& album, const Tensor& crops) {
  const Tensor rows = l2_normalise(recogniser.forward(RecogniserTrainer::network_input(crops)));
  const std::vector<float> v = rows.to_vector<float>();
  const size_t dim = size_t(rows.dim(1));
  std::vector<ScoredPair> scores;
  for (const RowPair& p : draw_pairs(album.person, 5, 400, Philox{5, 1}))
    scores.push_back(
        {dot(std::span(v).subspan(p.a * dim, dim), std::span(v).subspan(p.b * dim, dim)), p.genuine, p.fold});
  return fold_accuracy(scores).mean;
}

// A small recogniser of faces that are cut out by their true landmarks.
std::unique_ptr<Module> trained_recogniser(const Album& album, int epochs) {
  const RecogniserSpec spec{.name = "cnn_small", .image_size = kCrop, .embedding = 32, .width_percent = 50};
  auto net = make_recogniser(spec, 3);
  const Tensor crops = album.crops(album.told(), kCrop);
  RecogniserData data;
  data.face = [&](const std::vector<int64_t>& rows) { return FeatureRows(crops).at(rows); };
  data.person = album.person;
  const int64_t rows = int64_t(album.person.size()), train = rows * 4 / 5;
  for (int64_t i = 0; i < rows; ++i) (i < train ? data.train : data.validation).push_back(i);
  RecogniserTrainer trainer(*net, spec, data,
                            {.epochs = epochs, .batch = 32, .learning_rate = 4e-3, .seed = 3},
                            {.scale = 16, .margin = 0.1, .augmentation = {.strength = 0.3}, .against = {}});
  while (!trainer.done()) trainer.step();
  trainer.finish();
  net->train(false);
  return net;
}

}  // namespace

// Minutes under a sanitizer; what it runs, the cases above and the suites of recognisers run as well.
BOOST_AUTO_TEST_CASE(what_it_finds_and_what_a_wrong_cut_costs,
                     *boost::unit_test::enable_if<!kUnderSanitizer>()) {
  const TempDir dir;
  Run run(small_scenes(480, 60), settings(10));
  run.to_end();
  write_detector(run.net, dir / "d.json", "scenes");
  // Through the file, on scenes that no training saw, larger than those of the training.
  const Detector detector = Detector::load(dir / "d.json");
  SceneOptions larger{.width = 240, .height = 180, .faces = 4, .least_head = 28, .most_head = 72};
  larger.max_roll = 20;
  larger.first_identity = 50'000;
  DetectionScore score;
  for (int64_t i = 0; i < 40; ++i) {
    const Scene scene = draw_scene(77, i, larger);
    std::vector<Face> truth;
    for (const SceneFace& f : scene.faces) truth.push_back(f.face);
    score.add(detector.find(scene.image), truth);
  }
  BOOST_TEST_MESSAGE("recall " << score.recall() << ", precision " << score.precision() << ", landmarks "
                               << score.landmark_error() << " of the eyes' distance");

  const Album known(0, 80, 8), strangers(1000, 30, 5);
  const auto recogniser = trained_recogniser(known, 20);
  int64_t none = 0;
  const double truth = accuracy(*recogniser, strangers, strangers.crops(strangers.told(), kCrop)),
               found = accuracy(*recogniser, strangers,
                                strangers.crops(std::make_shared<const FaceFinder>(detector), kCrop, &none)),
               shifted = accuracy(*recogniser, strangers, strangers.crops(strangers.told(0.2), kCrop)),
               drawn_out = accuracy(*recogniser, strangers, strangers.crops(strangers.told(0, 1.4), kCrop)),
               whole = accuracy(*recogniser, strangers,
                                strangers.crops(std::make_shared<const FaceFinder>(
                                                    std::map<std::string, std::vector<Face>>{}, "nothing"),
                                                kCrop));
  BOOST_TEST_MESSAGE("accuracy by truth " << truth << ", by the detector " << found << " (" << none
                                          << " not found), shifted by a fifth " << shifted
                                          << ", drawn out by 1.4 " << drawn_out << ", of whole pictures "
                                          << whole);
  BOOST_TEST(score.recall() > 0.8);
  BOOST_TEST(score.precision() > 0.8);
  BOOST_TEST(score.landmark_error() < 0.3);
  BOOST_TEST(none <= int64_t(strangers.pictures.size()) / 10);
  // Rough landmarks cost something; drawing out, or no cut at all, costs more.
  BOOST_TEST(truth > 0.85);
  BOOST_TEST(found > truth - 0.2);
  BOOST_TEST(shifted < truth - 0.05);
  BOOST_TEST(drawn_out < found);
  BOOST_TEST(whole < found - 0.1);
}
