// Many drawn scenes: held in memory, to train a detector on, or as files.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "advface/synthetic/synthetic_scene.h"
#include "tensor/tensor.h"

namespace advf {

struct SceneSetSettings {
  int64_t train = 1000, validation = 100;  // scenes; no person stands in both kinds
  // Of each scene; `faces` is the most that a scene has: how many it is is drawn, none among them. People to
  // train on are numbered from first_identity, the others after them.
  SceneOptions scene{.width = 256, .height = 192, .faces = 4, .least_head = 24, .most_head = 120};
  uint64_t seed = 1;

  void check_valid() const;  // throws Error naming the setting
};

// As 8 bits: 1000 scenes of 256 x 192 pixels take 147 MB.
class SceneSet {
 public:
  // Draws them on all threads. `go_on` is asked between blocks of scenes, with how many there are; false ends
  // the work with Interrupted.
  explicit SceneSet(const SceneSetSettings& settings, const std::function<bool(int64_t done)>& go_on = {});

  // Those to train on first.
  int64_t size() const { return int64_t(faces_.size()); }
  const std::vector<std::vector<Face>>& faces() const { return faces_; }
  // (rows.size(), 3, height, width) f32 in [0, 1].
  Tensor batch(const std::vector<int64_t>& rows) const;
  Image image(int64_t row) const;

 private:
  SceneSetSettings settings_;
  std::vector<std::vector<Face>> faces_;
  std::vector<std::vector<uint8_t>> pixels_;
};

std::string scene_file(int64_t number);  // scene_000124.png for number 123
// Writes FOLDER/images/scene_NNNNNN.png for the first `count` scenes of the seed, FOLDER/faces.csv (file,
// identity, box and landmarks of each face, in pixels), FOLDER/landmarks.csv (as detect/landmark_file.h reads
// it) and, of scenes of one face, FOLDER/labels.csv (file, identity). The lists come after the pictures.
// Returns the number of faces: fewer than asked for where heads found no room.
int64_t write_scenes(const std::string& folder, uint64_t seed, int64_t count, const SceneOptions& options);

}  // namespace advf
