#include "lib/handles.h"

#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "lib/call.h"

namespace advf::lib {
namespace {

// No address of this machine begins so: who takes a handle for a pointer finds out at once.
constexpr uintptr_t kMark = uintptr_t(0xADF5) << 48, kMarkBits = uintptr_t(0xffff) << 48;
constexpr int kKindBits = 8;

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::error:
      return "error";
    case Kind::recogniser:
      return "recogniser";
    case Kind::detector:
      return "detector";
    case Kind::decoder:
      return "decoder";
    case Kind::key:
      return "key";
    case Kind::protection:
      return "protection";
    case Kind::store:
      return "store";
  }
  return "";
}

Kind kind_of(uintptr_t handle) { return Kind(handle & ((1u << kKindBits) - 1)); }

struct Handles {
  std::shared_mutex mutex;
  std::unordered_map<uintptr_t, std::shared_ptr<void>> objects;
  uintptr_t next = 1;

  bool was_given(uintptr_t handle) const {
    const uintptr_t number = (handle & ~kMarkBits) >> kKindBits;
    return (handle & kMarkBits) == kMark && number > 0 && number < next && name_of(kind_of(handle))[0];
  }
};

// Never destroyed: whoever frees late, during exit, still finds it.
Handles& handles() {
  static Handles& all = *new Handles;
  return all;
}

}  // namespace

uintptr_t add_handle(Kind kind, std::shared_ptr<void> object) {
  Handles& all = handles();
  const std::unique_lock lock(all.mutex);
  const uintptr_t handle = kMark | all.next << kKindBits | uintptr_t(kind);
  all.objects.emplace(handle, std::move(object));
  ++all.next;
  return handle;
}

std::shared_ptr<void> look_for_handle(uintptr_t handle, Kind kind) {
  if (kind_of(handle) != kind) return nullptr;
  Handles& all = handles();
  const std::shared_lock lock(all.mutex);
  const auto found = all.objects.find(handle);
  return found == all.objects.end() ? nullptr : found->second;
}

std::shared_ptr<void> find_handle(uintptr_t handle, Kind kind) {
  const std::string wanted = name_of(kind);
  if (handle == 0) refuse(ADVFACE_INVALID_HANDLE, "no ", wanted, " was given (NULL)");
  if (auto found = look_for_handle(handle, kind)) return found;
  Handles& all = handles();
  const std::shared_lock lock(all.mutex);
  if (!all.was_given(handle)) refuse(ADVFACE_INVALID_HANDLE, "this is no ", wanted, " of this library");
  if (kind_of(handle) != kind)
    refuse(ADVFACE_INVALID_HANDLE, "a ", name_of(kind_of(handle)), " was given where a ", wanted, " belongs");
  refuse(ADVFACE_INVALID_HANDLE, "this ", wanted, " was freed already");
}

std::shared_ptr<void> take_handle(uintptr_t handle, Kind kind) {
  if (kind_of(handle) != kind) return nullptr;
  Handles& all = handles();
  const std::unique_lock lock(all.mutex);
  const auto found = all.objects.find(handle);
  if (found == all.objects.end()) return nullptr;
  auto object = std::move(found->second);
  all.objects.erase(found);
  return object;
}

}  // namespace advf::lib
