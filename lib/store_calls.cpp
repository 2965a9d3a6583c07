#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <mutex>
#include <nlohmann/json.hpp>

#include "advface/store/set_calibration.h"
#include "advface/store/set_scan.h"
#include "lib/call.h"
#include "lib/matches.h"
#include "lib/requests.h"
#include "tensor/backend.h"

namespace advf::lib {

// Which file a name led to; that of a database on a server leads to that server.
struct FileIdentity {
  dev_t device = 0;
  ino_t number = 0;
  bool operator==(const FileIdentity&) const = default;

  static FileIdentity of(const std::string& path) {
    if (Database::is_on_server(path)) return {};
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) fail(path, ": ", std::strerror(errno));
    return {found.st_dev, found.st_ino};
  }
};

// A set, as it was when it was opened. Readers have a connection each, and keep it for the next call.
struct StoreObject {
  std::string path;  // from the root, so that it is the same file wherever the process goes
  FileIdentity file;
  StoredSet set;
  std::shared_ptr<RecogniserObject> recogniser;
  std::unique_ptr<SetProtection> protection;
  ProtectionFiles files;  // that it was made with, from the root, but for the key
  Turns writing;          // one at a time, also where the protection is not for several threads
  std::mutex idle_mutex;
  std::vector<std::unique_ptr<Store>> idle;
};

namespace {

constexpr int64_t kAtOnce = 4096;  // features that are protected between two looks at whether to stop

// Another file in its place (a backup that was restored, another store) has other people under the same
// numbers: nothing is read from the one and written to the other.
void check_same_file(const StoreObject& object) {
  check(FileIdentity::of(object.path) == object.file, object.path,
        ": is another file than the one that was opened; close the store and open it again");
}

// Where a call waits for another program, and before it writes, its caller is asked.
std::function<bool()> stop_of(Control& control) {
  return [&control] { return control.stopped_now(); };
}

// A connection that reads, of those that are idle or a new one.
class Reader {
 public:
  Reader(StoreObject& object, Control& control) : object_(object) {
    check_same_file(object);
    {
      const std::lock_guard lock(object.idle_mutex);
      if (!object.idle.empty()) {
        store_ = std::move(object.idle.back());
        object.idle.pop_back();
      }
    }
    const auto stop = stop_of(control);
    if (!store_) {
      store_ = std::make_unique<Store>(object.path, Database::Access::read, Patience{.stop = stop});
      store_->check_log();
    }
    store_->database().set_stop(stop);
  }
  ~Reader() {
    store_->database().set_stop({});
    const std::lock_guard lock(object_.idle_mutex);
    try {
      object_.idle.push_back(std::move(store_));
    } catch (const std::bad_alloc&) {  // the next call opens another
    }
  }
  Reader(const Reader&) = delete;

  Store& store() { return *store_; }
  // The set as it is now. Throws Error where it is another than the one that was opened.
  StoredSet set() { return set_now(*store_, object_); }

  static StoredSet set_now(Store& store, const StoreObject& object) {
    const auto now = store.find_set(object.set.name, Generation::current);
    check(now && now->id == object.set.id, object.path, ": the set ", object.set.name,
          " was renewed or removed since it was opened; open it again");
    return *now;
  }

 private:
  StoreObject& object_;
  std::unique_ptr<Store> store_;
};

// Who calls, as the system knows him.
std::string user_name() {
  char buffer[4096];
  passwd entry, *found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found && found->pw_name)
    return found->pw_name;
  return "uid " + std::to_string(::getuid());
}

Store writer_of(const StoreObject& object, Control& control) {
  check_same_file(object);  // before SQLite looks for a log beside it
  Store store(object.path, Database::Access::write, {.stop = stop_of(control)});
  check_same_file(object);  // what was opened just now: a name that leads elsewhere leads there from now on
  store.check_log();
  store.set_actor(user_name());
  return store;
}

std::string absolute_path(const char* path) {
  const std::string name = text_argument(path, "path");
  return Database::is_on_server(name) ? name : std::filesystem::absolute(name).string();
}

// The store's file, made where it is not there; gone again where keep() was not called.
class NewFile {
 public:
  explicit NewFile(const std::string& path) : path_(path) {
    std::error_code none;
    made_ = !std::filesystem::exists(path, none);
    if (made_) Store::create(path);
  }
  ~NewFile() {
    std::error_code none;
    if (made_)
      for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path_ + end, none);
  }
  NewFile(const NewFile&) = delete;
  void keep() { made_ = false; }

 private:
  std::string path_;
  bool made_;
};

// Of what was asked for, the files that a calibration reads again.
ProtectionFiles files_of(const Asked& asked) {
  ProtectionFiles files;
  for (const Setting& s : protection_files()) {
    const auto given = asked.request.settings.find(s.name);
    if (given == asked.request.settings.end() || s.name == "key" || s.name == "key_fd") continue;
    for (const std::string& path : given->second)
      files[s.name].push_back(std::filesystem::absolute(path).string());
  }
  return files;
}

