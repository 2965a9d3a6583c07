#include "advface/store/set_exchange.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "advface/core/json_text.h"
#include "advface/core/text_file.h"
#include "advface/core/utc_time.h"
#include "advface/protections/registry.h"
#include "advface/store/enrolled_set.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/safetensors.h"

namespace advf {
namespace {

using nlohmann::json;

constexpr const char *kFormat = "advface-store-2", *kFormatWithoutSalts = "advface-store-1";
constexpr int64_t kBlock = 4096, kMostNumber = (int64_t(1) << 40) - 1;
constexpr const char* kListHead = "record\tsalt\tmean_of\tsubject\tcreated\tphotograph\tquality";

Metadata description(const StoredSet& set) {
  return {{"format", kFormat},
          {"recogniser", set.info.recogniser},
          {"cut", set.info.cut},
          {"card", set.info.card},
          {"protection", set.info.protection.to_json()},
          {"raw_dimension", std::to_string(set.raw.row[0])},
          {"domain", name_of(set.raw.domain)},
          {"dimension", std::to_string(set.dimension)}};
}

int64_t whole(const std::string& text, const std::string& what, int64_t most) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size() && value >= 0 && value <= most, what,
        " is \"", text.substr(0, 40), "\", no whole number up to ", most);
  return value;
}

const std::string& need(const Metadata& values, const std::string& key, const std::string& path) {
  const auto found = values.find(key);
  check(found != values.end(), path, ": there is no ", key, "; this is no set of a store");
  return found->second;
}

// Fills info and raw, and gives the dimension.
int64_t read_description(const Metadata& values, const std::string& path, ExchangedSet& set) {
  const std::string& format = need(values, "format", path);
  check(format == kFormat || format == kFormatWithoutSalts, path, ": its format is \"", format.substr(0, 40),
        "\", not ", kFormat);
  set.info.recogniser = need(values, "recogniser", path);
  set.info.cut = need(values, "cut", path);
  if (const auto card = values.find("card"); card != values.end()) set.info.card = card->second;
  set.info.protection = ProtectionId::from_json(need(values, "protection", path), path);
  set.raw.row = {
      std::max<int64_t>(1, whole(need(values, "raw_dimension", path), path + ": raw_dimension", 1 << 20))};
  set.raw.domain = domain_from(need(values, "domain", path), path);
  const int64_t d = whole(need(values, "dimension", path), path + ": dimension", 1 << 20);
  check(d > 0, path, ": a set of no values");
  return d;
}

json to_json(const StoredRecord& r) {
  return {{"record", r.number},   {"salt", r.salt},       {"mean_of", r.mean_of},
          {"subject", r.subject}, {"created", r.created}, {"photograph", r.photograph},
          {"quality", r.quality}};
}

StoredRecord record_of(const json& line, const std::string& where) {
  check(line.is_object(), where, ": no JSON object");
  const auto text = [&](const char* key) {
    const auto found = line.find(key);
    check(found != line.end() && found->is_string(), where, ": there is no text \"", key, "\"");
    return found->get<std::string>();
  };
  const auto number = [&](const char* key, int64_t most) {
    const auto found = line.find(key);
    check(found != line.end() && found->is_number_unsigned() && found->get<uint64_t>() <= uint64_t(most),
          where, ": there is no number \"", key, "\" of up to ", most);
    return found->get<int64_t>();
  };
  const int64_t record = number("record", kMostNumber);
  // In files of the older format a record's number was its salt.
  const int64_t salt = line.contains("salt") ? number("salt", kMostSalt) : record;
  const int64_t mean_of = line.contains("mean_of") ? number("mean_of", kMostNumber) : 0;
  return {record, text("subject"), text("photograph"), text("quality"), text("created"), salt, mean_of};
}

// What came in a file is what a store would have written.
void check_told(const StoredRecord& r, const std::string& path) {
  const std::string where = path + ": record " + std::to_string(r.number);
  check(r.created.empty() || is_utc_time(r.created), where, " was created \"", r.created.substr(0, 40),
        "\", which is no time; write it as 2025-01-31T12:00:00Z");
  check(r.quality.empty() || json_or_discarded(r.quality).is_object(), where,
        ": its quality is no JSON object");
}

