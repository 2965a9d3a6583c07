// advface-protect: features in, adversarial features out, as .npy, streamed in chunks.
#include <iostream>
#include <numeric>

#include "tensor/io/npy.h"
#include "tools/face_options.h"
#include "tools/progress.h"
#include "tools/protect_options.h"

using namespace advf;
using namespace advf::tools;

namespace {

struct Options {
  Common common;
  FaceOptions faces;  // for --objective original: the photographs of the features
  ProtectOptions protect;
  std::string in, out, report;
  int64_t batch = 256;
};

nlohmann::json to_json(const ProtectReport& r, bool bounded) {
  nlohmann::json json = {{"record", r.record}, {"noise_l2", r.noise_l2},       {"noise_linf", r.noise_linf},
                         {"cosine", r.cosine}, {"loss_before", r.loss_before}, {"loss_after", r.loss_after}};
  if (bounded) {
    json["noise_kept"] = r.kept;
    json["recognition_cosine"] = r.recognition;
  }
  return json;
}

// The photographs that the rows of --in were made from.
ReadPhotographs open_photographs(const Options& o, const Protection& protection, const Recogniser* recogniser,
                                 std::optional<FaceSource>& faces, int64_t rows) {
  if (!protection.needs_photographs()) return {};
  faces.emplace(o.faces.open_images());
  check(faces->size() == rows, o.faces.list, " names ", faces->size(), " files, but ", o.in, " has ", rows,
        " rows");
  std::vector<int64_t> all(static_cast<size_t>(rows));
  std::iota(all.begin(), all.end(), int64_t(0));
  const auto eyes = o.faces.eye_centres();
  return photographs_of(*faces, all, eyes ? crop_for(*recogniser, eyes) : std::nullopt,
                        protection.info().spec.image_size);
}

void check_options(const Options& o) {
  o.protect.check_valid();
  o.faces.eye_centres();
  as_usage([&] {
    const bool original = o.protect.settings.objective == Objective::original;
    check(original || (o.faces.images.empty() && o.faces.list.empty()),
          "--images and --list are for --objective original");
    check(!original || (!o.faces.images.empty() && !o.faces.list.empty()),
          "--objective original needs the photographs: --images and --list, a line for each row of --in");
    check(o.faces.eyes.empty() || !o.faces.recogniser.empty(),
          "--eyes needs --recogniser, whose card says how faces are cut out");
  });
}

// Sums over records, and what the program says about them.
struct Totals {
  ProtectReport sum;
  int64_t records = 0, bounded = 0;  // bounded: records whose noise the bound on recognition made smaller
  double least = 1;                  // recognition cosine

