// advface-protect: features or photographs in, adversarial features out, as .npy, streamed in chunks; to a
// new file, or behind the rows of a set.
#include <filesystem>
#include <iostream>
#include <numeric>

#include "advface/core/feature_file.h"
#include "advface/store/enrolled_set.h"
#include "tensor/backend.h"
#include "tensor/io/npy.h"
#include "tools/options/face_options.h"
#include "tools/options/progress.h"
#include "tools/options/protection_options.h"

using namespace advf;
using namespace advf::tools;

namespace {

struct Options {
  Common common;
  FaceOptions faces;  // --image with --cut; for --objective original: the photographs of the features
  ProtectOptions protect;
  std::string in, out, append, report;
  std::vector<std::string> photographs, names;
  int64_t batch = 256;

  const std::string& target() const { return out.empty() ? append : out; }
};

nlohmann::json to_json(const ProtectReport& r, bool bounded) {
  nlohmann::json json = {{"record", r.record}, {"noise_l2", r.noise_l2},       {"noise_linf", r.noise_linf},
                         {"cosine", r.cosine}, {"loss_before", r.loss_before}, {"loss_after", r.loss_after},
                         {"losses", r.losses}};
  if (bounded) {
    json["noise_kept"] = r.kept;
    json["recognition_cosine"] = r.recognition;
  }
  return json;
}

// What is to be protected, from a file of features or from photographs.
struct Input {
  std::string what;  // names it in messages
  FeatureRows features;
  FeatureInfo info;  // of features of a file; of photographs the recogniser and the cut
  std::optional<FaceSource> faces;
  std::vector<std::string> names;  // of photographs; rows of a file are called by it and their number
  std::string note;                // to be told once nothing else is wrong

  std::vector<std::string> names_of(int64_t begin, int64_t end) const {
    if (!names.empty()) return {names.begin() + begin, names.begin() + end};
    std::vector<std::string> rows;
    for (int64_t r = begin; r < end; ++r) rows.push_back(what + ":" + std::to_string(r));
    return rows;
  }
};

Input read_features(const Options& o) {
  FeatureFile file = open_feature_file(o.in);
  Input input{o.in, std::move(file.rows), std::move(file.info), {}, {}, {}};
  ProtectionId& before = input.info.protection;
  if (!before.known())
    input.note = before.unknown + "; they are taken for raw ones";
  else if (!before.is_raw())
    input.note = o.in + ": its features are protected already (" + before.describe() + "), and now once more";
  if (!before.known()) before = {};
  if (o.protect.settings.objective != Objective::original) return input;
  input.faces.emplace(o.faces.open_images(console()));
  check(input.faces->size() == input.features.count(), o.faces.list, " names ", input.faces->size(),
        " files, but ", o.in, " has ", input.features.count(), " rows");
  return input;
}

// The photographs of --image, before their features are there.
Input list_photographs(const Options& o, const Recogniser& recogniser) {
  Input input{o.faces.recogniser,
              {},
              {recogniser.fingerprint(), o.faces.cut_of(recogniser), {}},
              FaceSource("", o.photographs),
              o.names,
              {}};
  if (input.names.empty()) input.names = o.photographs;
  input.faces->set_max_broken_share(1);
  return input;
}

// All photographs must be readable: somebody is to be enrolled with each.
void extract_photographs(const Options& o, const Recogniser& recogniser, Input& input) {
  ExtractOptions options;
  options.broken = [](const BrokenFace& face) { fail(face.why, "; nothing was written"); };
  options.progress = [](int64_t) { return !interrupted(); };
  input.features = extract_features(recogniser, input.info.cut, *input.faces,
                                    crop_for(recogniser, o.faces.eye_centres()), "", options)
                       .features;
}

ReadPhotographs open_photographs(const Options& o, const Protection& protection, const Recogniser* recogniser,
                                 Input& input) {
  if (!protection.needs_photographs()) return {};
  std::vector<int64_t> all(static_cast<size_t>(input.features.count()));
  std::iota(all.begin(), all.end(), int64_t(0));
  const auto eyes = o.faces.eye_centres();
  return photographs_of(*input.faces, all, eyes ? crop_for(*recogniser, eyes) : std::nullopt,
                        protection.info().spec.image_size);
}

void check_options(const Options& o) {
  o.protect.check_valid();
  o.faces.eye_centres();
  const bool images = !o.photographs.empty(), append = !o.append.empty();
  as_usage([&] {
    check(o.in.empty() != !images, "give either features (--in) or photographs (--image)");
    check(o.out.empty() != !append, "give either --out, for a new file, or --append, for a set that grows");
    check(!images || !o.faces.recogniser.empty(), "--image needs --recogniser, which makes its feature");
    check(images || o.faces.cut.empty(), "--cut is for --image: the features of --in are cut already");
    check(o.names.empty() || (images && append && o.names.size() == o.photographs.size()),
          "--name is for --append: one for each --image");
    check(!append || o.protect.settings.batch_norm == BatchNormMode::running,
          "--append takes --bn running alone: with ", name_of(o.protect.settings.batch_norm),
          " a record would depend on those that are protected with it; advface-train recalibrate makes a "
          "shadow for all of them");
    const bool original = !images && o.protect.settings.objective == Objective::original;
    check(original || (o.faces.images.empty() && o.faces.list.empty()),
          "--images and --list are for --objective original and --in");
    check(!original || (!o.faces.images.empty() && !o.faces.list.empty()),
          "--objective original needs the photographs: --images and --list, a line for each row of --in");
    check(o.faces.eyes.empty() || !o.faces.recogniser.empty(),
          "--eyes needs --recogniser, whose card says how faces are cut out");
  });
}

// Where protected features go: to a new file, or behind the rows of a set.
class Output {
 public:
  Output(const Options& o, const Shape& row, const FeatureInfo& info) {
    if (o.append.empty()) {
      check(!std::filesystem::exists(npy_index_path(o.out)), o.out, ": is a set that grows by --append (",
            npy_index_path(o.out), " lies beside it); choose another file, or remove both");
      file_.emplace(o.out, row, info);
      return;
    }
    set_.emplace(o.append, row, made_by(info), [&o, told = false]() mutable {
      if (!told) std::cerr << "waiting for another program that adds to " << o.append << "\n";
      told = true;
      return !interrupted();
    });
    first_ = set_->rows();
  }
  int64_t first() const { return first_; }  // number of the first record
  void append(const Tensor& rows, const std::vector<std::string>& names) {
    set_ ? set_->append(rows, names) : file_->append_rows(rows);
  }
  void commit() { set_ ? set_->commit() : file_->commit(); }