// Records that shared a salt would share a rotation.
void check_told_apart(const std::vector<StoredRecord>& records, const std::string& path) {
  for (const auto& [what, member] :
       {std::pair("record", &StoredRecord::number), {"salt", &StoredRecord::salt}}) {
    std::vector<int64_t> numbers;
    for (const StoredRecord& r : records) numbers.push_back(r.*member);
    std::sort(numbers.begin(), numbers.end());
    const auto twice = std::adjacent_find(numbers.begin(), numbers.end());
    check(twice == numbers.end(), path, ": ", what, " ", twice == numbers.end() ? 0 : *twice,
          " stands there twice");
  }
}

// The columns of a list beside an array. Older stores wrote fewer.
class ListColumns {
 public:
  ListColumns(std::string_view head, const std::string& path) {
    const auto names = split_fields(head, '\t');
    count_ = names.size();
    for (size_t i = 0; i < names.size(); ++i) at_[std::string(names[i])] = i;
    bool good = at_.size() == count_;
    for (const char* needed : {"record", "subject", "created", "photograph", "quality"})
      good = good && at_.contains(needed);
    check(good && count_ == 5 + at_.count("salt") + at_.count("mean_of"), path,
          ": does not begin as a list of records does");
  }
  bool has_salts() const { return at_.contains("salt"); }

  StoredRecord record(std::string_view line, const std::string& where) const {
    // The last fields may be empty, which a line's end does not show.
    auto fields = split_fields(line, '\t');
    check(fields.size() + 2 >= count_ && fields.size() <= count_, where, ": ", fields.size(), " fields, not ",
          count_);
    fields.resize(count_);
    const auto text = [&](const char* column) { return std::string(fields[at_.at(column)]); };
    const auto number = [&](const char* column, int64_t most) {
      return whole(text(column), where + ": " + column, most);
    };
    const int64_t record = number("record", kMostNumber);
    return {record,
            text("subject"),
            text("photograph"),
            text("quality"),
            text("created"),
            has_salts() ? number("salt", kMostSalt) : record,
            at_.contains("mean_of") ? number("mean_of", kMostNumber) : 0};
  }

 private:
  std::map<std::string, size_t> at_;
  size_t count_ = 0;
};

// Calls take(records, rows) for all of them, a block at a time.
void for_each_block(Store& store, const StoredSet& set, const Context& context,
                    const std::function<void(const std::vector<StoredRecord>&, const Tensor&)>& take) {
  const auto progress = context.begin("export", set.records, "records");
  for (int64_t from = 0;;) {
    const auto records = store.records(set, from, kBlock);
    if (records.empty()) break;
    context.check_stop();
    std::vector<int64_t> numbers;
    for (const StoredRecord& r : records) numbers.push_back(r.number);
    take(records, store.features(set, numbers));
    progress->advance(int64_t(records.size()));
    from = records.back().number + 1;
  }
  progress->finish();
}

// What has too many bytes to be read again (read_text()) is told before it is written.
constexpr int64_t kMostText = int64_t(256) << 20;

void export_npy(Store& store, const StoredSet& set, const std::string& path, const Context& context) {
  FeatureFileWriter rows(path, {set.dimension}, set.info);
  AtomicFile list(exchange_list_path(path));
  uint64_t hash = kFnvStart;
  const auto write = [&](const std::string& line) {
    hash = fnv1a(line, hash);
    list.write(line);
  };
  write("# " + std::to_string(set.raw.row[0]) + "\t" + name_of(set.raw.domain) + "\t" + set.info.card + "\n");
  write(std::string(kListHead) + "\n");
  for_each_block(store, set, context, [&](const std::vector<StoredRecord>& records, const Tensor& block) {
    rows.append_rows(block);
    for (const StoredRecord& r : records)
      write(std::to_string(r.number) + "\t" + std::to_string(r.salt) + "\t" + std::to_string(r.mean_of) +
            "\t" + r.subject + "\t" + r.created + "\t" + r.photograph + "\t" + r.quality + "\n");
  });
  rows.set_salts_list(hex(hash));
  list.finish();
  rows.finish();
  rows.commit();
  list.commit();
}

