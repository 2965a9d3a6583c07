// verify, identify: decisions. calibrate, stats: what their scores mean.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <set>

#include "advface/core/dataset.h"
#include "advface/store/set_calibration.h"
#include "advface/store/set_scan.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/plot.h"
#include "tools/options/progress.h"
#include "tools/options/protection_options.h"
#include "tools/store/store_options.h"

namespace advf::tools {
namespace {

constexpr int kRejected = 3;

struct MatchOptions : StoreOptions {
  FeatureOptions features;
  ThresholdOptions threshold;
  std::string subject;
  bool next = false, log = false;
  int64_t top = 10;

  void add_to_match(CLI::App& app) {
    add_to(app, true);
    features.add_to(app, "the probe");
    threshold.add_to(app);
    app.add_flag("--next", next, "against the generation that a renewal has begun");
    app.add_flag("--log", log, "note the decisions among the events");
    add_files_to(app);
  }
};

// Everything that a decision needs.
struct Match {
  std::optional<Recogniser> recogniser;
  Store store;
  StoredSet set;
  Threshold threshold;
  SetProtection protection;
  FeaturesToProtect probes;

  std::string probe_name(int64_t i) const { return probes.names(i, i + 1)[0]; }
  bool probe_is_mean() const {
    return std::ranges::any_of(probes.photographs_of_record(), [](int64_t n) { return n > 1; });
  }
};

// A call that fails must not leave the decision of an earlier one.
void forget_decision(const std::string& json) {
  std::error_code none;
  if (std::filesystem::is_regular_file(json, none)) std::filesystem::remove(json, none);
}

Match open_match(const MatchOptions& o) {
  o.common.activate();
  forget_decision(o.common.json);
  o.features.check();
  Store store = o.open(o.log ? Database::Access::write : Database::Access::read);
  StoredSet set = store.set(o.set, o.next ? Generation::next : Generation::current);
  Threshold threshold = o.threshold.of(store, set);
  std::optional<Recogniser> recogniser = o.features.recogniser();
  const Recogniser* known = recogniser ? &*recogniser : nullptr;
  SetProtection protection(store, set, o.files, known);
  FeaturesToProtect probes = o.features.read(store, set, known, {});
  check(probes.features().count() > 0, o.features.in.empty() ? std::string("the probe") : o.features.in,
        ": has no rows; there is nobody to decide about");
  return {std::move(recogniser), std::move(store),      std::move(set),
          std::move(threshold),  std::move(protection), std::move(probes)};
}

std::string rate_text(const Threshold& threshold) {
  if (!threshold.rate) return threshold.note;
  return "false match rate " + short_number(*threshold.rate) + ": " + threshold.note;
}

void note_decision(const MatchOptions& o, Match& m, const std::string& what, bool accepted, int64_t record) {
  if (!o.log) return;
  Transaction one(m.store.database());
  m.store.tell(what, m.set.name,
               (accepted ? "accepted, record " : "rejected, record ") + std::to_string(record));
  one.commit();
}

int verify(const MatchOptions& o) {
  Match m = open_match(o);
  const StoredRecord record = m.store.record(m.set, o.subject);
  const Tensor stored = m.store.feature(m.set, record.number);
  const Threshold threshold = m.threshold.for_means_of(record.mean_of, m.probe_is_mean());
  nlohmann::json decisions = nlohmann::json::array();
  bool all = true;
  for (int64_t i = 0; i < m.probes.features().count(); ++i) {
    const Tensor probe = m.protection.probe(m.probes.features().batch(i, i + 1), {&record.salt, 1});
    const double score = cosine_of_rows(probe, stored);
    const bool accepted = score >= threshold.value;
    all = all && accepted;
    note_decision(o, m, "verify", accepted, record.number);
    decisions.push_back({{"probe", m.probe_name(i)}, {"accepted", accepted}, {"score", score}});
    std::cout << (accepted ? "accepted" : "rejected") << ": " << o.subject << " and " << m.probe_name(i)
              << ", score " << short_number(score) << ", threshold " << short_number(threshold.value) << " ("
              << rate_text(threshold) << ")\n";
  }
  nlohmann::json result = to_json(record);
  result.update(threshold.json());
  result.update({{"set", m.set.name}, {"accepted", all}, {"decisions", decisions}});
  o.common.write_json(result);
  return all ? 0 : kRejected;
}

std::vector<std::vector<Neighbour>> nearest(const MatchOptions& o, Match& m) {
  const FeatureRows& rows = m.probes.features();
  if (!m.protection.separates_records()) {
    const std::vector<int64_t> any(size_t(rows.count()), 0);
    return nearest_in_set(m.store, m.set, m.protection.probe(rows.batch(0, rows.count()), any), o.top);
  }
  return nearest_of_each(
      m.store, m.set, rows.count(),
      [&](int64_t p, std::span<const int64_t> salts) {
        return m.protection.probe(rows.batch(std::vector<int64_t>(salts.size(), p)), salts);
      },
      o.top, interrupted);
}

// Somebody is accepted by mistake who is not in a set of so many.
double rate_in_set(double rate, int64_t records) { return -std::expm1(double(records) * std::log1p(-rate)); }

int identify(const MatchOptions& o) {
  Match m = open_match(o);
  const Progress clock("identify", 1, "searches");
  const auto found = nearest(o, m);
  const double seconds = clock.seconds();
  const Threshold threshold = m.threshold.for_means_of(m.store.largest_mean(m.set), m.probe_is_mean());
  nlohmann::json decisions = nlohmann::json::array();
  bool all = true;
  for (size_t p = 0; p < found.size(); ++p) {
    nlohmann::json candidates = nlohmann::json::array();
    for (const Neighbour& n : found[p]) {
      const auto list = m.store.records(m.set, n.row, 1);
      if (!list.empty() && list[0].number == n.row)  // else removed since
        candidates.push_back({{"record", n.row}, {"subject", list[0].subject}, {"score", n.score}});
    }
    const bool accepted = !candidates.empty() && candidates[0]["score"].get<double>() >= threshold.value;
    // A search reads rows as they lie there; who is accepted is compared with what was enrolled.
    if (accepted) m.store.feature(m.set, candidates[0]["record"].get<int64_t>());
    all = all && accepted;
    note_decision(o, m, "identify", accepted,
                  candidates.empty() ? -1 : candidates[0]["record"].get<int64_t>());
    std::cout << (accepted ? "accepted" : "rejected") << ": " << m.probe_name(int64_t(p)) << ", threshold "
              << short_number(threshold.value) << " (" << rate_text(threshold);
    if (threshold.rate)
      std::cout << "; among " << m.set.records << " records a stranger is accepted with "
                << short_number(rate_in_set(*threshold.rate, m.set.records));
    std::cout << ")\n";
    for (const nlohmann::json& c : candidates) {
      const double score = c["score"];
      std::cout << (score >= threshold.value ? "  + " : "    ") << short_number(score) << "  "
                << c["subject"].get<std::string>() << "\n";
    }
    decisions.push_back(
        {{"probe", m.probe_name(int64_t(p))}, {"accepted", accepted}, {"candidates", candidates}});
  }
  nlohmann::json result = threshold.json();
  if (threshold.rate) result["false_identification_rate"] = rate_in_set(*threshold.rate, m.set.records);
  result.update({{"set", m.set.name},
                 {"records", m.set.records},
                 {"accepted", all},
                 {"decisions", decisions},
                 {"search_seconds", seconds},
                 {"peak_memory_bytes", peak_memory_bytes()}});
  o.common.write_json(result);
  return all ? 0 : kRejected;
}

struct CalibrateOptions : StoreOptions {
  FaceOptions faces;
  std::string in, people;
  double fmr = 1e-3;
  int64_t average = 1;
  bool next = false;
};

// Raw features of other people, with who each is.
struct OtherPeople {
  FeatureRows features;
  std::vector<std::string> people;
};

OtherPeople other_people(const CalibrateOptions& o, Store& store, const StoredSet& set) {
  OtherPeople others;
  std::vector<std::string> names;
  if (!o.in.empty()) {
    const FeatureFile file = open_feature_file(o.in);
    if (!set.info.recogniser.empty())
      check_comes_from(file.info, o.in, set.info.recogniser, set.info.cut,
                       store.path() + ": set " + set.name);
    check_same_card(file.info, o.in, set.info.card, store.path() + ": set " + set.name);
    check(!file.info.protection.known() || file.info.protection.is_raw(), o.in,
          ": its features are protected; a calibration takes raw ones");
    others.features = file.rows;
    names = lines_of_file(o.people);
  } else {
    const Recogniser recogniser = Recogniser::load(o.faces.recogniser);
    check_recogniser(store, set, recogniser);
    FaceOptions faces = o.faces;
    FaceSource source = faces.open_images(console());
    const FeatureSet found = extract(faces, recogniser, set.info.cut, source, console());
    std::vector<std::string> files;
    for (const int64_t i : found.indices) files.push_back(source.name(i));
    names = faces.labels_of(files).identities;
    others.features = found.features;
  }
  const std::string what = o.in.empty() ? o.faces.images : o.in;
  check(int64_t(names.size()) == others.features.count(), o.people, " names ", names.size(), " people, but ",
        what, " has ", others.features.count(), " rows");
  check(others.features.row() == set.raw.row, what, ": features of shape ", others.features.row(),
        ", but the set ", set.name, " is of ", set.raw.row);
  check(others.features.count() <= kMostToCalibrate, what, ": all pairs of ", others.features.count(),
        " features are too many; take up to ", kMostToCalibrate);
  check_rows(others.features, set.raw.domain, what);
  others.people = names;
  const auto enrolled =
      std::ranges::count_if(std::set<std::string>(names.begin(), names.end()),
                            [&](const std::string& name) { return store.find(set, name).has_value(); });
  if (enrolled > 0)
    std::cerr << "note: " << enrolled
              << " of these people are in the set by their names; a threshold is found with "
              << "people who are not, or it is found for them alone\n";
  return others;
}

int calibrate(const CalibrateOptions& o) {
  o.common.activate();
  as_usage([&] {
    check(o.in.empty() != o.faces.images.empty(),
          "give either features (--in) or photographs (--images) of other people");
    check(o.in.empty() == o.people.empty(), "--people FILE names who the rows of --in are");
    check(o.faces.images.empty() || !o.faces.recogniser.empty(), "--images needs --recogniser");
    check(!o.files.contains("key") && !o.files.contains("key_fd"),
          "calibrate takes no key: a lock changes no score");
  });
  o.faces.check_cut();
  Store store = o.open(Database::Access::write);
  const StoredSet set = store.set(o.set, o.next ? Generation::next : Generation::current);
  std::optional<Recogniser> recogniser;
  if (!o.faces.recogniser.empty()) recogniser.emplace(Recogniser::load(o.faces.recogniser));
  SetProtection protection = protection_under_lock(store, set, o.files, recogniser ? &*recogniser : nullptr);
  const OtherPeople others = other_people(o, store, set);
  Calibration calibration = calibrated_by(protection, others.features.batch(0, others.features.count()),
                                          others.people, o.average, console());
  calibration.source = o.in.empty() ? o.faces.images : o.in;
  calibration.threshold = calibration.threshold_at(o.fmr);
  calibration.write(store, set);
  const auto accepted = calibration.true_match_rate(calibration.threshold);
  nlohmann::json result = {{"set", set.name},
                           {"threshold", calibration.threshold},
                           {"false_match_rate", calibration.false_match_rate(calibration.threshold)},
                           {"impostor_scores", calibration.impostors()},
                           {"genuine_scores", calibration.genuine()},
                           {"people", calibration.people},
                           {"mean_of", calibration.mean_of},
                           {"lowest_rate", calibration.lowest_rate()},
                           {"true_match_rate", nullptr}};
  if (accepted) result["true_match_rate"] = *accepted;
  o.common.write_json(result);
  std::cout << "the set " << set.name << " decides at " << short_number(calibration.threshold)
            << ": false match rate " << short_number(calibration.false_match_rate(calibration.threshold))
            << " of " << calibration.impostors() << " impostor scores of " << calibration.people << " people";
  if (accepted)
    std::cout << ", " << short_number(100 * *accepted) << " % of " << calibration.genuine()
              << " genuine ones accepted";
  else
    std::cout << (o.average > 1 ? ", no genuine ones (nobody has photographs beside those of a record)"
                                : ", no genuine ones (nobody has two photographs)");
  std::cout << "; rates below " << short_number(calibration.lowest_rate()) << " cannot be told\n";
  return 0;
}

struct StatsOptions : StoreOptions {
  std::string picture;
};

Series curve(const std::string& name, const std::vector<int64_t>& bins, int64_t count) {
  Series series{name, {}, {}};
  series.marks = false;
  for (size_t b = 0; b < bins.size(); ++b) {
    series.xs.push_back(-1 + 2 * (double(b) + 0.5) / double(bins.size()));
    series.ys.push_back(100 * double(bins[b]) / double(std::max<int64_t>(count, 1)));
  }
  return series;
}

int stats(const StatsOptions& o) {
  o.common.activate();
  Store store = o.open(Database::Access::read);
  const StoredSet set = store.set(o.set);
  const auto calibration = Calibration::read(store, set);
  check(calibration || o.picture.empty(), store.path(), ": the set ", set.name,
        " has no calibration, whose scores would be drawn; advface-store calibrate makes one");
  nlohmann::json result = to_json(set);
  std::cout << "set " << set.name << ": " << set.records << " records of " << set.dimension << " values, "
            << set.info.protection.describe() << "\n";
  if (!calibration) {
    std::cout << "no calibration: nobody knows what a score means\n";
  } else {
    nlohmann::json points = nlohmann::json::array();
    std::cout << "calibrated " << calibration->created << " with " << calibration->impostors()
              << " impostor and " << calibration->genuine() << " genuine scores of " << calibration->people
              << " people\n";
    for (const double rate : {1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6}) {
      if (rate < calibration->lowest_rate()) break;
      const double at = calibration->threshold_at(rate);
      const auto accepted = calibration->true_match_rate(at);
      nlohmann::json point = {{"false_match_rate", rate}, {"threshold", at}, {"true_match_rate", nullptr}};
      if (accepted) point["true_match_rate"] = *accepted;
      points.push_back(point);
      std::cout << "  false match rate " << short_number(rate) << ": threshold " << short_number(at)
                << (accepted ? ", genuine accepted " + short_number(100 * *accepted) + " %" : "") << "\n";
    }
    result["calibration"] = {{"created", calibration->created},
                             {"source", calibration->source},
                             {"people", calibration->people},
                             {"mean_of", calibration->mean_of},
                             {"impostor_scores", calibration->impostors()},
                             {"genuine_scores", calibration->genuine()},
                             {"threshold", calibration->threshold},
                             {"points", points}};
  }
  if (!o.picture.empty()) {
    AtomicFile file(o.picture);
    std::vector<Series> series{
        curve("different people", calibration->impostor_bins(), calibration->impostors())};
    if (calibration->genuine() > 0)
      series.push_back(curve("one person", calibration->genuine_bins(), calibration->genuine()));
    const double at = calibration->threshold;
    double top = 0;
    for (const Series& s : series) top = std::max(top, *std::max_element(s.ys.begin(), s.ys.end()));
    Series line{"threshold", {at, at}, {0, top}};
    line.marks = false;
    series.push_back(line);
    file.write(
        svg_plot("Scores in the set " + set.name, series, "cosine", "share of scores, % of each kind"));
    file.commit();
  }
  o.common.write_json(result);
  return 0;
}

}  // namespace

void add_match_verbs(CLI::App& app, Verbs& verbs) {
  auto one = std::make_shared<MatchOptions>();
  CLI::App* verb = app.add_subcommand("verify", "1:1: whether the probe is who it is said to be");
  one->add_to_match(*verb);
  verb->add_option("--subject", one->subject, "who it is said to be")->required();
  verbs.push_back({verb, [one] { return verify(*one); }});

  auto many = std::make_shared<MatchOptions>();
  verb = app.add_subcommand("identify", "1:N: who in the set is most like the probe");
  many->add_to_match(*verb);
  verb->add_option("--top", many->top, "how many are listed")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  verbs.push_back({verb, [many] { return identify(*many); }});

  auto scores = std::make_shared<CalibrateOptions>();
  verb = app.add_subcommand("calibrate",
                            "finds the threshold of a false match rate, with people who are not in the set");
  scores->add_to(*verb, true);
  verb->add_option("--in", scores->in, "their raw features, one per row (.npy)");
  verb->add_option("--people", scores->people, "who the rows of --in are, a name on each line");
  verb->add_option("--recogniser", scores->faces.recogniser, "recogniser card, for --images");
  scores->faces.add_images_to(*verb);
  scores->faces.add_labels_to(*verb);
  verb->get_option("--images")->required(false);
  verb->add_option("--fmr", scores->fmr, "false match rate of decisions that name no threshold")
      ->capture_default_str()
      ->check(number_in(0, 1));
  verb->add_option("--average", scores->average,
                   "for records that are the mean of so many photographs at most (add --average)")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(1000)));
  verb->add_flag("--next", scores->next, "for the generation that a renewal has begun");
  scores->add_files_to(*verb);
  verbs.push_back({verb, [scores] { return calibrate(*scores); }});

  auto told = std::make_shared<StatsOptions>();
  verb = app.add_subcommand("stats", "says how large a set is, and what its scores mean");
  told->add_to(*verb, false);
  verb->add_option("--out", told->picture, "a picture (SVG) of the scores of different people and of one")
      ->check(svg_file());
  verbs.push_back({verb, [told] { return stats(*told); }});
}

}  // namespace advf::tools
