// The border: what every call into the library goes through. Exceptions become statuses and error objects,
// and what the caller hands in is looked at before it is used.
#pragma once
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <cfenv>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include "advface/core/context.h"
#include "lib/handles.h"

namespace advf::lib {

struct ErrorObject {
  advface_status code;
  std::string text;
};

// An Error with a status of its own.
class CallError : public Error {
 public:
  CallError(advface_status code, const std::string& text) : Error(text), code(code) {}
  advface_status code;
};

template <class... Parts>
[[noreturn]] void refuse(advface_status code, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw CallError(code, text.str());
}
// For what the caller has got wrong.
template <class... Parts>
void check_argument(bool ok, const Parts&... parts) {
  if (!ok) refuse(ADVFACE_INVALID_ARGUMENT, parts...);
}
std::string text_argument(const char* text, const char* what);  // not null, not empty, UTF-8

// Whether this process came from one that had called the library, and so lacks its threads.
bool is_forked();
// What the exception in flight means; makes the error object. Throws nothing.
advface_status report_exception(advface_error** error) noexcept;
// For a call that cannot be made here at all: forked, or within a callback. ADVFACE_OK: it can.
advface_status why_not_here(advface_error** error) noexcept;

// Numbers are computed as the programs compute them, however the host has set the processor: how it rounds,
// whether it flushes small numbers to zero, what it traps. Its settings are back at the end, and while it is
// asked whether to go on.
class OwnArithmetic {
 public:
  OwnArithmetic() noexcept;
  ~OwnArithmetic();
  OwnArithmetic(const OwnArithmetic&) = delete;
  // Of the call that this thread is in.
  static OwnArithmetic& current() noexcept;
  void give_back() noexcept;
  void take() noexcept;

 private:
  std::fenv_t hosts_;
};

// A thread that is cancelled would be unwound through frames that another unwinder knows: it is when the call
// has ended.
class NoCancelling {
 public:
  NoCancelling() noexcept { ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NoCancelling() { ::pthread_setcancelstate(before_, nullptr); }
  NoCancelling(const NoCancelling&) = delete;

 private:
  int before_ = 0;
};

// What writes beyond the process's limit on the size of files fails, and does not end the host by SIGXFSZ.
class NoSizeSignal {
 public:
  NoSizeSignal() noexcept;
  ~NoSizeSignal();
  NoSizeSignal(const NoSizeSignal&) = delete;

 private:
  sigset_t before_;
  bool was_pending_ = false;
};

// Every function of the header that can fail.
template <class Body>
advface_status guarded(advface_error** error, const Body& body) noexcept {
  if (error) *error = nullptr;
  if (const advface_status why = why_not_here(error); why != ADVFACE_OK) return why;
  const NoCancelling whole;
  OwnArithmetic arithmetic;
  try {
    body();
    return ADVFACE_OK;
  } catch (...) {
    return report_exception(error);
  }
}

template <class Handle>
advface_status free_handle(Handle* handle) noexcept {
  if (!handle) return ADVFACE_OK;
  if (is_forked()) return ADVFACE_FORKED;  // locks and files belong to the process it came from
  const NoCancelling whole;
  const NoSizeSignal quiet;  // who closes a store last moves its log into the file
  const auto gone = take_handle(reinterpret_cast<uintptr_t>(handle), Held<Handle>::kind);
  return gone ? ADVFACE_OK : ADVFACE_INVALID_HANDLE;
}

// Of options that may grow: who was compiled with a shorter struct has not the fields behind it.
template <class Options>
Options options_of(const Options* given, const char* what) {
  check_argument(given, what, " is NULL");
  check_argument(given->size == sizeof(Options), what, ": its size says ", given->size, ", not ",
                 sizeof(Options), "; set it to sizeof(", what, ")");
  return *given;
}

// The text with its zero, as the header has it.
void give_text(const std::string& text, char* out, uint64_t bytes, uint64_t* needed);

// This go_on is not called any more (null: none is); returns when it is not being called.
using GoOnFunction = void (*)(void* user, int32_t* answer);
void end_callbacks(GoOnFunction go_on);

// The caller's wish to stop, asked on the calling thread alone.
class Control {
 public:
  explicit Control(const advface_control* control);
  Control(const Control&) = delete;
  Context context();   // valid as long as this
  bool stopped();      // asks where it is time to
  bool stopped_now();  // asks however short ago that was: before something that is not undone
  void check_stop();   // throws Interrupted where stopped()

 private:
  using Clock = std::chrono::steady_clock;
  advface_control asked_{};
  std::thread::id caller_;
  Clock::time_point next_;
  std::atomic<bool> stopped_{false};
};

// What one call at a time may do.
class Turns {
 private:
  friend class Turn;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool taken_ = false;
};

// The turn of one call, as long as this lives. Who waits for it is asked meanwhile whether to go on; throws
// Interrupted.
class Turn {
 public:
  Turn(Turns& turns, Control& control);
  ~Turn();
  Turn(const Turn&) = delete;

 private:
  Turns& turns_;
};

}  // namespace advf::lib
