// What was cut out, on one picture, so that a wrong cut is seen at a glance; and what a detector saw in a
// picture, drawn onto it.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "advface/core/face_cut.h"
#include "tensor/io/image.h"

namespace advf {

// Takes every face and keeps at most kCells of them, spread evenly over all that came: whenever it is full it
// drops every second one and takes half as many from then on.
class ContactSheet {
 public:
  static constexpr size_t kCells = 240;
  static constexpr int kCell = 96;  // pixels of a crop on the sheet

  // crop: (3, size, size) in [0, 1].
  void add(const float* crop, int size, const std::string& name, const FoundFace* face);
  // With names and scores below the crops. Throws Error where no face came.
  Image draw(const std::string& title) const;
  int64_t faces() const { return seen_; }

 private:
  struct Cell {
    Image crop;
    std::string name, note;
  };
  int64_t seen_ = 0, every_ = 1;
  std::vector<Cell> cells_;
};

// The picture, enlarged or shrunk to a longer side of 640 to 1280 pixels, with box, number and landmarks of
// each face, and below it the faces that were cut out, as many, with number, score and size.
Image draw_faces(const Image& picture, const std::vector<FoundFace>& faces, const std::vector<Image>& crops);

}  // namespace advf
