// The geometry that max_pool2d and avg_pool2d share, and their shape rule.
#pragma once
#include "tensor/ops/op_util.h"

namespace advf {

// Output length along axis 0 (height) or 1 (width). In ceil mode the last window must start inside the image
// or its left padding (PyTorch's and ONNX's rule).
int64_t pooled_size(int64_t in, int axis, const PoolAttrs& a);
// Shape (N,C,h,w) of the pooled output; throws naming the op.
Shape infer_pool(const char* op, const Shape& x, const PoolAttrs& a);

// The window of one output pixel, clipped to the image.
struct Window {
  int64_t y0, y1, x0, x1;
};
inline Window window(const PoolAttrs& a, int64_t oy, int64_t ox, int64_t h, int64_t w) {
  const int64_t y = oy * a.stride[0] - a.pad[0], x = ox * a.stride[1] - a.pad[1];
  return {std::max<int64_t>(y, 0), std::min<int64_t>(y + a.kernel[0], h), std::max<int64_t>(x, 0),
          std::min<int64_t>(x + a.kernel[1], w)};
}

}  // namespace advf
