// The fast CPU backend: the thread pool, memory that is handed out again, and random convolutions and
// products on every instruction set that this machine has, against the f64 reference.
#define BOOST_TEST_MODULE cpu
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "tensor/cpu/cpu_backend.h"
#include "tensor/cpu/kernels.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

struct ThreadsScope {
  explicit ThreadsScope(int n) { set_num_threads(n); }
  ~ThreadsScope() { set_num_threads(0); }
};

// Binds afresh (apply() would keep what it bound for another instruction set) and runs into poisoned memory.
std::vector<Tensor> bind_and_run_all(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in,
                                     bool constant_weight = false) {
  OpCall call{&op, attrs, {}, {}};
  std::vector<View> views, constants;
  for (const Tensor& t : in) {
    call.in.push_back({t.shape(), t.dtype(), t.defined()});
    views.emplace_back(t);
    constants.emplace_back(nullptr, t.shape(), t.dtype());
  }
  op.infer(call);
  if (constant_weight) constants[1] = views[1];
  const auto bound = cpu_backend().bind(call, constant_weight ? constants : std::vector<View>{});
  std::vector<Tensor> out;
  std::vector<View> out_views;
  for (const ValueInfo& v : call.out) {
    out.push_back(Tensor::full(v.shape, v.dtype == DType::i32 ? -1 : NAN, v.dtype));
    out_views.emplace_back(out.back());
  }
  // Exactly as much scratch as was asked for, so that a sanitizer sees the end of it, and full of NaN.
  const Tensor scratch = Tensor::full({int64_t(bound->scratch_bytes() + 3) / 4}, NAN);
  bound->run(views, out_views, scratch.raw());
  return out;
}
Tensor bind_and_run(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in,
                    bool constant_weight = false) {
  return bind_and_run_all(op, attrs, in, constant_weight)[0];
}

double error_against_f64(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in,
                         const Tensor& out) {
  BackendScope scope(backend("reference"));
  std::vector<Tensor> wide;
  for (const Tensor& t : in) wide.push_back(t.defined() ? t.to(backend("reference")).to(DType::f64) : t);
  return relative_error(out.to(backend("reference")), apply1(op, attrs, wide));
}

struct Random {
  Philox rng;
  uint64_t next = 0;
  int64_t between(int64_t low, int64_t high) {
    return low + int64_t(rng.below(next++, uint64_t(high - low + 1)));
  }
};

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

// f(kernels) with each instruction set that this machine runs.
template <class F>
void on_every_isa(F f) {
  const cpu::KernelTable* before = cpu::kernels();
  int seen = 0;
  for (const char* name : {"avx2", "avx512"})
    if (const cpu::KernelTable* table = cpu::kernels_named(name)) {
      cpu::set_kernels(table);
      BOOST_TEST_CONTEXT("kernels " << name) { f(); }
      ++seen;
    }
  cpu::set_kernels(before);
  if (seen == 0) BOOST_TEST_MESSAGE("SKIPPED: this machine has neither AVX2 nor AVX-512");
}

}  // namespace

BOOST_AUTO_TEST_CASE(parallel_for_visits_every_index_once) {
  for (int threads : {1, 2, 7}) {
    ThreadsScope scope(threads);
    for (int64_t n : {0, 1, 2, 3, 64, 1000}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(n));
      for (int repeat = 0; repeat < 20; ++repeat) parallel_for(n, [&](int64_t i) { ++visits[size_t(i)]; });
      for (const auto& v : visits) BOOST_TEST(v == 20);
    }
  }
}

BOOST_AUTO_TEST_CASE(parallel_for_rethrows_and_goes_on) {
  for (int threads : {1, 4}) {
    ThreadsScope scope(threads);
    for (int repeat = 0; repeat < 50; ++repeat) {
      BOOST_CHECK_THROW(parallel_for(100, [](int64_t i) { check(i != 37, "index ", i); }), Error);
      std::atomic<int> count{0};
      parallel_for(100, [&](int64_t) { ++count; });
      BOOST_TEST(count == 100);
    }
  }
}

BOOST_AUTO_TEST_CASE(parallel_for_nests_in_place) {
  ThreadsScope scope(3);
  std::atomic<int> count{0};
  parallel_for(10, [&](int64_t) {
    const auto here = std::this_thread::get_id();
    parallel_for(10, [&](int64_t) {
      BOOST_REQUIRE(std::this_thread::get_id() == here);
      ++count;
    });
  });
  BOOST_TEST(count == 100);
}

