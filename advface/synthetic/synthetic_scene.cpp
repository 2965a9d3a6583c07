#include "advface/synthetic/synthetic_scene.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "advface/synthetic/synthetic_faces.h"
#include "tensor/check.h"
#include "tensor/io/draw.h"
#include "tensor/io/warp.h"
#include "tensor/rng.h"

namespace advf {
namespace {

class Draw {
 public:
  Draw(uint64_t seed, int64_t number) : rng_{seed ^ 0x5CE9E5ull, uint64_t(number)} {}
  double in(double low, double high) { return low + (high - low) * double(rng_.uniform(next_++)); }
  int whole(int below) { return int(rng_.below(next_++, uint64_t(below))); }
  Colour colour() { return {uint8_t(whole(256)), uint8_t(whole(256)), uint8_t(whole(256))}; }

 private:
  Philox rng_;
  uint64_t next_ = 0;
};

// Walls, planks, balls and poles.
void clutter(Image& image, Draw& draw) {
  const int width = image.width, height = image.height;
  const Colour wall = draw.colour();
  fill_rectangle(image, 0, 0, width, height, wall);
  for (int i = 0; i < 40; ++i) {
    const double x = draw.in(0, width), y = draw.in(0, height), size = draw.in(4, 0.25 * height);
    const Colour colour = draw.colour();
    switch (draw.whole(3)) {
      case 0:
        fill_rectangle(image, int(x - size), int(y - size / 2), int(2 * size), int(size), colour);
        break;
      case 1:
        draw_mark(image, x, y, size / 2, Mark(draw.whole(4)), colour);
        break;
      default:
        draw_stroke(image, x, y, x + draw.in(-2, 2) * size, y + draw.in(-2, 2) * size, draw.in(1, 8), colour);
    }
  }
}

constexpr double kRoom = 0.75;  // radius of the disc that a head keeps free, of its size

struct Head {
  double x, y, size, roll;  // middle, chin to crown, turn
};

// A place where the head, as a disc, touches no other.
bool find_room(Head& head, const std::vector<Head>& taken, const SceneOptions& o, Draw& draw) {
  const double radius = kRoom * head.size;
  if (2 * radius > std::min(o.width, o.height)) return false;
  for (int attempt = 0; attempt < 50; ++attempt) {
    head.x = draw.in(radius, o.width - radius);
    head.y = draw.in(radius, o.height - radius);
    const auto far = [&](const Head& t) {
      return std::hypot(t.x - head.x, t.y - head.y) > kRoom * (t.size + head.size);
    };
    if (std::all_of(taken.begin(), taken.end(), far)) return true;
  }
  return false;
}

// Puts the portrait's head into the scene: an ellipse around it, with a soft edge.
SceneFace put(Image& scene, const Head& head, uint64_t seed, int64_t identity, int64_t shot_number) {
  const FaceIdentity person = draw_face_identity(seed, identity);
  const FaceShot shot = draw_face_shot(seed, identity, shot_number, person);
  const double head_share = double(person.chin + person.crown) * double(shot.scale) / 2;  // of the side
  const int side = std::clamp(int(std::lround(head.size / head_share)), 16, 1024);
  const Image portrait = render_face(person, shot, side, seed + uint64_t(identity));
  // The head's middle in the portrait; it turns around that.
  const double mx = side * (0.5 + double(shot.shift_x) / 2),
               my = side * (0.5 + double(shot.shift_y) / 2 +
                            double(person.chin - person.crown) / 4 * double(shot.scale));
  const double c = std::cos(head.roll), s = std::sin(head.roll);
  const int reach = int(head.size);
  // From a square of the scene around the head to the portrait.
  Similarity to_portrait{c, -s, 0, 0};
  to_portrait.tx = mx - to_portrait.x(reach, reach);
  to_portrait.ty = my - to_portrait.y(reach, reach);
  std::vector<float> square(size_t(3) * size_t(4 * reach * reach));
  warp_into(portrait, to_portrait, 2 * reach, 2 * reach, square.data());
  const size_t plane = square.size() / 3;
  for (int j = 0; j < 2 * reach; ++j)
    for (int i = 0; i < 2 * reach; ++i) {
      const int x = int(std::lround(head.x)) - reach + i, y = int(std::lround(head.y)) - reach + j;
      if (x < 0 || y < 0 || x >= scene.width || y >= scene.height) continue;
      const double u = c * (i + 0.5 - reach) + s * (j + 0.5 - reach),
                   v = c * (j + 0.5 - reach) - s * (i + 0.5 - reach);
      const double inside = (1 - std::hypot(u / (0.5 * head.size), v / (0.62 * head.size))) * head.size / 6;
      const double cover = std::clamp(inside + 0.5, 0.0, 1.0);
      uint8_t* pixel = scene.row(y) + 3 * x;
      for (size_t k = 0; k < 3; ++k) {
        const double colour = 255 * double(square[k * plane + size_t(j) * size_t(2 * reach) + size_t(i)]);
        pixel[k] = uint8_t(std::lround(pixel[k] + cover * (colour - pixel[k])));
      }
    }
  const auto in_scene = [&](double px, double py) {  // of a point of the portrait
    const double dx = px - mx, dy = py - my;
    return Point{std::lround(head.x) + c * dx - s * dy, std::lround(head.y) + s * dx + c * dy};
  };
  SceneFace out;
  out.identity = identity;
  out.image = shot_number;
  Face& face = out.face;
  for (const auto& p : face_landmarks(person, shot))
    face.landmarks.push_back(in_scene(p[0] * side, p[1] * side));
  face.score = 1;
  face.width = 0.72 * head.size;
  face.height = 0.86 * head.size;
  const Point middle = in_scene(mx, my + 0.07 * head.size);
  face.x = middle.x - face.width / 2;
  face.y = middle.y - face.height / 2;
  return out;
}

}  // namespace

void SceneOptions::check_valid() const {
  constexpr int kLeastSide = 32, kMostSide = 8192;
  check(width >= kLeastSide && height >= kLeastSide && width <= kMostSide && height <= kMostSide,
        "a scene has sides of ", kLeastSide, " to ", kMostSide, " pixels, not ", width, " x ", height);
  check(faces >= 0 && identities > 0, "a scene of ", faces, " faces of ", identities, " people");
  check(least_head >= 8 && most_head >= least_head && most_head <= 800,
        "heads have 8 to 800 pixels, the least not above the most, not ", least_head, " to ", most_head);
  const double side = std::min(width, height);
  check(faces == 0 || 2 * kRoom * least_head <= side, "heads of ", least_head,
        " pixels and more find no room in scenes of ", width, " x ", height, ", which hold heads of ",
        std::floor(side / (2 * kRoom)));
}

Scene draw_scene(uint64_t seed, int64_t number, const SceneOptions& o) {
  o.check_valid();
  Draw draw(seed, number);
  Scene scene{Image(o.width, o.height, 3), {}};
  clutter(scene.image, draw);
  std::vector<Head> taken;
  for (int i = 0; i < o.faces; ++i) {
    Head head{};
    head.size = draw.in(o.least_head, o.most_head);
    head.roll = draw.in(-o.max_roll, o.max_roll) * std::numbers::pi / 180;
    if (!find_room(head, taken, o, draw)) continue;
    taken.push_back(head);
    const int64_t identity = o.first_identity + draw.whole(int(o.identities));
    scene.faces.push_back(put(scene.image, head, seed, identity, draw.whole(1000)));
  }
  return scene;
}

}  // namespace advf
