// Scenes of people who do not exist: drawn heads of several sizes and angles before a cluttered ground, with
// known boxes and landmarks. For tests of what finds faces; not a model of real photographs.
#pragma once
#include <vector>

#include "advface/core/face.h"
#include "tensor/io/image.h"

namespace advf {

struct SceneOptions {
  int width = 320, height = 240;
  int faces = 3;                            // fewer where they find no room
  double least_head = 40, most_head = 110;  // chin to crown, in pixels
  double max_roll = 30;                     // degrees, on top of the portrait's own
  int64_t first_identity = 0, identities = 1000;

  void check_valid() const;  // throws Error naming the values
};

struct SceneFace {
  int64_t identity = 0, image = 0;
  Face face;  // score 1; the box goes from the forehead to the chin
};

struct Scene {
  Image image;
  std::vector<SceneFace> faces;
};

// Scene `number` of the seed. No two heads overlap, and all lie in the picture.
Scene draw_scene(uint64_t seed, int64_t number, const SceneOptions& options = {});

}  // namespace advf