// An op that is run from a body binds there, and its bind asks for the number of threads.
BOOST_AUTO_TEST_CASE(ops_run_inside_of_parallel_for) {
  ThreadsScope scope(3);
  const Tensor x = randn({2, 3, 11, 11}, 1, DType::f32), w = randn({4, 3, 3, 3}, 2, DType::f32);
  const auto expected = conv2d(x, w, {}, {}).to_vector<float>();
  std::atomic<int> equal{0};
  parallel_for(6, [&](int64_t) {
    BackendScope cpu(cpu_backend());
    equal += conv2d(x, w, {}, {}).to_vector<float>() == expected;
  });
  BOOST_TEST(equal == 6);
}

BOOST_AUTO_TEST_CASE(parallel_for_from_many_threads) {
  ThreadsScope scope(3);
  std::atomic<int> count{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 200; ++repeat) parallel_for(5, [&](int64_t) { ++count; });
    });
  for (std::thread& t : callers) t.join();
  BOOST_TEST(count == 4 * 200 * 5);
}

BOOST_AUTO_TEST_CASE(thread_counts_are_checked) {
  BOOST_CHECK_THROW(set_num_threads(-1), Error);
  BOOST_CHECK_THROW(set_num_threads(1 << 20), Error);
}

BOOST_AUTO_TEST_CASE(memory_is_aligned_and_never_shared) {
  Backend& b = cpu_backend();
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<std::byte*, size_t>> blocks;
    for (size_t bytes : {size_t(0), size_t(1), size_t(63), size_t(64), size_t(65), size_t(1000),
                         size_t(100000), size_t(100001), size_t(3000000)}) {
      std::byte* p = b.alloc(bytes);
      BOOST_TEST(reinterpret_cast<uintptr_t>(p) % 64 == 0u);
      std::fill_n(p, bytes, std::byte(blocks.size()));
      blocks.emplace_back(p, bytes);
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      const auto [p, bytes] = blocks[i];
      BOOST_TEST(std::all_of(p, p + bytes, [&](std::byte v) { return v == std::byte(i); }));
      b.free(p, bytes);
    }
  }
}

BOOST_AUTO_TEST_CASE(every_fast_op_is_in_the_op_table) {
  const auto ops = cpu_fast_ops();
  BOOST_TEST(ops.size() > 30u);
  for (const char* name : {"conv2d", "conv_transpose2d", "conv2d_grad_weight", "matmul"})
    BOOST_TEST((std::find(ops.begin(), ops.end(), find_op(name)) != ops.end()), name);
}

