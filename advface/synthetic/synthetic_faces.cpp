// Drawing the parameters of people and photographs, the verification protocol, and the files. The picture
// itself is made in synthetic_render.cpp. Ranges were set by eye; traits that go together (a beard and a
// broad jaw, age and grey hair) share a hidden factor.
#include "advface/synthetic/synthetic_faces.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <set>

#include "tensor/check.h"
#include "tensor/io/atomic_file.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

namespace advf {
namespace {

// Successive numbers of one Philox stream.
class Draw {
 public:
  Draw(uint64_t seed, uint64_t stream) : rng_{seed, stream} {}
  float uniform(double low, double high) { return float(rng_.uniform(next_++, low, high)); }
  // Normal, but never further than two deviations: no monsters.
  float normal(double mean, double deviation) {
    next_ += next_ % 2;
    const double n = rng_.normal(next_ / 2);
    next_ += 2;
    return float(mean + deviation * std::clamp(n, -2.0, 2.0));
  }
  bool chance(double p) { return uniform(0, 1) < p; }
  template <size_t N>
  size_t pick(const std::array<double, N>& weights) {
    double sum = 0, at = 0;
    for (double w : weights) sum += w;
    const double u = sum * double(uniform(0, 1));
    for (size_t i = 0; i + 1 < N; ++i)
      if (u < (at += weights[i])) return i;
    return N - 1;
  }

