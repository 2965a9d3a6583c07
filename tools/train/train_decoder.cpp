// advface-train shadow | attacker: one loop, on raw features, on features protected here, or on a given file.
#include <algorithm>
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
  job.data.train = job.source.split.train;
  job.data.validation = job.source.split.validation;
  return job;
}

// Of a feature that the decoder takes, before features are there.
Shape row_of(const DecoderOptions& o, const Shape& raw, const std::optional<ProtectionChain>& protection) {
  if (!o.features.empty()) return FeatureRows::open(o.features).row();
  return protection ? protection->out().row : raw;
}

// What is minimised. WrongCall for a loss that is not known, or settings of another.
std::unique_ptr<DecoderLossSpec> loss_of(const DecoderOptions& o) {
  std::unique_ptr<DecoderLossSpec> spec;
  as_usage([&] {
    spec = decoder_loss_kind(o.loss).spec();
    read_texts(spec->settings(), o.loss_settings, "--decoder-loss " + o.loss);
    spec->check_valid();
  });
  return spec;
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

// The raw features of the set, where they are there.
FeatureRows raw_rows(const DecoderOptions& o, const Job& job) {
  if (!o.features.empty() && !job.source.provenance.protection.is_raw()) return {};
  return job.source.set.features;
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
  });
  const auto eyes = o.faces.eye_centres();
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
  const std::unique_ptr<Decoder> from = load_from(o, spec, recogniser);
  const std::unique_ptr<DecoderLossSpec> loss_spec = loss_of(o);
  Job job = prepare(o, recogniser, faces, protection ? &*protection : nullptr);

  std::cerr << "reading faces\n";
  const FaceCache cache(faces, job.source.set.indices, crop_for(recogniser, eyes), o.image_size);
  check(cache.count() == job.data.features.count(), "some images became unreadable; run again");
  job.data.face = [&cache](const std::vector<int64_t>& rows) { return cache.batch(rows); };
  print_split(job.source);

  job.info.loss = loss_spec->summary();
  const std::unique_ptr<DecoderLoss> loss = loss_spec->make({&recogniser, cut, raw_rows(o, job)});
  const std::unique_ptr<Decoder> first = first_decoder(o, from.get(), job);
  Decoder& decoder = *first;
  DecoderTrainer trainer(decoder, job.data, o.settings, loss.get());
  if (o.resume) trainer.load_checkpoint(checkpoint);
  const double mean_face = trainer.mean_face_score();
  std::cerr << "the mean face has a validation SSIM of " << short_number(mean_face) << "\n";
  run_training(trainer, o.settings, checkpoint, "SSIM",
               [&](const EpochResult& e) { write_samples(o.samples, decoder, job.data, e); });

  decoder.save(o.out);
  finish_training(trainer, checkpoint, o.out + ".curve.png", "SSIM");
  const EpochResult& last = trainer.history().back();
  o.common.write_json({{"out", o.out},
                       {"decoder", o.decoder},
                       {"decoder_loss", job.info.loss},
                       {"parameters", count_elements(decoder.parameters())},
                       {"trained_on", job.info.protection.describe()},
                       {"protection", to_json(job.info.protection)},
                       {"train_images", job.data.train.size()},
                       {"validation_images", job.data.validation.size()},
                       {"mean_face_ssim", mean_face},
                       {"history", history_json(trainer.history(), "ssim")}});
  std::cout << o.out << ": " << o.decoder << " trained on " << job.data.train.size() << " images ("
            << job.info.protection.describe() << "), validation SSIM " << short_number(last.validation_score)
            << " (the mean face: " << short_number(mean_face) << "); samples in " << o.samples << "\n";
  if (last.validation_score < mean_face + kClose)
    std::cerr << "warning: the decoder is no better than the mean face, or hardly; it may give every feature "
                 "the same face ("
              << o.samples << " shows it). Train longer, on more people or with another --decoder or --lr\n";
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
  std::string losses = "what is minimised.";
  for (const DecoderLossKind& kind : decoder_losses()) losses += " " + kind.name + ": " + kind.help + ".";
  sub->add_option("--decoder-loss", o.loss, losses)->capture_default_str()->type_name("NAME");
  for (const DecoderLossKind& kind : decoder_losses())
    add_texts(*sub, kind.spec()->settings(), "", o.loss_settings);
  CLI::Option* features =
      sub->add_option("--features", o.features, "train on these features (.npy, rows in the order of --list)")
          ->needs(sub->get_option("--list"));
  o.split.add_to(*sub);
  sub->add_option("--from", o.from, "go on from the weights of this decoder, of the same architecture");
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
