// Convolution as implicit GEMM: which source pixel stands under each output pixel and kernel tap (the columns
// of b), and where a computed column goes. Output pixels of all images are numbered one after the other; a
// panel is a run of them, which may span rows and images.
#pragma once
#include <cstdint>
#include <vector>

#include "tensor/cpu/kernels.h"

namespace advf::cpu {

// A grid of output pixels per image; the source pixel of tap t is (gy * stride_y + tap_y[t], gx * stride_x +
// tap_x[t]), zero outside of the image.
struct PixelSource {
  int64_t image_stride = 0, height = 0, width = 0;
  int64_t grid_h = 0, grid_w = 0;
  int64_t stride_y = 1, stride_x = 1;
  std::vector<int64_t> tap_y, tap_x;

  int taps() const { return int(tap_y.size()); }
  int64_t plane() const { return height * width; }
  // Call last. Rows whose taps never look across a row's end are joined into one, which makes panels
  // contiguous.
  void finish();
  // Fills the chunks of pack_pixels for the panel at `pixel`, out of `pixels` in all, at most taps() * panel
  // width; returns how many there are per vector (the same for all of them; surplus ones have an empty mask).
  int make_chunks(int64_t pixel, int64_t pixels, int vectors, int lanes, PixelChunk* chunks) const;
};

// Output pixel (gy, gx) of an image goes to base + image * image_stride + gy * row_stride + gx *
// element_stride.
struct PixelTarget {
  int64_t base = 0, image_stride = 0, row_stride = 0;
  int64_t grid_h = 0, grid_w = 0;
  int element_stride = 1;

  void finish();  // call last: joins rows that are contiguous
  int make_runs(int64_t pixel, int64_t pixels, int64_t width, StoreRun* runs) const;  // at most `width` runs
};

}  // namespace advf::cpu
