#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "advface/store/set_calibration.h"
#include "advface/store/set_scan.h"
#include "lib/matches.h"
#include "lib/store_object.h"
#include "tensor/backend.h"

namespace advf::lib {
namespace {

constexpr int64_t kAtOnce = 4096;  // features that are protected between two looks at whether to stop

void check_threshold(const double* threshold, std::initializer_list<const advface_array*> arrays) {
  const advface_array place = bytes_of(threshold, 1);
  for (const advface_array* array : arrays) check_apart(array, &place, false);
}

nlohmann::json description(StoreObject& object, Control& control) {
  StoreReader reader(object, control);
  const StoredSet set = reader.set();
  nlohmann::json json = {{"path", object.path},
                         {"set", set.name},
                         {"recogniser", set.info.recogniser},
                         {"cut", set.info.cut},
                         {"protection", nlohmann::json::parse(set.info.protection.to_json())},
                         {"raw_dimension", set.raw.row[0]},
                         {"dimension", set.dimension},
                         {"records", set.records},
                         {"created", set.created},
                         {"calibration", nullptr}};
  if (const auto calibration = Calibration::read(reader.store(), set))
    json["calibration"] = {{"created", calibration->created},
                           {"source", calibration->source},
                           {"people", calibration->people},
                           {"impostor_scores", calibration->impostors()},
                           {"genuine_scores", calibration->genuine()},
                           {"threshold", calibration->threshold},
                           {"false_match_rate", calibration->false_match_rate(calibration->threshold)},
                           {"lowest_rate", calibration->lowest_rate()}};
  return json;
}

// whose: "subject", of each of these names.
std::vector<std::string> names_of(const char* const* subjects, uint64_t count, const std::string& whose) {
  check_argument(subjects || count == 0, "the names are NULL: a ", whose, " is wanted for each of ", count);
  std::vector<std::string> names;
  for (uint64_t i = 0; i < count; ++i)
    names.push_back(text_argument(subjects[i], (whose + " " + std::to_string(i)).c_str()));
  return names;
}

Tensor raw_rows(const StoreObject& object, const advface_array* array, const char* what) {
  const Tensor rows = read_rows(array, what, object.set.raw.row);
  check_rows(rows, object.set.raw.domain, what);
  return rows;
}

void add(StoreObject& object, const Tensor& rows, const std::vector<std::string>& names, Control& control,
         int64_t* numbers) {
  const int64_t n = rows.dim(0);
  const Turn turn(object.writing, control);
  Store store = writer_of(object, control);
  const StoredSet set = StoreReader::set_now(store, object);
  const std::string known = store.first_known(set, names);
  check(known.empty(), store.path(), ": ", known, " is in the set ", set.name,
        " already, or named twice; remove that record first. Nothing was written");
  if (n == 0) return;
  const int64_t first = store.reserve_numbers(set, n);
  std::vector<StoredRecord> records(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    records[size_t(i)].number = first + i;
    records[size_t(i)].salt = fresh_salt();
    records[size_t(i)].mean_of = 1;
    records[size_t(i)].subject = names[size_t(i)];
  }
  const Context context = control.context();
  const Tensor stored = collect_rows(n, kAtOnce, [&](int64_t begin, int64_t end) {
    context.check_stop();
    std::vector<int64_t> salts;
    for (int64_t i = begin; i < end; ++i) salts.push_back(records[size_t(i)].salt);
    return object.protection->protect(rows.slice_batch(begin, end), salts, context);
  });
  store.add(set, stored, records);
  for (int64_t i = 0; numbers && i < n; ++i) numbers[i] = first + i;
}

double calibrate(StoreObject& object, const Tensor& rows, const std::vector<std::string>& people, double rate,
                 const std::string& source, Control& control) {
  Store store = writer_of(object, control);
  const StoredSet set = StoreReader::set_now(store, object);
  SetProtection protection = protection_under_lock(
      store, set, object.files, object.recogniser ? &object.recogniser->recogniser : nullptr);
  Calibration calibration = calibrated_by(protection, rows, people, 1, control.context());
  calibration.source = source;
  calibration.threshold = calibration.threshold_at(rate);
  const Turn turn(object.writing, control);
  calibration.write(store, StoreReader::set_now(store, object));  // as it still is, after so long
  return calibration.threshold;
}

double threshold_of(Store& store, const StoredSet& set) {
  const auto calibration = Calibration::read(store, set);
  return calibration ? calibration->threshold : std::numeric_limits<double>::quiet_NaN();
}

Tensor turned(const StoreObject& object, const Tensor& rows, std::span<const int64_t> salts,
              Control& control) {
  return turn_some_at_a_time(rows.dim(0), control, [&](int64_t begin, int64_t end) {
    return object.protection->probe(rows.slice_batch(begin, end).to(current_backend()),
                                    salts.subspan(size_t(begin), size_t(end - begin)));
  });
}

std::vector<std::vector<Neighbour>> nearest(const StoreObject& object, StoreReader& reader,
                                            const StoredSet& set, const Tensor& probes, int64_t most,
                                            Control& control) {
  const int64_t m = probes.dim(0);
  if (!object.protection->separates_records())
    return nearest_in_set(reader.store(), set,
                          turned(object, probes, std::vector<int64_t>(size_t(m), 0), control), most);
  const FeatureRows rows(probes);
  return nearest_of_each(
      reader.store(), set, m,
      [&](int64_t p, std::span<const int64_t> salts) {
        return turned(object, rows.at(std::vector<int64_t>(salts.size(), p)), salts, control);
      },
      most, [&control] { return control.stopped(); });
}

}  // namespace
}  // namespace advf::lib

