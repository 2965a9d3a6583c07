// Procedural portraits: people who do not exist, for demos and tests. A person is a set of parameters drawn
// once from (seed, identity); a photograph adds pose, expression, light and camera, drawn from (seed,
// identity, image). Everything comes from Philox, so any subset is reproducible, on any number of threads.
// Not a model of real faces: see docs/synthetic-faces.md. Lengths are in half widths of the image, y down,
// origin between the eyes.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/io/image.h"

namespace advf {

struct Rgb {
  float r = 0, g = 0, b = 0;
};

enum class HairStyle : uint8_t {
  bald,
  balding,
  buzz,
  crop,
  side_part,
  bangs,
  curly,
  bob,
  straight,
  wavy,
  bun
};
constexpr int kHairStyles = 11;
enum class BeardStyle : uint8_t { none, stubble, moustache, goatee, full };

// What makes the person. Colours are sRGB in [0, 1].
struct FaceIdentity {
  // Head: half width, chin and crown below and above the eyes; jaw exponent (2 oval .. 4 square) and taper.
  float half_width, chin, crown, jaw, taper;
  float eye_distance, eye_width, eye_open, eye_tilt,
      eye_crease;  // distance from the middle, half width, half height
  float brow_height, brow_thickness, brow_tilt, brow_arch;
  float nose_length, nose_width, nose_depth;
  float mouth_y, mouth_width, upper_lip, lower_lip;
  float cheek, ear_size, age, freckles;  // the last two in [0, 1]
  float mole_x, mole_y, mole;            // mole: 0 or its radius
  float make_up;                         // lips and lids, [0, 1]
  Rgb skin, hair, brow, iris, lips;
  HairStyle hair_style;
  float hair_volume, hairline, hair_side;  // hair_side: -1 or 1, where the parting is
  bool grey_hair;
  BeardStyle beard;
  bool wears_glasses;
  float lens_width, lens_height, lens_round, frame;  // lens_round: 0 square .. 1 round
  Rgb frame_colour;
  float texture_x, texture_y;  // where the person's hair and freckles sit in the noise texture
};

// What makes the photograph.
struct FaceShot {
  float roll, yaw, pitch;  // radians
  float scale, shift_x, shift_y;
  float smile, mouth_open, brow_raise, eyes_open, gaze_x, gaze_y;
  bool glasses;                // who wears glasses sometimes takes them off
  std::array<float, 3> light;  // towards the light; unit length
  float ambient, exposure, noise, blur;
  Rgb light_colour, wall, wall_shade, clothes;
  float texture_x, texture_y;
};

// What can be seen in a photograph, in the order of kFaceAttributes.
constexpr std::array<const char*, 10> kFaceAttributes = {
    "Bald",     "Bangs",  "Beard", "Eyeglasses", "Freckles", "Gray_Hair", "Long_Hair", "Mouth_Slightly_Open",
    "Mustache", "Smiling"};
std::array<bool, kFaceAttributes.size()> face_attributes(const FaceIdentity& person, const FaceShot& shot);

// identity and image below 2^32 and 2^24.
FaceIdentity draw_face_identity(uint64_t seed, int64_t identity);
FaceShot draw_face_shot(uint64_t seed, int64_t identity, int64_t image, const FaceIdentity& person);

// Where eyes (the one further left first), tip of the nose and corners of the mouth lie in the photograph, in
// shares of its side.
std::array<std::array<double, 2>, 5> face_landmarks(const FaceIdentity& person, const FaceShot& shot);

// An RGB picture of size x size pixels, 16 <= size <= 1024. `noise_seed` keys the sensor noise only.
Image render_face(const FaceIdentity& person, const FaceShot& shot, int size, uint64_t noise_seed);
// The photograph (seed, identity, image).
Image synthetic_face(uint64_t seed, int64_t identity, int64_t image, int size);

// Two photographs, numbered from 0; genuine: of one person.
struct FacePair {
  int64_t identity_a, image_a, identity_b, image_b;
  bool genuine() const { return identity_a == identity_b; }
};
// A verification protocol like LFW's: `folds` folds, in each `per_kind` genuine and then as many impostor
// pairs, all different. Identity i stands only in fold i mod folds. Throws Error where there are not enough
// pairs.
std::vector<std::vector<FacePair>> draw_face_pairs(uint64_t seed, int64_t first_identity, int64_t identities,
                                                   int64_t images_per_identity, int folds, int64_t per_kind);
// The text of the protocol: "folds TAB per_kind", then "name n1 n2" or "name_a n1 name_b n2", image numbers
// from 1.
std::string face_pairs_text(const std::vector<std::vector<FacePair>>& folds);

std::string face_name(int64_t identity);                 // id_000123
std::string face_file(int64_t identity, int64_t image);  // id_000123/id_000123_0001.png for image 0

struct FaceSetOptions {
  std::string out;
  int64_t identities = 400, per_identity = 16, test_identities = 0, pairs = 0;
  int size = 64;
  uint64_t seed = 1;
};
// Writes OUT/images/<name>/<name>_NNNN.png and OUT/labels.csv, and for the test identities (numbered after
// the others: no person stands in both) the same under OUT/test, with OUT/test/pairs.txt. Each labels.csv
// comes after its images, so that a set cut short has none. OUT must be absent or empty.
void write_face_set(const FaceSetOptions& options);

}  // namespace advf
