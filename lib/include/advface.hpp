// AdvFace in C++17: handles that free themselves and errors that are thrown, over advface.h, which says what
// each call does. Header only, so that no C++ type crosses into the library.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
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

// Numbers of the caller, in C order, without a copy.
inline advface_array view(const float* data, std::initializer_list<int64_t> shape) {
  int64_t values = 1;
  for (const int64_t d : shape) values *= d;
  return advface_array_of(const_cast<float*>(data), uint64_t(values) * sizeof(float), ADVFACE_F32,
                          int32_t(shape.size()), shape.begin());
}

// A frame of a camera: rows of `row_bytes` bytes, pixels of `channels` bytes each behind each other.
inline advface_array frame(const void* pixels, int64_t width, int64_t height, int64_t row_bytes,
                           int32_t channels) {
  const int64_t shape[] = {height, width, channels};
  advface_array a =
      advface_array_of(const_cast<void*>(pixels), uint64_t(height * row_bytes), ADVFACE_U8, 3, shape);
  a.strides[0] = row_bytes;
  return a;
}

// Rows of `row` values each.
struct Rows {
  int64_t row = 0;
  std::vector<float> values;
  int64_t count() const { return row > 0 ? int64_t(values.size()) / row : 0; }
  advface_array array() const { return view(values.data(), {count(), row}); }
};

class Key {
 public:
  static Key read(const std::string& path) {
    Key key;
    detail::run([&](advface_error** e) { return advface_key_read(path.c_str(), key.handle_.out(), e); });
    return key;
  }
  static Key create(const std::string& path) {
    Key key;
    detail::run([&](advface_error** e) { return advface_key_new(path.c_str(), key.handle_.out(), e); });
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
      return advface_detector_load(card.c_str(), least_score, handle_.out(), e);
    });
  }
  advface_detector* get() const { return handle_.get(); }

 private:
  detail::Handle<advface_detector, advface_detector_free> handle_;
};

class Recogniser {
 public:
  explicit Recogniser(const std::string& card) {
    detail::run([&](advface_error** e) { return advface_recogniser_load(card.c_str(), handle_.out(), e); });
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
  Rows extract(const std::vector<advface_array>& faces, int32_t colours) const {
    Rows rows{dimension(), {}};
    for (advface_array face : faces) {
      for (int d = 3; d > 0; --d) face.shape[d] = face.shape[d - 1], face.strides[d] = face.strides[d - 1];
      face.rank = 4;
      face.shape[0] = 1;
      Rows one{rows.row, std::vector<float>(size_t(rows.row))};
      advface_array out = one.array();
      detail::run([&](advface_error** e) {
        return advface_extract_faces(get(), nullptr, &face, colours, nullptr, &out, e);
      });
      rows.values.insert(rows.values.end(), one.values.begin(), one.values.end());
    }
    return rows;
  }
  // Of faces that the detector finds; throws for a picture without one.
  Rows extract(const std::vector<advface_array>& pictures, int32_t colours, const Detector& detector) const {
    Rows rows{dimension(), std::vector<float>(size_t(dimension()) * pictures.size())};
    advface_cut how = {};
    how.size = sizeof how;
    how.detector = detector.get();
    advface_array out = rows.array();
    detail::run([&](advface_error** e) {
      return advface_extract_pictures(get(), nullptr, pictures.data(), pictures.size(), colours, &how,
                                      nullptr, &out, nullptr, e);
    });
    return rows;
  }

 private:
  detail::Handle<advface_recogniser, advface_recogniser_free> handle_;
};

// Whose features: a recogniser's at its default cut, or unit vectors of so many values.
inline advface_space space_of(const Recogniser& recogniser) {
  advface_space space = {};
  space.size = sizeof space;
  space.recogniser = recogniser.get();
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
  for (const auto& [name, value] : settings) list.push_back({name.c_str(), value.c_str()});
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
                                     described.empty() ? nullptr : described.c_str(), handle_.out(), e);
    });
  }
  advface_protection* get() const { return handle_.get(); }
  std::string describe() const {
    return detail::text_of([&](char* text, uint64_t bytes, uint64_t* needed, advface_error** e) {
      return advface_protection_describe(get(), text, bytes, needed, e);
    });
  }
  // Vectors that are records first, first + 1, ....
  Rows protect(const Rows& features, int64_t first = 0) const {
    int64_t shape[ADVFACE_MAX_RANK];
    int32_t rank = 0;
    detail::run([&](advface_error** e) { return advface_protection_out_shape(get(), shape, &rank, e); });
    const int64_t n = features.count();
    Rows rows{shape[0], std::vector<float>(size_t(n * shape[0]))};
    std::vector<int64_t> numbers;
    for (int64_t i = 0; i < n; ++i) numbers.push_back(first + i);
    const advface_array in = features.array(),
                        records = advface_array_of(numbers.data(), uint64_t(n) * sizeof(int64_t), ADVFACE_I64,
                                                   1, &n);
    advface_array out = rows.array();
    detail::run(
        [&](advface_error** e) { return advface_protect(get(), &in, &records, nullptr, &out, nullptr, e); });
    return rows;
  }

 private:
  detail::Handle<advface_protection, advface_protection_free> handle_;
};