 private:
  Philox rng_;
  uint64_t next_ = 0;
};

// Streams: the person is image number 0 of the identity, photographs follow.
constexpr int64_t kMaxImages = int64_t(1) << 24, kMaxIdentities = int64_t(1) << 32;
uint64_t stream_of(int64_t identity, int64_t slot) {
  check(identity >= 0 && identity < kMaxIdentities, "identity ", identity, " is not in [0, 2^32)");
  check(slot >= 0 && slot < kMaxImages, "image ", slot - 1, " is not in [0, 2^24 - 1)");
  return (uint64_t(identity) << 24) + uint64_t(slot);
}
constexpr uint64_t kPairStream = uint64_t(1) << 60;

Rgb mix(const Rgb& a, const Rgb& b, float t) {
  return {a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}
Rgb scaled(const Rgb& a, float s) {
  return {std::clamp(a.r * s, 0.f, 1.f), std::clamp(a.g * s, 0.f, 1.f), std::clamp(a.b * s, 0.f, 1.f)};
}
Rgb jitter(Draw& draw, Rgb c, double by) {
  for (float* v : {&c.r, &c.g, &c.b}) *v = std::clamp(*v + draw.normal(0, by), 0.01f, 1.f);
  return c;
}

constexpr Rgb kSkins[] = {{.98f, .86f, .79f}, {.95f, .78f, .66f}, {.86f, .67f, .52f},
                          {.72f, .51f, .37f}, {.54f, .36f, .26f}, {.38f, .25f, .18f}};
// black, dark brown, brown, light brown, blond, red, grey, white, dyed teal, dyed pink
constexpr Rgb kHairs[] = {{.09f, .08f, .09f}, {.20f, .13f, .10f}, {.38f, .24f, .15f}, {.56f, .40f, .25f},
                          {.88f, .72f, .45f}, {.66f, .28f, .12f}, {.60f, .60f, .62f}, {.86f, .86f, .87f},
                          {.16f, .48f, .55f}, {.80f, .36f, .52f}};
// dark brown, brown, hazel, green, grey, blue
constexpr Rgb kIrises[] = {{.17f, .10f, .06f}, {.33f, .19f, .10f}, {.48f, .36f, .16f},
                           {.32f, .45f, .25f}, {.45f, .50f, .54f}, {.28f, .46f, .66f}};

void draw_head(Draw& d, FaceIdentity& f, float soft) {
  f.half_width = d.normal(0.525 - 0.02 * soft, 0.03);
  f.chin = d.normal(0.74 - 0.04 * soft, 0.04);
  f.crown = d.normal(0.68, 0.025);
  f.jaw = d.uniform(2.2, 3.1) + (1 - soft) * d.uniform(0, 0.9);
  f.taper = d.uniform(0.02, 0.2) + 0.12f * soft;
  f.cheek = d.uniform(0, 1);
  f.ear_size = d.uniform(0.8, 1.3);
  f.eye_distance = d.normal(0.228, 0.013);
  f.eye_width = d.normal(0.112 + 0.008 * soft, 0.010);
  f.eye_open = d.normal(0.050 + 0.008 * soft, 0.009);
  f.eye_tilt = d.normal(0.05, 0.09);
  f.eye_crease = d.uniform(0, 1);
  f.brow_height = d.normal(0.140, 0.016) + 0.3f * f.eye_open;
  f.brow_thickness = d.uniform(0.010, 0.022) + (1 - soft) * d.uniform(0.002, 0.016);
  f.brow_tilt = d.normal(-0.02, 0.065);
  f.brow_arch = d.uniform(0.0, 0.05);
  f.nose_length = d.normal(0.31, 0.028);
  f.nose_width = d.normal(0.098 - 0.012 * soft, 0.016);
  f.nose_depth = d.uniform(0.6, 1.3);
  f.mouth_y = f.nose_length + d.normal(0.155, 0.016);
  f.mouth_width = d.normal(0.185, 0.022);
  f.upper_lip = d.uniform(0.014, 0.030) + 0.012f * soft;
  f.lower_lip = d.uniform(0.024, 0.042) + 0.012f * soft;
  f.chin = std::max(f.chin, f.mouth_y + 0.20f);
}

void draw_colours(Draw& d, FaceIdentity& f, float soft) {
  const float tone = d.uniform(0, 4.999);
  f.skin = jitter(d, mix(kSkins[int(tone)], kSkins[int(tone) + 1], tone - std::floor(tone)), 0.018);
  f.age = d.uniform(0, 1);
  const bool dark = tone > 2.6;
  size_t hair = dark ? d.pick<5>({8, 3, 1, .1, .1}) : d.pick<6>({2.5, 3, 3.5, 2.5, 2.5, 1.5});
  f.grey_hair = f.age > 0.72 && d.chance(0.65);
  if (f.grey_hair)
    hair = d.chance(0.6) ? 6 : 7;
  else if (d.chance(0.035))
    hair = d.chance(0.5) ? 8 : 9;
  f.hair = jitter(d, kHairs[hair], 0.02);
  f.brow = hair >= 8 ? kHairs[1] : scaled(mix(f.hair, kHairs[1], hair == 7 ? 0.35f : 0.2f), 0.8f);
  f.iris = jitter(d, kIrises[dark ? d.pick<3>({6, 3, .5}) : d.pick<6>({2, 3, 2, 2, 1.5, 3})], 0.02);
  f.make_up = soft * (d.chance(0.4) ? d.uniform(0.3, 1) : 0.f);
  const Rgb stick = jitter(d, {.74f, .16f, .22f}, 0.07);
  f.lips = mix(mix(f.skin, {.72f, .30f, .30f}, 0.48f), stick, 0.8f * f.make_up);
  f.freckles = tone < 2 && d.chance(0.28) ? d.uniform(0.5, 1) : 0.f;
  f.mole = d.chance(0.22) ? d.uniform(0.014, 0.022) : 0.f;
  f.mole_x = d.uniform(-0.35, 0.35);
  f.mole_y = d.uniform(0.15, 0.58);
}

void draw_hair(Draw& d, FaceIdentity& f, float soft) {
  //                                          bald balding buzz crop side bangs curly bob straight wavy bun
  f.hair_style = HairStyle(
      soft > 0.5f ? d.pick<11>({.05, 0, .2, .5, .6, 1.8, 1.1, 2, 2.2, 2.2, 1.5})
                  : d.pick<11>({1, f.age > 0.5 ? 1.6 : 0.2, 1.5, 2.6, 2.6, .8, 1.3, .2, .3, .3, .1}));
  f.hair_volume = d.uniform(0.05, 0.11);
  if (f.hair_style == HairStyle::curly) f.hair_volume = d.uniform(0.11, 0.22);
  if (f.hair_style == HairStyle::buzz) f.hair_volume = 0.02f;
  if (f.hair_style == HairStyle::balding || f.hair_style == HairStyle::bun) f.hair_volume = 0.04f;
  f.hairline = d.normal(0.43, 0.035);
  if (f.hair_style == HairStyle::bangs) f.hairline = d.uniform(0.20, 0.27);
  f.hair_side = d.chance(0.5) ? 1.f : -1.f;
  f.beard = soft > 0.5f ? BeardStyle::none : BeardStyle(d.pick<5>({4, 2, 1, 1.2, 2}));
}

}  // namespace

FaceIdentity draw_face_identity(uint64_t seed, int64_t identity) {
  Draw d(seed, stream_of(identity, 0));
  FaceIdentity f{};
  const float soft = d.chance(0.5) ? d.uniform(0.65, 1) : d.uniform(0, 0.35);
  draw_head(d, f, soft);
  draw_colours(d, f, soft);
  draw_hair(d, f, soft);
  f.wears_glasses = d.chance(0.27);
  f.lens_width = d.uniform(0.145, 0.19);
  f.lens_height = d.uniform(0.095, 0.145);
  f.lens_round = d.chance(0.5) ? d.uniform(0.8, 1) : d.uniform(0.2, 0.5);
  f.frame = d.uniform(0.014, 0.032);
  constexpr Rgb frames[] = {
      {.07f, .07f, .08f}, {.30f, .18f, .10f}, {.55f, .10f, .12f}, {.70f, .58f, .30f}, {.15f, .22f, .42f}};
  f.frame_colour = frames[d.pick<5>({3, 2, 1, 1, 1})];
  f.texture_x = d.uniform(0, 64);
  f.texture_y = d.uniform(0, 64);
  return f;
}

FaceShot draw_face_shot(uint64_t seed, int64_t identity, int64_t image, const FaceIdentity& person) {
  check(image >= 0, "image ", image, " is not in [0, 2^24 - 1)");
  Draw d(seed, stream_of(identity, image + 1));
  FaceShot s{};
  s.roll = d.normal(0, 0.055);
  s.yaw = d.normal(0, 0.17);
  s.pitch = d.normal(0, 0.07);
  s.scale = d.normal(1.13, 0.025);
  s.shift_x = d.normal(0, 0.02);
  s.shift_y = d.normal(-0.01, 0.02);
  s.smile = d.chance(0.5) ? d.uniform(0.45, 1) : d.uniform(-0.15, 0.3);
  s.mouth_open = s.smile > 0.45f ? (d.chance(0.65) ? d.uniform(0.3, 1) : 0.f)
                                 : (d.chance(0.2) ? d.uniform(0.3, 0.8) : 0.f);
  s.brow_raise = d.normal(0, 0.35);
  s.eyes_open = d.chance(0.03) ? 0.12f : d.normal(1, 0.09) - 0.12f * std::max(0.f, s.smile);
  s.gaze_x = d.normal(0.35 * double(s.yaw), 0.12);
  s.gaze_y = d.normal(0, 0.1);
  s.glasses = person.wears_glasses && d.chance(0.85);
  const float azimuth = d.uniform(-1.1, 1.1), elevation = d.uniform(0.1, 0.85);
  s.light = {std::sin(azimuth) * std::cos(elevation), -std::sin(elevation),
             std::cos(azimuth) * std::cos(elevation)};
  s.ambient = d.uniform(0.32, 0.6);
  s.exposure = d.normal(1, 0.1);
  s.noise = d.uniform(0.003, 0.022);
  s.blur = d.chance(0.4) ? d.uniform(0, 0.16) : 0.f;
  const float warm = d.normal(0, 0.045);
  s.light_colour = {1 + warm, 1, 1 - warm};
  const auto colour = [&](double low, double high, double saturation) {
    const float grey = d.uniform(low, high);
    return Rgb{std::clamp(grey + d.normal(0, saturation), .02f, .98f),
               std::clamp(grey + d.normal(0, saturation), .02f, .98f),
               std::clamp(grey + d.normal(0, saturation), .02f, .98f)};
  };
  s.wall = colour(0.25, 0.85, 0.09);
  s.wall_shade = mix(s.wall, colour(0.1, 0.9, 0.1), 0.55f);
  s.clothes = colour(0.08, 0.8, 0.16);
  s.texture_x = d.uniform(0, 64);
  s.texture_y = d.uniform(0, 64);
  return s;
}

std::array<bool, kFaceAttributes.size()> face_attributes(const FaceIdentity& f, const FaceShot& s) {
  const HairStyle h = f.hair_style;
  const bool moustache =
      f.beard == BeardStyle::moustache || f.beard == BeardStyle::goatee || f.beard == BeardStyle::full;
  return {h == HairStyle::bald || h == HairStyle::balding,
          h == HairStyle::bangs,
          f.beard != BeardStyle::none && f.beard != BeardStyle::moustache,
          s.glasses,
          f.freckles > 0,
          f.grey_hair && h != HairStyle::bald,
          h == HairStyle::bob || h == HairStyle::straight || h == HairStyle::wavy,
          s.mouth_open > 0,
          moustache,
          s.smile > 0.4f};
}

Image synthetic_face(uint64_t seed, int64_t identity, int64_t image, int size) {
  const FaceIdentity person = draw_face_identity(seed, identity);
  const FaceShot shot = draw_face_shot(seed, identity, image, person);
  return render_face(person, shot, size, seed ^ (stream_of(identity, image + 1) * 0x9E3779B97F4A7C15u));
}

std::string face_name(int64_t identity) {
  char text[32];
  std::snprintf(text, sizeof text, "id_%06lld", static_cast<long long>(identity));
  return text;
}

std::string face_file(int64_t identity, int64_t image) {
  char number[32];
  std::snprintf(number, sizeof number, "_%04lld.png", static_cast<long long>(image + 1));
  const std::string name = face_name(identity);
  return name + "/" + name + number;
}

namespace {

// n different numbers below total, in random order but sorted: Floyd's algorithm, O(n) memory.
std::set<uint64_t> choose(const Philox& rng, uint64_t& counter, uint64_t total, uint64_t n) {
  std::set<uint64_t> chosen;
  for (uint64_t j = total - n; j < total; ++j) {
    const uint64_t t = rng.below(counter++, j + 1);
    if (!chosen.insert(t).second) chosen.insert(j);
  }
  return chosen;
}

// The k-th of the pairs a < b, in the order (0,1), (0,2), (1,2), (0,3), ...
std::pair<int64_t, int64_t> unordered_pair(uint64_t k) {
  auto b = int64_t((1 + std::sqrt(1 + 8 * double(k))) / 2);
  while (uint64_t(b) * uint64_t(b - 1) / 2 > k) --b;
  while (uint64_t(b + 1) * uint64_t(b) / 2 <= k) ++b;
  return {int64_t(k) - b * (b - 1) / 2, b};
}

}  // namespace

std::vector<std::vector<FacePair>> draw_face_pairs(uint64_t seed, int64_t first, int64_t identities,
                                                   int64_t per_identity, int folds, int64_t per_kind) {
  check(folds >= 2 && per_kind >= 1, "a protocol needs at least 2 folds and 1 pair of each kind, not ", folds,
        " and ", per_kind);
  check(per_identity >= 1 && per_identity < kMaxImages && identities >= 0 && identities < kMaxIdentities,
        "a protocol over ", identities, " identities with ", per_identity, " images each is out of range");
  const Philox rng{seed, kPairStream};
  uint64_t counter = 0;
  std::vector<std::vector<FacePair>> out;
  for (int fold = 0; fold < folds; ++fold) {
    const auto here = uint64_t(identities > fold ? (identities - fold + folds - 1) / folds : 0),
               k = uint64_t(per_identity);
    check(here <= (1u << 16) && k <= (1u << 16), "a fold of ", here, " identities with ", k,
          " images each is too large");
    const uint64_t shots = k * (k - 1) / 2, genuine = here * shots;
    const uint64_t impostor = here < 2 ? 0 : here * (here - 1) / 2 * k * k;
    check(genuine >= uint64_t(per_kind) && impostor >= uint64_t(per_kind), "fold ", fold,
          " of the protocol has ", here, " identities with ", k, " images each, that is ", genuine,
          " genuine and ", impostor, " impostor pairs, but ", per_kind,
          " of each are wanted: take fewer pairs, or more identities or images");
    const auto id = [&](int64_t i) { return first + fold + i * folds; };
    std::vector<FacePair> pairs;
    for (uint64_t n : choose(rng, counter, genuine, uint64_t(per_kind))) {
      const auto [a, b] = unordered_pair(n % shots);
      pairs.push_back({id(int64_t(n / shots)), a, id(int64_t(n / shots)), b});
    }
    for (uint64_t n : choose(rng, counter, impostor, uint64_t(per_kind))) {
      const auto [a, b] = unordered_pair(n / (k * k));
      pairs.push_back({id(a), int64_t(n % (k * k) / k), id(b), int64_t(n % k)});
    }
    out.push_back(std::move(pairs));
  }
  return out;
}

std::string face_pairs_text(const std::vector<std::vector<FacePair>>& folds) {
  check(!folds.empty(), "a protocol needs at least one fold");
  std::string text = std::to_string(folds.size()) + "\t" + std::to_string(folds[0].size() / 2) + "\n";
  for (const auto& fold : folds)
    for (const FacePair& p : fold) {
      text += face_name(p.identity_a) + "\t" + std::to_string(p.image_a + 1) + "\t";
      if (!p.genuine()) text += face_name(p.identity_b) + "\t";
      text += std::to_string(p.image_b + 1) + "\n";
    }
  return text;
}

namespace {

void write_text(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void write_people(const FaceSetOptions& o, const std::string& folder, int64_t first, int64_t identities) {
  namespace fs = std::filesystem;
  std::vector<std::string> lines(static_cast<size_t>(identities));
  parallel_for(identities, [&](int64_t n) {
    const int64_t identity = first + n;
    fs::create_directories(folder + "/images/" + face_name(identity));
    const FaceIdentity person = draw_face_identity(o.seed, identity);
    for (int64_t image = 0; image < o.per_identity; ++image) {
      const std::string file = face_file(identity, image);
      write_png(folder + "/images/" + file, synthetic_face(o.seed, identity, image, o.size));
      lines[size_t(n)] += file + "," + std::to_string(identity);
      for (bool has : face_attributes(person, draw_face_shot(o.seed, identity, image, person)))
        lines[size_t(n)] += has ? ",1" : ",0";
      lines[size_t(n)] += "\n";
    }
  });
  std::string text = "file,identity";
  for (const char* name : kFaceAttributes) text += std::string(",") + name;
  text += "\n";
  for (const std::string& line : lines) text += line;
  write_text(folder + "/labels.csv", text);
}

}  // namespace

void write_face_set(const FaceSetOptions& o) {
  namespace fs = std::filesystem;
  check(o.identities >= 1 && o.test_identities >= 0 && o.identities + o.test_identities <= 1'000'000,
        "a set has 1 to 1000000 identities in all, not ", o.identities, " + ", o.test_identities);
  check(o.size >= 16 && o.size <= 1024, "a face has 16 to 1024 pixels a side, not ", o.size);
  check(o.per_identity >= 1 && o.per_identity <= 9999, "1 to 9999 images per identity, not ", o.per_identity);
  check(o.pairs == 0 || o.test_identities > 0, "pairs are drawn from test identities: ask for some of these");
  std::string pairs;
  if (o.pairs > 0)
    pairs = face_pairs_text(
        draw_face_pairs(o.seed, o.identities, o.test_identities, o.per_identity, 10, o.pairs));
  std::error_code error;
  fs::create_directories(o.out, error);
  check(!error, o.out, ": cannot be made: ", error.message());
  check(fs::is_empty(o.out, error) && !error, o.out,
        ": is not empty; choose another folder or empty this one");
  write_people(o, o.out, 0, o.identities);
  if (o.test_identities == 0) return;
  write_people(o, o.out + "/test", o.identities, o.test_identities);
  if (!pairs.empty()) write_text(o.out + "/test/pairs.txt", pairs);
}

}  // namespace advf
