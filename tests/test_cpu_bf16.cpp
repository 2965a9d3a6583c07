// Products of bf16 on the CPU, as a plan binds them: against the f64 reference of the rounded operands, so
// that nothing but the summation may differ. cpu_bf16_plan_cases.cpp has whole plans.
#define BOOST_TEST_MODULE cpu_bf16
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "bf16_test_util.h"
#include "conv_cases.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

Tensor run_bf16(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in) {
  return bind_and_run(op, attrs, in, true, backend("cpu-bf16"));
}
// Both operands rounded, the rest as it is.
std::vector<Tensor> rounded(std::vector<Tensor> in) {
  in[0] = to_bf16(in[0]);
  in[1] = to_bf16(in[1]);
  return in;
}
bool same_bits(const Tensor& a, const Tensor& b) { return std::memcmp(a.raw(), b.raw(), a.bytes()) == 0; }
Tensor whole(const Tensor& t) {
  auto v = t.to_vector<float>();
  for (float& f : v) f = std::round(2 * f);
  return Tensor::from(v, t.shape());
}

// Sums of the rounded operands, or (Winograd) of transformed tiles that were rounded: then the error is that
// of rounding. Counts which it was. Of up to three channels it is f32, bit for bit.
struct Comparison {
  int direct = 0, transformed = 0;
  void operator()(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in, int64_t channels,
                  const std::string& what) {
    const Tensor out = run_bf16(op, attrs, in);
    if (channels <= 3) {
      BOOST_TEST(same_bits(out, bind_and_run(op, attrs, in, true)), op.name << " of " << what);
      return;
    }
    const double error = error_against_f64(op, attrs, rounded(in), out);
    if (error <= op.bound) {
      ++direct;
      return;
    }
    ++transformed;
    const double rounding = error_against_f64(op, attrs, in, out);
    BOOST_TEST(rounding < 8e-3, op.name << " of " << what << ": " << rounding);
    BOOST_TEST(rounding > 1e-4, op.name << " of " << what << " was not computed in bf16");
  }
};

void compare_both_directions(const ConvCase& c, Comparison& compare) {
  const Tensor x = randn(c.x, 1, DType::f32), w = randn(c.w, 2, DType::f32), y = randn(c.y, 3, DType::f32);
  const int64_t in = c.w[1], out = c.w[0] / c.attrs.groups;
  ConvAttrs a = c.attrs;
  compare(op_conv2d, a, {x, w, randn({c.w[0]}, 4, DType::f32)}, in, describe(c));
  a.size = {c.x[2], c.x[3]};
  compare(op_conv_transpose2d, a, {y, w, randn({c.x[1]}, 5, DType::f32)}, out, describe(c));
  a.epilogue = {Activation::relu_grad, 0};
  compare(op_conv_transpose2d_fused, a, {y, w, {}, x, randn(c.x, 6, DType::f32)}, out, describe(c));
  a.size = {};
  a.epilogue = {Activation::prelu, 0};
  compare(op_conv2d_fused, a, {x, w, {}, y, randn({c.w[0]}, 7, DType::f32)}, in, describe(c));
}

}  // namespace

// Anything odd: stride over kernel, dilation, groups, an odd number of channels, uneven padding, one pixel.
BOOST_AUTO_TEST_CASE(random_convolutions) {
  if (!has_bf16()) return;
  Random r{{2025, 5}};
  Comparison compare;
  for (int i = 0; i < (kUnderSanitizer ? 100 : 300); ++i) {
    const ConvCase c = random_conv(r);
    const uint64_t seed = 100 * uint64_t(i);
    const Tensor x = randn(c.x, seed, DType::f32), w = randn(c.w, seed + 1, DType::f32),
                 y = randn(c.y, seed + 2, DType::f32);
    ConvAttrs a = c.attrs;
    compare(op_conv2d, a, {x, w, i % 2 ? randn({c.w[0]}, seed + 3, DType::f32) : Tensor()}, c.w[1],
            describe(c));
    a.size = {c.x[2], c.x[3]};
    compare(op_conv_transpose2d, a, {y, w, i % 2 ? randn({c.x[1]}, seed + 4, DType::f32) : Tensor()},
            c.w[0] / a.groups, describe(c));
  }
  BOOST_TEST(compare.direct > (kUnderSanitizer ? 80 : 240));
}

BOOST_AUTO_TEST_CASE(convolutions_over_strips) {
  if (!has_bf16()) return;
  Comparison compare;
  for (const ConvCase& c : kStripCases) compare_both_directions(c, compare);
  BOOST_TEST(compare.direct > 15);
}

