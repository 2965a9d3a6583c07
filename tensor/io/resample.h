// Cut a box out of a picture and bring it to a size: f32 (3, H, W) in [0, 1], what a recogniser is fed with.
// Per axis: bicubic when enlarging, exact area averages when shrinking (no aliasing, no choice of support).
#pragma once
#include "tensor/io/image.h"
#include "tensor/tensor.h"

namespace advf {

// In source pixels: pixel i covers [i, i + 1). May leave the picture, whose border pixels then go on outside.
struct CropBox {
  float x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};
inline CropBox whole(const Image& image) { return {0, 0, float(image.width), float(image.height)}; }

// Enlarging: cubic convolution with a = -0.5 (Keys 1981, the value that reproduces quadratics; also
// Pillow's), pixel centres at half-integers. Shrinking: the mean of the box that an output pixel covers. A
// box of the output's size at whole pixels gives every pixel as value / 255 exactly. Grey is repeated three
// times. Bicubic overshoot is cut to [0, 1]. The same bits on any thread. Throws Error for an empty or
// non-finite box.
Tensor crop_resize(const Image& image, const CropBox& box, int out_height, int out_width);
// The same into memory of 3 * out_height * out_width floats, for whoever fills a batch.
void crop_resize_into(const Image& image, const CropBox& box, int out_height, int out_width, float* out);

// (3, H, W) f32 in [0, 1] (values outside are cut) to a picture; rounds to the nearest of 256.
Image to_image(const Tensor& tensor);

}  // namespace advf
