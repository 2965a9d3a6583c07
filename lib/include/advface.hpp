// AdvFace in C++17: handles that free themselves and errors that are thrown, over advface.h, which says what
// each call does. Header only, so that no C++ type crosses into the library.
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
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

// f(text, bytes, needed, error) gives a text.
template <class Call>
std::string text_of(const Call& call) {
  uint64_t needed = 0;
  (void)call(nullptr, uint64_t(0), &needed, static_cast<advface_error**>(nullptr));
  std::string text(needed > 0 ? needed : 1, '\0');
  run([&](advface_error** error) { return call(text.data(), uint64_t(text.size()), &needed, error); });
  text.resize(needed - 1);
  return text;
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
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < n; ++i) numbers.push_back(first + i);
  return numbers;
}
}  // namespace detail

class Key {
 public:
  static Key read(const std::string& path) {
    Key key;
    detail::run(
        [&](advface_error** e) { return advface_key_read(detail::text(path), key.handle_.out(), e); });
    return key;
  }
  static Key create(const std::string& path) {
    Key key;
    detail::run([&](advface_error** e) { return advface_key_new(detail::text(path), key.handle_.out(), e); });
    return key;
  }
  advface_key* get() const { return handle_.get(); }

 private:
  detail::Handle<advface_key, advface_key_free> handle_;
};

class Detector {
 public:
  explicit Detector(const std::string& card, double least_score = 0) {
    detail::run([&](advface_error** e) {
      return advface_detector_load(detail::text(card), least_score, handle_.out(), e);
    });
  }
  advface_detector* get() const { return handle_.get(); }

 private:
  detail::Handle<advface_detector, advface_detector_free> handle_;
};

class Recogniser {
 public:
  explicit Recogniser(const std::string& card) {
    detail::run(
        [&](advface_error** e) { return advface_recogniser_load(detail::text(card), handle_.out(), e); });
  }
  advface_recogniser* get() const { return handle_.get(); }
  std::string describe() const {
    return detail::text_of([&](char* text, uint64_t bytes, uint64_t* needed, advface_error** e) {
      return advface_recogniser_describe(get(), text, bytes, needed, e);
    });
  }
  // How many values a feature at its default cut has.
  int64_t dimension() const {
    int64_t shape[ADVFACE_MAX_RANK], values = 1;
    int32_t rank = 0;
    detail::run(
        [&](advface_error** e) { return advface_recogniser_feature_shape(get(), nullptr, shape, &rank, e); });
    for (int d = 0; d < rank; ++d) values *= shape[d];
    return values;
  }
  // Of a whole picture that is the face, cut out already.
  Rows extract(const std::vector<advface_array>& faces, int32_t colours, const GoOn& go_on = {}) const {
    Rows rows{dimension(), {}};
    for (advface_array face : faces) {
      for (int d = 3; d > 0; --d) face.shape[d] = face.shape[d - 1], face.strides[d] = face.strides[d - 1];
      face.rank = 4;
      face.shape[0] = 1;
      Rows one{rows.row, std::vector<float>(size_t(rows.row))};
      advface_array out = one.array();
      detail::run(go_on, [&](const advface_control* control, advface_error** e) {
        return advface_extract_faces(get(), nullptr, &face, colours, control, &out, e);
      });
      rows.values.insert(rows.values.end(), one.values.begin(), one.values.end());
    }
    return rows;
  }
  // Of faces that the detector finds; throws for a picture without one.
  Rows extract(const std::vector<advface_array>& pictures, int32_t colours, const Detector& detector,
               const GoOn& go_on = {}) const {
    Rows rows{dimension(), std::vector<float>(size_t(dimension()) * pictures.size())};
    advface_cut how = {};
    how.size = sizeof how;
    how.detector = detector.get();
    advface_array out = rows.array();
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_extract_pictures(get(), nullptr, pictures.data(), pictures.size(), colours, &how,
                                      control, &out, nullptr, e);
    });
    return rows;
  }

 private:
  detail::Handle<advface_recogniser, advface_recogniser_free> handle_;
};

