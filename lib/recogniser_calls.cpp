#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "advface/core/features.h"
#include "advface/detect/detected_cut.h"
#include "lib/arrays.h"
#include "lib/call.h"
#include "lib/objects.h"
#include "tensor/backend.h"
#include "tensor/parallel.h"

namespace advf::lib {

std::string RecogniserObject::cut(const char* name) const {
  const std::string found = name ? text_argument(name, "cut") : recogniser.card().default_cut;
  recogniser.cut_point(found);  // told where there is none
  return found;
}

namespace {

constexpr int64_t kBatch = 32;  // pictures at a time, as advface-extract has it

nlohmann::json description(const Recogniser& r) {
  const RecogniserCard& card = r.card();
  nlohmann::json cuts = nlohmann::json::array();
  for (const CutPoint& c : r.cut_points())
    cuts.push_back({{"name", c.name},
                    {"op", c.op_type},
                    {"shape", std::vector<int64_t>(c.shape.begin(), c.shape.end())},
                    {"domain", advf::name_of(r.domain(c.name))},
                    {"macs", c.macs}});
  return {{"card", card.path},
          {"fingerprint", r.fingerprint()},
          {"default_cut", card.default_cut},
          {"embedding", {{"name", card.embedding.name}, {"dimension", card.embedding.dimension}}},
          {"input", {{"width", card.input.width}, {"height", card.input.height}}},
          {"cuts", std::move(cuts)}};
}

int reason_number(Reason reason) {
  switch (reason) {
    case Reason::no_face:
      return ADVFACE_FACE_NONE;
    case Reason::several_faces:
      return ADVFACE_FACE_SEVERAL;
    case Reason::small:
      return ADVFACE_FACE_SMALL;
    case Reason::turned:
      return ADVFACE_FACE_TURNED;
    case Reason::outside:
      return ADVFACE_FACE_OUTSIDE;
    case Reason::unreadable:
    case Reason::no_feature:
      break;
  }
  return ADVFACE_FACE_NO_FEATURE;
}

// Features of pictures, a batch at a time.
class Extraction {
 public:
  Extraction(const RecogniserObject& object, const char* cut, advface_array* features, int64_t count)
      : recogniser_(object.recogniser), cut_(object.cut(cut)), count_(count) {
    const auto& input = recogniser_.card().input;
    check(input.width == input.height, recogniser_.card().path, ": the input is ", input.width, "x",
          input.height, "; only square inputs can be cropped to");
    size_ = int(input.width);
    const Shape& row = recogniser_.feature_shape(cut_);
    out_ = written_f32(features, "features", with_rows(count, row));
    values_ = size_t(row.numel());
  }
  // Of each picture, where there is a place for it: null ends the work with the first that gives no feature.
  void tell_in(advface_face* found) {
    found_ = found;
    for (int64_t i = 0; found_ && i < count_; ++i) found_[i] = {};
  }

  int size() const { return size_; }

  // Pictures [begin, end), of which good[i] is the number of row i of `images` (n, 3, H, W).
  void take(const Tensor& images, const std::vector<int64_t>& good) {
    if (good.empty()) return;
    const Tensor rows =
        recogniser_.features(recogniser_.preprocess(images.to(current_backend())), cut_).on_host();
    for (size_t i = 0; i < good.size(); ++i) {
      const std::span<const float> row{rows.data<float>() + i * values_, values_};
      const std::string fault = fault_of_feature(row, recogniser_.domain(cut_));
      if (fault.empty())
        std::ranges::copy(row, out_ + size_t(good[i]) * values_);
      else
        leave_out(good[i], Reason::no_feature,
                  "picture " + std::to_string(good[i]) + ": " + fault + "; " + recogniser_.card().model +
                      " cannot take this picture");
    }
  }
  void leave_out(int64_t picture, Reason reason, const std::string& why) {
    check(found_, why);
    found_[picture].reason = reason_number(reason);
    std::fill_n(out_ + size_t(picture) * values_, values_, std::numeric_limits<float>::quiet_NaN());
  }
  void tell(int64_t picture, const FoundFace& face);

