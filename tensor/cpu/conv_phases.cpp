#include "tensor/cpu/conv_phases.h"

#include <algorithm>

namespace advf::cpu {

ConvPhase conv2d_phase(const Shape& x, const Shape& w, const Shape& y, const ConvAttrs& a) {
  ConvPhase p;
  p.source = {x[1] * x[2] * x[3], x[2], x[3], y[2], y[3], a.stride[0], a.stride[1], {}, {}};
  p.target = {0, y[1] * y[2] * y[3], y[3], y[2], y[3], 1};
  p.pixels = y[0] * y[2] * y[3];
  for (int64_t ky = 0; ky < w[2]; ++ky)
    for (int64_t kx = 0; kx < w[3]; ++kx) {
      p.source.tap_y.push_back(ky * a.dilation[0] - a.pad[0]);
      p.source.tap_x.push_back(kx * a.dilation[1] - a.pad[1]);
      p.kernel_tap.push_back(int(ky * w[3] + kx));
    }
  return p;
}

std::vector<ConvPhase> conv2d_phases(const OpCall& call) {
  return {conv2d_phase(call.in[0].shape, call.in[1].shape, call.out[0].shape, call.attr<ConvAttrs>())};
}

std::vector<ConvPhase> conv_transpose2d_phases(const OpCall& call) {
  const ConvAttrs& a = call.attr<ConvAttrs>();
  const Shape &x = call.in[0].shape, &w = call.in[1].shape, &y = call.out[0].shape;
  const int64_t sy = a.stride[0], sx = a.stride[1];
  std::vector<ConvPhase> phases;
  for (int64_t py = 0; py < std::min(sy, y[2]); ++py)
    for (int64_t px = 0; px < std::min(sx, y[3]); ++px) {
      const int64_t grid_h = (y[2] - py + sy - 1) / sy, grid_w = (y[3] - px + sx - 1) / sx;
      ConvPhase p;
      p.source = {x[1] * x[2] * x[3], x[2], x[3], grid_h, grid_w, 1, 1, {}, {}};
      p.target = {py * y[3] + px, y[1] * y[2] * y[3], sy * y[3], grid_h, grid_w, int(sx)};
      p.pixels = y[0] * grid_h * grid_w;
      for (int64_t ky = 0; ky < w[2]; ++ky)
        for (int64_t kx = 0; kx < w[3]; ++kx) {
          // Output y meets input (y + pad - ky * dilation) / stride, where that is whole.
          const int64_t ty = py + a.pad[0] - ky * a.dilation[0], tx = px + a.pad[1] - kx * a.dilation[1];
          if (ty % sy != 0 || tx % sx != 0) continue;
          p.source.tap_y.push_back(ty / sy);
          p.source.tap_x.push_back(tx / sx);
          p.kernel_tap.push_back(int(ky * w[3] + kx));
        }
      phases.push_back(std::move(p));
    }
  return phases;
}

bool alternate(const ConvPhase& a, const ConvPhase& b, int64_t row) {
  return a.target.element_stride == 2 && b.target.base == a.target.base + 1 && a.target.base % row == 0 &&
         a.target.grid_h == b.target.grid_h && a.target.grid_w == b.target.grid_w &&
         a.source.taps() == b.source.taps() && a.source.taps() > 0;
}

}  // namespace advf::cpu
