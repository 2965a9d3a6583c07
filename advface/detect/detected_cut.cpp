#include "advface/detect/detected_cut.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

#include "advface/core/faces.h"
#include "advface/detect/alignment.h"
#include "advface/detect/face_quality.h"
#include "advface/detect/landmark_file.h"
#include "tensor/hash.h"

namespace advf {
namespace {

// A face that cannot be used, and why.
struct Refusal {
  Reason reason = Reason::no_face;
  std::string why;
};

template <class... Parts>
std::string text_of(const Parts&... parts) {
  std::ostringstream text;
  text.precision(3);
  (text << ... << parts);
  return text.str();
}

class DetectedCutter : public FaceCutter {
 public:
  DetectedCutter(std::shared_ptr<const FaceFinder> finder, const FaceTemplate& face_template,
                 const DetectionSettings& settings)
      : finder_(std::move(finder)), template_(face_template), settings_(settings) {
    template_.in_crop();  // a template that does not exist is told before the work
  }

  bool several() const override { return settings_.choice == FaceChoice::all; }

  std::string key() const override {
    std::ostringstream text;
    text.precision(17);  // two numbers that differ are two texts
    // Counts up whenever the same faces come to be chosen or numbered otherwise.
    constexpr int kVersion = 2;
    text << finder_->key() << " faces " << kVersion << ' ' << face_choice_names()[size_t(settings_.choice)]
         << ' ' << settings_.min_face << ' ' << settings_.max_angle << " template";
    for (const Point& p : template_.in_crop()) text << ' ' << p.x << ' ' << p.y;
    return text.str();
  }

  CutResult cut(const Image& image, const std::string& name, const std::string& path,
                int size) const override {
    CutResult result;
    Refusal none;
    std::vector<RefusedFace> refused;
    const auto refuse = [&](const FoundFace& face, Refusal why) {
      refused.push_back(
          {face.number, why.reason, text_of(path, ": face ", face.number, " of ", face.of, ": ", why.why)});
      none = std::move(why);
    };
    for (const FoundFace& found : chosen(image, name, path, refuse, none)) {
      std::optional<Refusal> why;
      try {
        why = add(image, found, size, result);
      } catch (const Error& e) {
        why = {Reason::no_face, e.what()};
      }
      if (why) refuse(found, std::move(*why));
    }
    result.reason = none.reason;
    if (result.faces == 0)
      result.why = path + ": " + none.why;
    else
      result.refused = std::move(refused);
    std::sort(result.refused.begin(), result.refused.end(),
              [](const RefusedFace& a, const RefusedFace& b) { return a.number < b.number; });
    return result;
  }

 private:
  // The faces to cut out; `none` where there are none. They are numbered as they were found, before any is
  // left out: so a number means the same face whatever is asked for.
  template <class Refuse>
  std::vector<FoundFace> chosen(const Image& image, const std::string& name, const std::string& path,
                                const Refuse& refuse, Refusal& none) const {
    const FaceName face_name = FaceName::parse(name);
    std::vector<FoundFace> faces;
    for (Face& face : finder_->find(image, face_name.picture, path))
      faces.push_back({std::move(face), {}, int(faces.size()) + 1, 0});
    for (FoundFace& f : faces) f.of = int(faces.size());
    // A face that is named by its number is meant, whatever the choice among several.
    if (!faces.empty() && (settings_.choice == FaceChoice::listed || face_name.number > 0))
      faces = one(std::move(faces), std::max(1, face_name.number), none);
    if (faces.empty()) {
      if (none.why.empty())
        none.why = finder_->detector() ? text_of("no face was found in its ", image.width, " x ",
                                                 image.height, " pixels", "; ", settings_.where_none)
                                       : text_of("has no face in --landmarks");
      return {};
    }
    std::vector<FoundFace> large;
    for (FoundFace& f : faces) {
      if (side(f.face) >= settings_.min_face)
        large.push_back(std::move(f));
      else
        refuse(f, {Reason::small,
                   text_of("it has ", side(f.face), " pixels, and --min-face is ", settings_.min_face)});
    }
    if (large.empty())
      none = {Reason::small, text_of("no face of ", settings_.min_face, " pixels or more, but ", faces.size(),
                                     " smaller; lower --min-face to use them")};
    return large.size() < 2 ? large : choose(image, std::move(large), none);
  }

