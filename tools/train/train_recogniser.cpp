// advface-train recogniser: a face recogniser of our own from labelled photographs, as a card and an ONNX
// file.
#include <iostream>
#include <map>

#include "advface/core/text_file.h"
#include "nn/nets/decoders.h"
#include "tools/options/progress.h"
#include "tools/train/train.h"

namespace advf::tools {
namespace {

// Who is on these files, and the split: everything but the images.
RecogniserData split_files(const RecogniserOptions& o, const std::vector<std::string>& files) {
  const Labels labels = o.faces.labels_of(files);
  const Split split = split_by_identity(labels, o.split_seed);
  RecogniserData data;
  std::map<std::string, int64_t> numbers;
  std::map<int64_t, int64_t> photos;
  for (const std::string& name : labels.identities) {
    data.person.push_back(numbers.try_emplace(single_spaced(name), int64_t(numbers.size())).first->second);
    ++photos[data.person.back()];
  }
  // A person with one photograph teaches nothing about what stays the same between two.
  for (int64_t r : split.train)
    if (photos[data.person[size_t(r)]] > 1) data.train.push_back(r);
  data.validation = split.validation;
  data.validation.insert(data.validation.end(), split.test.begin(), split.test.end());
  check(int64_t(data.train.size()) >= o.settings.batch, o.faces.images, ": the split by person leaves ",
        data.train.size(), " images to train on of people with two or more, fewer than one batch of ",
        o.settings.batch, "; use more people, or a smaller --batch");
  RecogniserTrainer::check_people(data, o.settings.seed);
  return data;
}

// Each epoch of the history with how the opponent did.
nlohmann::json history_with_opponent(const RecogniserTrainer& trainer) {
  nlohmann::json history = history_json(trainer.history(), "accuracy");
  for (size_t e = 0; e < trainer.opponent_history().size(); ++e) {
    history[e]["train_reconstruction"] = trainer.opponent_history()[e].train;
    history[e]["validation_reconstruction"] = trainer.opponent_history()[e].validation;
  }
  return history;
}

std::vector<Series> opponent_curves(const RecogniserTrainer& trainer) {
  if (!trainer.opponent()) return {};
  Series train{"decoder's loss, of the mean face's", {}, {}}, validation{"the same on other people", {}, {}};
  for (const OpponentResult& e : trainer.opponent_history()) {
    train.xs.push_back(double(train.xs.size() + 1));
    train.ys.push_back(e.train);
    validation.ys.push_back(e.validation);
  }
  validation.xs = train.xs;
  return {train, validation};
}

void add_opponent_options(CLI::App& app, OpponentSettings& against) {
  app.add_option(
         "--against", against.decoder,
         "train against this decoder, which learns beside it to turn embeddings back into faces: deconv or "
         "resup, fresh")
      ->type_name("NAME")
      ->check(CLI::IsMember({"deconv", "resup"}));
  const auto option = [&](const std::string& name, auto& value, const std::string& help) {
    app.add_option(name, value, help)->capture_default_str()->needs(app.get_option("--against"));
  };
  option("--against-weight", against.weight,
         "of what the decoder is wrong by, in units of the mean face's, beside 1 for ArcFace");
  option("--against-steps", against.steps, "of the decoder for each of the recogniser");
  option("--against-lr", against.learning_rate, "the decoder's learning rate (Adam, the same throughout)");
  option("--against-size", against.image_size, "side of what the decoder makes, in pixels");
}

}  // namespace

int train_recogniser(RecogniserOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  o.settings.seed = o.common.seed;
  std::unique_ptr<Module> net;
  as_usage([&] {
    o.settings.check_valid();
    net = make_recogniser(o.spec, o.common.seed);
    const OpponentSettings& against = o.recogniser.against;
    against.check_valid();
    if (!against.decoder.empty())
      make_decoder({.name = against.decoder, .feature = {o.spec.embedding}, .image_size = against.image_size},
                   0);
  });
  o.faces.check_cut();
  check_writable({o.out});
  const std::string checkpoint = o.out + ".checkpoint";
  check_resumable(o.resume, checkpoint);
  FaceSource faces = o.faces.open_images(console());
  split_files(o, faces.names());  // told before the work; broken images then drop out
  std::cerr << "reading faces\n";
  const FaceCache cache(faces, o.faces.face_cut(FaceTemplate{}), o.spec.image_size);
  o.faces.tell_of_cache(console());
  o.faces.write_rejected(faces);
  std::vector<std::string> files;
  for (int64_t i : cache.source_index()) files.push_back(faces.name(i));
  RecogniserData data = split_files(o, files);
  data.face = [&cache](const std::vector<int64_t>& rows) { return cache.batch(rows); };
  RecogniserTrainer trainer(*net, o.spec, data, o.settings, o.recogniser);
  std::cerr << data.train.size() << " images of " << trainer.classes() << " people to train on, "
            << trainer.validation_pairs() << " pairs of " << data.validation.size()
            << " images of other people\n";
  if (o.resume) trainer.load_checkpoint(checkpoint);
  run_training(trainer, o.settings, checkpoint, "accuracy", [](const EpochResult&) {});
  const std::string against = trainer.opponent() ? trainer.opponent()->settings().describe() : "";
  write_recogniser(*net, o.spec, o.out, against);
  finish_training(trainer, checkpoint, o.out + ".curve.svg", "accuracy", opponent_curves(trainer));
  o.common.write_json({{"out", o.out},
                       {"architecture", o.spec.name},
                       {"parameters", count_elements(net->parameters())},
                       {"people", trainer.classes()},
                       {"train_images", data.train.size()},
                       {"validation_pairs", trainer.validation_pairs()},
                       {"against", against.empty() ? nlohmann::json() : nlohmann::json(against)},
                       {"history", history_with_opponent(trainer)}});
  std::cout << o.out << ": " << o.spec.name << " trained on " << data.train.size() << " images of "
            << trainer.classes() << " people, verification accuracy on other people "
            << short_number(trainer.history().back().validation_score);
  if (trainer.opponent())
    std::cout << "; the decoder " << against << " is wrong by "
              << short_number(trainer.opponent_history().back().validation)
              << " of what the mean face is (train a fresh one on it: advface-train attacker)";
  std::cout << "\n";
  return 0;
}

CLI::App* add_recogniser_verb(CLI::App& app, RecogniserOptions& o) {
  CLI::App* sub =
      app.add_subcommand("recogniser", "trains a face recogniser with ArcFace on labelled photographs");
  o.faces.add_images_to(*sub);
  o.faces.add_labels_to(*sub);
  o.faces.add_rejected_to(*sub);
  sub->add_option("--architecture", o.spec.name, "network")
      ->capture_default_str()
      ->check(CLI::IsMember(recogniser_names()));
  sub->add_option("--image-size", o.spec.image_size, "side of the input in pixels")->capture_default_str();
  sub->add_option("--embedding", o.spec.embedding, "length of the embedding")->capture_default_str();
  sub->add_option("--width", o.spec.width_percent, "channels, in percent of the standard")
      ->capture_default_str();
  add_training_options(*sub, o.settings);
  sub->add_option("--scale", o.recogniser.scale, "ArcFace's scale s")
      ->capture_default_str()
      ->check(number_in(0.01, 1000));
  sub->add_option("--margin", o.recogniser.margin, "ArcFace's margin m, radians")
      ->capture_default_str()
      ->check(number_in(0, 1.57));
  sub->add_option("--augment", o.recogniser.augmentation.strength,
                  "how much the training images are varied (zoom, shift, turn, light); 0: mirrored alone")
      ->capture_default_str()
      ->check(number_in(0, 3));
  add_opponent_options(*sub, o.recogniser.against);
  sub->add_option("--split-seed", o.split_seed, "of the split by person: 80 % are trained on")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t(0), uint64_t(INT64_MAX)))
      ->check(not_negative());
  sub->add_option("--out", o.out, "where the card goes (.json); the network lies beside it (.onnx)")
      ->required();
  sub->add_flag("--resume", o.resume, "go on from OUT.checkpoint, which an interrupted run leaves");
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
