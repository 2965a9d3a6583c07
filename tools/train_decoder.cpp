// advface-train shadow | attacker: one loop, on raw features, on features protected here, or on a given file.
#include <iostream>
#include <numeric>
#include <set>

#include "tensor/io/grid.h"
#include "tools/progress.h"
#include "tools/train.h"

namespace advf::tools {
namespace {

constexpr int64_t kSampleColumns = 10;

// Rows and the files they belong to, split by person.
struct Job {
  DecoderInfo info;
  std::vector<int64_t> indices;  // row -> image of the source
  DecoderData data;
  Split split;
};

// A file of features has one row per line of --list, and nobody may guess which image is which.
FeatureSet given_features(const DecoderOptions& o, const FaceSource& faces) {
  FeatureSet set;
  set.features = FeatureRows::open(o.features);
  check(set.features.count() == faces.size(), o.features, " has shape ", set.features.shape(), ", but ",
        o.faces.list, " names ", faces.size(), " files");
  set.indices.resize(size_t(faces.size()));
  std::iota(set.indices.begin(), set.indices.end(), int64_t(0));
  return set;
}

Job prepare(DecoderOptions& o, const Recogniser& recogniser, FaceSource& faces) {
  const std::string cut = o.faces.cut_of(recogniser);
  FeatureSet set = o.features.empty() ? extract(o.faces, recogniser, cut, faces) : given_features(o, faces);
  Job job;
  job.info.trained_on = o.features.empty() ? "raw" : o.features;
  if (o.protect.asked()) {
    o.protect.settings.seed = o.common.seed;
    Protection protection(o.protect, &recogniser, recogniser.feature_shape(cut), o.faces.recogniser, cut);
    const auto photographs = photographs_of(faces, set.indices, crop_for(recogniser, o.faces.eye_centres()),
                                            protection.info().spec.image_size);
    set.features = protected_rows(protection, set.features, {}, photographs, o.faces.memory_mib << 20);
    job.info.trained_on = "protected, " + o.protect.settings.summary();
  }
  const Shape row = set.features.row();
  check(row == recogniser.feature_shape(cut), o.features, ": rows of shape ", row, ", but ",
        o.faces.recogniser, " makes features of shape ", recogniser.feature_shape(cut), " at ", cut);
  job.info.spec = {o.decoder, row, o.image_size};
  job.info.cut = cut;
  job.info.recogniser = recogniser.fingerprint();
  job.info.domain = recogniser.domain(cut);
  job.info.split_seed = o.split_seed;
  job.indices = std::move(set.indices);
  job.data.features = std::move(set.features);
  std::vector<std::string> files;
  for (int64_t i : job.indices) files.push_back(faces.name(i));
  const Labels labels = o.faces.labels_of(files);
  job.split = split_by_identity(labels, o.split_seed);
  std::set<int64_t> people;
  for (int64_t r : job.split.train) people.insert(person_key(labels.identities[size_t(r)]));
  job.info.people.assign(people.begin(), people.end());
  return job;
}

// Originals above reconstructions.
void write_samples(const std::string& path, Decoder& decoder, const DecoderData& data,
                   const EpochResult& epoch) {
  std::vector<int64_t> rows = data.validation;
  rows.resize(std::min<size_t>(rows.size(), size_t(kSampleColumns)));
  const Tensor faces = data.face(rows), images = decoder.reconstruct(data.features.at(rows));
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
  o.protect.check_valid();
  const auto eyes = o.faces.eye_centres();
  const std::string checkpoint = o.out + ".checkpoint";
  if (o.samples.empty()) o.samples = o.out + ".png";
  check_writable({o.out, o.samples});
  const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
  FaceSource faces = o.faces.open_images();
  const DecoderSpec spec{o.decoder, recogniser.feature_shape(o.faces.cut_of(recogniser)), o.image_size};
  as_usage([&] { make_decoder(spec, 0); });  // a wrong size or cut is found before hours of work
  Job job = prepare(o, recogniser, faces);

  std::cerr << "reading faces\n";
  const FaceCache cache(faces, job.indices, crop_for(recogniser, eyes), o.image_size);
  check(cache.count() == int64_t(job.indices.size()), "some images became unreadable; run again");
  job.data.face = [&cache](const std::vector<int64_t>& rows) { return cache.batch(rows); };
  job.data.train = job.split.train;
  job.data.validation = job.split.validation;
  std::cerr << job.data.train.size() << " images to train on, " << job.data.validation.size()
            << " to validate on, " << job.split.test.size() << " left for tests; no person in two of them\n";

  Decoder decoder(job.info, o.common.seed);
  DecoderTrainer trainer(decoder, job.data, o.settings);
  if (o.resume) trainer.load_checkpoint(checkpoint);
  run_training(trainer, o.settings, checkpoint, "SSIM",
               [&](const EpochResult& e) { write_samples(o.samples, decoder, job.data, e); });

  decoder.save(o.out);
  finish_training(trainer, checkpoint, o.out + ".curve.png", "SSIM");
  const EpochResult& last = trainer.history().back();
  o.common.write_json({{"out", o.out},
                       {"decoder", o.decoder},
                       {"parameters", count_elements(decoder.parameters())},
                       {"trained_on", job.info.trained_on},
                       {"train_images", job.data.train.size()},
                       {"validation_images", job.data.validation.size()},
                       {"history", history_json(trainer.history(), "ssim")}});
  std::cout << o.out << ": " << o.decoder << " trained on " << job.data.train.size() << " images ("
            << job.info.trained_on << "), validation SSIM " << short_number(last.validation_score)
            << "; samples in " << o.samples << "\n";
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
  CLI::Option* features =
      sub->add_option("--features", o.features, "train on these features (.npy, rows in the order of --list)")
          ->needs(sub->get_option("--list"));
  sub->add_option("--split-seed", o.split_seed,
                  "of the split by person: 80 % training, 10 % validation, 10 % test")
      ->capture_default_str()
      ->check(CLI::Range(uint64_t(0), uint64_t(INT64_MAX)))
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--out", o.out, "where the decoder goes (.safetensors)")->required();
  sub->add_option("--samples", o.samples, "picture of samples after each epoch (default: OUT.png)");
  sub->add_flag("--resume", o.resume, "go on from OUT.checkpoint, which an interrupted run leaves");
  if (may_protect) {
    o.protect.add_to(*sub, "Adaptive attacker");
    features->excludes(sub->get_option("--shadow"));  // such a file is protected by advface-protect
  }
  o.common.add_to(*sub);
  return sub;
}

}  // namespace advf::tools