// Cosines of raw probes to stored rows, row by row, which are records first, first + 1, ....
inline std::vector<double> score(const Protection& protection, const Rows& stored, const Rows& probes,
                                 int64_t first = 0) {
  std::vector<double> scores(size_t(stored.count()));
  const int64_t n = stored.count();
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < n; ++i) numbers.push_back(first + i);
  const advface_array records =
      advface_array_of(numbers.data(), uint64_t(n) * sizeof(int64_t), ADVFACE_I64, 1, &n);
  const advface_array rows = stored.array(), raw = probes.array();
  advface_array out = advface_array_of(scores.data(), scores.size() * sizeof(double), ADVFACE_F64, 1, &n);
  detail::run(
      [&](advface_error** e) { return advface_score(protection.get(), &rows, &records, &raw, &out, e); });
  return scores;
}

class Store {
 public:
  struct Found {
    int64_t record = -1;
    float score = -2;
    std::string subject;
  };

  static Store create(const std::string& path, const advface_space& space, const Settings& settings,
                      const Key* key = nullptr, const std::string& set = "default") {
    Store store;
    const auto list = detail::list_of(settings);
    detail::run([&](advface_error** e) {
      return advface_store_create(path.c_str(), set.c_str(), &space, list.data(), list.size(),
                                  key ? key->get() : nullptr, store.handle_.out(), e);
    });
    return store;
  }
  static Store open(const std::string& path, const Key* key = nullptr, const Settings& files = {},
                    const std::string& set = "default", const Recogniser* recogniser = nullptr) {
    Store store;
    const auto list = detail::list_of(files);
    detail::run([&](advface_error** e) {
      return advface_store_open(path.c_str(), set.c_str(), list.data(), list.size(),
                                key ? key->get() : nullptr, recogniser ? recogniser->get() : nullptr,
                                store.handle_.out(), e);
    });
    return store;
  }

  void add(const Rows& features, const std::vector<std::string>& subjects) const {
    std::vector<const char*> names;
    for (const std::string& name : subjects) {
      if (name.find('\0') != std::string::npos)
        throw Error(ADVFACE_INVALID_ARGUMENT, "a subject holds a zero");
      names.push_back(name.c_str());
    }
    const advface_array rows = features.array();
    detail::run([&](advface_error** e) {
      return advface_store_add(get(), &rows, names.data(), names.size(), nullptr, nullptr, e);
    });
  }
  // The probe's cosine to that person's record.
  double verify(const std::string& subject, const Rows& probe) const {
    double value = 0;
    const int64_t one = 1;
    const advface_array rows = probe.array();
    advface_array out = advface_array_of(&value, sizeof value, ADVFACE_F64, 1, &one);
    detail::run([&](advface_error** e) {
      return advface_store_verify(get(), subject.c_str(), &rows, &out, nullptr, e);
    });
    return value;
  }
  // The records most like one probe, the most like first.
  std::vector<Found> identify(const Rows& probe, int64_t most) const {
    if (most < 0) throw Error(ADVFACE_INVALID_ARGUMENT, "most is below 0");
    std::vector<int64_t> numbers(static_cast<size_t>(most));
    std::vector<float> scores(static_cast<size_t>(most));
    const int64_t shape[] = {1, most};
    const advface_array rows = probe.array();
    advface_array to = advface_array_of(numbers.data(), numbers.size() * sizeof(int64_t), ADVFACE_I64, 2,
                                        shape),
                  at = advface_array_of(scores.data(), scores.size() * sizeof(float), ADVFACE_F32, 2, shape);
    detail::run([&](advface_error** e) {
      return advface_store_identify(get(), &rows, nullptr, &to, &at, nullptr, e);
    });
    std::vector<Found> found;
    for (size_t i = 0; i < numbers.size() && numbers[i] >= 0; ++i)
      found.push_back({numbers[i], scores[i],
                       detail::text_of([&](char* text, uint64_t bytes, uint64_t* needed, advface_error** e) {
                         return advface_store_subject(get(), numbers[i], text, bytes, needed, e);
                       })});
    return found;
  }
  void remove(const std::string& subject) const {
    const char* name = subject.c_str();
    detail::run([&](advface_error** e) { return advface_store_remove(get(), &name, 1, e); });
  }
  advface_store* get() const { return handle_.get(); }

 private:
  Store() = default;
  detail::Handle<advface_store, advface_store_close> handle_;
};

}  // namespace advface