 private:
  const Recogniser& recogniser_;
  std::string cut_;
  int64_t count_;
  advface_face* found_ = nullptr;
  float* out_ = nullptr;
  size_t values_ = 0;
  int size_ = 0;
};

advface_face told_of(const Face& face) {
  advface_face told = {};
  told.number = told.of = 1;
  told.points = int32_t(std::min<size_t>(face.landmarks.size(), 5));
  const double box[] = {face.x, face.y, face.width, face.height};
  std::copy_n(box, 4, told.box);
  told.score = face.score;
  for (int p = 0; p < told.points; ++p) {
    told.landmarks[2 * p] = face.landmarks[size_t(p)].x;
    told.landmarks[2 * p + 1] = face.landmarks[size_t(p)].y;
  }
  return told;
}

void Extraction::tell(int64_t picture, const FoundFace& face) {
  if (!found_) return;
  advface_face& told = found_[picture];
  told = told_of(face.face);
  told.number = face.number;
  told.of = face.of;
  const FaceQuality& q = face.quality;
  told.roll = q.roll;
  told.yaw = q.yaw;
  told.pitch = q.pitch;
  told.sharpness = q.sharpness;
  told.exposure = q.exposure;
  told.outside = q.outside;
}

// Pictures of 8 bits, whose faces are cut out: picture(i) gives one.
template <class Picture>
void extract_cut(Extraction& extraction, int64_t count, const FaceCut& cut, Control& control,
                 const Picture& picture) {
  const int size = extraction.size();
  for (int64_t begin = 0; begin < count; begin += kBatch) {
    control.check_stop();
    const int64_t n = std::min(kBatch, count - begin);
    std::vector<CutResult> results(static_cast<size_t>(n));
    parallel_for(n, [&](int64_t i) {
      CutResult& result = results[size_t(i)];
      const std::string name = "picture " + std::to_string(begin + i);
      try {
        result = cut.cut(picture(begin + i), name, name, size);
      } catch (const Error& e) {
        result = {};
        result.why = name + ": " + e.what();
      }
    });
    std::vector<float> values;
    std::vector<int64_t> good;
    for (int64_t i = 0; i < n; ++i) {
      const CutResult& result = results[size_t(i)];
      if (result.faces == 0) {  // also where the eyes' place does not fit: pictures here are each of its own
        extraction.leave_out(begin + i, result.reason, result.why);
        continue;
      }
      if (!result.found.empty()) extraction.tell(begin + i, result.found[0]);
      values.insert(values.end(), result.pixels.begin(), result.pixels.end());
      good.push_back(begin + i);
    }
    if (good.empty()) continue;
    const BackendScope on_host(host_backend());
    extraction.take(
        Tensor::borrow(std::as_bytes(std::span(values)), {int64_t(good.size()), 3, size, size}, DType::f32),
        good);
  }
}

void extract_floats(Extraction& extraction, const advface_array* pixels, int32_t colours, Control& control) {
  const int64_t count = pixels->shape[0], height = pixels->shape[1], width = pixels->shape[2];
  for (int64_t begin = 0; begin < count; begin += kBatch) {
    control.check_stop();
    const int64_t n = std::min(kBatch, count - begin);
    const BackendScope on_host(host_backend());
    Tensor images = Tensor::empty({n, 3, height, width});
    std::vector<int64_t> all;
    for (int64_t i = 0; i < n; ++i) {
      read_float_picture(pixels, begin + i, colours, images.mutable_data<float>() + i * 3 * height * width);
      all.push_back(begin + i);
    }
    extraction.take(images, all);
  }
}

DetectorView view_of(int32_t longer_side) {
  check_argument(longer_side == 0 || (longer_side >= 32 && longer_side <= 4096), "longer_side is ",
                 longer_side, "; 32 to 4096 pixels, or 0 for 640, are possible");
  DetectorView view;
  if (longer_side > 0) view.sides = {longer_side};
  return view;
}

FaceCut cut_of(const Recogniser& recogniser, const advface_cut& how) {
  const auto detector = held_or_none(how.detector);
  const FaceTemplate& face_template = recogniser.card().crop;
  if (!detector) {
    for (const float v : how.eyes)
      check_argument(std::isfinite(v), "advface_cut: eyes must be finite numbers");
    return face_box({how.eyes[0], how.eyes[1], how.eyes[2], how.eyes[3]}, face_template);
  }
  DetectionSettings settings;
  check_argument(how.choice == ADVFACE_LARGEST || how.choice == ADVFACE_CENTRAL || how.choice == ADVFACE_ONLY,
                 "advface_cut: ", how.choice, " is no choice of faces");
  settings.choice = how.choice == ADVFACE_LARGEST   ? FaceChoice::largest
                    : how.choice == ADVFACE_CENTRAL ? FaceChoice::central
                                                    : FaceChoice::only;
  check_argument(how.least_side >= 0 && how.least_side <= 65535, "advface_cut: least_side is ",
                 how.least_side);
  check_argument(how.most_angle >= 0 && how.most_angle <= 90, "advface_cut: most_angle is ", how.most_angle,
                 "; 0 to 90 degrees are possible");
  if (how.least_side > 0) settings.min_face = how.least_side;
  if (how.most_angle > 0) settings.max_angle = how.most_angle;
  settings.where_none = "a detector with a lower least score, or another longer_side, may find one";
  // What was found is kept by picture as long as the finder lives, which is this call.
  return detected_cut(std::make_shared<const FaceFinder>(detector->detector, view_of(how.longer_side)),
                      face_template, settings);
}

}  // namespace
}  // namespace advf::lib

