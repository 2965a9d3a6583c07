// What a handle of a store stands for: a set of a file or of a server's database, opened again for every
// call.
#pragma once
#include <sys/types.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "advface/store/set_protection.h"
#include "advface/store/store.h"
#include "lib/call.h"
#include "lib/objects.h"
#include "lib/requests.h"

namespace advf::lib {

// Which file a name led to; that of a database on a server leads to that server.
struct FileIdentity {
  dev_t device = 0;
  ino_t number = 0;
  bool operator==(const FileIdentity&) const = default;

  // Throws Error where no file has the name.
  static FileIdentity of(const std::string& path);
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

// A new set of a store, whose file is made where it is not there. Throws Error where there is such a set.
std::shared_ptr<StoreObject> create_store(const char* path, const char* set, const advface_space* space,
                                          const Asked& asked, Control& control);

// Throws Error where the set was protected otherwise than with what is asked for.
std::shared_ptr<StoreObject> open_store(const char* path, const char* set, const Asked& asked,
                                        const advface_recogniser* recogniser, Control& control);

// A connection that reads, of those that are idle or a new one.
class StoreReader {
 public:
  StoreReader(StoreObject& object, Control& control);
  ~StoreReader();
  StoreReader(const StoreReader&) = delete;

  Store& store() { return *store_; }
  // The set as it is now. Throws Error where it is another than the one that was opened.
  StoredSet set() { return set_now(*store_, object_); }

  static StoredSet set_now(Store& store, const StoreObject& object);

 private:
  StoreObject& object_;
  std::unique_ptr<Store> store_;
};

// A connection that writes, as who called. Throws Error where another file lies in the place of the one that
// was opened.
Store writer_of(const StoreObject& object, Control& control);

}  // namespace advf::lib
