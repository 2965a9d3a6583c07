// Handles: names that the library gives to what it holds. Nothing is read through a handle, so that one that
// was freed, is of another kind or was made up is told and harms nobody. Names never come twice.
#pragma once
#include <cstdint>
#include <memory>

#include "lib/include/advface.h"

namespace advf::lib {

enum class Kind : uint8_t { error = 1, recogniser, detector, decoder, key, protection, store };

struct ErrorObject;
struct RecogniserObject;
struct DetectorObject;
struct DecoderObject;
struct KeyObject;
struct ProtectionObject;
struct StoreObject;

// What a handle of this type stands for.
template <class Handle>
struct Held;
#define ADVF_HELD(handle, object, which)      \
  template <>                                 \
  struct Held<handle> {                       \
    using Object = object;                    \
    static constexpr Kind kind = Kind::which; \
  };
ADVF_HELD(advface_error, ErrorObject, error)
ADVF_HELD(advface_recogniser, RecogniserObject, recogniser)
ADVF_HELD(advface_detector, DetectorObject, detector)
ADVF_HELD(advface_decoder, DecoderObject, decoder)
ADVF_HELD(advface_key, KeyObject, key)
ADVF_HELD(advface_protection, ProtectionObject, protection)
ADVF_HELD(advface_store, StoreObject, store)
#undef ADVF_HELD

uintptr_t add_handle(Kind kind, std::shared_ptr<void> object);
// Throws CallError (call.h) that says what is wrong with the handle.
std::shared_ptr<void> find_handle(uintptr_t handle, Kind kind);
// Null where there is none such.
std::shared_ptr<void> look_for_handle(uintptr_t handle, Kind kind);
// Takes it out of the list; null where it is not there. What was held goes when the last call has ended.
std::shared_ptr<void> take_handle(uintptr_t handle, Kind kind);

template <class Handle>
std::shared_ptr<typename Held<Handle>::Object> held(const Handle* handle) {
  return std::static_pointer_cast<typename Held<Handle>::Object>(
      find_handle(reinterpret_cast<uintptr_t>(handle), Held<Handle>::kind));
}
// Null for a handle that is null.
template <class Handle>
std::shared_ptr<typename Held<Handle>::Object> held_or_none(const Handle* handle) {
  if (!handle) return nullptr;
  return held(handle);
}
template <class Handle>
Handle* new_handle(std::shared_ptr<typename Held<Handle>::Object> object) {
  return reinterpret_cast<Handle*>(add_handle(Held<Handle>::kind, std::move(object)));
}

}  // namespace advf::lib