using namespace advf;
using namespace advf::lib;

advface_status advface_store_create(const char* path, const char* set, const advface_space* space,
                                    const advface_setting* settings, uint64_t count, const advface_key* key,
                                    const advface_control* control, advface_store** store,
                                    advface_error** error) {
  return guarded(error, [&] {
    Control asked(control);
    const NoSizeSignal quiet;
    check_argument(store, "store is NULL: the handle has nowhere to go");
    *store = new_handle<advface_store>(
        create_store(path, set, space, asked_for(settings, count, key, asked), asked));
  });
}

advface_status advface_store_open(const char* path, const char* set, const advface_setting* settings,
                                  uint64_t count, const advface_key* key,
                                  const advface_recogniser* recogniser, const advface_control* control,
                                  advface_store** store, advface_error** error) {
  return guarded(error, [&] {
    Control asked(control);
    const NoSizeSignal quiet;
    check_argument(store, "store is NULL: the handle has nowhere to go");
    *store = new_handle<advface_store>(
        open_store(path, set, asked_for(settings, count, key, asked), recogniser, asked));
  });
}

advface_status advface_store_close(advface_store* store) { return free_handle(store); }

advface_status advface_store_describe(const advface_store* store, const advface_control* control, char* text,
                                      uint64_t bytes, uint64_t* needed, advface_error** error) {
  return guarded(error, [&] {
    Control asked(control);
    const NoSizeSignal quiet;
    give_text(description(*held(store), asked).dump(), text, bytes, needed);
  });
}

advface_status advface_store_add(const advface_store* store, const advface_array* features,
                                 const char* const* subjects, uint64_t count, const advface_control* control,
                                 advface_array* numbers, advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(store);
    Control asked(control);
    const NoSizeSignal quiet;
    const Tensor rows = raw_rows(*object, features, "features");
    check_argument(uint64_t(rows.dim(0)) == count, "there are ", count, " subjects for ", rows.dim(0),
                   " features");
    int64_t* out = numbers ? written_i64(numbers, "numbers", {rows.dim(0)}) : nullptr;
    check_apart(features, numbers, false);
    add(*object, rows, names_of(subjects, count, "subject"), asked, out);
  });
}

