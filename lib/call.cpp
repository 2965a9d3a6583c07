#include "lib/call.h"

#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>
#include <new>
#include <set>

#include "advface/core/text_file.h"

namespace advf::lib {
namespace {

// Between two questions to the caller: seldom enough to cost nothing, often enough for a person.
constexpr auto kBetween = std::chrono::milliseconds(20);

thread_local bool in_callback = false;
thread_local OwnArithmetic* arithmetic_of_call = nullptr;

// Which callers may not be asked any more, and how many are being asked: advface_end_callbacks().
std::mutex asking;
std::condition_variable asked_all;
std::set<GoOnFunction> ended;  // null: all
std::map<GoOnFunction, int64_t> being_asked;

int64_t count_asked(GoOnFunction go_on) {
  int64_t n = 0;
  for (const auto& [function, count] : being_asked)
    if (!go_on || function == go_on) n += count;
  return n;
}

// A process that a callback has forked, and that comes back from it, stands in the middle of work whose
// threads are not there: it can neither go on nor leave.
[[noreturn]] void end_child_of_callback() {
  constexpr std::string_view kWhy =
      "advface: a process that advface_control's go_on has forked must end, or start a program, before it "
      "returns from go_on; it is ended here\n";
  [[maybe_unused]] const ssize_t told = ::write(STDERR_FILENO, kWhy.data(), kWhy.size());
  ::_exit(70);
}

// One question to a caller.
class Question {
 public:
  explicit Question(GoOnFunction go_on) : go_on_(go_on) {
    const std::lock_guard lock(asking);
    may_ = !ended.contains(go_on) && !ended.contains(nullptr);
    if (may_) ++being_asked[go_on];
    in_callback = may_;
    if (may_) OwnArithmetic::current().give_back();
  }
  ~Question() {
    if (!may_) return;
    if (is_forked()) end_child_of_callback();
    in_callback = false;
    OwnArithmetic::current().take();
    const std::lock_guard lock(asking);
    if (--being_asked[go_on_] == 0) {
      being_asked.erase(go_on_);
      asked_all.notify_all();
    }
  }
  Question(const Question&) = delete;
  bool may() const { return may_; }

