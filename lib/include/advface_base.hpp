// What advface.hpp is made of: errors that are thrown, handles that free themselves, and arrays.
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "advface.h"

namespace advface {

// A call that failed. code: ADVFACE_INVALID_ARGUMENT, ....
class Error : public std::runtime_error {
 public:
  Error(advface_status code, const std::string& text) : std::runtime_error(text), code_(code) {}
  advface_status code() const { return code_; }

 private:
  advface_status code_;
};

// Asked now and then by long calls, as advface_control has it: false ends the call with an Error of the code
// ADVFACE_INTERRUPTED, and what it throws comes out of the call. Empty: the call goes on to its end.
using GoOn = std::function<bool()>;

namespace detail {

// Where a call's error goes; throws it.
class Outcome {
 public:
  Outcome() = default;
  Outcome(const Outcome&) = delete;
  ~Outcome() { advface_error_free(error_); }
  advface_error** out() { return &error_; }
  void check(advface_status status) const {
    if (status != ADVFACE_OK) throw Error(status, advface_error_text(error_));
  }

 private:
  advface_error* error_ = nullptr;
};

// f(error) is one call.
template <class Call>
void run(const Call& call) {
  Outcome outcome;
  outcome.check(call(outcome.out()));
}

// f(control, error) is one long call.
template <class Call>
void run(const GoOn& go_on, const Call& call) {
  struct Asked {
    const GoOn& go_on;
    std::exception_ptr thrown;
  } asked{go_on, nullptr};
  advface_control control = {};
  control.size = sizeof control;
  control.user = &asked;
  control.go_on = [](void* user, int32_t* answer) {
    Asked& a = *static_cast<Asked*>(user);
    try {
      *answer = a.go_on() ? 1 : 0;
    } catch (...) {
      a.thrown = std::current_exception();
    }
  };
  Outcome outcome;
  const advface_status status = call(go_on ? &control : nullptr, outcome.out());
  if (asked.thrown) std::rethrow_exception(asked.thrown);
  outcome.check(status);
}

// f(control, text, bytes, needed, error) gives a text, which may grow between two calls.
template <class Call>
std::string long_text_of(const GoOn& go_on, const Call& call) {
  uint64_t needed = 1024;
  for (;;) {
    std::string text(needed, '\0');
    try {
      run(go_on, [&](const advface_control* control, advface_error** error) {
        return call(control, text.data(), uint64_t(text.size()), &needed, error);
      });
    } catch (const Error& e) {
      if (e.code() == ADVFACE_BUFFER_TOO_SMALL && needed > text.size()) continue;
      throw;
    }
    text.resize(needed - 1);
    return text;
  }
}

// f(text, bytes, needed, error) gives a text.
template <class Call>
std::string text_of(const Call& call) {
  return long_text_of({}, [&](const advface_control*, char* text, uint64_t bytes, uint64_t* needed,
                              advface_error** error) { return call(text, bytes, needed, error); });
}

template <class T, advface_status (*Free)(T*)>
class Handle {
 public:
  Handle() = default;
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Handle() { Free(handle_); }
  T* get() const { return handle_; }
  T** out() { return &handle_; }

 private:
  T* handle_ = nullptr;
};

}  // namespace detail

using Settings = std::vector<std::pair<std::string, std::string>>;

namespace detail {
template <class T>
constexpr int32_t type_of() {
  using Value = std::remove_const_t<T>;
  static_assert(std::is_same_v<Value, float> || std::is_same_v<Value, double> ||
                    std::is_same_v<Value, int64_t> || std::is_same_v<Value, uint8_t>,
                "f32, f64, i64 and u8 can be described");
  return std::is_same_v<Value, float>     ? ADVFACE_F32
         : std::is_same_v<Value, double>  ? ADVFACE_F64
         : std::is_same_v<Value, int64_t> ? ADVFACE_I64
                                          : ADVFACE_U8;
}
template <class T>
advface_array view_of(T* data, uint64_t values, const int64_t* shape, size_t rank) {
  advface_array a = advface_array_of(const_cast<std::remove_const_t<T>*>(data), values * sizeof(T),
                                     type_of<T>(), int32_t(rank), shape);
  a.read_only = std::is_const_v<T>;
  return a;
}
}  // namespace detail

// Numbers of the caller, in C order, without a copy; those that are const may only be read.
template <class T>
advface_array view(T* data, std::initializer_list<int64_t> shape) {
  uint64_t values = 1;
  for (const int64_t d : shape) values *= uint64_t(d);
  return detail::view_of(data, values, shape.begin(), shape.size());
}
// The same of a vector, which may be longer than the shape, and is refused where it is shorter.
template <class T>
advface_array view(std::vector<T>& values, std::initializer_list<int64_t> shape) {
  return detail::view_of(values.data(), values.size(), shape.begin(), shape.size());
}
template <class T>
advface_array view(const std::vector<T>& values, std::initializer_list<int64_t> shape) {
  return detail::view_of(values.data(), values.size(), shape.begin(), shape.size());
}

// A frame of a camera: rows of `row_bytes` bytes, pixels of `channels` bytes each behind each other.
inline advface_array frame(const void* pixels, int64_t width, int64_t height, int64_t row_bytes,
                           int32_t channels) {
  const int64_t shape[] = {height, width, channels};
  advface_array a =
      detail::view_of(static_cast<const uint8_t*>(pixels), uint64_t(height * row_bytes), shape, 3);
  a.strides[0] = row_bytes;
  return a;
}

namespace detail {
// For C, which reads a text up to its first zero: throws Error for one that holds a zero, as it would be
// another.
inline const char* text(const std::string& text) {
  if (text.find('\0') != std::string::npos)
    throw Error(ADVFACE_INVALID_ARGUMENT,
                "the text \"" + std::string(text.c_str()) + "\" goes on behind a zero");
  return text.c_str();
}
}  // namespace detail

// Rows of `row` values each.
struct Rows {
  int64_t row = 0;
  std::vector<float> values;
  // Throws Error where the values are no whole rows.
  int64_t count() const {
    if (row > 0 ? values.size() % size_t(row) == 0 : values.empty())
      return row > 0 ? int64_t(values.size()) / row : 0;
    throw Error(ADVFACE_INVALID_ARGUMENT, std::to_string(values.size()) + " values are no whole rows of " +
                                              std::to_string(row) + " values");
  }
  advface_array array() { return view(values, {count(), row}); }
  advface_array array() const { return view(values, {count(), row}); }
};

namespace detail {
// Numbers first, first + 1, ... of so many records.
inline std::vector<int64_t> counted(int64_t first, int64_t n) {
  if (first < 0 || first > std::numeric_limits<int64_t>::max() - n)
    throw Error(ADVFACE_INVALID_ARGUMENT, "records: there are no " + std::to_string(n) + " numbers from " +
                                              std::to_string(first) + " on");
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < n; ++i) numbers.push_back(first + i);
  return numbers;
}
}  // namespace detail

}  // namespace advface