  static double side(const Face& face) { return std::max(face.width, face.height); }

  static std::vector<FoundFace> one(std::vector<FoundFace> faces, int number, Refusal& none) {
    if (number <= int(faces.size())) return {std::move(faces[size_t(number) - 1])};
    none = {Reason::no_face, text_of("face ", number, " is asked for, and it has ", faces.size())};
    return {};
  }

  // Of several.
  std::vector<FoundFace> choose(const Image& image, std::vector<FoundFace> faces, Refusal& none) const {
    if (settings_.choice == FaceChoice::all) return faces;
    if (settings_.choice == FaceChoice::only) {
      std::string where;
      for (const FoundFace& f : faces)
        where +=
            text_of(where.empty() ? "" : ", ", std::lround(f.face.width), " x ", std::lround(f.face.height),
                    " at (", std::lround(f.face.x), ", ", std::lround(f.face.y), ")");
      none = {Reason::several_faces, text_of("has ", faces.size(), " faces: ", where,
                                             "; cut the picture, or choose by --faces largest or central")};
      return {};
    }
    const auto rank = [&](const FoundFace& found) {  // the less the better
      const Face& f = found.face;
      return settings_.choice == FaceChoice::central
                 ? std::hypot(f.x + f.width / 2 - image.width / 2.0, f.y + f.height / 2 - image.height / 2.0)
                 : -f.area();
    };
    return {
        std::move(*std::min_element(faces.begin(), faces.end(), [&](const FoundFace& a, const FoundFace& b) {
          return rank(a) < rank(b);
        }))};
  }

  // Cuts out one face and judges it; why not, where it is not used.
  std::optional<Refusal> add(const Image& image, FoundFace found, int size, CutResult& result) const {
    const Face& face = found.face;
    FaceQuality& q = found.quality;
    q.size = side(face);
    estimate_angles(face, q);
    const double angle = std::max({std::abs(q.roll), std::abs(q.yaw), std::abs(q.pitch)});
    if (angle > settings_.max_angle && settings_.max_angle < 90)
      return Refusal{Reason::turned, text_of("its face is turned: roll ", q.roll, ", yaw ", q.yaw, ", pitch ",
                                             q.pitch, " degrees, and --max-angle is ", settings_.max_angle)};
    const Similarity to_source = align(face, template_, size);
    q.outside = share_outside(to_source, size, image.width, image.height);
    for (size_t i = 0; i < 2; ++i) {
      const Point& eye = face.landmarks[i];
      if (eye.x >= 0 && eye.y >= 0 && eye.x <= image.width && eye.y <= image.height) continue;
      return Refusal{
          Reason::outside,
          text_of("its face is cut by the border: the eye at (", std::lround(eye.x), ", ", std::lround(eye.y),
                  ") lies outside its ", image.width, " x ", image.height, " pixels")};
    }
    if (q.outside > 0.5)
      return Refusal{Reason::outside, text_of("its face is cut by the border: ", 100 * q.outside,
                                              " % of the crop lie outside the picture")};
    const size_t pixels = size_t(3) * size_t(size) * size_t(size);
    result.pixels.resize(result.pixels.size() + pixels);
    float* crop = result.pixels.data() + result.faces * pixels;
    warp_into(image, to_source, size, size, crop);
    measure_crop(crop, size, q);
    ++result.faces;
    result.found.push_back(std::move(found));
    return {};
  }

