#include "lib/store_object.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace advf::lib {
namespace {

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

// Who calls, as the system knows him.
std::string user_name() {
  char buffer[4096];
  passwd entry, *found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found && found->pw_name)
    return found->pw_name;
  return "uid " + std::to_string(::getuid());
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

std::string set_name(const char* set) { return set ? text_argument(set, "set") : "default"; }

}  // namespace

FileIdentity FileIdentity::of(const std::string& path) {
  if (Database::is_on_server(path)) return {};
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) fail(path, ": ", std::strerror(errno));
  return {found.st_dev, found.st_ino};
}

std::shared_ptr<StoreObject> create_store(const char* path, const char* set, const advface_space* space,
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

std::shared_ptr<StoreObject> open_store(const char* path, const char* set, const Asked& asked,
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

StoreReader::StoreReader(StoreObject& object, Control& control) : object_(object) {
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

StoreReader::~StoreReader() {
  store_->database().set_stop({});
  const std::lock_guard lock(object_.idle_mutex);
  try {
    object_.idle.push_back(std::move(store_));
  } catch (const std::bad_alloc&) {  // the next call opens another
  }
}

StoredSet StoreReader::set_now(Store& store, const StoreObject& object) {
  const auto now = store.find_set(object.set.name, Generation::current);
  check(now && now->id == object.set.id, object.path, ": the set ", object.set.name,
        " was renewed or removed since it was opened; open it again");
  return *now;
}

Store writer_of(const StoreObject& object, Control& control) {
  check_same_file(object);  // before SQLite looks for a log beside it
  Store store(object.path, Database::Access::write, {.stop = stop_of(control)});
  check_same_file(object);  // what was opened just now: a name that leads elsewhere leads there from now on
  store.check_log();
  store.set_actor(user_name());
  return store;
}

}  // namespace advf::lib
