// Random views of training faces: what a recogniser must learn to ignore, where there are few photographs of
// a person.
#pragma once
#include <vector>

#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace advf {

// Largest change of each kind at strength 1, drawn evenly between it and its opposite, per image. Half of the
// images are mirrored at any strength.
struct Augmentation {
  double strength = 1;    // of all of them; 0: mirroring alone
  double zoom = 0.12;     // of the face's size, as a share
  double shift = 0.06;    // of the image's side, each way
  double turn = 0.14;     // radians
  double contrast = 0.3;  // about mid-grey, as a share
  double brightness = 0.12;
  double tint = 0.08;  // of each channel by itself, as a share
};

// (n,3,H,W) f32 in [0,1] to the same: image i as the draws of `rng` for rows[i] say, whatever batch it comes
// in. Bilinear; border pixels go on outside.
Tensor augmented(const Tensor& images, const std::vector<int64_t>& rows, const Philox& rng,
                 const Augmentation& settings);

}  // namespace advf