 private:
  std::optional<FeatureFileWriter> file_;
  std::optional<EnrolledSet> set_;
  int64_t first_ = 0;
};

// Sums over records, and what the program says about them.
struct Totals {
  ProtectReport sum;
  std::vector<double> losses;
  int64_t records = 0, bounded = 0;  // bounded: records whose noise the bound on recognition made smaller
  double least = 1;                  // recognition cosine

  void add(const ProtectReport& r, bool has_bound) {
    ++records;
    sum.noise_l2 += r.noise_l2;
    sum.cosine += r.cosine;
    sum.loss_before += r.loss_before;
    sum.loss_after += r.loss_after;
    sum.recognition += r.recognition;
    losses.resize(r.losses.size());
    for (size_t s = 0; s < losses.size(); ++s) losses[s] += double(r.losses[s]);
    if (has_bound) least = std::min(least, r.recognition);
    if (r.kept < 1) ++bounded;
  }
  double mean(double total) const { return total / double(std::max<int64_t>(records, 1)); }
  std::vector<double> mean_losses() const {
    std::vector<double> list;
    for (const double total : losses) list.push_back(mean(total));
    return list;
  }
};

int protect_file(Options& o) {
  o.common.activate();
  o.protect.settings.seed = o.common.seed;
  check_options(o);
  const ProtectSettings& settings = o.protect.settings;
  install_interrupt_handler();
  std::optional<Recogniser> recogniser;
  if (!o.faces.recogniser.empty()) recogniser.emplace(Recogniser::load(o.faces.recogniser));
  const Recogniser* known = recogniser ? &*recogniser : nullptr;
  const bool images = o.in.empty();
  Input input = images ? list_photographs(o, *recogniser) : read_features(o);
  const Shape row = images ? recogniser->feature_shape(input.info.cut) : input.features.row();
  Protection protection(o.protect, o.protect.settings, known, row, input.what, input.info.cut);
  check_comes_from(input.info, input.what, protection.info().recogniser, protection.info().cut, "the shadow");
  if (images) extract_photographs(o, *recogniser, input);
  const FeatureRows& features = input.features;
  const int64_t rows = features.count();
  const ReadPhotographs photographs = open_photographs(o, protection, known, input);
  check(settings.batch_norm != BatchNormMode::recalibrated || rows >= 2, input.what, " has ", rows,
        " rows; --bn recalibrated needs two or more");

  // A bad row at the end of a large file is told before the work.
  if (!images) check_rows(features, protection.info().domain, o.in);

  FeatureInfo made{protection.info().recogniser, protection.info().cut, input.info.protection};
  made.protection.applied.push_back(protection.applied());
  Output output(o, row, made);
  if (!input.note.empty()) std::cerr << input.note << "\n";
  const int64_t first = output.first();
  std::unique_ptr<AtomicFile> report = o.report.empty() ? nullptr : std::make_unique<AtomicFile>(o.report);
  protection.recalibrate(rows, [&](int64_t begin, int64_t end) { return features.batch(begin, end); });
  Protector protector(protection.models(), settings, interrupted);
  Totals totals;
  Progress progress("protect", rows, "features");
  // A device works on one batch while the next is sent ahead, so a call brings several.
  const int64_t at_once = current_backend().is_host() ? o.batch : 4 * o.batch;
  for (int64_t begin = 0; begin < rows;) {
    if (interrupted()) throw Interrupted();  // nothing is written
    // With --bn batch nobody may be left alone.
    const int64_t rest = rows - begin;
    const int64_t end = begin + (rest <= at_once || rest == at_once + 1 ? rest : at_once);
    Protected chunk;
    try {
      chunk = protector.protect(features.range(begin, end), first + begin,
                                photographs ? photographs(begin, end) : Tensor());
    } catch (const Interrupted&) {
      throw;
    } catch (const Error& e) {
      fail(input.names.size() == 1 ? input.names[0] : input.what, ": ", e.what(), "; nothing was written");
    }
    output.append(chunk.features, input.names_of(begin, end));
    for (const ProtectReport& r : chunk.reports) {
      if (report) report->write(json_text(to_json(r, settings.keep_recognition.has_value())) + "\n");
      totals.add(r, settings.keep_recognition.has_value());
    }
    progress.advance(end - begin, "loss " + short_number(totals.mean(totals.sum.loss_after)));
    begin = end;
  }
  progress.finish();
  if (report) report->commit();
  output.commit();

  nlohmann::json result = settings_json(settings);
  result.update({{"records", rows},
                 {"shadows", o.protect.shadows},
                 {"protection", advf::tools::to_json(made.protection)},
                 {"mean_noise_l2", totals.mean(totals.sum.noise_l2)},
                 {"mean_cosine", totals.mean(totals.sum.cosine)},
                 {"mean_loss_before", totals.mean(totals.sum.loss_before)},
                 {"mean_loss_after", totals.mean(totals.sum.loss_after)},
                 {"mean_losses", totals.mean_losses()},
                 {"seconds", progress.seconds()},
                 {"features_per_second", double(rows) / std::max(progress.seconds(), 1e-9)},
                 {"peak_memory_bytes", peak_memory_bytes()}});
  if (!o.protect.generator.empty()) result["generator"] = o.protect.generator;
  if (!o.append.empty()) result.update({{"first_record", first}, {"set_rows", first + rows}});
  if (settings.keep_recognition)
    result.update({{"mean_recognition_cosine", totals.mean(totals.sum.recognition)},
                   {"least_recognition_cosine", totals.least},
                   {"records_bounded", totals.bounded}});
  o.common.write_json(result);
  std::cout << "protected " << rows << " features -> " << o.target();
  if (!o.append.empty()) std::cout << " (now " << first + rows << " rows)";
  std::cout << ": mean cosine to the original " << short_number(totals.mean(totals.sum.cosine))
            << ", mean noise norm " << short_number(totals.mean(totals.sum.noise_l2)) << ", image difference "
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
      "    --epsilon 0.02 --steps 10 --report report.jsonl\n"
      "  advface-protect --image anna.jpg --name anna --recogniser facenet.json --eyes 71,79.5,114,79.5 \\\n"
      "    --shadow shadow.safetensors --append enrolled.npy");
  Options o;
  app.add_option("--in", o.in, "features, one per row (.npy)");
  app.add_option("--image", o.photographs,
                 "a photograph instead, whose feature --recogniser makes; repeated: a record for each")
      ->allow_extra_args(false);
  app.add_option("--out", o.out, "where the protected features go (.npy); appears only when complete");
  app.add_option("--append", o.append,
                 "the set (.npy) that they are added to, behind its rows; begins it where there is none");
  app.add_option("--name", o.names, "what the index of the set calls an --image (default: its path)")
      ->allow_extra_args(false);
  app.add_option("--cut", o.faces.cut,
                 "for --image: the recogniser's tensor that is the feature (default: what its card says)");
  o.protect.add_to(app, "Protection", true);
  app.add_option(
         "--recogniser", o.faces.recogniser,
         "recogniser card: for --image, and where the objective, the loss or the bound on recognition "
         "runs it")
      ->group("Protection");
  o.faces.add_images_to(app);
  for (const char* name : {"--images", "--list", "--eyes", "--max-broken"})
    app.get_option(name)->required(false)->group("Photographs, for --image and --objective original");
  app.add_option("--batch", o.batch, "features at a time; the result depends on it with --bn batch alone")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(65536)));
  app.add_option("--report", o.report, "one JSON line per record: noise, cosine, loss before and after");
  o.common.add_to(app);
  return run(app, argc, argv, [&] { return protect_file(o); });
}