  void add(const ProtectReport& r, bool has_bound) {
    ++records;
    sum.noise_l2 += r.noise_l2;
    sum.cosine += r.cosine;
    sum.loss_before += r.loss_before;
    sum.loss_after += r.loss_after;
    sum.recognition += r.recognition;
    if (has_bound) least = std::min(least, r.recognition);
    if (r.kept < 1) ++bounded;
  }
  double mean(double total) const { return total / double(std::max<int64_t>(records, 1)); }
};

int protect_file(Options& o) {
  o.common.activate();
  o.protect.settings.seed = o.common.seed;
  check_options(o);
  const ProtectSettings& settings = o.protect.settings;
  install_interrupt_handler();
  const NpyReader reader(o.in);
  check(reader.shape().rank() >= 2, o.in, " has shape ", reader.shape(), ", not one row per feature");
  const Shape row(std::span<const int64_t>(reader.shape().begin() + 1, size_t(reader.shape().rank() - 1)));
  std::optional<Recogniser> recogniser;
  if (!o.faces.recogniser.empty()) recogniser.emplace(Recogniser::load(o.faces.recogniser));
  const Recogniser* known = recogniser ? &*recogniser : nullptr;
  Protection protection(o.protect, known, row, o.in);
  std::optional<FaceSource> faces;
  const ReadPhotographs photographs = open_photographs(o, protection, known, faces, reader.rows());
  check(settings.batch_norm != BatchNormMode::recalibrated || reader.rows() >= 2, o.in, " has ",
        reader.rows(), " rows; --bn recalibrated needs two or more");

  NpyWriter writer(o.out, DType::f32, row);
  std::unique_ptr<AtomicFile> report = o.report.empty() ? nullptr : std::make_unique<AtomicFile>(o.report);
  protection.recalibrate(reader.rows(),
                         [&](int64_t begin, int64_t end) { return reader.read_rows(begin, end); });
  Protector protector(protection.models(), settings);
  Totals totals;
  Progress progress("protect", reader.rows(), "features");
  for (int64_t begin = 0; begin < reader.rows();) {
    if (interrupted()) throw Interrupted();  // nothing is written
    // With --bn batch nobody may be left alone.
    const int64_t rest = reader.rows() - begin;
    const int64_t end = begin + (rest <= o.batch || rest == o.batch + 1 ? rest : o.batch);
    Protected chunk;
    try {
      chunk = protector.protect(reader.read_rows(begin, end), begin,
                                photographs ? photographs(begin, end) : Tensor());
    } catch (const Error& e) {
      fail(o.in, ": ", e.what(), "; nothing was written");
    }
    writer.append_rows(chunk.features);
    for (const ProtectReport& r : chunk.reports) {
      if (report) report->write(to_json(r, settings.keep_recognition.has_value()).dump() + "\n");
      totals.add(r, settings.keep_recognition.has_value());
    }
    progress.advance(end - begin, "loss " + short_number(totals.mean(totals.sum.loss_after)));
    begin = end;
  }
  progress.finish();
  if (report) report->commit();
  writer.commit();

  nlohmann::json result = settings_json(settings);
  result.update({{"records", reader.rows()},
                 {"shadows", o.protect.shadows},
                 {"mean_noise_l2", totals.mean(totals.sum.noise_l2)},
                 {"mean_cosine", totals.mean(totals.sum.cosine)},
                 {"mean_loss_before", totals.mean(totals.sum.loss_before)},
                 {"mean_loss_after", totals.mean(totals.sum.loss_after)},
                 {"seconds", progress.seconds()},
                 {"features_per_second", double(reader.rows()) / std::max(progress.seconds(), 1e-9)},
                 {"peak_memory_bytes", peak_memory_bytes()}});
  if (!o.protect.generator.empty()) result["generator"] = o.protect.generator;
  if (settings.keep_recognition)
    result.update({{"mean_recognition_cosine", totals.mean(totals.sum.recognition)},
                   {"least_recognition_cosine", totals.least},
                   {"records_bounded", totals.bounded}});
  o.common.write_json(result);
  std::cout << "protected " << reader.rows() << " features -> " << o.out << ": mean cosine to the original "
            << short_number(totals.mean(totals.sum.cosine)) << ", mean noise norm "
            << short_number(totals.mean(totals.sum.noise_l2)) << ", image difference "
            << short_number(totals.mean(totals.sum.loss_before)) << " -> "
            << short_number(totals.mean(totals.sum.loss_after)) << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Adds adversarial noise to facial features so that reconstruction networks fail on them.",
               "advface-protect");
  app.footer(
      "Example:\n  advface-protect --shadow shadow.safetensors --in features.npy --out protected.npy \\\n"
      "    --epsilon 0.02 --steps 10 --report report.jsonl");
  Options o;
  app.add_option("--in", o.in, "features, one per row (.npy)")->required();
  app.add_option("--out", o.out, "where the protected features go (.npy); appears only when complete")
      ->required();
  o.protect.add_to(app, "Protection", true);
  app.add_option("--recogniser", o.faces.recogniser,
                 "recogniser card, where the objective, the loss or the bound on recognition runs it")
      ->group("Protection");
  o.faces.add_images_to(app);
  for (const char* name : {"--images", "--list", "--eyes", "--max-broken"})
    app.get_option(name)->required(false)->group("Photographs, for --objective original");
  app.add_option("--batch", o.batch, "features at a time; does not change the result")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(65536)));
  app.add_option("--report", o.report, "one JSON line per record: noise, cosine, loss before and after");
  o.common.add_to(app);
  return run(app, argc, argv, [&] { return protect_file(o); });
}