void check_threshold(const double* threshold, std::initializer_list<const advface_array*> arrays) {
  const advface_array place = bytes_of(threshold, 1);
  for (const advface_array* array : arrays) check_apart(array, &place, false);
}

std::string set_name(const char* set) { return set ? text_argument(set, "set") : "default"; }

std::shared_ptr<StoreObject> create(const char* path, const char* set, const advface_space* space,
                                    const Asked& asked, Control& control) {
  auto object = std::make_shared<StoreObject>();
  object->path = absolute_path(path);
  const std::string name = set_name(set);
  const SpaceOf of = space_of(space);
  check_argument(of.input.space.row.rank() == 1, "features of shape ", of.input.space.row,
                 " are maps; a store keeps vectors: name the embedding as the cut");
  check_argument(!asked.none() || (asked.request.settings.empty() && !asked.key),
                 "protect none takes no setting of a protection, and no key");
  const ProtectionSpecs specs = asked.none() ? ProtectionSpecs() : specs_for_store(asked.specs());
  object->recogniser = of.recogniser;
  object->protection = std::make_unique<SetProtection>(specs, of.input);
  object->files = files_of(asked);
  NewFile file(object->path);
  object->file = FileIdentity::of(object->path);
  Store store = writer_of(*object, control);
  object->set = store.begin_set(name, Generation::current,
                                {{of.input.recogniser, of.input.cut, object->protection->id(), of.input.card},
                                 of.input.space,
                                 object->protection->dimension()});
  file.keep();
  return object;
}

std::shared_ptr<StoreObject> open(const char* path, const char* set, const Asked& asked,
                                  const advface_recogniser* recogniser, Control& control) {
  auto object = std::make_shared<StoreObject>();
  object->path = absolute_path(path);
  object->recogniser = held_or_none(recogniser);
  auto store =
      std::make_unique<Store>(object->path, Database::Access::read, Patience{.stop = stop_of(control)});
  object->file = FileIdentity::of(object->path);
  store->check_log();
  object->set = store->set(set_name(set));
  const std::string what = object->path + ": set " + object->set.name;
  const FeatureInfo& info = object->set.info;
  ProtectionInput input = raw_input(*store, object->set);
  if (object->recogniser) {
    const Recogniser& network = object->recogniser->recogniser;
    check_recogniser(*store, object->set, network);
    input.network = &network;
  }
  input.to_keep = true;
  input.beside = &info.protection;
  input.beside_what = object->path;
  object->protection = std::make_unique<SetProtection>(asked.specs_again(info.protection, what), input);
  object->files = files_of(asked);
  const ProtectionId mine = object->protection->id();
  const std::string difference = mine.difference(info.protection);
  check(
      mine == info.protection, object->path, ": the set ", object->set.name,
      " was protected otherwise than with what is given: ", difference.empty() ? "another seed" : difference);
  check(object->protection->dimension() == object->set.dimension, object->path, " is damaged: the set ",
        object->set.name, " has records of ", object->set.dimension, " values, but its protection makes ",
        object->protection->dimension());
  store->database().set_stop({});
  object->idle.push_back(std::move(store));
  return object;
}

nlohmann::json description(StoreObject& object, Control& control) {
  Reader reader(object, control);
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
  const StoredSet set = Reader::set_now(store, object);
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
  const StoredSet set = Reader::set_now(store, object);
  SetProtection protection = protection_under_lock(
      store, set, object.files, object.recogniser ? &object.recogniser->recogniser : nullptr);
  Calibration calibration = calibrated_by(protection, rows, people, 1, control.context());
  calibration.source = source;
  calibration.threshold = calibration.threshold_at(rate);
  const Turn turn(object.writing, control);
  calibration.write(store, Reader::set_now(store, object));  // as it still is, after so long
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

std::vector<std::vector<Neighbour>> nearest(const StoreObject& object, Reader& reader, const StoredSet& set,
                                            const Tensor& probes, int64_t most, Control& control) {
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
    *store =
        new_handle<advface_store>(create(path, set, space, asked_for(settings, count, key, asked), asked));
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
    *store =
        new_handle<advface_store>(open(path, set, asked_for(settings, count, key, asked), recogniser, asked));
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
    Reader reader(*object, asked);
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
    Reader reader(*object, asked);
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
    Reader reader(*object, asked);
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
    const StoredSet set = Reader::set_now(writer, *object);
    for (const std::string& name : names)
      if (!writer.find(set, name))
        refuse(ADVFACE_NOT_FOUND, object->path, ": nobody in the set ", set.name, " is called ", name,
               "; nobody was removed");
    writer.remove(set.name, names);
    writer.forget();
  });
}
