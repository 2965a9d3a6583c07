// Convolutions of the fast CPU backend, random ones and those with ways of their own, on every instruction
// set that this machine has, against the f64 reference.
#define BOOST_TEST_MODULE cpu_convolutions
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>

#include "conv_cases.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

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

BOOST_AUTO_TEST_CASE(convolutions_over_strips) {
  on_every_isa([] {
    for (const ConvCase& c : kStripCases) compare_both_directions(c);
  });
}

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