 private:
  GoOnFunction go_on_;
  bool may_ = false;
};

// Errors that must be told where nothing can be made any more: they are no handles, and are never freed.
struct FixedError {
  uintptr_t name;
  advface_status code;
  const char* text;
};
constexpr FixedError kForked{
    1, ADVFACE_FORKED,
    "this process came from fork(), and the one it came from had called the library: "
    "its threads, locks and open files did not come along. Start a new program "
    "instead (in Python: multiprocessing with the start method \"spawn\"), or fork "
    "before the first call"};
constexpr FixedError kNoMemory{2, ADVFACE_OUT_OF_MEMORY, "out of memory"};
constexpr FixedError kWithin{
    3, ADVFACE_INVALID_ARGUMENT,
    "the library was called from within advface_control's go_on; return from it first"};
constexpr const FixedError* kFixed[] = {&kForked, &kNoMemory, &kWithin};

const FixedError* fixed_error(const advface_error* error) {
  for (const FixedError* fixed : kFixed)
    if (reinterpret_cast<uintptr_t>(error) == fixed->name) return fixed;
  return nullptr;
}

advface_status give_fixed(const FixedError& fixed, advface_error** error) {
  if (error) *error = reinterpret_cast<advface_error*>(fixed.name);
  return fixed.code;
}

advface_status give_error(advface_status code, const std::string& text, advface_error** error) {
  if (error) *error = new_handle<advface_error>(std::make_shared<ErrorObject>(ErrorObject{code, text}));
  return code;
}

}  // namespace

OwnArithmetic::OwnArithmetic() noexcept {
  take();
  arithmetic_of_call = this;
}
OwnArithmetic::~OwnArithmetic() {
  give_back();
  arithmetic_of_call = nullptr;
}
OwnArithmetic& OwnArithmetic::current() noexcept { return *arithmetic_of_call; }
void OwnArithmetic::give_back() noexcept { std::fesetenv(&hosts_); }
void OwnArithmetic::take() noexcept {
  std::fegetenv(&hosts_);
  std::fesetenv(FE_DFL_ENV);
}

NoSizeSignal::NoSizeSignal() noexcept {
  sigset_t pending, size;
  ::sigemptyset(&size);
  ::sigaddset(&size, SIGXFSZ);
  ::sigpending(&pending);
  was_pending_ = ::sigismember(&pending, SIGXFSZ) == 1;
  ::pthread_sigmask(SIG_BLOCK, &size, &before_);
}
NoSizeSignal::~NoSizeSignal() {
  sigset_t size;
  ::sigemptyset(&size);
  ::sigaddset(&size, SIGXFSZ);
  const timespec now{};
  if (!was_pending_) ::sigtimedwait(&size, nullptr, &now);
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool is_forked() {
  static std::atomic<pid_t> owner{0};
  const pid_t me = ::getpid();
  pid_t known = owner.load(std::memory_order_relaxed);
  if (known == 0 && owner.compare_exchange_strong(known, me)) return false;
  return known != me;
}

advface_status why_not_here(advface_error** error) noexcept {
  if (is_forked()) return give_fixed(kForked, error);
  if (in_callback) return give_fixed(kWithin, error);
  return ADVFACE_OK;
}

advface_status report_exception(advface_error** error) noexcept {
  try {
    try {
      throw;
    } catch (const CallError& e) {
      return give_error(e.code, e.what(), error);
    } catch (const Interrupted&) {
      return give_error(ADVFACE_INTERRUPTED, "interrupted, as the caller asked", error);
    } catch (const WrongCall& e) {
      return give_error(ADVFACE_INVALID_ARGUMENT, e.what(), error);
    } catch (const OutOfMemory& e) {
      return give_error(ADVFACE_OUT_OF_MEMORY, e.what(), error);
    } catch (const OutOfThreads& e) {
      return give_error(ADVFACE_OUT_OF_MEMORY, e.what(), error);
    } catch (const Error& e) {
      return give_error(ADVFACE_FAILED, e.what(), error);
    } catch (const std::bad_alloc&) {
      return give_fixed(kNoMemory, error);
    } catch (const std::exception& e) {
      return give_error(ADVFACE_INTERNAL, std::string("a mistake of the library's: ") + e.what(), error);
    } catch (...) {
      return give_error(ADVFACE_INTERNAL, "a callback has thrown an exception, which none may", error);
    }
  } catch (...) {
    return give_fixed(kNoMemory, error);
  }
}

std::string text_argument(const char* text, const char* what) {
  check_argument(text, what, " is NULL");
  check_argument(*text, what, " is empty");
  const std::string copy(text);
  check_argument(is_utf8(copy), what, " is no UTF-8");
  return copy;
}

void give_text(const std::string& text, char* out, uint64_t bytes, uint64_t* needed) {
  if (needed) *needed = text.size() + 1;
  check_argument(out || bytes == 0, "text is NULL, but is said to have ", bytes, " bytes");
  if (bytes <= text.size())
    refuse(ADVFACE_BUFFER_TOO_SMALL, "the text takes ", text.size() + 1, " bytes, not ", bytes);
  std::memcpy(out, text.c_str(), text.size() + 1);
}

Control::Control(const advface_control* control)
    : caller_(std::this_thread::get_id()), next_(Clock::now() + kBetween) {
  if (!control) return;
  asked_ = options_of(control, "advface_control");
  check_argument(asked_.go_on,
                 "advface_control: go_on is NULL; pass NULL instead of a control to go on always");
}

bool Control::stopped() {
  if (stopped_) return true;
  if (!asked_.go_on || std::this_thread::get_id() != caller_) return false;
  return Clock::now() >= next_ && stopped_now();
}

bool Control::stopped_now() {
  if (stopped_) return true;
  if (!asked_.go_on || std::this_thread::get_id() != caller_) return false;
  int32_t answer = 0;
  try {
    const Question question(asked_.go_on);
    if (question.may())
      asked_.go_on(asked_.user, &answer);
    else
      refuse(ADVFACE_INTERRUPTED,
             "interrupted: advface_end_callbacks() was called, so that nobody can be asked");
  } catch (...) {
    stopped_ = true;
    throw;
  }
  next_ = Clock::now() + kBetween;
  if (answer != 1) stopped_ = true;
  return stopped_;
}

void Control::check_stop() {
  if (stopped()) throw Interrupted();
}

Turn::Turn(Turns& turns, Control& control) : turns_(turns) {
  std::unique_lock lock(turns_.mutex_);
  while (turns_.taken_)
    if (turns_.ended_.wait_for(lock, kBetween) == std::cv_status::timeout) {
      lock.unlock();  // whose turn it is may end it while somebody is asked
      control.check_stop();
      lock.lock();
    }
  turns_.taken_ = true;
}

Turn::~Turn() {
  {
    const std::lock_guard lock(turns_.mutex_);
    turns_.taken_ = false;
  }
  turns_.ended_.notify_one();
}

void end_callbacks(GoOnFunction go_on) {
  std::unique_lock lock(asking);
  ended.insert(go_on);
  asked_all.wait(lock, [go_on] { return count_asked(go_on) == 0 || in_callback; });
}

Context Control::context() {
  Context context;
  context.stop = [this] { return stopped(); };
  return context;
}

}  // namespace advf::lib

using namespace advf::lib;

void advface_end_callbacks(void (*go_on)(void* user, int32_t* answer)) {
  if (is_forked()) return;
  const NoCancelling whole;
  advf::lib::end_callbacks(go_on);
}

advface_status advface_error_code(const advface_error* error) {
  if (const auto* fixed = fixed_error(error)) return fixed->code;
  if (!error || is_forked()) return ADVFACE_INVALID_HANDLE;
  const auto found = look_for_handle(reinterpret_cast<uintptr_t>(error), Kind::error);
  return found ? static_cast<const ErrorObject*>(found.get())->code : ADVFACE_INVALID_HANDLE;
}

const char* advface_error_text(const advface_error* error) {
  if (const auto* fixed = fixed_error(error)) return fixed->text;
  if (!error || is_forked()) return "";
  const auto found = look_for_handle(reinterpret_cast<uintptr_t>(error), Kind::error);
  return found ? static_cast<const ErrorObject*>(found.get())->text.c_str() : "";
}

void advface_error_free(advface_error* error) {
  if (!fixed_error(error)) free_handle(error);
}
