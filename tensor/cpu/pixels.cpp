#include "tensor/cpu/pixels.h"

#include <algorithm>

namespace advf::cpu {

void PixelSource::finish() {
  const bool within_rows = stride_x == 1 && stride_y == 1 && grid_w == width &&
                           std::all_of(tap_x.begin(), tap_x.end(), [](int64_t x) { return x == 0; });
  if (!within_rows) return;
  for (size_t t = 0; t < tap_y.size(); ++t) tap_x[t] = tap_y[t] * width;
  std::fill(tap_y.begin(), tap_y.end(), 0);
  grid_w *= grid_h;
  grid_h = 1;
  width *= height;
  height = 1;
}

int PixelSource::make_chunks(int64_t pixel, int64_t pixels, int vectors, int lanes,
                             PixelChunk* chunks) const {
  // The panel's pieces of rows, none of which crosses a vector's end.
  struct Piece {
    int64_t image, y, x;
    int lane, count;
  };
  Piece pieces[kMaxVectors * 16];
  int first[kMaxVectors + 1];
  int num_pieces = 0;
  const int64_t grid = grid_h * grid_w;
  int64_t image = pixel / grid, y = pixel % grid / grid_w, x = pixel % grid_w;
  for (int v = 0; v < vectors; ++v) {
    first[v] = num_pieces;
    for (int lane = 0; lane < lanes && pixel < pixels;) {
      const int count = int(std::min({int64_t(lanes - lane), grid_w - x, pixels - pixel}));
      pieces[num_pieces++] = {image, y * stride_y, x * stride_x, lane, count};
      lane += count;
      pixel += count;
      x += count;
      if (x == grid_w) {
        x = 0;
        if (++y == grid_h) {
          y = 0;
          ++image;
        }
      }
    }
  }
  first[vectors] = num_pieces;
  int most = 1;
  for (int v = 0; v < vectors; ++v) most = std::max(most, first[v + 1] - first[v]);
  for (int t = 0; t < taps(); ++t)
    for (int v = 0; v < vectors; ++v, chunks += most) {
      std::fill_n(chunks, most, PixelChunk{0, 0});
      PixelChunk* next = chunks;
      for (const Piece* p = pieces + first[v]; p < pieces + first[v + 1]; ++p) {
        const int64_t sy = p->y + tap_y[size_t(t)], sx = p->x + tap_x[size_t(t)];
        if (sy < 0 || sy >= height) continue;
        int64_t low = 0, high = p->count;
        if (sx < 0) low = (-sx + stride_x - 1) / stride_x;
        if (sx + (high - 1) * stride_x >= width)
          high = sx >= width ? 0 : (width - sx + stride_x - 1) / stride_x;
        if (low >= high) continue;
        *next++ = {p->image * image_stride + sy * width + sx - p->lane * stride_x, ((1u << (high - low)) - 1u)
                                                                                       << (p->lane + low)};
      }
    }
  return most;
}

void PixelTarget::finish() {
  if (row_stride != grid_w * element_stride) return;
  grid_w *= grid_h;
  grid_h = 1;
}

int PixelTarget::make_runs(int64_t pixel, int64_t pixels, int64_t width, StoreRun* runs) const {
  const int64_t grid = grid_h * grid_w, end = std::min(pixel + width, pixels), begin = pixel;
  int n = 0;
  while (pixel < end) {
    const int64_t image = pixel / grid, y = pixel % grid / grid_w, x = pixel % grid_w;
    const int64_t count = std::min(grid_w - x, end - pixel);
    runs[n++] = {base + image * image_stride + y * row_stride + x * element_stride, int32_t(pixel - begin),
                 int32_t(count)};
    pixel += count;
  }
  return n;
}

}  // namespace advf::cpu
