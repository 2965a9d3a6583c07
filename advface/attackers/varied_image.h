// What an attacker without training varies until a recogniser finds a feature in it: an image as a smooth
// correction of one that is known, which is the mean face, or what a trained decoder makes of a feature of
// its own space, which then is varied as well.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "advface/networks/decoder.h"
#include "tensor/tensor.h"

namespace advf {

class VariedImage {
 public:
  // size: side in pixels; grid: side of the correction, which is enlarged; 0: none. decoder: null for the
  // mean face (3,size,size) alone.
  VariedImage(int64_t size, int64_t grid, const Tensor& mean_face, std::shared_ptr<const Decoder> decoder);

  // What is varied, of n images: names and shapes. All of them zero is the mean face, or what the decoder
  // makes of the mean of the features that it was trained on.
  std::vector<std::pair<std::string, Shape>> variables(int64_t n) const;
  // (n,3,size,size) in (0,1) from those, in that order; on the tape.
  Tensor image(const std::vector<Tensor>& variables) const;
  // The variables at which the decoder is given these features (n, row), which must be of its space.
  std::vector<Tensor> at_features(const Tensor& features) const;
  bool has_decoder() const { return decoder_ != nullptr; }

 private:
  int64_t size_, grid_;
  std::shared_ptr<const Decoder> decoder_;
  Tensor base_;              // (1,3,size,size): the mean face as a logit
  Tensor mean_, deviation_;  // (1, row) or (1,C,1,1): of the decoder's features
};

// The weights (out, in) of enlarging a row of `in` pixels to `out`, bilinear with half-pixel centres, after a
// shift by `shift` pixels of the input, mirrored, and of `zoom` times as much of it.
Tensor enlarging(int64_t out, int64_t in, double shift, bool mirrored, double zoom = 1);
// Every image (n,3,s,s) through rows (h,s) and columns (w,s): (n,3,h,w).
Tensor seen_through(const Tensor& image, const Tensor& rows, const Tensor& columns);
// (n): the mean absolute difference of neighbouring pixels, of (n,3,s,s).
Tensor total_variation(const Tensor& image);

}  // namespace advf
