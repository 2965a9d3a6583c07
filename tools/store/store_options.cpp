#include "tools/store/store_options.h"

#include <pwd.h>
#include <unistd.h>

#include <iostream>
#include <sstream>

#include "advface/core/json_text.h"
#include "advface/core/text_file.h"
#include "tools/options/progress.h"
#include "tools/options/protection_options.h"
#include "tools/options/setting_options.h"

namespace advf::tools {
namespace {

// Who calls, as the system knows him.
std::string user_name() {
  const passwd* user = ::getpwuid(::getuid());
  return user && user->pw_name ? user->pw_name : "uid " + std::to_string(::getuid());
}

}  // namespace

std::vector<std::string> lines_of_file(const std::string& path) {
  const std::string text = read_text(path);
  std::vector<std::string> lines;
  for (const std::string_view line : split_lines(text, path)) lines.emplace_back(line);
  return lines;
}

NewStore::NewStore(std::string path) : path_(std::move(path)), made_(!Store::exists(path_)) {
  if (!made_) return;
  try {
    Store::create(path_);
  } catch (const Error&) {
    made_ = false;
    if (!Store::exists(path_)) throw;  // else another program was faster, and it is there
  }
}

NewStore::~NewStore() {
  if (!made_) return;
  try {
    Store::remove_unused(path_);
  } catch (const Error& e) {
    std::cerr << "what was made of " << path_ << " stays: " << e.what() << "\n";
  }
}

void StoreOptions::add_to(CLI::App& app, bool by) {
  app.add_option("STORE,--store", store, "the store: its file, or a database of a server, postgresql://...")
      ->required();
  app.add_option("--set", set, "the set in it")->capture_default_str();
  app.add_option("--wait", wait, "seconds to wait while another program writes")
      ->capture_default_str()
      ->check(number_in(0, 1e6));
  if (by) app.add_option("--actor", actor, "who does it, for the events (default: the user's name)");
  common.add_to(app);
}

void StoreOptions::add_files_to(CLI::App& app) {
  for (const Setting& s : protection_files())
    add_setting(app, s, "What the set was protected with",
                [this, name = s.name](const std::string& text) { files[name].push_back(text); });
}

Store StoreOptions::open(Database::Access access) const {
  Store opened(store, access, {.seconds = wait, .stop = interrupted});
  if (!looks_for_damage) opened.check_log();
  as_usage([&] { opened.set_actor(actor.empty() ? user_name() : actor); });
  // Whoever was stopped between a removal and its end left bytes that were promised to be gone.
  if (access == Database::Access::write) opened.finish_erasures(interrupted);
  return opened;
}

std::string what_is_left(bool erased, const std::string& store) {
  if (erased) return "no byte is in " + store + " or its log any more";
  return "nothing is found in " + store +
         " any more; the server's files keep the bytes until advface-store check --repair rewrites the "
         "tables, "
         "and its write-ahead log until it comes round";
}

void add_rows_option(CLI::App& app, RowType& rows) {
  add_setting(
      app,
      choice_setting("rows", rows,
                     "as what the values of a row are kept: f16 takes half the bytes, i8 a quarter, and "
                     "a search is faster; each costs a little of every score"),
      "Options", [](const std::string&) {});
}

void FeatureOptions::add_to(CLI::App& app, const std::string& whose) {
  app.add_option("--in", in, whose + ": raw features, one per row (.npy)");
  app.add_option("--image", photographs,
                 whose + ": a photograph, of which --recogniser makes the feature; repeated")
      ->allow_extra_args(false);
  app.add_option("--recogniser", faces.recogniser, "recogniser card, for --image");
  app.add_option("--average", average,
                 "one feature for each name, the mean of so many of its features at most (0 = of all)")
      ->check(not_negative());
  faces.detection.choice = FaceChoice::only;  // whoever else is on the picture is not meant
  faces.add_images_to(app);
  for (const char* name : {"--images", "--list", "--max-broken", "--max-rejected"})
    if (CLI::Option* option = app.get_option_no_throw(name)) app.remove_option(option);
}

void FeatureOptions::check() const {
  faces.check_cut();
  as_usage([&] {
    advf::check(in.empty() != photographs.empty(), "give either features (--in) or photographs (--image)");
    advf::check(photographs.empty() || !faces.recogniser.empty(),
                "--image needs --recogniser, which makes its feature");
  });
}

std::optional<Recogniser> FeatureOptions::recogniser() const {
  if (faces.recogniser.empty()) return {};
  return Recogniser::load(faces.recogniser);
}

FeaturesToProtect FeatureOptions::read(const Store& store, const StoredSet& set, const Recogniser* recogniser,
                                       const std::vector<std::string>& names) const {
  FaceOptions cut = faces;
  cut.cut = set.info.cut;
  if (recogniser) check_recogniser(store, set, *recogniser);
  FeaturesToProtect input = photographs.empty()
                                ? FeaturesToProtect::of_file(in)
                                : FeaturesToProtect::of_photographs(cut, *recogniser, photographs, names);
  if (!set.info.recogniser.empty())
    check_comes_from(input.info(), input.what(), set.info.recogniser, set.info.cut,
                     store.path() + ": set " + set.name);
  check_same_card(input.info(), input.what(), set.info.card, store.path() + ": set " + set.name);
  advf::check(input.info().protection.is_raw(), input.what(), ": its features are protected already (",
              input.info().protection.describe(),
              "); a store protects raw ones itself, and advface-store import takes "
              "those that are stored elsewhere");
  // More would go to a file on the way, raw as they are.
  const int64_t held =
      photographs.empty() ? (average ? input.features().count() : 0) : int64_t(photographs.size());
  advf::check(held <= (int64_t(1) << 30) / (4 * set.raw.row[0]), input.what(), ": ", held,
              " raw features at a time are more than memory is for; take fewer in a call");
  if (!photographs.empty()) input.extract(cut, *recogniser, console());
  advf::check(input.features().row() == set.raw.row, input.what(), ": features of shape ",
              input.features().row(), ", but the set ", set.name, " is of ", set.raw.row);
  if (!input.note().empty()) std::cerr << input.note() << "\n";
  check_rows(input.features(), set.raw.domain, input.what());
  if (average) {
    const int64_t rows = input.features().count();
    input.average(names.empty() ? std::vector<std::string>(size_t(rows), input.what()) : names, *average,
                  set.raw.domain);
  }
  return input;
}

Threshold Threshold::for_means_of(int64_t photographs, bool probe_is_mean) const {
  Threshold its = *this;
  if (mean_of == 0 || (!probe_is_mean && photographs > 0 && photographs <= mean_of)) return its;
  std::ostringstream why;
  why << "false match rate not known: ";
  if (probe_is_mean)
    why << "the probe is the mean of several photographs, which is nearer to everybody than the single ones "
           "with which the set is calibrated";
  else if (photographs == 0)
    why << "nobody noted of how many photographs the record is the mean";
  else
    why << "strangers reach the mean of " << photographs << " photographs more often than a record of "
        << (mean_of == 1 ? std::string("one") : std::to_string(mean_of))
        << ", with which the set is calibrated; calibrate --average " << photographs << " tells how often";
  why << "; calibrated with " << scores;
  its.note = why.str();
  its.rate.reset();
  return its;
}

nlohmann::json Threshold::json() const {
  nlohmann::json result = {{"threshold", value}, {"false_match_rate", nullptr}, {"calibration", note}};
  if (rate) result["false_match_rate"] = *rate;
  return result;
}

void ThresholdOptions::add_to(CLI::App& app) {
  CLI::Option* given = app.add_option("--threshold", threshold, "the least cosine that is accepted");
  given->check(number_in(-1, 1));
  app.add_option("--fmr", fmr, "instead the false match rate, by the set's calibration")
      ->check(number_in(0, 1))
      ->excludes(given);
}

Threshold ThresholdOptions::of(Store& store, const StoredSet& set) const {
  auto calibration = Calibration::read(store, set);
  // Of what differs from the current generation in the key alone a score says the same.
  if (const auto current = store.find_set(set.name, Generation::current);
      !calibration && current && current->info.cut == set.info.cut &&
      current->info.recogniser == set.info.recogniser &&
      current->info.protection.is_like_but_for_key(set.info.protection))
    calibration = Calibration::read(store, *current);
  if (!calibration) {
    if (!threshold)
      throw WrongCall(store.path() + ": the set " + set.name +
                      " has no calibration, so that --threshold must say "
                      "where to decide; advface-store calibrate tells what it stands for");
    Threshold given;
    given.value = *threshold;
    given.note = "the set has no calibration: nobody knows how often this accepts a stranger";
    return given;
  }
  Threshold result;
  result.mean_of = calibration->mean_of;
  result.value = threshold ? *threshold : fmr ? calibration->threshold_at(*fmr) : calibration->threshold;
  result.rate = calibration->false_match_rate(result.value);
  std::ostringstream told;
  told << calibration->impostors() << " impostor scores of " << calibration->people << " people ("
       << calibration->source << "), "
       << (calibration->mean_of > 1 ? "records of up to " + std::to_string(calibration->mean_of) + ", " : "")
       << calibration->created.substr(0, 10);
  result.scores = told.str();
  std::ostringstream note;
  note << result.scores;
  if (*result.rate < calibration->lowest_rate()) {  // below what so many pairs tell it is no rate but a guess
    note << "; the false match rate is below " << short_number(calibration->lowest_rate())
         << ", and so many cannot tell how far";
    result.rate.reset();
  }
  result.note = note.str();
  return result;
}

nlohmann::json to_json(const StoredSet& set) {
  return {{"set", set.name},
          {"generation", set.generation == Generation::next ? "next" : "current"},
          {"recogniser", set.info.recogniser},
          {"cut", set.info.cut},
          {"protection", to_json(set.info.protection)},
          {"raw_dimension", set.raw.row[0]},
          {"dimension", set.dimension},
          {"rows", name_of(set.row_type)},
          {"records", set.records},
          {"created", set.created}};
}

nlohmann::json to_json(const StoredRecord& record) {
  nlohmann::json json = {{"record", record.number}, {"subject", record.subject}, {"created", record.created}};
  if (record.mean_of > 0) json["mean_of"] = record.mean_of;
  if (!record.photograph.empty()) json["photograph"] = record.photograph;
  if (!record.quality.empty()) json["quality"] = json_or_discarded(record.quality);
  return json;
}

}  // namespace advf::tools