void export_json_lines(Store& store, const StoredSet& set, const std::string& path, const Context& context) {
  AtomicFile file(path);
  Metadata head = description(set);
  int64_t written = 0;
  head["records"] = std::to_string(set.records);  // by which a file that was cut short is told
  file.write(json(head).dump() + "\n");
  for_each_block(store, set, context, [&](const std::vector<StoredRecord>& records, const Tensor& block) {
    const float* values = block.data<float>();
    for (size_t i = 0; i < records.size(); ++i) {
      json line = to_json(records[i]);
      line["feature"] =
          std::vector<float>(values + i * size_t(set.dimension), values + (i + 1) * size_t(set.dimension));
      const std::string text = line.dump() + "\n";
      written += int64_t(text.size());
      check(written <= kMostText, path,
            ": the set has more text than a .jsonl that can be read again; export it as "
            ".npy");
      file.write(text);
    }
  });
  file.commit();
}

void export_safetensors(Store& store, const StoredSet& set, const std::string& path, const Context& context) {
  const BackendScope on_host(host_backend());
  Metadata metadata = description(set);
  json told = json::array();
  for (int64_t from = 0;;) {
    const auto records = store.records(set, from, kBlock);
    if (records.empty()) break;
    for (const StoredRecord& r : records) told.push_back(to_json(r));
    from = records.back().number + 1;
  }
  metadata["records"] = told.dump();
  const int64_t n = int64_t(told.size()), text = int64_t(json(metadata).dump().size());
  check(text < kMostSafetensorsHeader, path, ": the names of ", n, " records take ", text,
        " bytes, and a .safetensors that others can read has room for ", kMostSafetensorsHeader,
        "; export the set as .npy");
  std::vector<float> values;
  values.reserve(size_t(n * set.dimension));
  for_each_block(store, set, context, [&](const std::vector<StoredRecord>&, const Tensor& block) {
    values.insert(values.end(), block.data<float>(), block.data<float>() + block.numel());
  });
  save_safetensors(path, {{"features", Tensor::from(values, {n, set.dimension})}}, metadata);
}

// Where nobody has said so: unit vectors, where they look like some.
FeatureSpace space_of_rows(const FeatureRows& rows, const FeatureInfo& info, const std::string& path) {
  check(rows.row().rank() == 1, path, ": features of shape ", rows.row(), " are maps; a store keeps vectors");
  FeatureSpace raw{rows.row(), FeatureDomain::sphere};
  const Tensor first = rows.range(0, std::min<int64_t>(rows.count(), 64));
  const size_t d = size_t(rows.row()[0]);
  for (int64_t i = 0; i < first.dim(0); ++i)
    if (!is_unit_norm(norm({first.data<float>() + size_t(i) * d, d}))) raw.domain = FeatureDomain::real;
  check(space_after(info.protection, raw).row == rows.row() && raw.row[0] > 0, path,
        ": its protection makes rows of another length, so that nobody knows of which features they are");
  return raw;
}

ExchangedSet read_npy_set(const std::string& path) {
  ExchangedSet set;
  FeatureFile file = open_feature_file(path, OtherSalts::taken);
  set.rows = std::move(file.rows);
  set.info = std::move(file.info);
  check(!set.info.part, path, ": is one part of several; put them together with advface-inspect --join");
  std::error_code none;
  const std::string list = exchange_list_path(path), index = npy_index_path(path);
  if (std::filesystem::exists(list, none)) {
    const std::string text = read_text(list);
    const auto check_theirs = [&](bool good) {
      check(good, list, ": is another list than that of the rows in ", path,
            "; put the file back that belongs to them, or remove ", list);
    };
    check_theirs(set.info.salts_list.empty() || set.info.salts_list == hex(fnv1a(text)));
    RecordList told = parse_record_list(text, list, set.rows.count());
    check_theirs(told.has_salts != set.info.salts_list.empty());
    set.raw = told.raw;
    set.info.card = std::move(told.card);
    set.records = std::move(told.records);
    return set;
  }
  check(set.info.salts_list.empty(), list, ": is not there, and has the records' names and salts of ", path);
  set.raw = space_of_rows(set.rows, set.info, path);
  std::vector<std::string> names;
  if (std::filesystem::exists(index, none))
    for (const auto& record : read_enrolled_set(path).records) names.push_back(record.name);
  std::map<std::string, int64_t> seen;
  const std::string file_name = std::filesystem::path(path).filename().string();
  for (int64_t r = 0; r < set.rows.count(); ++r) {
    std::string name = names.empty() ? file_name + ":" + std::to_string(r) : names[size_t(r)];
    // A set of that kind lets a name come again; here the second is told from the first.
    if (const int64_t times = ++seen[name]; times > 1) name += " (" + std::to_string(times) + ")";
    set.records.push_back({r, name, "", "", "", r});
  }
  return set;
}