using namespace advf;
using namespace advf::lib;

advface_status advface_recogniser_load(const char* card, advface_recogniser** recogniser,
                                       advface_error** error) {
  return guarded(error, [&] {
    check_argument(recogniser, "recogniser is NULL: the handle has nowhere to go");
    auto object =
        std::make_shared<RecogniserObject>(RecogniserObject{Recogniser::load(text_argument(card, "card"))});
    *recogniser = new_handle<advface_recogniser>(std::move(object));
  });
}

advface_status advface_recogniser_free(advface_recogniser* recogniser) { return free_handle(recogniser); }

advface_status advface_recogniser_describe(const advface_recogniser* recogniser, char* text, uint64_t bytes,
                                           uint64_t* needed, advface_error** error) {
  return guarded(error,
                 [&] { give_text(description(held(recogniser)->recogniser).dump(), text, bytes, needed); });
}

advface_status advface_recogniser_feature_shape(const advface_recogniser* recogniser, const char* cut,
                                                int64_t* shape, int32_t* rank, advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(recogniser);
    check_argument(shape && rank, "shape and rank must not be NULL");
    const Shape& row = object->recogniser.feature_shape(object->cut(cut));
    std::copy(row.begin(), row.end(), shape);
    *rank = row.rank();
  });
}

advface_status advface_extract_faces(const advface_recogniser* recogniser, const char* cut,
                                     const advface_array* pixels, int32_t colours,
                                     const advface_control* control, advface_array* features,
                                     advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(recogniser);
    Control asked(control);
    const int64_t count = count_pictures(pixels, "pixels", colours);
    Extraction extraction(*object, cut, features, count);
    check_apart(pixels, features, false);
    if (is_float_picture(pixels)) return extract_floats(extraction, pixels, colours, asked);
    extract_cut(extraction, count, FaceCut(), asked,
                [&](int64_t i) { return read_picture(pixels, i, colours); });
  });
}

advface_status advface_extract_pictures(const advface_recogniser* recogniser, const char* cut,
                                        const advface_array* pictures, uint64_t count, int32_t colours,
                                        const advface_cut* how, const advface_control* control,
                                        advface_array* features, advface_face* found, advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(recogniser);
    Control asked(control);
    const advface_cut options = options_of(how, "advface_cut");
    check_argument(pictures || count == 0, "pictures are NULL");
    check_argument(count <= uint64_t(1) << 40, count, " pictures are too many");
    const FaceCut face_cut = cut_of(object->recogniser, options);
    Extraction extraction(*object, cut, features, int64_t(count));
    const advface_array told = bytes_of(found, int64_t(count));
    check_apart(features, &told, false);
    for (uint64_t i = 0; i < count; ++i) {  // told before the work
      check_picture(&pictures[i], "picture " + std::to_string(i), colours);
      for (const advface_array* written : {static_cast<const advface_array*>(features), &told})
        check_apart(&pictures[i], written, false);
    }
    extraction.tell_in(found);
    extract_cut(extraction, int64_t(count), face_cut, asked, [&](int64_t i) {
      return read_picture(&pictures[i], "picture " + std::to_string(i), colours);
    });
  });
}

advface_status advface_detector_load(const char* card, double least_score, advface_detector** detector,
                                     advface_error** error) {
  return guarded(error, [&] {
    check_argument(detector, "detector is NULL: the handle has nowhere to go");
    check_argument(least_score >= 0 && least_score <= 1, "least_score is ", least_score,
                   "; 0 to 1 are possible");
    auto object = std::make_shared<DetectorObject>(
        DetectorObject{Detector::load(text_argument(card, "card"), least_score)});
    *detector = new_handle<advface_detector>(std::move(object));
  });
}

advface_status advface_detector_free(advface_detector* detector) { return free_handle(detector); }

advface_status advface_detector_find(const advface_detector* detector, const advface_array* picture,
                                     int32_t colours, int32_t longer_side, advface_face* faces, uint64_t room,
                                     uint64_t* count, advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(detector);
    check_argument(count, "count is NULL");
    check_argument(faces || room == 0, "faces are NULL, but there is said to be room for ", room);
    const std::vector<Face> found =
        object->detector.find(read_picture(picture, "picture", colours), view_of(longer_side));
    *count = found.size();
    for (size_t i = 0; i < std::min<size_t>(found.size(), room); ++i) {
      faces[i] = told_of(found[i]);
      faces[i].number = int32_t(i) + 1;
      faces[i].of = int32_t(found.size());
    }
  });
}