// Whose features: a recogniser's at a cut (null: its default), or unit vectors of so many values.
inline advface_space space_of(const Recogniser& recogniser, const char* cut = nullptr) {
  advface_space space = {};
  space.size = sizeof space;
  space.recogniser = recogniser.get();
  space.cut = cut;
  return space;
}
inline advface_space unit_vectors(int64_t dimension) {
  advface_space space = {};
  space.size = sizeof space;
  space.domain = ADVFACE_SPHERE;
  space.rank = 1;
  space.shape[0] = dimension;
  return space;
}

namespace detail {
inline std::vector<advface_setting> list_of(const Settings& settings) {
  std::vector<advface_setting> list;
  for (const auto& [name, value] : settings) list.push_back({text(name), text(value)});
  return list;
}
}  // namespace detail

class Protection {
 public:
  // described: "" for a new one, or what describe() gave, to make that one again.
  Protection(const advface_space& space, const Settings& settings, const Key* key = nullptr,
             const std::string& described = "") {
    const auto list = detail::list_of(settings);
    detail::run([&](advface_error** e) {
      return advface_protection_make(&space, list.data(), list.size(), key ? key->get() : nullptr,
                                     described.empty() ? nullptr : detail::text(described), handle_.out(), e);
    });
  }
  advface_protection* get() const { return handle_.get(); }
  std::string describe() const {
    return detail::text_of([&](char* text, uint64_t bytes, uint64_t* needed, advface_error** e) {
      return advface_protection_describe(get(), text, bytes, needed, e);
    });
  }
  // Vectors that are records first, first + 1, ... of their set: no number ever comes twice in one.
  Rows protect(const Rows& features, int64_t first, const GoOn& go_on = {}) const {
    const std::vector<int64_t> numbers = detail::counted(first, features.count());
    const advface_array records = view(numbers, {features.count()});
    return made(features, &records, go_on);
  }
  // By a protection that draws nothing for each record; refused by others.
  Rows protect(const Rows& features, const GoOn& go_on = {}) const { return made(features, nullptr, go_on); }

 private:
  Rows made(const Rows& features, const advface_array* records, const GoOn& go_on) const {
    int64_t shape[ADVFACE_MAX_RANK];
    int32_t rank = 0;
    detail::run([&](advface_error** e) { return advface_protection_out_shape(get(), shape, &rank, e); });
    Rows rows{shape[0], std::vector<float>(size_t(features.count() * shape[0]))};
    const advface_array in = features.array();
    advface_array out = rows.array();
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_protect(get(), &in, records, control, &out, nullptr, e);
    });
    return rows;
  }
  detail::Handle<advface_protection, advface_protection_free> handle_;
};

namespace detail {
inline std::vector<double> score(const Protection& protection, const Rows& stored, const Rows& probes,
                                 const advface_array* records, const GoOn& go_on) {
  std::vector<double> scores(size_t(stored.count()));
  const advface_array rows = stored.array(), raw = probes.array();
  advface_array out = view(scores, {stored.count()});
  run(go_on, [&](const advface_control* control, advface_error** e) {
    return advface_score(protection.get(), &rows, records, &raw, control, &out, e);
  });
  return scores;
}
}  // namespace detail

// Cosines of raw probes to stored rows, row by row, which are records first, first + 1, ....
inline std::vector<double> score(const Protection& protection, const Rows& stored, const Rows& probes,
                                 int64_t first, const GoOn& go_on = {}) {
  const std::vector<int64_t> numbers = detail::counted(first, stored.count());
  const advface_array records = view(numbers, {stored.count()});
  return detail::score(protection, stored, probes, &records, go_on);
}
// Behind a protection through which a probe looks the same to all records; refused by others.
inline std::vector<double> score(const Protection& protection, const Rows& stored, const Rows& probes,
                                 const GoOn& go_on = {}) {
  return detail::score(protection, stored, probes, nullptr, go_on);
}

