// Convolutions of the fast CPU backend, random ones and those with ways of their own, on every instruction
// set that this machine has, against the f64 reference.
#define BOOST_TEST_MODULE cpu_convolutions
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>

#include "cpu_test_util.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

// A convolution with anything odd about it: stride over kernel, dilation, groups, uneven padding, one pixel.
struct ConvCase {
  Shape x, w, y;
  ConvAttrs attrs;
};
ConvCase random_conv(Random& r) {
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

std::string describe(const ConvCase& c) {
  std::string s =
      "x " + c.x.str() + " w " + c.w.str() + " groups " + std::to_string(c.attrs.groups) + " stride";
  for (int v : c.attrs.stride) s += " " + std::to_string(v);
  s += " dilation";
  for (int v : c.attrs.dilation) s += " " + std::to_string(v);
  s += " pad";
  for (int v : c.attrs.pad) s += " " + std::to_string(v);
  return s;
}

}  // namespace

BOOST_AUTO_TEST_CASE(random_convolutions) {
  on_every_isa([] {
    Random r{{2024, 5}};
    for (int i = 0; i < (kUnderSanitizer ? 75 : 150); ++i) {
      const ConvCase c = random_conv(r);
      const uint64_t seed = 100 * uint64_t(i);
      const Tensor x = randn(c.x, seed, DType::f32), w = randn(c.w, seed + 1, DType::f32),
                   y = randn(c.y, seed + 2, DType::f32);
      const Tensor bias = i % 2 ? randn({c.w[0]}, seed + 3, DType::f32) : Tensor();
      const Tensor bias_x = i % 2 ? randn({c.x[1]}, seed + 4, DType::f32) : Tensor();
      const auto test = [&](const OpDef& op, const ConvAttrs& a, const std::vector<Tensor>& in,
                            bool constant) {
        const double error = error_against_f64(op, a, in, bind_and_run(op, a, in, constant));
        BOOST_TEST(error <= op.bound, op.name << " of " << describe(c) << ": " << error);
      };
      ConvAttrs a = c.attrs;
      test(op_conv2d, a, {x, w, bias}, i % 3 == 0);
      a.size = {c.x[2], c.x[3]};
      test(op_conv_transpose2d, a, {y, w, bias_x}, i % 3 == 1);
      a.size = {c.w[2], c.w[3]};
      test(op_conv2d_grad_weight, a, {x, y}, false);
    }
  });
}

// Both directions, plain and with an epilogue, weights known when the op is bound and not.
void compare_both_directions(const ConvCase& c) {
  for (bool constant : {false, true}) {
    const Tensor x = randn(c.x, 1, DType::f32), w = randn(c.w, 2, DType::f32), y = randn(c.y, 3, DType::f32);
    ConvAttrs a = c.attrs;
    const auto test = [&](const OpDef& op, const std::vector<Tensor>& in) {
      const double error = error_against_f64(op, a, in, bind_and_run(op, a, in, constant));
      BOOST_TEST(error <= op.bound, op.name << " of " << describe(c) << ": " << error);
    };
    test(op_conv2d, {x, w, randn({c.w[0]}, 4, DType::f32)});
    a.size = {c.x[2], c.x[3]};
    test(op_conv_transpose2d, {y, w, randn({c.x[1]}, 5, DType::f32)});
    a.epilogue = constant ? Epilogue{Activation::relu_grad, 0} : Epilogue{Activation::leaky_relu_grad, 0.3};
    test(op_conv_transpose2d_fused, {y, w, {}, x, randn(c.x, 6, DType::f32)});
    a.size = {};
    a.epilogue = {Activation::prelu, 0};
    test(op_conv2d_fused, {x, w, {}, y, randn({c.w[0]}, 7, DType::f32)});
  }
}

// Few channels and long rows: taps are read from a strip. Rows of images that end within a vector, blocks of
// unequal height, strides, dilation, no margin, uneven margins, one channel out.
const ConvCase kStripCases[] = {
    {{2, 5, 37, 45}, {7, 5, 3, 3}, {2, 7, 37, 45}, {.pad = {1, 1, 1, 1}}},
    {{1, 32, 61, 50}, {3, 32, 3, 3}, {1, 3, 61, 50}, {.pad = {1, 1, 1, 1}}},
    {{1, 40, 80, 33}, {33, 40, 3, 3}, {1, 33, 78, 31}, {}},
    {{3, 6, 66, 70}, {11, 6, 4, 4}, {3, 11, 33, 35}, {.stride = {2, 2}, .pad = {1, 1, 1, 1}}},
    {{1, 4, 65, 131}, {5, 4, 3, 5}, {1, 5, 33, 65}, {.stride = {2, 2}, .pad = {1, 1, 1, 1}}},
    {{2, 6, 50, 52}, {8, 3, 3, 3}, {2, 8, 48, 49}, {.pad = {1, 0, 1, 1}, .dilation = {2, 2}, .groups = 2}},
    {{1, 3, 70, 64}, {1, 3, 7, 7}, {1, 1, 35, 32}, {.stride = {2, 2}, .pad = {3, 3, 3, 3}}},
    {{1, 2, 90, 90}, {4, 2, 3, 3}, {1, 4, 30, 30}, {.stride = {3, 3}, .pad = {0, 1, 0, 1}}},
};