ExchangedSet read_safetensors_set(const std::string& path) {
  const BackendScope on_host(host_backend());
  const TensorFile file = load_safetensors(path);
  ExchangedSet set;
  const int64_t d = read_description(file.metadata, path, set);
  const auto rows = file.tensors.find("features");
  check(rows != file.tensors.end() && rows->second.dtype() == DType::f32 &&
            rows->second.shape().rank() == 2 && rows->second.dim(1) == d,
        path, ": there is no tensor \"features\" of rows of ", d, " f32");
  set.rows = FeatureRows(rows->second);
  const json told = parse_json(need(file.metadata, "records", path), path);
  check(told.is_array() && int64_t(told.size()) == set.rows.count(), path, ": \"records\" is no list of ",
        set.rows.count(), " records");
  for (size_t i = 0; i < told.size(); ++i)
    set.records.push_back(record_of(told[i], path + ": record at " + std::to_string(i)));
  return set;
}

}  // namespace

ExchangeFormat exchange_format(const std::string& path) {
  if (path.ends_with(".npy")) return ExchangeFormat::npy;
  if (path.ends_with(".jsonl")) return ExchangeFormat::json_lines;
  if (path.ends_with(".safetensors")) return ExchangeFormat::safetensors;
  throw WrongCall(path + ": a set is written to .npy, .jsonl or .safetensors, and read from them");
}

std::string exchange_list_path(const std::string& path) { return path + ".records.tsv"; }

void export_set(Store& store, const StoredSet& of, const std::string& path, const Context& context) {
  for (const std::string& written : {path, feature_info_path(path), exchange_list_path(path)})
    remove_stale_temporaries(written);
  Transaction one_moment(store.database(), Transaction::Kind::read);
  const StoredSet set = store.set(of.name, of.generation);
  switch (exchange_format(path)) {
    case ExchangeFormat::npy:
      return export_npy(store, set, path, context);
    case ExchangeFormat::json_lines:
      return export_json_lines(store, set, path, context);
    case ExchangeFormat::safetensors:
      return export_safetensors(store, set, path, context);
  }
}

RecordList parse_record_list(std::string_view text, const std::string& path, int64_t rows) {
  const auto lines = split_lines(text, path);
  check(lines.size() >= 2 && lines[0].starts_with("# "), path, ": does not begin as a list of records does");
  const auto head = split_fields(lines[0].substr(2), '\t');
  check(head.size() == 2 || head.size() == 3, path, ":1: no dimension and domain");
  RecordList list;
  list.raw.row = {std::max<int64_t>(1, whole(std::string(head[0]), path + ":1", 1 << 20))};
  list.raw.domain = domain_from(std::string(head[1]), path + ":1");
  if (head.size() == 3) list.card = head[2];
  const ListColumns columns(lines[1], path);
  list.has_salts = columns.has_salts();
  check(int64_t(lines.size()) - 2 == rows, path, " lists ", lines.size() - 2, " records, but there are ",
        rows, " rows");
  for (size_t i = 2; i < lines.size(); ++i)
    list.records.push_back(columns.record(lines[i], path + ":" + std::to_string(i + 1)));
  return list;
}