namespace detail {
inline std::vector<const char*> names_of(const std::vector<std::string>& people) {
  std::vector<const char*> names;
  for (const std::string& name : people) names.push_back(text(name));
  return names;
}
}  // namespace detail

class Store {
 public:
  struct Found {
    int64_t record = -1;
    float score = -2;
    std::string subject;
  };

  static Store create(const std::string& path, const advface_space& space, const Settings& settings,
                      const Key* key = nullptr, const std::string& set = "default", const GoOn& go_on = {}) {
    Store store;
    const auto list = detail::list_of(settings);
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_store_create(detail::text(path), detail::text(set), &space, list.data(), list.size(),
                                  key ? key->get() : nullptr, control, store.handle_.out(), e);
    });
    return store;
  }
  static Store open(const std::string& path, const Key* key = nullptr, const Settings& files = {},
                    const std::string& set = "default", const Recogniser* recogniser = nullptr) {
    Store store;
    const auto list = detail::list_of(files);
    detail::run([&](advface_error** e) {
      return advface_store_open(detail::text(path), detail::text(set), list.data(), list.size(),
                                key ? key->get() : nullptr, recogniser ? recogniser->get() : nullptr,
                                store.handle_.out(), e);
    });
    return store;
  }

  void add(const Rows& features, const std::vector<std::string>& subjects, const GoOn& go_on = {}) const {
    const std::vector<const char*> names = detail::names_of(subjects);
    const advface_array rows = features.array();
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_store_add(get(), &rows, names.data(), names.size(), control, nullptr, e);
    });
  }
  // By features of people who are not in the set, people[i] naming whose row i is: where it decides from now
  // on, so that no more than this share of pairs of different people pass.
  double calibrate(const Rows& features, const std::vector<std::string>& people, double rate = 1e-3,
                   const GoOn& go_on = {}) const {
    const std::vector<const char*> names = detail::names_of(people);
    const advface_array rows = features.array();
    double threshold = 0;
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_store_calibrate(get(), &rows, names.data(), names.size(), rate, nullptr, control,
                                     &threshold, e);
    });
    return threshold;
  }
  // The probe's cosine to that person's record.
  double verify(const std::string& subject, const Rows& probe, const GoOn& go_on = {}) const {
    double value = 0;
    const advface_array rows = probe.array();
    advface_array out = view(&value, {1});
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_store_verify(get(), detail::text(subject), &rows, control, &out, nullptr, e);
    });
    return value;
  }
  // The records most like one probe, the most like first.
  std::vector<Found> identify(const Rows& probe, int64_t most, const GoOn& go_on = {}) const {
    if (most < 0) throw Error(ADVFACE_INVALID_ARGUMENT, "most is below 0");
    std::vector<int64_t> numbers(static_cast<size_t>(most));
    std::vector<float> scores(static_cast<size_t>(most));
    const advface_array rows = probe.array();
    advface_array to = view(numbers, {1, most}), at = view(scores, {1, most});
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_store_identify(get(), &rows, control, &to, &at, nullptr, e);
    });
    std::vector<Found> found;
    for (size_t i = 0; i < numbers.size() && numbers[i] >= 0; ++i)
      found.push_back({numbers[i], scores[i],
                       detail::text_of([&](char* text, uint64_t bytes, uint64_t* needed, advface_error** e) {
                         return advface_store_subject(get(), numbers[i], text, bytes, needed, e);
                       })});
    return found;
  }
  void remove(const std::string& subject, const GoOn& go_on = {}) const {
    const char* name = detail::text(subject);
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_store_remove(get(), &name, 1, control, e);
    });
  }
  advface_store* get() const { return handle_.get(); }

 private:
  Store() = default;
  detail::Handle<advface_store, advface_store_close> handle_;
};

}  // namespace advface