advface_status advface_store_verify(const advface_store* store, const char* subject,
                                    const advface_array* probes, const advface_control* control,
                                    advface_array* scores, double* threshold, advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(store);
    Control asked(control);
    const NoSizeSignal quiet;
    const std::string who = text_argument(subject, "subject");
    const Tensor rows = raw_rows(*object, probes, "probes");
    double* out = written_f64(scores, "scores", {rows.dim(0)});
    check_apart(probes, scores, false);
    check_threshold(threshold, {probes, scores});
    StoreReader reader(*object, asked);
    const StoredSet set = reader.set();
    const auto record = reader.store().find(set, who);
    if (!record)
      refuse(ADVFACE_NOT_FOUND, object->path, ": nobody in the set ", set.name, " is called ", who);
    if (threshold) *threshold = threshold_of(reader.store(), set);
    if (rows.dim(0) == 0) return;
    const Tensor stored = reader.store().feature(set, record->number);
    const Tensor made = turned(*object, rows, std::vector<int64_t>(size_t(rows.dim(0)), record->salt), asked);
    for (int64_t i = 0; i < rows.dim(0); ++i) out[i] = cosine_of_rows(made.slice_batch(i, i + 1), stored);
  });
}

advface_status advface_store_identify(const advface_store* store, const advface_array* probes,
                                      const advface_control* control, advface_array* numbers,
                                      advface_array* scores, double* threshold, advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(store);
    Control asked(control);
    const NoSizeSignal quiet;
    const Tensor rows = raw_rows(*object, probes, "probes");
    const int64_t m = rows.dim(0), most = places_of(numbers, "numbers", m);
    int64_t* out = written_i64(numbers, "numbers", {m, most});
    float* values = written_f32(scores, "scores", {m, most});
    for (const advface_array* array : {numbers, scores}) check_apart(probes, array, false);
    check_apart(numbers, scores, false);
    check_threshold(threshold, {probes, numbers, scores});
    StoreReader reader(*object, asked);
    const StoredSet set = reader.set();
    if (threshold) *threshold = threshold_of(reader.store(), set);
    if (m > 0) give_neighbours(nearest(*object, reader, set, rows, most, asked), most, out, values);
  });
}

advface_status advface_store_calibrate(const advface_store* store, const advface_array* features,
                                       const char* const* people, uint64_t count, double rate,
                                       const char* source, const advface_control* control, double* threshold,
                                       advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(store);
    Control asked(control);
    const NoSizeSignal quiet;
    const Tensor rows = raw_rows(*object, features, "features");
    check_argument(uint64_t(rows.dim(0)) == count, "there are ", count, " people for ", rows.dim(0),
                   " features");
    check_argument(rate > 0 && rate < 1, "rate is ", rate, "; a false match rate is between 0 and 1");
    check_threshold(threshold, {features});
    const std::string from = source ? text_argument(source, "source") : "a caller of the library";
    const double found = calibrate(*object, rows, names_of(people, count, "person"), rate, from, asked);
    if (threshold) *threshold = found;
  });
}

advface_status advface_store_subject(const advface_store* store, int64_t number,
                                     const advface_control* control, char* text, uint64_t bytes,
                                     uint64_t* needed, advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(store);
    Control asked(control);
    const NoSizeSignal quiet;
    check_argument(number >= 0, "the number ", number, " is below 0");
    StoreReader reader(*object, asked);
    const StoredSet set = reader.set();
    const auto found = reader.store().records(set, number, 1);
    if (found.empty() || found[0].number != number)
      refuse(ADVFACE_NOT_FOUND, object->path, ": the set ", set.name, " has no record ", number);
    give_text(found[0].subject, text, bytes, needed);
  });
}

advface_status advface_store_remove(const advface_store* store, const char* const* subjects, uint64_t count,
                                    const advface_control* control, advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(store);
    Control asked(control);
    const NoSizeSignal quiet;
    const std::vector<std::string> names = names_of(subjects, count, "subject");
    if (names.empty()) return;
    const Turn turn(object->writing, asked);
    Store writer = writer_of(*object, asked);
    const StoredSet set = StoreReader::set_now(writer, *object);
    for (const std::string& name : names)
      if (!writer.find(set, name))
        refuse(ADVFACE_NOT_FOUND, object->path, ": nobody in the set ", set.name, " is called ", name,
               "; nobody was removed");
    writer.remove(set.name, names);
    writer.forget();
  });
}
