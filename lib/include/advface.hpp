// AdvFace in C++17: handles that free themselves and errors that are thrown, over advface.h, which says what
// each call does. Header only, so that no C++ type crosses into the library.
#pragma once
#include "advface_base.hpp"

namespace advface {

class Key {
 public:
  static Key read(const std::string& path, const GoOn& go_on = {}) {
    Key key;
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_key_read(detail::text(path), control, key.handle_.out(), e);
    });
    return key;
  }
  static Key create(const std::string& path) {
    Key key;
    detail::run([&](advface_error** e) { return advface_key_new(detail::text(path), key.handle_.out(), e); });
    return key;
  }
  // From an open descriptor, such as a pipe, to its end; it is not closed.
  static Key read_fd(int32_t descriptor, const GoOn& go_on = {}) {
    Key key;
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_key_read_fd(descriptor, control, key.handle_.out(), e);
    });
    return key;
  }
  // JSON of what is public: id, date, check.
  std::string describe() const {
    return detail::text_of([&](char* text, uint64_t bytes, uint64_t* needed, advface_error** e) {
      return advface_key_describe(get(), text, bytes, needed, e);
    });
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
  // The faces of a picture (H, W, C), by falling score. longer_side: of the picture as it is looked at, in
  // pixels; 0: 640.
  std::vector<advface_face> find(const advface_array& picture, int32_t colours,
                                 int32_t longer_side = 0) const {
    std::vector<advface_face> faces(16);
    for (;;) {
      uint64_t count = 0;
      detail::run([&](advface_error** e) {
        return advface_detector_find(get(), &picture, colours, longer_side, faces.data(), faces.size(),
                                     &count, e);
      });
      const bool all = count <= faces.size();
      faces.resize(size_t(count));
      if (all) return faces;
    }
  }

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

// A shadow, or an attacker that was trained.
class Decoder {
 public:
  explicit Decoder(const std::string& path) {
    detail::run(
        [&](advface_error** e) { return advface_decoder_load(detail::text(path), handle_.out(), e); });
  }
  advface_decoder* get() const { return handle_.get(); }
  std::string describe() const {
    return detail::text_of([&](char* text, uint64_t bytes, uint64_t* needed, advface_error** e) {
      return advface_decoder_describe(get(), text, bytes, needed, e);
    });
  }
  // Features that are vectors -> images of `side` x `side` pixels, which describe() tells as image_size: each
  // a row of 3 x side x side values, red, green, blue, from 0 to 1.
  Rows reconstruct(const Rows& features, int64_t side, const GoOn& go_on = {}) const {
    if (side < 1 || side > 65535)
      throw Error(ADVFACE_INVALID_ARGUMENT, "side: images have 1 to 65535 pixels");
    const int64_t n = features.count();
    Rows images{3 * side * side, std::vector<float>(size_t(n * 3 * side * side))};
    const advface_array in = features.array();
    advface_array out = view(images.values, {n, 3, side, side});
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_decoder_reconstruct(get(), &in, control, &out, e);
    });
    return images;
  }

 private:
  detail::Handle<advface_decoder, advface_decoder_free> handle_;
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
             const std::string& described = "", const GoOn& go_on = {}) {
    const auto list = detail::list_of(settings);
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_protection_make(&space, list.data(), list.size(), key ? key->get() : nullptr,
                                     described.empty() ? nullptr : detail::text(described), control,
                                     handle_.out(), e);
    });
  }
  advface_protection* get() const { return handle_.get(); }
  std::string describe() const {
    return detail::text_of([&](char* text, uint64_t bytes, uint64_t* needed, advface_error** e) {
      return advface_protection_describe(get(), text, bytes, needed, e);
    });
  }
  // How many values a protected vector has.
  int64_t dimension() const {
    int64_t shape[ADVFACE_MAX_RANK];
    int32_t rank = 0;
    detail::run([&](advface_error** e) { return advface_protection_out_shape(get(), shape, &rank, e); });
    return shape[0];
  }
  // Vectors that are records first, first + 1, ... of their set: no number ever comes twice in one. reports:
  // becomes one for each.
  Rows protect(const Rows& features, int64_t first, const GoOn& go_on = {},
               std::vector<advface_report>* reports = nullptr) const {
    const std::vector<int64_t> numbers = detail::counted(first, features.count());
    const advface_array records = view(numbers, {features.count()});
    return made(features, &records, go_on, reports);
  }
  // By a protection that draws nothing for each record; refused by others.
  Rows protect(const Rows& features, const GoOn& go_on = {}) const {
    return made(features, nullptr, go_on, nullptr);
  }
  // Raw vectors as they are compared with the records of these numbers; without numbers where a probe looks
  // the same to all, and refused elsewhere.
  Rows probe(const Rows& features, const std::vector<int64_t>& records, const GoOn& go_on = {}) const {
    const advface_array numbers = view(records, {int64_t(records.size())});
    return turned(features, &numbers, go_on);
  }
  Rows probe(const Rows& features, const GoOn& go_on = {}) const { return turned(features, nullptr, go_on); }

 private:
  Rows made(const Rows& features, const advface_array* records, const GoOn& go_on,
            std::vector<advface_report>* reports) const {
    const int64_t n = features.count(), values = dimension();
    Rows rows{values, std::vector<float>(size_t(n * values))};
    if (reports) reports->resize(size_t(n));
    const advface_array in = features.array();
    advface_array out = rows.array();
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_protect(get(), &in, records, control, &out, reports ? reports->data() : nullptr, e);
    });
    return rows;
  }
  Rows turned(const Rows& features, const advface_array* records, const GoOn& go_on) const {
    // As long as it was where the probe stays as it is, which the description tells, else as long as a
    // record.
    const bool changes = describe().find("\"changes_probe\":true") != std::string::npos;
    const int64_t n = features.count(), values = changes ? dimension() : features.row;
    Rows rows{values, std::vector<float>(size_t(n * values))};
    const advface_array in = features.array();
    advface_array out = rows.array();
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_turn_probe(get(), &in, records, control, &out, e);
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

// A row that was found for a probe, and its cosine.
struct Neighbour {
  int64_t row = -1;
  float score = -2;
};

// 1:N: of each raw probe the rows with the largest cosine, up to `most`, the largest first. records: the
// numbers of the stored rows, or empty where a probe looks the same to all. protection: null for rows as they
// are.
inline std::vector<std::vector<Neighbour>> nearest(const Protection* protection, const Rows& stored,
                                                   const Rows& probes, int64_t most,
                                                   const std::vector<int64_t>& records = {},
                                                   const GoOn& go_on = {}) {
  if (most < 0) throw Error(ADVFACE_INVALID_ARGUMENT, "most is below 0");
  const int64_t m = probes.count();
  std::vector<int64_t> rows(size_t(m * most));
  std::vector<float> scores(size_t(m * most));
  const advface_array left = stored.array(), right = probes.array(),
                      numbers = view(records, {int64_t(records.size())});
  advface_array to = view(rows, {m, most}), at = view(scores, {m, most});
  detail::run(go_on, [&](const advface_control* control, advface_error** e) {
    return advface_nearest(protection ? protection->get() : nullptr, &left,
                           records.empty() ? nullptr : &numbers, &right, control, &to, &at, e);
  });
  std::vector<std::vector<Neighbour>> found(static_cast<size_t>(m));
  for (size_t i = 0; i < rows.size(); ++i)
    if (rows[i] >= 0) found[i / size_t(most)].push_back({rows[i], scores[i]});
  return found;
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
                    const std::string& set = "default", const Recogniser* recogniser = nullptr,
                    const GoOn& go_on = {}) {
    Store store;
    const auto list = detail::list_of(files);
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_store_open(detail::text(path), detail::text(set), list.data(), list.size(),
                                key ? key->get() : nullptr, recogniser ? recogniser->get() : nullptr, control,
                                store.handle_.out(), e);
    });
    return store;
  }

  // JSON as advface-store has it, with the calibration: set, records, dimension, protection, ....
  std::string describe(const GoOn& go_on = {}) const {
    return detail::long_text_of(go_on, [&](const advface_control* control, char* text, uint64_t bytes,
                                           uint64_t* needed, advface_error** e) {
      return advface_store_describe(get(), control, text, bytes, needed, e);
    });
  }
  // The numbers of their records.
  std::vector<int64_t> add(const Rows& features, const std::vector<std::string>& subjects,
                           const GoOn& go_on = {}) const {
    const std::vector<const char*> names = detail::names_of(subjects);
    std::vector<int64_t> numbers(size_t(features.count()));
    const advface_array rows = features.array();
    advface_array out = view(numbers, {features.count()});
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_store_add(get(), &rows, names.data(), names.size(), control, &out, e);
    });
    return numbers;
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
  // The probe's cosine to that person's record. threshold: becomes the set's by its calibration, NaN without
  // one.
  double verify(const std::string& subject, const Rows& probe, const GoOn& go_on = {},
                double* threshold = nullptr) const {
    double value = 0;
    const advface_array rows = probe.array();
    advface_array out = view(&value, {1});
    detail::run(go_on, [&](const advface_control* control, advface_error** e) {
      return advface_store_verify(get(), detail::text(subject), &rows, control, &out, threshold, e);
    });
    return value;
  }
  // Who the record of this number is.
  std::string subject(int64_t number, const GoOn& go_on = {}) const {
    return detail::long_text_of(go_on, [&](const advface_control* control, char* text, uint64_t bytes,
                                           uint64_t* needed, advface_error** e) {
      return advface_store_subject(get(), number, control, text, bytes, needed, e);
    });
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
    for (size_t i = 0; i < numbers.size() && numbers[i] >= 0; ++i) try {
        found.push_back({numbers[i], scores[i], subject(numbers[i], go_on)});
      } catch (const Error& e) {  // who was removed meanwhile is left out
        if (e.code() != ADVFACE_NOT_FOUND) throw;
      }
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
