// init: a set, with what protects it. add: people, protected.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

#include "advface/core/feature_domain.h"
#include "tools/options/progress.h"
#include "tools/options/protection_options.h"
#include "tools/store/store_options.h"

namespace advf::tools {
namespace {

constexpr int64_t kAtOnce = 65536;  // records of one transaction

struct InitOptions : StoreOptions {
  ProtectionOptions protect;
  std::string recogniser, cut, like;
  RowType rows = RowType::f32;
};

// What the set is of: a recogniser's features, or those of a file.
ProtectionInput input_for(const InitOptions& o, const std::optional<Recogniser>& recogniser) {
  ProtectionInput input;
  if (recogniser) {
    const std::string& cut = o.cut.empty() ? recogniser->card().default_cut : o.cut;
    input = input_of(*recogniser, cut, o.recogniser);
  } else {
    const FeaturesToProtect features = FeaturesToProtect::of_file(o.like);
    check(features.info().protection.is_raw(), o.like, ": its features are protected already (",
          features.info().protection.describe(), "); advface-store import takes those");
    input = features.input(nullptr);
    if (!features.note().empty()) std::cerr << features.note() << "\n";
    check(input.domain_known(), o.like, ": ", input.why_domain_unknown,
          "; a store compares vectors by their cosines, "
          "and must know where they live: give --recogniser");
  }
  check(input.space.row.rank() == 1, input.what, ": features of shape ", input.space.row,
        " are maps; a store keeps vectors: name the embedding with --cut");
  input.to_keep = true;
  return input;
}

int init(const InitOptions& o) {
  o.common.activate();
  as_usage([&] {
    check(o.recogniser.empty() != o.like.empty(),
          "say whose features are stored: --recogniser, or --like FILE.npy");
    check(o.cut.empty() || !o.recogniser.empty(), "--cut is for --recogniser");
    check(o.protect.none() || o.protect.asked(),
          "say how to protect: --protect NAME, or --protect none to store raw features, of which faces can "
          "be made again");
  });
  const ProtectionSpecs specs =
      o.protect.none() ? ProtectionSpecs() : specs_for_store(o.protect.specs(o.common.seed));
  std::optional<Recogniser> recogniser;
  if (!o.recogniser.empty()) recogniser.emplace(Recogniser::load(o.recogniser));
  const ProtectionInput input = input_for(o, recogniser);
  const SetProtection protection(specs, input);
  NewStore file(o.store);
  StoredSet set;
  {
    Store store = o.open(Database::Access::write);
    set = store.begin_set(o.set, Generation::current,
                          {{input.recogniser, input.cut, protection.id(), input.card},
                           input.space,
                           protection.dimension(),
                           o.rows});
  }
  file.keep();
  nlohmann::json result = to_json(set);
  result["proved"] = to_json(protection.guarantee());
  o.common.write_json(result);
  std::cout << "set " << o.set << " in " << o.store << ": records of " << set.dimension << " values, "
            << (set.info.protection.is_raw() ? "raw: whoever reads the file can make faces of them"
                                             : set.info.protection.describe())
            << "\n";
  return 0;
}

struct AddOptions : StoreOptions {
  FeatureOptions features;
  std::vector<std::string> subjects;
  std::string subjects_file;
  bool next = false, skip_known = false;
  int64_t batch = 4096;
};

void check_options(const AddOptions& o) {
  o.features.check();
  as_usage([&] {
    const bool images = !o.features.photographs.empty();
    check(o.subjects.empty() || images, "--subject is for --image; --subjects FILE names the rows of --in");
    check(o.subjects_file.empty() || !images, "--subjects is for --in; --subject names an --image");
    check(!o.features.average || !(images ? o.subjects.empty() : o.subjects_file.empty()),
          "--average needs names: --subject, or --subjects FILE for --in");
    check(o.subjects.empty() || o.subjects.size() == o.features.photographs.size() ||
              (o.features.average && o.subjects.size() == 1),
          "--subject is given ", o.subjects.size(), " times for ", o.features.photographs.size(),
          " photographs");
  });
}

// Of every row that comes in; of photographs and rows without one, its file's.
std::vector<std::string> names_of(const AddOptions& o) {
  if (!o.subjects_file.empty()) return lines_of_file(o.subjects_file);
  if (o.subjects.empty()) return o.features.photographs;
  std::vector<std::string> names = o.subjects;
  if (o.features.average && names.size() == 1) names.resize(o.features.photographs.size(), names[0]);
  return names;
}

// A number as JSON has it, in as many digits as mean something.
double rounded(double value) { return std::round(value * 1000) / 1000; }

std::string quality_text(const FoundFace& found) {
  const FaceQuality& q = found.quality;
  return nlohmann::json{{"score", rounded(found.face.score)},
                        {"size", rounded(q.size)},
                        {"roll", rounded(q.roll)},
                        {"yaw", rounded(q.yaw)},
                        {"pitch", rounded(q.pitch)},
                        {"sharpness", rounded(q.sharpness)},
                        {"exposure", rounded(q.exposure)},
                        {"outside", rounded(q.outside)}}
      .dump();
}

// What is told of the records: of a mean of several photographs the first one's.
std::vector<StoredRecord> records_of(const AddOptions& o, const FeaturesToProtect& input,
                                     const std::vector<std::string>& row_names) {
  const int64_t n = input.features().count();
  const bool named = !o.subjects_file.empty() || !row_names.empty();
  std::vector<std::string> subjects =
      !named || !input.photographs_of_record().empty() ? input.names(0, n) : row_names;
  check(int64_t(subjects.size()) == n, o.subjects_file, " names ", subjects.size(), " people, but ",
        input.what(), " has ", n, " rows");
  std::vector<StoredRecord> records(static_cast<size_t>(n));
  for (size_t i = 0; i < records.size(); ++i) {
    StoredRecord& r = records[i];
    r.subject = subjects[i];
    const bool mean = !input.photographs_of_record().empty();
    r.mean_of = mean ? input.photographs_of_record()[i] : 1;
    if (o.features.photographs.empty()) continue;
    size_t first = i;
    if (mean) first = size_t(std::find(row_names.begin(), row_names.end(), r.subject) - row_names.begin());
    r.photograph = std::filesystem::path(o.features.photographs[first]).filename().string();
    if (first < input.found().size()) r.quality = quality_text(input.found()[first]);
  }
  return records;
}

std::vector<std::string> subjects_of(const std::vector<StoredRecord>& records) {
  std::vector<std::string> subjects;
  for (const StoredRecord& r : records) subjects.push_back(r.subject);
  return subjects;
}

// Leaves those out that are in the set; else tells the first.
std::vector<int64_t> rows_to_add(const AddOptions& o, Store& store, const StoredSet& set,
                                 const std::vector<StoredRecord>& records) {
  std::vector<int64_t> rows;
  std::vector<std::string> subjects = subjects_of(records);
  std::unordered_map<std::string, int64_t> there;
  if (o.skip_known) there = store.numbers_of(set, subjects);
  for (size_t i = 0; i < records.size(); ++i)
    if (!there.contains(subjects[i])) rows.push_back(int64_t(i));
  std::erase_if(subjects, [&](const std::string& s) { return there.contains(s); });
  if (o.skip_known) {  // else who is enrolled meanwhile would be told as named twice
    std::set<std::string_view> seen;
    for (const std::string& subject : subjects)
      check(seen.insert(subject).second, store.path(), ": ", subject,
            " is named twice; --average makes one record of several features. Nothing was written");
    return rows;
  }
  const std::string known = store.first_known(set, subjects);
  check(known.empty(), store.path(), ": ", known, " is in the set ", set.name,
        " already, or named twice; remove that record first, or give --skip-known. Nothing was written");
  return rows;
}

// Of the next generation, who is in the current one keeps the number, and gets a salt of its own.
void give_numbers(Store& store, const StoredSet& set, const std::optional<StoredSet>& current,
                  std::vector<StoredRecord>& records) {
  std::vector<StoredRecord*> fresh;
  std::unordered_map<std::string, int64_t> there;
  if (current) there = store.numbers_of(*current, subjects_of(records));
  for (StoredRecord& r : records) {
    r.salt = fresh_salt();
    if (const auto found = there.find(r.subject); found != there.end())
      r.number = found->second;
    else
      fresh.push_back(&r);
  }
  if (fresh.empty()) return;
  int64_t number = store.reserve_numbers(set, int64_t(fresh.size()));
  for (StoredRecord* r : fresh) r->number = number++;
}

// Protects and stores them; every kAtOnce records at once or not at all. Gives which were added: of people
// whom another program was faster to enrol, --skip-known leaves this call's records out.
std::vector<int64_t> store_rows(const AddOptions& o, Store& store, const StoredSet& set,
                                SetProtection& protection, const FeatureRows& features,
                                const std::vector<StoredRecord>& records) {
  const int64_t n = features.count();
  std::vector<int64_t> added;
  Progress progress("add", n, "records");
  for (int64_t begin = 0; begin < n; begin += kAtOnce) {
    const int64_t end = std::min(n, begin + kAtOnce);
    std::vector<Tensor> parts;
    const Tensor rows = collect_rows(end - begin, o.batch, [&](int64_t from, int64_t to) {
      if (interrupted()) throw Interrupted();
      std::vector<int64_t> salts;
      for (int64_t i = begin + from; i < begin + to; ++i) salts.push_back(records[size_t(i)].salt);
      const Tensor part = protection.protect(features.range(begin + from, begin + to), salts, console());
      progress.advance(to - from);
      return part;
    });
    try {
      const auto those = store.add(set, rows, std::span(records).subspan(size_t(begin), size_t(end - begin)),
                                   o.skip_known ? Store::Known::skipped : Store::Known::refused);
      for (const int64_t i : those) added.push_back(begin + i);
    } catch (const Error& e) {
      check(begin == 0, e.what(), "; ", begin, " records were added before and stay");
      throw;
    }
  }
  progress.finish();
  return added;
}

int add(const AddOptions& o) {
  o.common.activate();
  check_options(o);
  Store store = o.open(Database::Access::write);
  const StoredSet set = store.set(o.set, o.next ? Generation::next : Generation::current);
  const std::optional<Recogniser> recogniser = o.features.recogniser();
  const std::optional<StoredSet> current = o.next ? store.find_set(o.set, Generation::current) : std::nullopt;
  SetProtection protection(store, set, o.files, recogniser ? &*recogniser : nullptr);
  const std::vector<std::string> names = names_of(o);
  const FeaturesToProtect input = o.features.read(store, set, recogniser ? &*recogniser : nullptr, names);
  std::vector<StoredRecord> all = records_of(o, input, names), records;
  const std::vector<int64_t> rows = rows_to_add(o, store, set, all);
  for (const int64_t r : rows) records.push_back(std::move(all[size_t(r)]));
  give_numbers(store, set, current, records);
  std::vector<int64_t> added;
  if (!records.empty())
    added = store_rows(o, store, set, protection, input.features().selected(rows), records);
  nlohmann::json list = nlohmann::json::array();
  for (const int64_t i : added) {
    if (list.size() == 1000) break;
    list.push_back({{"record", records[size_t(i)].number}, {"subject", records[size_t(i)].subject}});
  }
  o.common.write_json({{"added", added.size()}, {"records", list}, {"set", o.set}});
  std::cout << "added " << added.size() << " to the set " << o.set << " of " << o.store;
  if (added.size() == 1)
    std::cout << ": " << records[size_t(added[0])].subject << ", record " << records[size_t(added[0])].number;
  std::cout << "\n";
  return 0;
}

}  // namespace

void add_fill_verbs(CLI::App& app, Verbs& verbs) {
  auto made = std::make_shared<InitOptions>();
  CLI::App* verb = app.add_subcommand("init", "begins a set, in a new file or one that is there");
  made->add_to(*verb, true);
  verb->add_option("--recogniser", made->recogniser, "recogniser card (.json) of whose features the set is");
  verb->add_option("--cut", made->cut,
                   "the recogniser's tensor that is the feature (default: what its card says)");
  verb->add_option("--like", made->like,
                   "features (.npy) instead, none of which is stored: the set is for such ones");
  add_rows_option(*verb, made->rows);
  made->protect.add_to(*verb, "Protection");
  made->protect.allow_none(*verb);
  verbs.push_back({verb, [made] { return init(*made); }});

  auto added = std::make_shared<AddOptions>();
  verb = app.add_subcommand("add", "protects features or photographs and stores them");
  added->add_to(*verb, true);
  added->features.add_to(*verb, "who is added");
  verb->add_option("--subject", added->subjects, "who is on an --image, one for each (default: its path)")
      ->allow_extra_args(false);
  verb->add_option("--subjects", added->subjects_file,
                   "who the rows of --in are, a name on each line (default: FILE:row)");
  verb->add_flag("--skip-known", added->skip_known, "leave out who is in the set already");
  verb->add_flag("--next", added->next, "to the generation that a renewal or a migration has begun");
  verb->add_option("--batch", added->batch, "features at a time")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(1), int64_t(65536)));
  added->add_files_to(*verb);
  verbs.push_back({verb, [added] { return add(*added); }});
}

}  // namespace advf::tools
