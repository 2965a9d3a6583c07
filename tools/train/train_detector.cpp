// advface-train detector: a small face detector from drawn scenes, as a card and an ONNX file.
#include <iostream>

#include "tools/options/progress.h"
#include "tools/options/scene_options.h"
#include "tools/train/train.h"

namespace advf::tools {
namespace {

// What the card says: for people, who would take it for more than it is.
constexpr const char* kTrainedOn = "drawn scenes; not for real photographs";

SceneSet draw_scenes(const DetectorOptions& o) {
  const int64_t count = o.scenes.train + o.scenes.validation;
  Progress progress("drawing", count, "scenes");
  SceneSet scenes(o.scenes, [&, before = int64_t(0)](int64_t done) mutable {
    progress.advance(done - before);
    before = done;
    return !interrupted();
  });
  progress.finish();
  return scenes;
}

nlohmann::json score_json(const DetectionScore& s) {
  return {{"scenes", s.pictures},
          {"faces", s.faces},
          {"found", s.found},
          {"wrong", s.wrong},
          {"recall", s.recall()},
          {"precision", s.precision()},
          {"landmark_error", s.landmark_error()}};
}

}  // namespace

int train_detector(DetectorOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  o.settings.seed = o.scenes.seed = o.common.seed;
  o.scenes.validation = std::max<int64_t>(8, o.scenes.train / 10);
  std::unique_ptr<DetectorNet> net;
  as_usage([&] {
    o.settings.check_valid();
    o.scenes.check_valid();
    const int64_t stride = DetectorNet::kStrides.back();
    check(o.scenes.scene.width % stride == 0 && o.scenes.scene.height % stride == 0, "--scene-size ",
          o.scenes.scene.width, ",", o.scenes.scene.height, ": both must be multiples of ", stride);
    check(o.scenes.train >= o.settings.batch, "--scenes ", o.scenes.train, " are fewer than a batch of ",
          o.settings.batch);
    net = std::make_unique<DetectorNet>(o.width_percent);
  });
  net->initialise(o.common.seed);
  check_writable({o.out});
  const std::string checkpoint = o.out + ".checkpoint";
  check_resumable(o.resume, checkpoint);
  const SceneSet scenes = draw_scenes(o);
  DetectorData data;
  data.picture = [&scenes](const std::vector<int64_t>& rows) { return scenes.batch(rows); };
  data.faces = scenes.faces();
  for (int64_t r = 0; r < scenes.size(); ++r)
    (r < o.scenes.train ? data.train : data.validation).push_back(r);
  DetectorTrainer trainer(*net, data, o.settings, o.width_percent);
  std::cerr << data.train.size() << " scenes to train on, " << data.validation.size()
            << " of other people to validate on\n";
  if (o.resume) trainer.load_checkpoint(checkpoint);
  run_training(trainer, o.settings, checkpoint, "F1", [](const EpochResult&) {});
  write_detector(*net, o.out, kTrainedOn);
  finish_training(trainer, checkpoint, o.out + ".curve.svg", "F1");
  const DetectionScore& score = trainer.last_score();
  o.common.write_json({{"out", o.out},
                       {"parameters", count_elements(net->parameters())},
                       {"train_scenes", data.train.size()},
                       {"trained_on", kTrainedOn},
                       {"validation", score_json(score)},
                       {"history", history_json(trainer.history(), "f1")}});
  std::cout << o.out << ": detector trained on " << data.train.size() << " drawn scenes; of " << score.faces
            << " faces in others it finds " << score.found << ", with " << score.wrong
            << " that are none, and their landmarks within " << short_number(100 * score.landmark_error())
            << " % of the distance of the eyes. Not for real photographs\n";
  return 0;
}

CLI::App* add_detector_verb(CLI::App& app, DetectorOptions& o) {
  CLI::App* sub = app.add_subcommand(
      "detector",
      "trains a small face detector on drawn scenes, for demos and tests: not for real photographs");
  sub->add_option("--scenes", o.scenes.train,
                  "scenes to draw and train on; a tenth as many more validate, with other people on them")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(2), int64_t(1000000)));
  add_scene_options(*sub, o.scenes.scene);
  sub->add_option("--width", o.width_percent, "channels, in percent of the standard")->capture_default_str();
  add_training_options(*sub, o.settings);
  sub->add_option("--out", o.out, "where the card goes (.json); the network lies beside it (.onnx)")
      ->required();
  sub->add_flag("--resume", o.resume, "go on from OUT.checkpoint, which an interrupted run leaves");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
