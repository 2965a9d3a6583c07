// The fast CPU backend: the thread pool, memory that is handed out again, and products, element-wise ops,
// windows and copies on every instruction set that this machine has, against the f64 reference.
#define BOOST_TEST_MODULE cpu
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "cpu_test_util.h"
#include "tensor/cpu/cpu_backend.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

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

BOOST_AUTO_TEST_CASE(random_products) {
  on_every_isa([] {
    Random r{{77, 5}};
    for (int i = 0; i < 60; ++i) {
      const RandomProduct p(r, i, 1, 900);
      const double error =
          error_against_f64(op_matmul, p.attrs, p.in, bind_and_run(op_matmul, p.attrs, p.in));
      BOOST_TEST(error <= op_matmul.bound, p.name() << ": " << error);
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

// The C library's power in f64 decides, over all magnitudes and at the ends of the numbers.
BOOST_AUTO_TEST_CASE(powers_to_half_an_ulp) {
  on_every_isa([] {
    std::vector<float> v{
        0, -0.0f, 1, -1, 0x1p-149f, -0x1p-149f, 0x1.fffffep127f, -0x1.fffffep127f, INFINITY, -INFINITY, NAN};
    for (int i = -1000; i <= 1000; ++i)
      for (const float sign : {1.0f, -1.0f}) v.push_back(sign * std::exp(float(i) * 0.0883f));
    for (int i = -500; i <= 500; ++i) v.push_back(1 + float(i) * 0x1p-20f);
    const Tensor x = Tensor::from(v, {int64_t(v.size())});
    for (const double a : {3.0, -3.0, 4.0, -2.0, 1.0, 1.7, -1.7, 0.3, 1.0 / 3, 1e-3, 700.5, -700.0, 0.0}) {
      const auto y = bind_and_run(op_power, ScalarAttrs{a, 0}, {x}).to_vector<float>();
      for (size_t i = 0; i < v.size(); ++i) {
        const double exact = std::pow(double(v[i]), a);
        const float nearest = float(exact);
        const bool same = std::isnan(exact)
                              ? std::isnan(y[i])
                              : std::signbit(y[i]) == std::signbit(nearest) &&
                                    (y[i] == nearest || std::abs(double(y[i]) - exact) <=
                                                            std::abs(exact) * 0x1.04p-24 + 0x1.01p-150);
        BOOST_TEST(same, v[i] << " to " << a << ": " << y[i] << ", not " << nearest);
      }
    }
  });
}

// More rows than a task takes, each of its own size of loss, at any number of threads; and of labels that
// are wrong the first is named.
BOOST_AUTO_TEST_CASE(losses_of_classifiers_on_every_isa) {
  on_every_isa([] {
    constexpr int64_t n = 70, classes = 1001;
    const Tensor x = affine(randn({n, classes}, 1, DType::f32), 20, 0),
                 c = tanh(randn({n, classes}, 2, DType::f32));
    std::vector<int32_t> places;
    for (int64_t i = 0; i < n; ++i) places.push_back(int32_t(i * 577 % classes));
    const Tensor labels = Tensor::from(places, {n}), g = randn({n, classes}, 3, DType::f32);
    const Tensor one = Tensor::full({}, 0.7);
    const auto run = [&] {
      const auto loss = bind_and_run_all(op_softmax_cross_entropy, {}, {x, labels});
      const ScalarAttrs arc{64, 0.5};
      return std::vector<Tensor>{loss[0], loss[1],
                                 bind_and_run(op_softmax_cross_entropy_grad, {}, {loss[1], labels, one}),
                                 bind_and_run(op_arcface_margin, arc, {c, labels}),
                                 bind_and_run(op_arcface_margin_grad, arc, {c, labels, g})};
    };
    const std::vector<Tensor> got = run();
    {
      ThreadsScope scope(3);
      const std::vector<Tensor> again = run();
      for (size_t i = 0; i < got.size(); ++i)
        BOOST_TEST((again[i].to_vector<float>() == got[i].to_vector<float>()), i);
    }
    const auto error = [](const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in,
                          const Tensor& out) { return error_against_f64(op, attrs, in, out); };
    BOOST_TEST(error(op_softmax_cross_entropy, {}, {x, labels}, got[0]) < 1e-6);
    BOOST_TEST(error(op_softmax_cross_entropy_grad, {}, {got[1], labels, one}, got[2]) < 2e-7);
    BOOST_TEST(error(op_arcface_margin, ScalarAttrs{64, 0.5}, {c, labels}, got[3]) < 2e-7);
    BOOST_TEST(error(op_arcface_margin_grad, ScalarAttrs{64, 0.5}, {c, labels, g}, got[4]) < 2e-7);
    places[5] = 1001, places[60] = -3;
    BOOST_CHECK_EXCEPTION(bind_and_run(op_softmax_cross_entropy, {}, {x, Tensor::from(places, {n})}), Error,
                          [](const Error& e) {
                            return std::string(e.what()).find("label 1001 of 1001 classes") !=
                                   std::string::npos;
                          });
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

// Without AVX512_BF16 the device is refused, and says what is missing.
BOOST_AUTO_TEST_CASE(bf16_is_refused_by_name) {
  const cpu::KernelTable* before = cpu::kernels();
  for (const cpu::KernelTable* table : {cpu::kernels_named("avx2"), (const cpu::KernelTable*)nullptr}) {
    cpu::set_kernels(table);
    BOOST_TEST(cpu::bf16_kernels() == nullptr);
    BOOST_CHECK_EXCEPTION(backend("cpu-bf16"), Error, [](const Error& e) {
      const std::string text = e.what();
      return text.find("AVX512_BF16") != std::string::npos &&
             text.find("--precision f32") != std::string::npos;
    });
  }
  cpu::set_kernels(before);
}