ExchangedSet parse_json_lines(std::string_view text, const std::string& path) {
  const BackendScope on_host(host_backend());
  ExchangedSet set;
  int64_t d = 0;
  std::optional<int64_t> count;  // of records; older files do not tell
  std::vector<float> values;
  size_t number = 0;
  for (const std::string_view line : split_lines(text, path)) {
    const std::string where = path + ":" + std::to_string(++number);
    const json parsed = parse_json(line, where);
    check(parsed.is_object(), where, ": no JSON object");
    if (number == 1) {
      Metadata head;
      for (const auto& [key, value] : parsed.items())
        if (value.is_string()) head[key] = value.get<std::string>();
      d = read_description(head, path, set);
      if (const auto told = head.find("records"); told != head.end())
        count = whole(told->second, path + ": records", kMostNumber);
      continue;
    }
    set.records.push_back(record_of(parsed, where));
    const auto feature = parsed.find("feature");
    check(feature != parsed.end() && feature->is_array() && int64_t(feature->size()) == d, where,
          ": there is no list \"feature\" of ", d, " numbers");
    for (const json& value : *feature) {
      check(value.is_number(), where, ": a feature holds what is no number");
      values.push_back(float(value.get<double>()));
    }
  }
  check(d > 0, path, " is empty, so no set");
  check(!count || *count == int64_t(set.records.size()), path, " has ", set.records.size(),
        " records, but its ", "first line says ", count.value_or(0), "; it was cut short, or changed");
  set.rows = FeatureRows(Tensor::from(values, {int64_t(set.records.size()), d}));
  return set;
}

ExchangedSet read_set_file(const std::string& path) {
  ExchangedSet set;
  switch (exchange_format(path)) {
    case ExchangeFormat::npy:
      set = read_npy_set(path);
      break;
    case ExchangeFormat::json_lines:
      set = parse_json_lines(read_text(path), path);
      break;
    case ExchangeFormat::safetensors:
      set = read_safetensors_set(path);
      break;
  }
  check(set.rows.row().rank() == 1, path, ": features of shape ", set.rows.row(),
        " are maps; a store keeps vectors");
  for (const StoredRecord& r : set.records) check_told(r, path);
  check_told_apart(set.records, path);
  const FeatureSpace stored =
      set.info.protection.known() ? space_after(set.info.protection, set.raw) : set.raw;
  check(stored.row == set.rows.row(), path, ": its protection makes rows of ", stored.row, " of features of ",
        set.raw.row, ", but they are of ", set.rows.row());
  check_rows(set.rows, stored.domain, path);
  return set;
}

StoredSet import_set(Store& store, const std::string& name, const ExchangedSet& from, RowType row_type,
                     const Context& context) {
  check(!store.find_set(name, Generation::current), store.path(), ": the set ", name, " is there already");
  // What an import that broke off has left.
  if (store.find_set(name, Generation::next)) {
    const std::string who = store.who_imports(name);
    check(who.empty(), store.path(), ": the set ", name, " is being imported by ", who,
          "; wait for it, or stop it");
    store.give_up_next(name);
    store.erase_retired();
    store.forget();
  }
  const StoredSet set =
      store.begin_set(name, Generation::next, {from.info, from.raw, from.rows.row()[0], row_type});
  int64_t last = -1;
  for (const StoredRecord& r : from.records) last = std::max(last, r.number);
  if (last >= 0) store.reserve_numbers(set, last + 1);
  const int64_t n = from.rows.count();
  const auto progress = context.begin("import", n, "records");
  try {
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      context.check_stop();
      const int64_t end = std::min(n, begin + kBlock);
      store.add(set, from.rows.range(begin, end),
                std::span(from.records).subspan(size_t(begin), size_t(end - begin)));
      progress->advance(end - begin);
    }
  } catch (...) {
    // Unless another call has: check --repair, or an import of the same name.
    if (store.find_set(name, Generation::next)) store.give_up_next(name);
    store.erase_retired();
    store.finish_erasures();
    throw;
  }
  progress->finish();
  store.finish_import(name);
  return store.set(name);
}

}  // namespace advf
