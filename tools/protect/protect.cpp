// advface-protect: features or photographs in, protected features out, as .npy, streamed in chunks.
#include <iostream>
#include <numeric>
#include <tuple>

#include "advface/core/feature_file.h"
#include "advface/core/text_file.h"
#include "advface/protections/ascent/advface_protection.h"
#include "advface/protections/features_to_protect.h"
#include "advface/protections/report_totals.h"
#include "tensor/backend.h"
#include "tensor/io/atomic_file.h"
#include "tools/options/face_options.h"
#include "tools/options/part.h"
#include "tools/options/part_progress.h"
#include "tools/options/progress.h"
#include "tools/options/protection_options.h"

using namespace advf;
using namespace advf::tools;

namespace {

struct Options {
  Common common;
  FaceOptions faces;  // --image with --cut; for --objective original: the photographs of the features
  ProtectionOptions protect;
  std::string in, out, report, people_out;
  std::vector<std::string> photographs;
  int64_t batch = 256;
  std::optional<int64_t> average;  // photographs of a person, at most; 0: all
  PartOption part;
};

// Whom a record stands for that was made of several photographs, and of how many.
nlohmann::json person_json(const FeaturesToProtect& input, int64_t row) {
  if (input.photographs_of_record().empty()) return nlohmann::json::object();
  return {{"person", input.names(row, row + 1)[0]},
          {"photographs", input.photographs_of_record()[size_t(row)]}};
}

// moved: to another shape, so that there is no noise to speak of. proved: of every record.
nlohmann::json to_json(const RecordReport& r, bool bounded, bool moved, const nlohmann::json& proved) {
  nlohmann::json json = {{"record", r.record}};
  if (!proved.empty()) json["proved"] = proved;
  if (moved) return json;
  json.update({{"noise_l2", r.noise_l2}, {"noise_linf", r.noise_linf}, {"cosine", r.cosine}});
  if (!r.losses.empty())
    json.update({{"loss_before", r.loss_before}, {"loss_after", r.loss_after}, {"losses", r.losses}});
  if (bounded) {
    json["noise_kept"] = r.kept;
    json["recognition_cosine"] = r.recognition;
  }
  return json;
}

// Photographs beside features of a file are for a protection that looks at them.
void check_options(const Options& o, bool original) {
  o.faces.check_cut();
  const bool images = !o.photographs.empty();
  as_usage([&] {
    check(o.in.empty() != !images, "give either features (--in) or photographs (--image)");
    check(!images || !o.faces.recogniser.empty(), "--image needs --recogniser, which makes its feature");
    check(images || o.faces.cut.empty(), "--cut is for --image: the features of --in are cut already");
    check(!o.average || !original,
          "--average makes a record of several photographs, but --objective original looks at one");
    check(!o.average || images || !o.faces.list.empty(),
          "--average needs --list, a line for each row of --in, to tell who is who");
    check(o.average || o.faces.labels.empty(), "--labels are for --average");
    check(o.people_out.empty() || o.average, "--people-out is for --average");
    const bool listed = !images && original;
    check(listed || o.faces.images.empty(), "--images are for --objective original and --in");
    check(listed || (o.average && !images) || o.faces.list.empty(),
          "--list is for --objective original and --average, with --in");
    check(!listed || (!o.faces.images.empty() && !o.faces.list.empty()),
          "--objective original needs the photographs: --images and --list, a line for each row of --in");
    check(o.faces.whole_pictures() || !o.faces.recogniser.empty(),
          "--eyes and --detector need --recogniser, whose card says how faces are cut out");
  });
}

// A setting of the chain by its name, as text; empty where no protection has it.
std::string value_in(const ProtectionSpecs& specs, const std::string& setting) {
  for (const auto& spec : specs) {
    const Metadata values = spec->values();
    if (const auto found = values.find(setting); found != values.end()) return found->second;
  }
  return "";
}

// The ascent, where it is among them.
const AdvFaceSpec* ascent_in(const ProtectionSpecs& specs) {
  for (const auto& spec : specs)
    if (const auto* ascent = dynamic_cast<const AdvFaceSpec*>(spec.get())) return ascent;
  return nullptr;
}

// What it makes larger: networks of features make no image.
std::string loss_of(const ProtectionSpecs& specs) {
  const AdvFaceSpec* ascent = ascent_in(specs);
  return ascent && ascent->ascent.is_of_features()
             ? std::string("loss of the objective ") + name_of(ascent->ascent.objective)
             : "image difference";
}

// What a run works with, once everything fits.
struct Job {
  FeaturesToProtect input;
  ProtectionChain chain;
  ReadPhotographs photographs;
  std::unique_ptr<FeatureFileWriter> output;
  std::unique_ptr<AtomicFile> report, people;
  bool bounded;                // by --keep-recognition
  std::string loss;            // of the ascent, for people
  int64_t begin = 0, end = 0;  // the rows that are protected
};

// A device works on one batch while the next is sent ahead, so a call brings several.
int64_t rows_at_once(const Options& o) { return current_backend().is_host() ? o.batch : 4 * o.batch; }

// Protects all rows; nothing is written where that fails.
ReportTotals protect_rows(const Options& o, Job& job, const std::optional<FeaturePart>& part,
                          double& seconds) {
  const int64_t rows = job.input.features().count();
  std::vector<int64_t> records(static_cast<size_t>(rows));
  std::iota(records.begin(), records.end(), int64_t(0));
  job.chain.look_at(job.input.features(), records, console());
  ReportTotals totals;
  const nlohmann::json proved = advf::to_json(job.chain.guarantee());
  PartProgress progress("protect", job.end - job.begin, "features", part, o.out);
  const int64_t at_once = rows_at_once(o);
  for (int64_t begin = job.begin; begin < job.end;) {
    if (interrupted()) throw Interrupted();  // nothing is written
    // Nobody who depends on company may be left alone.
    const int64_t rest = job.end - begin;
    const int64_t end = begin + (rest <= at_once || rest == at_once + 1 ? rest : at_once);
    ProtectedRows chunk;
    try {
      chunk = job.chain.apply(job.input.features().range(begin, end),
                              std::span(records).subspan(size_t(begin), size_t(end - begin)),
                              job.photographs ? job.photographs(begin, end) : Tensor(), console());
    } catch (const Interrupted&) {
      throw;
    } catch (const Error& e) {
      fail(job.input.names(0, rows).size() == 1 && !job.input.is_file() ? job.input.names(0, 1)[0]
                                                                        : job.input.what(),
           ": ", e.what(), "; nothing was written");
    }
    job.output->append_rows(chunk.features);
    for (const RecordReport& r : chunk.reports) {
      if (job.report) {
        nlohmann::json line = to_json(r, job.bounded, job.chain.moves(), proved);
        line.update(person_json(job.input, r.record));
        job.report->write(json_text(line) + "\n");
      }
      totals.add(r);
    }
    progress.advance(end - begin,
                     totals.climbed() ? "loss " + short_number(totals.loss_after()) : std::string());
    begin = end;
  }
  progress.finish();
  if (job.report) job.report->commit();
  if (job.people) job.people->commit();
  job.output->commit();
  seconds = progress.seconds();
  return totals;
}

void write_result(const Options& o, const Job& job, const FeatureInfo& made, const ReportTotals& totals,
                  double seconds) {
  const int64_t rows = job.end - job.begin;
  nlohmann::json result = settings_json(job.chain.id());
  result.update(o.protect.files());
  result.update({{"records", rows},
                 {"protection", advf::tools::to_json(made.protection)},
                 {"seconds", seconds},
                 {"features_per_second", double(rows) / std::max(seconds, 1e-9)},
                 {"peak_memory_bytes", peak_memory_bytes()}});
  if (const auto& made_of = job.input.photographs_of_record(); !made_of.empty())
    result["photographs"] = std::accumulate(made_of.begin(), made_of.end(), int64_t(0));
  result["proved"] = advf::to_json(job.chain.guarantee());
  if (!job.chain.moves())
    result.update({{"mean_noise_l2", totals.noise_l2()}, {"mean_cosine", totals.cosine()}});
  if (totals.climbed())
    result.update({{"mean_loss_before", totals.loss_before()},
                   {"mean_loss_after", totals.loss_after()},
                   {"mean_losses", totals.losses()}});
  if (job.bounded)
    result.update({{"mean_recognition_cosine", totals.recognition()},
                   {"least_recognition_cosine", totals.least_recognition()},
                   {"records_bounded", totals.bounded()}});
  o.common.write_json(result);
  std::cout << "protected " << rows << " features -> " << o.out;
  if (rows == 0 && made.part)
    std::cout << ": nothing falls to this part, as parts begin where one of the " << rows_at_once(o)
              << " rows of --batch does";
  else if (job.chain.moves())
    std::cout << ": features of shape " << job.chain.in().row << " became " << job.chain.out().row;
  else
    std::cout << ": mean cosine to the original " << short_number(totals.cosine()) << ", mean noise norm "
              << short_number(totals.noise_l2());
  if (totals.climbed())
    std::cout << ", " << job.loss << " " << short_number(totals.loss_before()) << " -> "
              << short_number(totals.loss_after());
  std::cout << "\n";
}

// One record for each person: of the photographs at hand, or of whom the list and the labels name.
void average(const Options& o, FeaturesToProtect& input, FeatureDomain domain) {
  const int64_t rows = input.features().count();
  if (!input.is_file())
    return input.average(std::vector<std::string>(size_t(rows), o.photographs[0]), *o.average, domain);
  std::vector<std::string> files = read_name_list(o.faces.list);
  check(int64_t(files.size()) == rows, o.faces.list, " names ", files.size(), " files, but ", o.in, " has ",
        rows, " rows");
  input.average(o.faces.labels_of(files).identities, *o.average, domain);
}

// Row i of the output is person i.
std::unique_ptr<AtomicFile> list_people(const Options& o, const FeaturesToProtect& input) {
  if (!o.average) return nullptr;
  auto file = std::make_unique<AtomicFile>(o.people_out.empty() ? o.out + ".csv" : o.people_out);
  file->write("person,photographs\n");
  const auto& made_of = input.photographs_of_record();
  const std::vector<std::string> names = input.names(0, int64_t(made_of.size()));
  for (size_t i = 0; i < names.size(); ++i)
    file->write(csv_field(names[i]) + "," + std::to_string(made_of[i]) + "\n");
  return file;
}

// What every part decides alone must be the same in all of them.
void check_part(const Options& o, const Part& part, const ProtectionSpecs& specs) {
  if (part.whole()) return;
  as_usage([&] {
    check(!o.in.empty(), "--part ", part.text(), " is of the rows of --in");
    check(!o.average, "--part ", part.text(),
          " and --average do not go together: average first, then protect");
    for (const auto& spec : specs)
      check(!spec->needs_key() || !value_in(specs, "key_set").empty(),
            "the parts of one set are locked under one "
            "name: give all of them the same --key-set, 32 hexadecimal digits at random");
  });
}

int protect_file(Options& o) {
  const Part part = o.part.part_of_features(o.out);
  for (std::string* path : {&o.out, &o.report, &o.people_out, &o.common.json}) *path = part.path(*path);
  o.common.activate();
  const ProtectionSpecs specs = o.protect.specs(o.common.seed);
  const bool original = value_in(specs, "objective") == "\"original\"";
  check_options(o, original);
  check_part(o, part, specs);
  if (const AdvFaceSpec* ascent = ascent_in(specs);
      ascent && ascent->shadows.size() == 1 && ascent->ascent.ensemble == Ensemble::hardest)
    std::cerr
        << "note: --ensemble hardest is of several shadows; of the one that is given it is what mean is\n";
  install_interrupt_handler();
  std::optional<Recogniser> recogniser;
  if (!o.faces.recogniser.empty()) recogniser.emplace(Recogniser::load(o.faces.recogniser));
  const Recogniser* known = recogniser ? &*recogniser : nullptr;
  const bool images = o.in.empty();
  FeaturesToProtect input = images
                                ? FeaturesToProtect::of_photographs(o.faces, *recogniser, o.photographs, {})
                                : FeaturesToProtect::of_file(o.in);
  if (!images && original) input.add_photographs(o.faces, console());
  ProtectionInput made_for = input.input(known);
  made_for.to_keep = true;
  ProtectionChain chain(specs, made_for);
  if (images) input.extract(o.faces, *recogniser, console());
  // A bad row at the end of a large file is told before the work.
  if (!images) check_rows(input.features(), chain.in().domain, o.in);
  if (o.average) average(o, input, chain.in().domain);
  FeatureInfo made{chain.recogniser(), chain.cut(), input.info().protection.then(chain.id()),
                   input.info().card};
  const int64_t rows = input.features().count();
  made.part = part.described(rows, rows_at_once(o), o.common.seed, input.features().sample_hash());
  for (const std::string& file : {o.out, feature_info_path(o.out), o.report})
    if (!file.empty()) remove_stale_temporaries(file);
  auto output = std::make_unique<FeatureFileWriter>(o.out, chain.out().row, made);
  if (!input.note().empty()) std::cerr << input.note() << "\n";
  Job job{std::move(input),
          std::move(chain),
          {},
          std::move(output),
          o.report.empty() ? nullptr : std::make_unique<AtomicFile>(o.report),
          nullptr,
          !value_in(specs, "keep_recognition").empty(),
          loss_of(specs)};
  std::tie(job.begin, job.end) = part.range(rows, rows_at_once(o));
  job.people = list_people(o, job.input);
  job.photographs = job.input.photographs(o.faces, known, job.chain.photograph_size());
  double seconds = 0;
  if (const auto& privacy = job.chain.guarantee().privacy; privacy && privacy->of_seed)
    std::cerr << "what is proved holds as long as nobody knows --seed " << o.common.seed
              << ", of which the noise can be made again; --noise-from secret draws one and forgets it\n";
  const ReportTotals totals = protect_rows(o, job, made.part, seconds);
  write_result(o, job, made, totals, seconds);
  return 0;
}

// Options of older versions, which the help does not show: who still gives them is told what does that now.
void refuse_former_options(CLI::App& app) {
  for (const auto& [name, now] :
       {std::pair("--append",
                  "a set that grows is kept by advface-store (init, then add); --out makes a file"),
        std::pair("--name", "advface-store add names a record, by --subject")})
    app.add_option_function<std::vector<std::string>>(
           name, [text = std::string(name) + " is gone: " + now](
                     const std::vector<std::string>&) { throw CLI::ValidationError(text); })
        ->group("");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Adds adversarial noise to facial features so that reconstruction networks fail on them.",
               "advface-protect");
  app.footer(
      "Example:\n  advface-protect --shadow shadow.safetensors --in features.npy --out protected.npy \\\n"
      "    --epsilon 0.02 --steps 10 --report report.jsonl\n"
      "  advface-protect --image anna.jpg --recogniser facenet.json --eyes 71,79.5,114,79.5 \\\n"
      "    --shadow shadow.safetensors --out anna.npy\n"
      "  advface-protect --image anna.jpg --recogniser facenet.json --detector yunet.json \\\n"
      "    --shadow shadow.safetensors --out anna.npy");
  Options o;
  o.faces.detection.choice = FaceChoice::only;  // whoever else is on the picture is not to be enrolled
  app.add_option("--in", o.in, "features, one per row (.npy)");
  app.add_option("--image", o.photographs,
                 "a photograph instead, whose feature --recogniser makes; repeated: a record for each")
      ->allow_extra_args(false);
  app.add_option("--out", o.out, "where the protected features go (.npy); appears only when complete")
      ->required();
  refuse_former_options(app);
  app.add_option("--cut", o.faces.cut,
                 "for --image: the recogniser's tensor that is the feature (default: what its card says)");
  o.protect.add_to(app, "Protection", true);
  app.add_option(
         "--recogniser", o.faces.recogniser,
         "recogniser card: for --image, and where the objective, the loss or the bound on recognition "
         "runs it")
      ->group("Protection");
  o.faces.add_images_to(app);
  for (const char* name : {"--images", "--list", "--eyes", "--max-broken", "--max-rejected"})
    app.get_option(name)->required(false)->group(
        "Photographs, for --image, --average and --objective original");
  app.add_option("--batch", o.batch, "features at a time; the result depends on it with --bn batch alone")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(65536)));
  app.add_option("--average", o.average,
                 "one record for each person, the mean of so many of their features at most (0 = of all): of "
                 "--in with --list, by --labels or folders; or of all --image, which show one person")
      ->check(not_negative());
  o.faces.add_labels_to(app);
  app.add_option("--people-out", o.people_out,
                 "where the list (CSV) of the people of --average goes, a row for each record (default: "
                 "OUT.csv, behind the whole name of OUT)");
  app.add_option("--report", o.report,
                 "one JSON line per record: noise, cosine, loss before and after, what is proved");
  o.part.add_to(app);
  o.common.add_to(app);
  return run(app, argc, argv, [&] {
    // Beside features of a file stand the photographs that they were made of, as advface-extract took them.
    if (!o.in.empty() && app.count("--faces") == 0) o.faces.detection.choice = FaceChoice::largest;
    return protect_file(o);
  });
}
