#include <nlohmann/json.hpp>

#include "lib/call.h"
#include "lib/objects.h"

using namespace advf;
using namespace advf::lib;

namespace {

template <class Make>
advface_status give_key(advface_key** key, advface_error** error, const Make& make) {
  return guarded(error, [&] {
    check_argument(key, "key is NULL: the handle has nowhere to go");
    if (!has_keys()) refuse(ADVFACE_NOT_IN_THIS_BUILD, "this build has no keys (ADVF_KEYS is off)");
    auto object = std::make_shared<KeyObject>(KeyObject{std::make_shared<const Key>(make())});
    *key = new_handle<advface_key>(std::move(object));
  });
}

}  // namespace

advface_status advface_key_new(const char* path, advface_key** key, advface_error** error) {
  return give_key(key, error, [&] {
    const std::string file = text_argument(path, "path");
    const NoSizeSignal quiet;
    Key fresh = Key::fresh();
    fresh.write_new(file);
    return fresh;
  });
}

advface_status advface_key_read(const char* path, const advface_control* control, advface_key** key,
                                advface_error** error) {
  return give_key(key, error, [&] {
    Control asked(control);
    return Key::read_or_wait(text_argument(path, "path"), [&] { return asked.stopped(); });
  });
}

advface_status advface_key_read_fd(int32_t descriptor, const advface_control* control, advface_key** key,
                                   advface_error** error) {
  return give_key(key, error, [&] {
    Control asked(control);
    check_argument(descriptor >= 0, descriptor, " is no descriptor");
    return Key::read_from(descriptor, [&] { return asked.stopped(); });
  });
}

advface_status advface_key_free(advface_key* key) { return free_handle(key); }

advface_status advface_key_describe(const advface_key* key, char* text, uint64_t bytes, uint64_t* needed,
                                    advface_error** error) {
  return guarded(error, [&] {
    const KeyInfo& info = held(key)->key->info();
    give_text(nlohmann::json{{"id", info.id}, {"date", info.date}, {"check", info.check}}.dump(), text, bytes,
              needed);
  });
}