BOOST_AUTO_TEST_CASE(convolutions_with_ways_of_their_own) {
  if (!has_bf16()) return;
  Comparison compare;
  for (const ConvCase& c : kSpecialCases) compare_both_directions(c, compare);
  BOOST_TEST_MESSAGE(compare.direct << " of rounded operands, " << compare.transformed
                                    << " of rounded tiles");
  BOOST_TEST(compare.direct > 30);
  BOOST_TEST(compare.transformed > 8);
}

// Whole numbers up to 256 are exact, also as Winograd's tiles and in quarters; an image has the same bits
// alone and in a batch, whatever the number of threads.
BOOST_AUTO_TEST_CASE(they_are_exact_and_do_not_depend_on_batch_or_threads) {
  if (!has_bf16()) return;
  for (const ConvCase& c : kSpecialCases) {
    const Tensor x = randn(c.x, 1, DType::f32), w = randn(c.w, 2, DType::f32), y = randn(c.y, 3, DType::f32);
    ConvAttrs to_x = c.attrs;
    to_x.size = {c.x[2], c.x[3]};
    const auto test = [&](const OpDef& op, const ConvAttrs& a, const Tensor& source) {
      const std::vector<Tensor> numbers{whole(source), whole(w), {}};
      BOOST_TEST(error_against_f64(op, a, numbers, run_bf16(op, a, numbers)) == 0,
                 op.name << " of " << describe(c));
      const Tensor all = run_bf16(op, a, {source, w, {}});
      for (int64_t n = 0; n < source.dim(0); ++n) {
        const Tensor one = run_bf16(op, a, {source.slice_batch(n, n + 1), w, {}});
        BOOST_TEST(same_bits(one, all.slice_batch(n, n + 1)),
                   op.name << " of " << describe(c) << ", image " << n);
      }
      for (int threads : {1, 2, 3}) {
        ThreadsScope scope(threads);
        BOOST_TEST(same_bits(run_bf16(op, a, {source, w, {}}), all), describe(c) << ", " << threads);
      }
    };
    test(op_conv2d, c.attrs, x);
    test(op_conv_transpose2d, to_x, y);
  }
}

BOOST_AUTO_TEST_CASE(random_products) {
  if (!has_bf16()) return;
  Random r{{78, 5}};
  for (int i = 0; i < 120; ++i) {
    const RandomProduct p(r, i, 4, 1900);
    const Tensor out = run_bf16(op_matmul, p.attrs, p.in);
    const double error = error_against_f64(op_matmul, p.attrs, rounded(p.in), out);
    BOOST_TEST(error <= op_matmul.bound, p.name() << ": " << error);
    for (int threads : {1, 2}) {
      ThreadsScope scope(threads);
      BOOST_TEST(same_bits(run_bf16(op_matmul, p.attrs, p.in), out), p.name());
    }
    // A row does not depend on those beside it.
    if (p.attrs.transpose_a) continue;
    const Tensor last = run_bf16(op_matmul, p.attrs, {p.in[0].slice_batch(p.m - 1, p.m), p.in[1], p.in[2]});
    BOOST_TEST(same_bits(last, out.slice_batch(p.m - 1, p.m)), p.name());
  }
}

// Where the reference has what is no number, or none that is finite, so has every form of a product.
BOOST_AUTO_TEST_CASE(what_is_no_number_stays_so) {
  if (!has_bf16()) return;
  const float bad[] = {NAN,
                       -NAN,
                       INFINITY,
                       -INFINITY,
                       std::bit_cast<float>(0x7f800001u),
                       std::numeric_limits<float>::max()};  // the last rounds to infinity
  const auto test = [&](const OpDef& op, const Attrs& attrs, const Tensor& source, const Tensor& w) {
    for (const float value : bad)
      for (const int64_t at : {int64_t(0), source.numel() / 2, source.numel() - 1}) {
        auto v = source.to_vector<float>();
        v[size_t(at)] = value;
        const Tensor x = Tensor::from(v, source.shape());
        const auto got = run_bf16(op, attrs, {x, w, {}}).to_vector<float>();
        const auto want = bind_and_run(op, attrs, {x, w, {}}, true, backend("reference")).to_vector<float>();
        int lost = 0, met = 0, spread = 0;
        for (size_t i = 0; i < got.size(); ++i) {
          const bool finite = std::isfinite(want[i]) && std::abs(want[i]) < 1e30f;
          lost += !finite && std::isfinite(got[i]);
          met += !finite;
          spread += !std::isfinite(got[i]);
        }
        BOOST_TEST(lost == 0, op.name << " of " << source.shape().str() << " with " << value << " at " << at);
        BOOST_TEST((spread > 0) == (met > 0));  // a stride may step over it
        BOOST_TEST((size_t(spread) < got.size() || size_t(met) == got.size()));
      }
  };
  for (size_t i : {size_t(0), size_t(7), size_t(12), size_t(16), size_t(18)}) {
    const ConvCase& c = kSpecialCases[i];
    ConvAttrs to_x = c.attrs;
    to_x.size = {c.x[2], c.x[3]};
    const Tensor w = affine(tanh(randn(c.w, 2, DType::f32)), 0.5, 1);
    test(op_conv2d, c.attrs, randn(c.x, 1, DType::f32), w);
    test(op_conv_transpose2d, to_x, randn(c.y, 3, DType::f32), w);
  }
  const Tensor rows = randn({40, 33}, 4, DType::f32),
               b = affine(tanh(randn({33, 21}, 5, DType::f32)), 0.5, 1);
  test(op_matmul, MatmulAttrs{}, rows, b);
  const Tensor turned = randn({33, 40}, 6, DType::f32);
  test(op_matmul, MatmulAttrs{.transpose_a = true}, turned, b);
}

