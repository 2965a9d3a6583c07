// advface-train generator | adapter | linkage | probe: networks of features. One emits the noise in one pass,
// two read protected features: for the recognition side, or for whoever stole them; the last tells
// attributes.
#include <iostream>
#include <numeric>

#include "advface/core/text_file.h"
#include "advface/networks/train_generator.h"
#include "advface/networks/train_probe.h"
#include "advface/networks/train_projection.h"
#include "advface/networks/train_reader.h"
#include "advface/protections/generator_protection.h"
#include "tools/options/progress.h"
#include "tools/options/setting_options.h"
#include "tools/train/train.h"

namespace advf::tools {
namespace {

FeatureNetSpec spec_of(const FeatureNetOptions& o, const Shape& feature) {
  FeatureNetSpec spec = FeatureNetSpec::usual(feature);
  if (o.width != 0) spec.width = o.width;
  spec.blocks = o.blocks;
  as_usage([&] { spec.check_valid(); });
  return spec;
}

std::string checkpoint_of(const FeatureNetOptions& o) { return o.out + ".checkpoint"; }

void begin(FeatureNetOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  o.settings.seed = o.common.seed;
  as_usage([&] { o.settings.check_valid(); });
  o.faces.check_cut();
  check_writable({o.out});
  check_resumable(o.resume, checkpoint_of(o));
}

// The whole training, or the rest of it from the checkpoint on.
void run_and_save(FeatureNetOptions& o, Trainer& trainer, const std::string& score,
                  const std::function<void()>& save) {
  const std::string checkpoint = checkpoint_of(o);
  if (o.resume) trainer.load_checkpoint(checkpoint);
  run_training(trainer, o.settings, checkpoint, score, [](const EpochResult&) {});
  save();
  finish_training(trainer, checkpoint, o.out + ".curve.svg", score);
}

nlohmann::json result_json(const FeatureNetOptions& o, const nlohmann::json& protection, Module& net,
                           const Trainer& trainer, const Split& split, const std::string& score) {
  return {{"out", o.out},
          {"parameters", count_elements(net.parameters())},
          {"train_images", split.train.size()},
          {"validation_images", split.validation.size()},
          {"protection", protection},
          {"history", history_json(trainer.history(), score)}};
}

void add_options(CLI::App& sub, FeatureNetOptions& o, const std::string& what) {
  o.faces.add_to(sub);
  o.faces.add_labels_to(sub);
  sub.add_option("--width", o.width,
                 "numbers, or channels, of a residual block; 0 = 512 for vectors, 32 for maps")
      ->capture_default_str();
  sub.add_option("--blocks", o.blocks, "residual blocks")->capture_default_str();
  add_training_options(sub, o.settings);
  o.split.add_to(sub);
  sub.add_option("--out", o.out, "where the " + what + " goes (.safetensors)")->required();
  sub.add_flag("--resume", o.resume, "go on from OUT.checkpoint, which an interrupted run leaves");
  o.common.add_to(sub);
}

}  // namespace

int train_generator(FeatureNetOptions& o) {
  begin(o);
  GeneratorInfo info;
  set_seed(o.ascent.settings(), o.common.seed);
  info.settings = o.ascent.ascent;
  as_usage([&] {
    o.ascent.check_valid();
    o.ascent.check_complete();
    check(!info.settings.is_of_features(), "a generator is trained against decoders; --objective ",
          name_of(info.settings.objective), " is for --protect advface");
    check(info.settings.batch_norm != BatchNormMode::batch,
          "a generator's noise is each record's own; it does not go with --bn batch");
  });
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  const Shape row = recogniser.feature_shape(o.faces.cut_of(recogniser));
  info.spec = spec_of(o, row);
  // The shadows are loaded as for an ascent, which needs no generator.
  AdvFaceProtection protection(o.ascent,
                               input_of(recogniser, o.faces.cut_of(recogniser), o.faces.recogniser));
  FaceSource faces = o.faces.open_images(console());
  const TrainingSet source =
      open_training_set(o.faces, o.features, o.split, o.settings.batch, recogniser, faces, console());
  static_cast<Provenance&>(info) = source.provenance;
  DecoderData data{source.set.features, {}, source.split.train, source.split.validation};
  std::optional<FaceCache> photographs;
  if (protection.photograph_size() > 0) {
    photographs.emplace(faces, source.set.indices, o.faces.face_cut(recogniser),
                        protection.photograph_size());
    check(photographs->count() == data.features.count(), "some images became unreadable; run again");
    data.face = [&](const std::vector<int64_t>& rows) { return photographs->batch(rows); };
  }
  print_split(source);
  protection.look_at(data.features.count(),
                     [&](int64_t first, int64_t last) { return data.features.batch(first, last); });
  Generator generator(info, o.common.seed);
  GeneratorTrainer trainer(generator, protection.ascent_networks(), data, o.settings);
  run_and_save(o, trainer, "gain", [&] { generator.save(o.out); });
  nlohmann::json learned = json_of(o.ascent.values());
  for (const Setting& setting : o.ascent.settings())
    if (not_of_a_generator(setting.name)) learned.erase(setting.name);
  o.common.write_json(result_json(o, learned, generator, trainer, source.split, "gain"));
  const EpochResult& last = trainer.history().back();
  std::cout << o.out << ": generator for " << info.settings.summary() << ", trained on "
            << source.split.train.size() << " images; on other people the objective is "
            << short_number(last.validation_score) << " times that of random noise of equal norm\n";
  return 0;
}

namespace {

// Where the protection has left the features in the recogniser's space, the network leads back to it; else
// straight to the embedding, which is the attacker's way alone: H behind an adapter takes features.
FeatureNetSpec reader_spec(const FeatureNetOptions& o, ReaderRole role, const ProtectionChain& protection,
                           const Recogniser& recogniser) {
  check(role == ReaderRole::linkage || !protection.moves(), "an adapter leads back to raw features of shape ",
        protection.in().row, ", but protected ones have shape ", protection.out().row,
        " in a space of their own");
  FeatureNetSpec spec = spec_of(o, protection.out().row);
  if (protection.moves()) spec.out = int(recogniser.card().embedding.dimension);
  return spec;
}

}  // namespace

int train_reader(ReaderRole role, FeatureNetOptions& o) {
  begin(o);
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  ReaderInfo info;
  info.role = role;
  const std::string cut = o.faces.cut_of(recogniser);
  const ProtectionSpecs specs = o.protect.specs(o.common.seed);
  ProtectionChain protection(specs, input_of(recogniser, cut, o.faces.recogniser));
  info.spec = reader_spec(o, role, protection, recogniser);
  FaceSource faces = o.faces.open_images(console());
  TrainingSet source =
      open_training_set(o.faces, "", o.split, o.settings.batch, recogniser, faces, console());
  const ReaderData data{source.set.features,
                        protect_set(protection, o.faces, recogniser, faces, source, console()),
                        source.split.train, source.split.validation};
  static_cast<Provenance&>(info) = source.provenance;
  print_split(source);
  Reader reader(info, o.common.seed);
  ReaderTrainer trainer(reader, recogniser, data, o.settings);
  const std::optional<double> unaided = trainer.unaided();
  run_and_save(o, trainer, "cosine", [&] { reader.save(o.out); });
  nlohmann::json result =
      result_json(o, settings_json(protection.id()), reader, trainer, source.split, "cosine");
  result["trained_on"] = info.protection.describe();
  result["train_people"] = info.people.size();
  result["validation_cosine_unaided"] = unaided ? nlohmann::json(*unaided) : nlohmann::json();
  o.common.write_json(result);
  std::cout << o.out << ": " << (role == ReaderRole::adapter ? "adapter" : "linkage network")
            << " trained on " << data.train.size() << " images of " << info.people.size() << " people ("
            << info.protection.describe()
            << "); the mean cosine of a protected embedding to the raw one, on other people, "
            << (unaided ? "goes from " + short_number(*unaided) + " to " : "is ")
            << short_number(trainer.history().back().validation_score) << "\n";
  return 0;
}

int train_probe(FeatureNetOptions& o) {
  begin(o);
  ProbeInfo info;
  as_usage([&] { info.attributes = parse_names(o.attributes, "--attributes"); });
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  const std::string cut = o.faces.cut_of(recogniser);
  std::optional<ProtectionChain> protection;
  if (const ProtectionSpecs specs = o.protect.specs(o.common.seed); !specs.empty())
    protection.emplace(specs, input_of(recogniser, cut, o.faces.recogniser));
  info.spec = spec_of(o, protection ? protection->out().row : recogniser.feature_shape(cut));
  FaceSource faces = o.faces.open_images(console());
  check_attributes(o.faces.labels_of(faces.names()), info.attributes);
  TrainingSet source =
      open_training_set(o.faces, "", o.split, o.settings.batch, recogniser, faces, console());
  std::vector<std::string> names;
  for (const int64_t i : source.set.indices) names.push_back(faces.name(i));
  const Labels labels = o.faces.labels_of(names);
  check_both_classes(labels, source.split.train, info.attributes, "trained on");
  ProbeTraining data{source.set.features, {}, source.split.train, source.split.validation};
  if (protection) data.features = protect_set(*protection, o.faces, recogniser, faces, source, console());
  std::vector<int64_t> all(names.size());
  std::iota(all.begin(), all.end(), int64_t(0));
  for (const std::string& name : info.attributes)
    data.classes.push_back(attribute_classes(labels, all, name));
  static_cast<Provenance&>(info) = source.provenance;
  print_split(source);
  AttributeProbe probe(info, o.common.seed);
  AttributeProbeTrainer trainer(probe, data, o.settings);
  run_and_save(o, trainer, "accuracy", [&] { probe.save(o.out); });
  nlohmann::json result = result_json(o, to_json(info.protection), probe, trainer, source.split, "accuracy");
  result["trained_on"] = info.protection.describe();
  result["attributes"] = info.attributes;
  o.common.write_json(result);
  std::cout << o.out << ": probe of " << names_text(info.attributes) << " trained on " << data.train.size()
            << " images (" << info.protection.describe() << "); balanced accuracy on other people "
            << short_number(trainer.history().back().validation_score) << "\n";
  return 0;
}

CLI::App* add_probe_verb(CLI::App& app, FeatureNetOptions& o) {
  CLI::App* sub = app.add_subcommand(
      "probe",
      "trains a small network that tells labelled attributes of features, which noise can be driven "
      "against (--objective attribute)");
  add_options(*sub, o, "probe");
  sub->add_option("--attributes", o.attributes, "columns of the labels, with commas between them")
      ->required();
  o.protect.add_to(*sub, "Protection");
  return sub;
}

int train_projection(FeatureNetOptions& o) {
  begin(o);
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  const std::unique_ptr<Projection> fitted = Projection::load(o.projection);
  const std::string cut = o.faces.cut_of(recogniser);
  fitted->check_fits(recogniser.feature_shape(cut), recogniser.fingerprint(), cut, o.faces.recogniser);
  check(!fitted->has_network(), o.projection, ": has a network already; give one that was fitted alone");
  FaceSource faces = o.faces.open_images(console());
  const TrainingSet source =
      open_training_set(o.faces, "", o.split, o.settings.batch, recogniser, faces, console());
  check(source.provenance.split_seed == fitted->provenance().split_seed, o.projection,
        ": was fitted on the people of another split, --split-seed ", fitted->provenance().split_seed);
  const ProjectionTraining data{source.set.features, source.person,
                                with_another(source.split.train, source.person),
                                with_another(source.split.validation, source.person)};
  check(int64_t(data.train.size()) >= o.settings.batch, "only ", data.train.size(),
        " training images have another of the same person, fewer than --batch ", o.settings.batch);
  print_split(source);
  Projection projection(*fitted, spec_of(o, fitted->feature()), o.common.seed);
  ProjectionTrainer trainer(projection, data, o.settings);
  const double unaided = trainer.unaided();
  run_and_save(o, trainer, "cosine", [&] { projection.save(o.out); });
  nlohmann::json result =
      result_json(o, nlohmann::json::array(), projection, trainer, source.split, "cosine");
  result["dims"] = projection.dims();
  result["validation_cosine_unaided"] = unaided;
  o.common.write_json(result);
  std::cout
      << o.out << ": a network behind " << o.projection << ", trained on " << data.train.size()
      << " images; the mean cosine to the mean of the person's other photographs, of other people, goes from "
      << short_number(unaided) << " to " << short_number(trainer.history().back().validation_score) << "\n";
  return 0;
}

CLI::App* add_projection_verb(CLI::App& app, FeatureNetOptions& o) {
  CLI::App* sub = app.add_subcommand(
      "projection",
      "trains a small network behind a fitted projection, towards the mean of the person's other "
      "photographs (for --protect projection)");
  add_options(*sub, o, "projection");
  sub->add_option("--projection", o.projection, "what advface-train fit projection has written")->required();
  return sub;
}

CLI::App* add_generator_verb(CLI::App& app, FeatureNetOptions& o) {
  CLI::App* sub =
      app.add_subcommand("generator", "trains a network that emits the noise of advface-protect in one pass");
  add_options(*sub, o, "generator");
  sub->add_option("--features", o.features, "train on these features (.npy, rows in the order of --list)")
      ->needs(sub->get_option("--list"));
  std::vector<std::string> without;
  for (const Setting& setting : o.ascent.settings())
    if (not_of_a_generator(setting.name)) without.push_back(setting.name);
  add_settings(*sub, o.ascent.settings(), "Protection", without);
  return sub;
}

CLI::App* add_reader_verb(CLI::App& app, ReaderRole role, FeatureNetOptions& o) {
  const bool adapter = role == ReaderRole::adapter;
  CLI::App* sub = app.add_subcommand(
      adapter ? "adapter" : "linkage",
      adapter ? "trains the recognition side to read protected features (offline mode)"
              : "trains an attacker who finds the person behind protected features: they are mapped back to "
                "the recogniser's embeddings");
  add_options(*sub, o, adapter ? "adapter" : "linkage network");
  o.protect.add_to(*sub, "Protection", true);
  return sub;
}

}  // namespace advf::tools
