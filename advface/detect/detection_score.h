// How well faces are found where it is known where they are.
#pragma once
#include <cstdint>
#include <vector>

#include "advface/core/face.h"

namespace advf {

// Counts over any number of pictures.
struct DetectionScore {
  int64_t pictures = 0, faces = 0;  // that are there
  int64_t found = 0, wrong = 0;     // of them; what was found and is no face
  double landmark_errors = 0;       // of the found ones, summed up: see landmark_error()

  // A face counts as found where a box overlaps its own by half (intersection over union), the better scores
  // first; each once.
  void add(const std::vector<Face>& found_faces, const std::vector<Face>& true_faces);

  double recall() const { return faces > 0 ? double(found) / double(faces) : 0; }
  double precision() const { return found + wrong > 0 ? double(found) / double(found + wrong) : 0; }
  double f1() const;  // their harmonic mean; 0 where nothing was found
  // The mean distance of a found face's landmarks to the true ones, as a share of the distance of its eyes.
  double landmark_error() const { return found > 0 ? landmark_errors / double(found) : 0; }
};

}  // namespace advf