// What AVX512_BF16 does, which docs/cpu-engine.md states: halves go to the even number, denormal operands
// and sums are 0, the sign of zero and the largest numbers are kept.
BOOST_AUTO_TEST_CASE(rounding_and_the_ends_of_the_numbers) {
  if (!has_bf16()) return;
  const auto product = [](float x, float y) {
    return run_bf16(op_matmul, MatmulAttrs{},
                    {Tensor::from(std::vector<float>{x, 0, 0, 0}, {1, 4}),
                     Tensor::from(std::vector<float>{y, 0, 0, 0}, {4, 1}),
                     {}})
        .to_vector<float>()[0];
  };
  BOOST_TEST(product(0x1.01p0f, 1) == 0x1.00p0f);  // half way, to the even one below
  BOOST_TEST(product(0x1.03p0f, 1) == 0x1.04p0f);  // and above
  BOOST_TEST(product(0x1.010002p0f, 1) == 0x1.02p0f);
  BOOST_TEST(product(1, 0x1.03p0f) == 0x1.04p0f);  // the constant one too
  BOOST_TEST(product(0x1.fep127f, 1) == 0x1.fep127f);
  BOOST_TEST(product(0x1p-126f, 1) == 0x1p-126f);
  BOOST_TEST(product(0x1p-130f, 0x1p20f) == 0);
  BOOST_TEST(product(0x1p20f, 0x1p-130f) == 0);
  BOOST_TEST(product(0x1p-70f, 0x1p-70f) == 0);
  Random r{{5, 6}};
  for (int i = 0; i < 2000; ++i) {
    const float x = std::bit_cast<float>(uint32_t(r.between(0x00800000, 0x7f7f0000)));
    BOOST_TEST(product(x, 1) == to_bf16(x));
    BOOST_TEST(product(1, -x) == -to_bf16(x));
  }
}

// Only what a plan names as constant: eager calls, other ops and other types compute as on "cpu".
BOOST_AUTO_TEST_CASE(the_rest_is_that_of_cpu) {
  if (!has_bf16()) return;
  Backend& bf16 = backend("cpu-bf16");
  const Tensor x = randn({2, 6, 9, 9}, 1, DType::f32), w = randn({5, 6, 3, 3}, 2, DType::f32);
  const Tensor there = x.to(bf16);
  BOOST_TEST(there.raw() == x.raw());  // one memory
  BOOST_TEST(&there.backend() == &cpu_backend());
  const Tensor want = conv2d(x, w, {}, {}), wide = conv2d(x.to(DType::f64), w.to(DType::f64), {}, {});
  {
    const BackendScope scope(bf16);
    BOOST_TEST(same_bits(conv2d(x, w, {}, {}), want));
    BOOST_TEST(same_bits(conv2d(x.to(DType::f64), w.to(DType::f64), {}, {}), wide));
    BOOST_TEST(&Tensor::zeros({3}).backend() == &cpu_backend());
  }
  // A plan whose weight changes, depthwise, and the gradient in the weight.
  const auto same = [&](const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in, bool constant) {
    BOOST_TEST(same_bits(bind_and_run(op, attrs, in, constant, bf16), bind_and_run(op, attrs, in, constant)),
               op.name);
  };
  same(op_conv2d, ConvAttrs{}, {x, w, {}}, false);
  same(op_conv2d, ConvAttrs{.groups = 6}, {x, randn({6, 1, 3, 3}, 3, DType::f32), {}}, true);
  same(op_conv2d_grad_weight, ConvAttrs{.size = {3, 3}}, {x, want}, true);
  same(op_batch_matmul, MatmulAttrs{}, {randn({2, 4, 6}, 4, DType::f32), randn({2, 6, 3}, 5, DType::f32)},
       true);
}