  std::shared_ptr<const FaceFinder> finder_;
  FaceTemplate template_;
  DetectionSettings settings_;
};

}  // namespace

const std::vector<std::string>& face_choice_names() {
  static const std::vector<std::string> names{"largest", "central", "only", "all", "listed"};
  return names;
}

FaceChoice face_choice(const std::string& name) {
  const auto& names = face_choice_names();
  const auto at = std::find(names.begin(), names.end(), name);
  check(at != names.end(), "no choice of faces named \"", name,
        "\"; there are: largest, central, only, all, listed");
  return FaceChoice(at - names.begin());
}

std::shared_ptr<const FaceFinder> FaceFinder::open(const DetectionSettings& settings,
                                                   const std::string& cache) {
  if (!settings.card.empty())
    return std::make_shared<const FaceFinder>(Detector::load(settings.card, settings.min_score),
                                              settings.view, cache);
  const LandmarkFile file = load_landmarks(settings.landmarks);
  return std::make_shared<const FaceFinder>(file.faces, file.fingerprint);
}

FaceFinder::FaceFinder(Detector detector, DetectorView view, const std::string& cache)
    : detector_(std::make_unique<const Detector>(std::move(detector))), view_(std::move(view)) {
  const DetectorCard& card = detector_->card();
  std::ostringstream text;
  text.precision(17);
  // Counts up whenever the same detector and the same picture come to give other faces, or these are kept in
  // another form.
  constexpr int kVersion = 2;
  text << "detector " << kVersion << ' ' << detector_->fingerprint() << ' ' << card.decoding << ' '
       << card.input.channels << ' ' << card.input.width << ' ' << card.input.height << ' ' << card.anchors
       << ' ' << card.points << ' ' << card.score << ' ' << card.overlap;
  for (const auto& numbers : {card.input.mean, card.input.scale})
    for (const double v : numbers) text << ' ' << v;
  for (const auto* names :
       {&card.outputs.score, &card.outputs.object, &card.outputs.box, &card.outputs.landmarks})
    for (const std::string& n : *names) text << ' ' << n;
  for (const auto& sides : card.priors)
    for (const double s : sides)
      text << " prior " << s << ' ' << card.offset_variance << ' ' << card.size_variance;
  for (const int64_t s : card.strides) text << " stride " << s;
  for (const int64_t s : view_.sides) text << " side " << s;
  text << " enlarge " << view_.enlarge;
  key_ = "detector " + hex(fnv1a(text.str()));
  if (!cache.empty()) cache_ = std::make_unique<FoundFaces>(cache, key_);
}

FaceFinder::~FaceFinder() { keep(); }

std::vector<std::string> FaceFinder::keep() const {
  const std::lock_guard lock(mutex_);
  if (!cache_) return {};
  std::vector<std::string> notes;
  if (const std::string damage = cache_->take_damage(); !damage.empty()) notes.push_back(damage);
  try {
    cache_->save();
  } catch (const Error& e) {
    notes.push_back(std::string("the faces that were found are not kept: ") + e.what());
    cache_.reset();
  }
  return notes;
}

FaceFinder::FaceFinder(std::map<std::string, std::vector<Face>> landmarks, std::string fingerprint)
    : landmarks_(std::move(landmarks)), key_("landmarks " + std::move(fingerprint)) {}

std::vector<Face> FaceFinder::find(const Image& image, const std::string& name,
                                   const std::string& path) const {
  if (!detector_) {
    const auto found = landmarks_.find(name);
    if (found == landmarks_.end()) return {};
    return found->second;
  }
  {
    const std::lock_guard lock(mutex_);
    if (const auto kept = kept_.find(path); kept != kept_.end()) return kept->second;
    if (cache_)
      if (auto found = cache_->get(path)) return kept_.emplace(path, std::move(*found)).first->second;
  }
  std::vector<Face> faces = detector_->find(image, view_);
  const std::lock_guard lock(mutex_);
  kept_.emplace(path, faces);
  if (cache_) cache_->put(path, faces);
  return faces;
}

FaceCut detected_cut(std::shared_ptr<const FaceFinder> finder, const FaceTemplate& face_template,
                     const DetectionSettings& settings) {
  return FaceCut(std::make_shared<const DetectedCutter>(std::move(finder), face_template, settings));
}

}  // namespace advf