BOOST_AUTO_TEST_CASE(convolutions_over_strips) {
  on_every_isa([] {
    for (const ConvCase& c : kStripCases) compare_both_directions(c);
  });
}

// Tiles of 3x3 and 2x2 taps: rows of tiles that end within an image, one task and many, uneven padding,
// output phases that begin at the same source pixel and a pixel apart, kernel 4 with stride 2 in both
// directions, much depth.
const ConvCase kSpecialCases[] = {
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

BOOST_AUTO_TEST_CASE(convolutions_with_ways_of_their_own) {
  on_every_isa([] {
    for (const ConvCase& c : kSpecialCases) compare_both_directions(c);
  });
}

// Whole numbers stay exact, and an image has the same bits alone, in a batch, and with packed weights.
BOOST_AUTO_TEST_CASE(they_are_exact_and_do_not_depend_on_the_batch) {
  on_every_isa([] {
    for (const ConvCase& c : kSpecialCases) {
      const Tensor x = randn(c.x, 1, DType::f32), w = randn(c.w, 2, DType::f32),
                   y = randn(c.y, 3, DType::f32);
      ConvAttrs to_x = c.attrs;
      to_x.size = {c.x[2], c.x[3]};
      const auto rounded = [](const Tensor& t) {
        auto v = t.to_vector<float>();
        for (float& f : v) f = std::round(2 * f);
        return Tensor::from(v, t.shape());
      };
      const auto test = [&](const OpDef& op, const ConvAttrs& a, const Tensor& source) {
        const std::vector<Tensor> whole{rounded(source), rounded(w), {}};
        BOOST_TEST(error_against_f64(op, a, whole, bind_and_run(op, a, whole)) == 0,
                   op.name << " of " << describe(c));
        const Tensor all = bind_and_run(op, a, {source, w, {}}, true);
        for (int64_t n = 0; n < source.dim(0); ++n) {
          const Tensor one = bind_and_run(op, a, {source.slice_batch(n, n + 1), w, {}});
          BOOST_TEST((one.to_vector<float>() == all.slice_batch(n, n + 1).to_vector<float>()),
                     op.name << " of " << describe(c) << ", image " << n);
        }
      };
      test(op_conv2d, c.attrs, x);
      test(op_conv_transpose2d, to_x, y);
    }
  });
}

// More depth than one block holds, more rows than one tile, row tiles, wide images: beyond what the random
// cases reach.
BOOST_AUTO_TEST_CASE(convolutions_of_many_blocks) {
  on_every_isa([] {
    const ConvCase cases[] = {
        {{1, 600, 5, 5}, {300, 600, 1, 1}, {1, 300, 5, 5}, {}},
        {{2, 70, 9, 9}, {70, 70, 3, 3}, {2, 70, 9, 9}, {.pad = {1, 1, 1, 1}}},
        {{1, 2, 3, 700}, {5, 2, 3, 3}, {1, 5, 3, 700}, {.pad = {1, 1, 1, 1}}},
        {{40, 34, 4, 4}, {33, 34, 2, 2}, {40, 33, 2, 2}, {.stride = {2, 2}}},
    };
    for (const ConvCase& c : cases) {
      const Tensor x = randn(c.x, 1, DType::f32), w = randn(c.w, 2, DType::f32),
                   y = randn(c.y, 3, DType::f32);
      const auto test = [&](const OpDef& op, const ConvAttrs& a, const std::vector<Tensor>& in) {
        const double error = error_against_f64(op, a, in, bind_and_run(op, a, in));
        BOOST_TEST(error <= op.bound, op.name << " of " << describe(c) << ": " << error);
      };
      ConvAttrs a = c.attrs;
      test(op_conv2d, a, {x, w, {}});
      a.size = {c.x[2], c.x[3]};
      test(op_conv_transpose2d, a, {y, w, {}});
      a.size = {c.w[2], c.w[3]};
      test(op_conv2d_grad_weight, a, {x, y});
    }
  });
}