BOOST_AUTO_TEST_CASE(random_convolutions) {
  on_every_isa([] {
    Random r{{2024, 5}};
    for (int i = 0; i < 150; ++i) {
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

BOOST_AUTO_TEST_CASE(random_products) {
  on_every_isa([] {
    Random r{{77, 5}};
    for (int i = 0; i < 60; ++i) {
      const int64_t m = r.between(1, 90), n = r.between(1, 90), k = r.between(1, i % 10 ? 100 : 900);
      const MatmulAttrs t{r.between(0, 1) == 1, r.between(0, 1) == 1};
      const Tensor a = randn(t.transpose_a ? Shape{k, m} : Shape{m, k}, uint64_t(i), DType::f32);
      const Tensor b = randn(t.transpose_b ? Shape{n, k} : Shape{k, n}, uint64_t(i) + 1000, DType::f32);
      const Tensor bias = i % 2 ? randn({n}, uint64_t(i) + 2000, DType::f32) : Tensor();
      const double error =
          error_against_f64(op_matmul, t, {a, b, bias}, bind_and_run(op_matmul, t, {a, b, bias}));
      BOOST_TEST(error <= op_matmul.bound, m << "x" << k << "x" << n << ": " << error);
    }
  });
}

// Element-wise ops in place: optimiser steps write over their inputs.
BOOST_AUTO_TEST_CASE(steps_in_place) {
  const Shape s{40000};
  const Tensor g = randn(s, 2, DType::f32),
               hyper = Tensor::from(std::vector<float>{0.1f, 0.9f, 0.01f, 1}, {4});
  Tensor p = randn(s, 1, DType::f32), m = randn(s, 3, DType::f32);
  const auto expected = apply(op_sgd_step, {}, {p, g, m, hyper});
  sgd_step_(p, g, m, hyper);
  BOOST_TEST((p.to_vector<float>() == expected[0].to_vector<float>()));
  BOOST_TEST((m.to_vector<float>() == expected[1].to_vector<float>()));
}

BOOST_AUTO_TEST_CASE(sigmoid_at_the_ends) {
  const Tensor y = sigmoid(Tensor::from(std::vector<float>{-1000, -90, -20, 0, 20, 90, 1000, NAN}, {8}));
  const auto v = y.to_vector<float>();
  BOOST_TEST(v[0] < 1e-30f);
  BOOST_TEST(std::abs(v[2] / 2.0611537e-9f - 1) < 1e-6f);
  BOOST_TEST(v[3] == 0.5f);
  BOOST_TEST(v[6] == 1.0f);
  BOOST_TEST(std::isnan(v[7]));
}

// Every length of a vector's tail, against f64; and an element's bits depend neither on its place nor on how
// many there are: a record's result must not depend on the rest of its batch.
BOOST_AUTO_TEST_CASE(element_wise_on_every_isa) {
  on_every_isa([&] {
    for (const OpDef* op : all_ops()) {
      if (op->pointwise == Pointwise::no) continue;
      const bool by_channel = op->pointwise == Pointwise::channels;
      const Sample& sample = op->samples[0];
      std::vector<Tensor> all;  // of 300 values; what belongs to a channel is one value
      for (size_t i = 0; i < sample.in.size(); ++i)
        all.push_back(
            sample_input({{by_channel && i > 0 ? 1 : 300}, sample.in[i].domain}, 40 + i).to(DType::f32));
      std::vector<float> whole;
      for (int64_t n : {300, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 70}) {
        std::vector<Tensor> in = all;
        for (size_t i = 0; i < (by_channel ? 1 : in.size()); ++i) {
          in[i] = in[i].slice_batch(300 - n, 300);
          if (by_channel) in[i] = in[i].view({1, 1, 1, n});
        }
        const Tensor y = bind_and_run(*op, sample.attrs, in);
        const double error = error_against_f64(*op, sample.attrs, in, y);
        BOOST_TEST(error <= op->bound, op->name << " of " << n << ": " << error);
        const auto v = y.to_vector<float>();
        if (whole.empty()) whole = v;
        // Whose place in a channel is the same in every batch may round by it.
        BOOST_TEST((by_channel || std::equal(v.begin(), v.end(), whole.end() - int64_t(v.size()))),
                   op->name << " of " << n);
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(exponentials_and_logarithms_to_a_few_ulp) {
  on_every_isa([] {
    std::vector<float> v;
    for (int i = -20000; i <= 20000; ++i) v.push_back(float(i) * 0.004f);
    const Tensor x = Tensor::from(v, {int64_t(v.size())});
    const auto e = bind_and_run(op_exp, {}, {x}).to_vector<float>(),
               s = bind_and_run(op_sigmoid, {}, {x}).to_vector<float>(),
               t = bind_and_run(op_tanh, {}, {x}).to_vector<float>(),
               r = bind_and_run(op_erf, {}, {x}).to_vector<float>();
    double worst[4] = {};
    for (size_t i = 0; i < v.size(); ++i) {
      const double exact[4] = {std::exp(double(v[i])), 1 / (1 + std::exp(-double(v[i]))),
                               std::tanh(double(v[i])), std::erf(double(v[i]))};
      const float got[4] = {e[i], s[i], t[i], r[i]};
      for (int k = 0; k < 4; ++k)
        if (exact[k] != 0) worst[k] = std::max(worst[k], std::abs(double(got[k]) / exact[k] - 1));
    }
    for (double w : worst) BOOST_TEST(w < 5e-7);
    const auto ends =
        bind_and_run(op_exp, {}, {Tensor::from(std::vector<float>{-1000, 1000, NAN, -INFINITY}, {4})})
            .to_vector<float>();
    BOOST_TEST(ends[0] == 0.0f);
    BOOST_TEST(std::isinf(ends[1]));
    BOOST_TEST(std::isnan(ends[2]));
    BOOST_TEST(ends[3] == 0.0f);
    // Logarithms: all magnitudes, and closely around 1, where they vanish.
    std::vector<float> u{0x1p-149f, 0x1.8p-140f, 0x1p-126f, 0x1.fffffep127f};
    for (int i = -1000; i <= 1000; ++i) {
      u.push_back(std::exp(float(i) * 0.088f));
      u.push_back(1 + float(i) * 0x1p-20f);
      u.push_back(1 + float(i) * 3e-4f);
    }
    const auto l = bind_and_run(op_log, {}, {Tensor::from(u, {int64_t(u.size())})}).to_vector<float>();
    double worst_log = 0;
    for (size_t i = 0; i < u.size(); ++i) {
      const double exact = std::log(double(u[i]));
      worst_log =
          std::max(worst_log, exact == 0 ? std::abs(double(l[i])) : std::abs(double(l[i]) / exact - 1));
    }
    BOOST_TEST(worst_log < 3e-7);
    const auto log_ends =
        bind_and_run(op_log, {},
                     {Tensor::from(std::vector<float>{0, -1, NAN, INFINITY, -INFINITY, -0.0f}, {6})})
            .to_vector<float>();
    BOOST_TEST((log_ends[0] == -INFINITY && log_ends[5] == -INFINITY));
    BOOST_TEST((std::isnan(log_ends[1]) && std::isnan(log_ends[2]) && std::isnan(log_ends[4])));
    BOOST_TEST(log_ends[3] == INFINITY);
  });
}

// Pooling, resizing and copies of odd shapes: values and places exactly the reference's where nothing is
// summed.
BOOST_AUTO_TEST_CASE(random_windows_and_copies) {
  on_every_isa([] {
    Random r{{55, 5}};
    const auto expect_same = [](const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in) {
      const auto got = bind_and_run_all(op, attrs, in);
      BackendScope scope(backend("reference"));
      std::vector<Tensor> copies;
      for (const Tensor& t : in) copies.push_back(t.to(backend("reference")));
      const auto want = apply(op, attrs, copies);
      BOOST_TEST(got[0].to_vector<float>() == want[0].to_vector<float>(),
                 op.name << " of " << in[0].shape().str());
      if (&op == &op_max_pool2d) BOOST_TEST(got[1].to_vector<int32_t>() == want[1].to_vector<int32_t>());
    };
    for (int i = 0; i < 60; ++i) {
      const Shape s{r.between(1, 3), r.between(1, 5), r.between(3, 40), r.between(3, 80)};
      const Tensor x = randn(s, uint64_t(i), DType::f32);
      PoolAttrs pool;
      for (size_t k = 0; k < 2; ++k) {
        pool.kernel[k] = int(r.between(1, 3));
        pool.stride[k] = int(r.between(1, 3));
        pool.pad[k] = pool.pad[k + 2] = int(r.between(0, pool.kernel[k] / 2));
      }
      pool.ceil_mode = r.between(0, 1) == 1;
      expect_same(op_max_pool2d, pool, {x});
      const ResizeAttrs resize{{r.between(1, 60), r.between(1, 90)},
                               r.between(0, 3) ? ResizeMode::bilinear : ResizeMode::nearest};
      const double error =
          error_against_f64(op_resize2d, resize, {x}, bind_and_run(op_resize2d, resize, {x}));
      BOOST_TEST(error <= op_resize2d.bound, "resize2d of " << s.str() << ": " << error);

      PadAttrs border;
      SliceAttrs box{{}, s};
      Shape wide = s;
      PermuteAttrs order;
      for (size_t k = 0; k < 4; ++k) {
        border.before[k] = r.between(0, 2);
        border.after[k] = r.between(0, 2);
        box.begin[k] = r.between(0, s[int(k)] - 1);
        box.size.set(int(k), r.between(1, s[int(k)] - box.begin[k]));
        std::swap(order.order[k], order.order[size_t(r.between(0, int64_t(k)))]);
      }
      border.value = 0.25;
      expect_same(op_pad, border, {x});
      expect_same(op_slice, box, {x});
      expect_same(op_permute, order, {x});
      const int axis = int(r.between(0, 3));
      wide.set(axis, r.between(1, 9));
      expect_same(op_concat, AxisAttrs{axis}, {x, randn(wide, uint64_t(i) + 500, DType::f32), x});
      Shape narrow = s;
      for (int k = 0; k < 4; ++k)
        if (r.between(0, 1)) narrow.set(k, 1);
      expect_same(op_broadcast_to, ShapeAttrs{s}, {randn(narrow, uint64_t(i) + 900, DType::f32)});
    }
  });
}
