// Convolutions that the tests of the fast CPU backend compute in f32 and in bf16: random ones, and those with
// ways of their own.
#pragma once
#include <string>

#include "cpu_test_util.h"
#include "tensor/ops.h"

namespace advf::test {

// A convolution with anything odd about it: stride over kernel, dilation, groups, uneven padding, one pixel.
struct ConvCase {
  Shape x, w, y;
  ConvAttrs attrs;
};
inline ConvCase random_conv(Random& r) {
  for (;;) {
    ConvCase c;
    ConvAttrs& a = c.attrs;
    const bool depthwise = r.between(0, 4) == 0;
    a.groups = depthwise ? int(r.between(2, 20)) : r.between(0, 3) == 0 ? int(r.between(2, 3)) : 1;
    const int64_t in = depthwise ? 1 : r.between(1, r.between(0, 1) ? 40 : 8);
    const int64_t out = depthwise ? 1 : r.between(1, r.between(0, 1) ? 40 : 8);
    for (size_t i = 0; i < 2; ++i) {
      a.stride[i] = int(r.between(1, 3));
      a.dilation[i] = r.between(0, 2) ? 1 : int(r.between(1, 3));
      a.pad[i] = int(r.between(0, 3));
      a.pad[i + 2] = int(r.between(0, 3));
    }
    c.x = {r.between(1, 5), in * a.groups, r.between(1, 20), r.between(1, r.between(0, 3) ? 20 : 70)};
    c.w = {out * a.groups, in, r.between(1, 5), r.between(1, 5)};
    int64_t size[2];
    for (size_t i = 0; i < 2; ++i) {
      const int64_t span =
          c.x[2 + int(i)] + a.pad[i] + a.pad[i + 2] - a.dilation[i] * (c.w[2 + int(i)] - 1) - 1;
      size[i] = span < 0 ? 0 : span / a.stride[i] + 1;
    }
    if (size[0] == 0 || size[1] == 0) continue;
    c.y = {c.x[0], c.w[0], size[0], size[1]};
    return c;
  }
}

inline std::string describe(const ConvCase& c) {
  std::string s =
      "x " + c.x.str() + " w " + c.w.str() + " groups " + std::to_string(c.attrs.groups) + " stride";
  for (int v : c.attrs.stride) s += " " + std::to_string(v);
  s += " dilation";
  for (int v : c.attrs.dilation) s += " " + std::to_string(v);
  s += " pad";
  for (int v : c.attrs.pad) s += " " + std::to_string(v);
  return s;
}

// Few channels and long rows: taps are read from a strip. Rows of images that end within a vector, blocks of
// unequal height, strides, dilation, no margin, uneven margins, one channel out.
inline const ConvCase kStripCases[] = {
    {{2, 5, 37, 45}, {7, 5, 3, 3}, {2, 7, 37, 45}, {.pad = {1, 1, 1, 1}}},
    {{1, 32, 61, 50}, {3, 32, 3, 3}, {1, 3, 61, 50}, {.pad = {1, 1, 1, 1}}},
    {{1, 40, 80, 33}, {33, 40, 3, 3}, {1, 33, 78, 31}, {}},
    {{3, 6, 66, 70}, {11, 6, 4, 4}, {3, 11, 33, 35}, {.stride = {2, 2}, .pad = {1, 1, 1, 1}}},
    {{1, 4, 65, 131}, {5, 4, 3, 5}, {1, 5, 33, 65}, {.stride = {2, 2}, .pad = {1, 1, 1, 1}}},
    {{2, 6, 50, 52}, {8, 3, 3, 3}, {2, 8, 48, 49}, {.pad = {1, 0, 1, 1}, .dilation = {2, 2}, .groups = 2}},
    {{1, 3, 70, 64}, {1, 3, 7, 7}, {1, 1, 35, 32}, {.stride = {2, 2}, .pad = {3, 3, 3, 3}}},
    {{1, 2, 90, 90}, {4, 2, 3, 3}, {1, 4, 30, 30}, {.stride = {3, 3}, .pad = {0, 1, 0, 1}}},
};

// Tiles of 3x3 and 2x2 taps: rows of tiles that end within an image, one task and many, uneven padding,
// output phases that begin at the same source pixel and a pixel apart, kernel 4 with stride 2 in both
// directions, much depth.
inline const ConvCase kSpecialCases[] = {
    {{3, 32, 17, 17}, {33, 32, 3, 3}, {3, 33, 17, 17}, {.pad = {1, 1, 1, 1}}},
    {{1, 40, 20, 37}, {24, 40, 3, 3}, {1, 24, 18, 35}, {}},
    {{2, 32, 11, 23}, {32, 32, 3, 3}, {2, 32, 11, 22}, {.pad = {0, 1, 2, 0}}},
    {{2, 32, 9, 10}, {32, 32, 3, 3}, {2, 32, 13, 14}, {.pad = {3, 3, 3, 3}}},
    {{1, 520, 9, 9}, {50, 520, 3, 3}, {1, 50, 9, 9}, {.pad = {1, 1, 1, 1}}},
    {{20, 80, 5, 6}, {80, 80, 3, 3}, {20, 80, 5, 6}, {.pad = {1, 1, 1, 1}}},
    {{2, 32, 18, 19}, {32, 32, 2, 2}, {2, 32, 17, 18}, {}},
    {{5, 24, 28, 28}, {40, 24, 4, 4}, {5, 40, 14, 14}, {.stride = {2, 2}, .pad = {1, 1, 1, 1}}},
    {{2, 32, 28, 60}, {32, 32, 4, 4}, {2, 32, 14, 30}, {.stride = {2, 2}, .pad = {1, 1, 1, 1}}},
    {{1, 64, 34, 34}, {64, 64, 4, 4}, {1, 64, 16, 16}, {.stride = {2, 2}}},
    {{1, 32, 29, 31}, {32, 32, 4, 4}, {1, 32, 15, 15}, {.stride = {2, 2}, .pad = {2, 0, 1, 1}}},
    {{1, 32, 32, 40}, {32, 32, 4, 4}, {1, 32, 17, 20}, {.stride = {2, 2}, .pad = {2, 0, 2, 2}}},
    // 1x1 straight from the image: full and partly full panels, much depth, groups.
    {{3, 70, 9, 9}, {33, 70, 1, 1}, {3, 33, 9, 9}, {}},
    {{2, 600, 8, 8}, {20, 600, 1, 1}, {2, 20, 8, 8}, {}},
    {{2, 40, 7, 7}, {34, 20, 1, 1}, {2, 34, 7, 7}, {.groups = 2}},
    // Few pixels: rows of the product for one image, columns for all of them.
    {{40, 30, 3, 3}, {200, 30, 1, 1}, {40, 200, 3, 3}, {}},
    {{9, 300, 4, 5}, {70, 300, 3, 1}, {9, 70, 4, 5}, {.pad = {1, 0, 1, 0}}},
    {{12, 40, 8, 8}, {40, 40, 4, 4}, {12, 40, 4, 4}, {.stride = {2, 2}, .pad = {1, 1, 1, 1}}},
    {{9, 34, 7, 8}, {130, 34, 3, 3}, {9, 130, 3, 3}, {.stride = {2, 2}}},
    // Depthwise: borders on all sides, none, more than the kernel reaches; as large as the image.
    {{2, 20, 18, 37}, {20, 1, 3, 3}, {2, 20, 18, 37}, {.pad = {1, 1, 1, 1}, .groups = 20}},
    {{2, 20, 9, 35}, {20, 1, 3, 3}, {2, 20, 12, 36}, {.pad = {3, 0, 2, 3}, .groups = 20}},
    {{1, 20, 6, 18}, {20, 1, 3, 3}, {1, 20, 4, 16}, {.groups = 20}},
    {{2, 40, 7, 7}, {40, 1, 7, 7}, {2, 40, 1, 1}, {.groups = 40}},
};

}  // namespace advf::test
