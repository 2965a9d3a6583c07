// advface-train shadow | attacker: one loop, on raw features, on features protected here, or on a given file.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <iterator>

#include "nn/state_dict.h"
#include "tensor/io/grid.h"
#include "tools/options/progress.h"
#include "tools/options/setting_options.h"
#include "tools/train/train.h"

namespace advf::tools {
namespace {

constexpr int64_t kSampleColumns = 10;

struct Job {
  TrainingSet source;
  DecoderInfo info;
  DecoderData data;
  FeatureRows raw;  // of the same rows, as the recogniser makes them; none where the file has protected ones
};

// A decoder is close to the mean face when it has at most this much more SSIM.
constexpr double kClose = 0.02;

Job prepare(const DecoderOptions& o, const Recogniser& recogniser, FaceSource& faces,
            ProtectionChain* protection) {
  Job job;
  job.source =
      open_training_set(o.faces, o.features, o.split, o.settings.batch, recogniser, faces, console());
  job.data.features = protection ? protect_set(*protection, o.faces, recogniser, faces, job.source, console())
                                 : job.source.set.features;
  static_cast<Provenance&>(job.info) = job.source.provenance;
  job.info.spec = {o.decoder, job.data.features.row(), o.image_size};
  job.raw = o.features.empty() || job.source.provenance.protection.is_raw() ? job.source.set.features
                                                                            : FeatureRows();
  if (o.mirror) {
    const FeatureRows mirrored = mirrored_features(o.faces, recogniser, faces, job.source, console());
    job.data.mirrors = mirrored.count();
    job.raw = job.raw.joined(mirrored);
    job.data.features =
        job.data.features.joined(protection ? protect_mirrored(*protection, o.faces, recogniser, faces,
                                                               job.source, mirrored, console())
                                            : mirrored);
  }
  job.data.train = job.source.split.train;
  job.data.validation = job.source.split.validation;
  return job;
}

// Of a feature that the decoder takes, before features are there.
Shape row_of(const DecoderOptions& o, const Shape& raw, const std::optional<ProtectionChain>& protection) {
  if (!o.features.empty()) return FeatureRows::open(o.features).row();
  return protection ? protection->out().row : raw;
}

// The decoder of --from, which must be what is trained; null without one.
std::unique_ptr<Decoder> load_from(const DecoderOptions& o, const DecoderSpec& spec,
                                   const Recogniser& recogniser) {
  if (o.from.empty()) return nullptr;
  auto from = Decoder::load(o.from);
  from->check_fits(spec.feature, recogniser.fingerprint(), o.faces.cut_of(recogniser), o.faces.recogniser);
  check(from->info().spec == spec, o.from, " is a ", from->info().spec.name, " of ",
        from->info().spec.image_size, " pixels, not a ", spec.name, " of ", spec.image_size,
        "; give its --decoder and --image-size");
  return from;
}

// The decoder of --shorter, which must be of this very call but for its epochs, and for how many of them were
// averaged; null without one.
std::unique_ptr<Decoder> load_shorter(const DecoderOptions& o) {
  if (o.shorter.empty()) return nullptr;
  auto shorter = Decoder::load(o.shorter);
  const auto& training = shorter->info().training;
  check(training.has_value(), o.shorter,
        ": is of an older version and does not say how it was trained; train it again");
  check(2 * training->epochs <= o.settings.epochs, o.shorter, ": was trained for ", training->epochs,
        " epochs, more than half of ", o.settings.epochs, "; --shorter takes at most half of --epochs");
  return shorter;
}

void check_same_call(const DecoderOptions& o, const Decoder* shorter, const Decoder& decoder,
                     const DecoderTrainer& trainer) {
  if (!shorter) return;
  const DecoderInfo &theirs = shorter->info(), &ours = decoder.info();
  check(theirs.spec == ours.spec && theirs.loss == ours.loss &&
            theirs.training->run == trainer.run_but_epochs(),
        o.shorter, ": was trained otherwise (", theirs.spec.name, ", ", told_run(theirs.training->run),
        ") than here (", ours.spec.name, ", ", told_run(trainer.run_but_epochs()),
        "); --shorter takes a decoder of the same call with fewer --epochs");
}

nlohmann::json flatness_json(const Flatness& f, bool averaged) {
  return {{"verdict", f.verdict},
          {"gain", f.gain},
          {"over_epochs", f.over},
          {"last_step", f.last_step},
          {"within", f.within},
          {"curve_is_of", averaged ? "the weights before averaging" : "the weights in the file"},
          {"more_than_shorter", f.longer ? nlohmann::json(*f.longer) : nlohmann::json()}};
}

// The decoder to train: fresh, or going on from the weights of `from`, whose people it then has seen too.
std::unique_ptr<Decoder> first_decoder(const DecoderOptions& o, Decoder* from, Job& job) {
  if (!from) return std::make_unique<Decoder>(job.info, o.common.seed);
  std::vector<int64_t> people;
  std::set_union(job.info.people.begin(), job.info.people.end(), from->info().people.begin(),
                 from->info().people.end(), std::back_inserter(people));
  job.info.people = std::move(people);
  auto decoder = std::make_unique<Decoder>(job.info, o.common.seed);
  load_state_dict(*decoder, state_dict(*from), o.from);
  job.data.from = weights_hash(*from);
  return decoder;
}

// Originals above reconstructions.
void write_samples(const std::string& path, Decoder& decoder, const DecoderData& data,
                   const EpochResult& epoch) {
  std::vector<int64_t> rows = data.validation;
  rows.resize(std::min<size_t>(rows.size(), size_t(kSampleColumns)));
  const Tensor faces = data.face(rows), images = decoder.reconstruct(data.features.batch(rows));
  std::vector<std::vector<Tensor>> grid(2);
  const int64_t size = decoder.info().spec.image_size;
  for (int64_t i = 0; i < int64_t(rows.size()); ++i) {
    grid[0].push_back(faces.slice_batch(i, i + 1).view({3, size, size}));
    grid[1].push_back(images.slice_batch(i, i + 1).view({3, size, size}));
  }
  GridLabels labels;
  labels.title = decoder.info().spec.name + ", epoch " + std::to_string(epoch.epoch) + ", validation SSIM " +
                 short_number(epoch.validation_score);
  labels.rows = {"original", "decoded"};
  write_png(path, make_grid(grid, labels));
}

// The result as JSON, and a line.
void report(const DecoderOptions& o, const Job& job, Decoder& decoder, const DecoderTrainer& trainer,
            double mean_face) {
  const TrainingRecord& record = *decoder.info().training;
  o.common.write_json({{"out", o.out},
                       {"decoder", o.decoder},
                       {"decoder_loss", job.info.loss},
                       {"parameters", count_elements(decoder.parameters())},
                       {"trained_on", job.info.protection.describe()},
                       {"protection", to_json(job.info.protection)},
                       {"train_images", job.data.train.size()},
                       {"validation_images", job.data.validation.size()},
                       {"mean_face_ssim", mean_face},
                       {"mirror", o.mirror},
                       {"average", o.settings.average},
                       {"validation_ssim", record.score},
                       {"flat", flatness_json(record.flatness, o.settings.average > 1)},
                       {"history", history_json(trainer.history(), "ssim")}});
  std::cout << o.out << ": " << o.decoder << " trained on " << job.data.train.size() << " images ("
            << job.info.protection.describe() << "), validation SSIM " << short_number(record.score)
            << " (the mean face: " << short_number(mean_face) << "); "
            << describe(record.flatness, record.epochs) << "; samples in " << o.samples << "\n";
  if (record.score < mean_face + kClose)
    std::cerr << "warning: the decoder is no better than the mean face, or hardly; it may give every feature "
                 "the same face ("
              << o.samples << " shows it). Train longer, on more people or with another --decoder or --lr\n";
}

}  // namespace

int train_decoder(DecoderOptions& o) {
  o.common.activate();
  install_interrupt_handler();
  o.settings.seed = o.common.seed;
  as_usage([&] { o.settings.check_valid(); });
  const ProtectionSpecs specs = o.protect.specs(o.common.seed);
  as_usage([&] {
    check(specs.empty() || o.features.empty(),
          "--features are protected already, by advface-protect, or raw; leave --protect out");
    check(!o.mirror || o.features.empty(), "--mirror needs the features of the mirrored faces, which ",
          o.features, " does not have; leave --mirror or --features out");
  });
  std::optional<DecoderLossSpec> loss_spec;
  as_usage([&] {
    loss_spec.emplace(o.loss, o.loss_settings);
    check(std::isfinite(o.flat_within) && o.flat_within >= 0, "--flat-within must not be negative, not ",
          o.flat_within);
  });
  o.faces.check_cut();
  const std::string checkpoint = o.out + ".checkpoint";
  if (o.samples.empty()) o.samples = o.out + ".png";
  check_writable({o.out, o.samples});
  check_resumable(o.resume, checkpoint);
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  FaceSource faces = o.faces.open_images(console());
  const std::string cut = o.faces.cut_of(recogniser);
  std::optional<ProtectionChain> protection;
  if (!specs.empty()) protection.emplace(specs, input_of(recogniser, cut, o.faces.recogniser));
  const DecoderSpec spec{o.decoder, row_of(o, recogniser.feature_shape(cut), protection), o.image_size};
  as_usage([&] { make_decoder(spec, 0); });  // a wrong size or cut is found before hours of work
  const std::unique_ptr<Decoder> from = load_from(o, spec, recogniser), shorter = load_shorter(o);
  loss_spec->open(recogniser);
  Job job = prepare(o, recogniser, faces, protection ? &*protection : nullptr);

  std::cerr << "reading faces\n";
  const FaceCache cache(faces, job.source.set.indices, o.faces.face_cut(recogniser), o.image_size);
  check(cache.count() == job.source.set.features.count(), "some images became unreadable; run again");
  job.data.face = [&cache](const std::vector<int64_t>& rows) { return cache.batch(rows); };
  print_split(job.source);

  job.info.loss = loss_spec->summary();
  job.info.mirrored = o.mirror;
  const std::unique_ptr<DecoderLoss> loss = loss_spec->make({&recogniser, cut, job.raw});
  const std::unique_ptr<Decoder> first = first_decoder(o, from.get(), job);
  Decoder& decoder = *first;
  DecoderTrainer trainer(decoder, job.data, o.settings, loss.get());
  check_same_call(o, shorter.get(), decoder, trainer);
  if (o.resume) trainer.load_checkpoint(checkpoint);
  const double mean_face = trainer.mean_face_score();
  std::cerr << "the mean face has a validation SSIM of " << short_number(mean_face) << "\n";
  const auto draw = [&](const EpochResult& e) { write_samples(o.samples, decoder, job.data, e); };
  const EpochResult last = run_training(trainer, o.settings, checkpoint, "SSIM", draw);
  if (o.settings.average > 1) draw(last);
  std::optional<double> half;
  if (shorter) half = shorter->info().training->score;
  const TrainingRecord record{
      trainer.run_but_epochs(), o.settings.epochs, last.validation_score,
      flatness_of(trainer.history(), o.flat_within, last.validation_score, half, o.settings.average > 1)};
  decoder.set_training(record);
  decoder.save(o.out);
  finish_training(trainer, checkpoint, o.out + ".curve.svg", "SSIM");
  report(o, job, decoder, trainer, mean_face);
  return 0;
}

CLI::App* add_decoder_verb(CLI::App& app, const std::string& verb, const std::string& help, DecoderOptions& o,
                           bool may_protect) {
  CLI::App* sub = app.add_subcommand(verb, help);
  o.decoder = may_protect ? "resup" : "deconv";
  o.faces.add_to(*sub);
  o.faces.add_labels_to(*sub);
  sub->add_option("--decoder", o.decoder, "architecture")
      ->capture_default_str()
      ->check(CLI::IsMember(decoder_names()));
  sub->add_option("--image-size", o.image_size, "side of the decoded images in pixels")
      ->capture_default_str();
  add_training_options(*sub, o.settings);
  std::string losses = "what is minimised; repeated: the sum, each with its weight.";
  for (const DecoderTermKind& kind : decoder_terms()) losses += " " + kind.name + ": " + kind.help + ".";
  sub->add_option("--decoder-loss", o.loss, losses)
      ->capture_default_str()
      ->type_name("NAME")
      ->allow_extra_args(false);
  for (const DecoderTermKind& kind : decoder_terms())
    add_texts(*sub, kind.spec()->settings(), sub->get_option("--decoder-loss")->get_group(), o.loss_settings);
  CLI::Option* features =
      sub->add_option("--features", o.features, "train on these features (.npy, rows in the order of --list)")
          ->needs(sub->get_option("--list"));
  sub->add_flag(
      "--mirror", o.mirror,
      "in every epoch half of the training images are their mirror images, with the features of these");
  sub->add_option(
         "--average", o.settings.average,
         "the weights in the end are the mean of those of so many of the last epochs; 1: of the last")
      ->capture_default_str();
  sub->add_option("--shorter", o.shorter,
                  "a decoder of the same call with at most half the epochs: whether longer training helps");
  sub->add_option("--flat-within", o.flat_within, "SSIM that is this close is the same, where that is judged")
      ->capture_default_str();
  o.split.add_to(*sub);
  sub->add_option(
      "--from", o.from,
      "go on from the weights of this decoder, of the same architecture, which --out may replace");
  sub->add_option("--out", o.out, "where the decoder goes (.safetensors)")->required();
  sub->add_option("--samples", o.samples, "picture of samples after each epoch (default: OUT.png)");
  sub->add_flag("--resume", o.resume, "go on from OUT.checkpoint, which an interrupted run leaves");
  if (may_protect) {
    o.protect.add_to(*sub, "Adaptive attacker");
    // Such a file is protected by advface-protect.
    features->excludes(sub->get_option("--shadow"))->excludes(sub->get_option("--protect"));
  }
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
