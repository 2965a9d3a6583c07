// Plans: what the passes over a tape change, and that its values stay.
#define BOOST_TEST_MODULE plan_passes
#include <boost/test/unit_test.hpp>
#include <functional>

#include "autograd/passes.h"
#include "autograd/plan.h"
#include "nn/freeze.h"
#include "plan_test_util.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

std::vector<std::string> names(const Tape& tape) {
  std::vector<std::string> list;
  for (const Record& r : tape.records()) list.push_back(r.op->name);
  return list;
}

Tensor run_tape(const Tape& tape, const Tensor& in, const Tensor& out, const Tensor& value) {
  PlanState state(compile(tape, std::span(&in, 1), std::span(&out, 1)));
  state.set(0, value);
  state.run();
  return state.get(0);
}

// What a batch norm reads: gamma, beta, mean, var > 0.
std::vector<Tensor> statistics(int64_t channels, uint64_t seed) {
  const NoTapeScope off;
  std::vector<Tensor> s;
  for (uint64_t i = 0; i < 3; ++i) s.push_back(randn({channels}, seed + i, DType::f32));
  s.push_back(affine(power(randn({channels}, seed + 3, DType::f32), 2), 1, 0.1));
  return s;
}
Tensor norm(const Tensor& x, uint64_t seed) {
  const MetaScope real(false);
  const auto s = statistics(x.dim(1), seed);
  const MetaScope as_before(!x.has_storage());
  return batch_norm_eval(x, s[0], s[1], s[2], s[3], 1e-3);
}

}  // namespace

BOOST_AUTO_TEST_CASE(dead_code_goes) {
  Tensor x = Tensor::meta({4}), y;
  const Tape tape = trace([&](Tape&) {
    const Tensor a = exp(x);
    abs(a);
    y = log(a);
    tanh(y);
  });
  const Tape rest = remove_dead_code(tape, std::span(&y, 1));
  BOOST_TEST(names(rest) == (std::vector<std::string>{"exp", "log"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(simplify_keeps_the_bits) {
  const Tensor c = randn({1, 3}, 1, DType::f32), one = Tensor::full({}, 1), third = Tensor::full({}, 1.0 / 3);
  const auto f = [&](const Tensor& x) {
    const Tensor scale = exp(mul(c, c));                              // constant: evaluated
    const Tensor same = mul(power(x, 1), broadcast_to(one, {5, 3}));  // x
    const Tensor scaled = mul(same, scale);
    const Tensor ninth = affine(broadcast_to(third, {5, 1}), 1.0 / 3, 0);  // of one number still
    return add(scaled, mul(broadcast_to(ninth, {5, 3}), x));
  };
  const Tensor x = Tensor::meta({5, 3});
  Tensor y;
  const Tape tape = trace([&](Tape&) { y = f(x); });
  const Tape simple = remove_dead_code(simplify(tape, std::span(&x, 1), std::span(&y, 1)), std::span(&y, 1));
  std::vector<std::string> kernels;
  for (const std::string& name : names(simple))
    if (name != "reshape") kernels.push_back(name);
  BOOST_TEST(kernels == (std::vector<std::string>{"mul", "affine", "add"}), boost::test_tools::per_element());
  const Tensor value = randn({5, 3}, 2, DType::f32);
  PlanState state(compile(tape, std::span(&x, 1), std::span(&y, 1)));
  state.set(0, value);
  state.run();
  BOOST_TEST(same_bits(state.get(0), f(value)));
}

// Each pattern: the kernels that are left, and the bits of the tape before on both backends.
BOOST_AUTO_TEST_CASE(products_take_over_what_follows) {
  struct Case {
    const char* name;
    Shape x;
    std::function<Tensor(const Tensor& x)> f;
    std::vector<std::string> kernels;
  };
  const auto weight = [](const Shape& s, uint64_t seed) {
    return randn(s, seed, DType::f32).to(current_backend());
  };
  for (const char* device : {"reference", "cpu"}) {
    const BackendScope scope(backend(device));
    const Tensor w = weight({6, 6, 3, 3}, 1), b = weight({6}, 2), up = weight({6, 6, 4, 4}, 3),
                 lin = weight({24, 5}, 4), slopes = weight({6}, 5), kept = weight({3, 6, 7, 6}, 6),
                 row = weight({1, 6, 1, 1}, 8);
    const ConvAttrs same{.pad = {1, 1, 1, 1}};
    const ConvAttrs twice{.stride = {2, 2}, .pad = {1, 1, 1, 1}, .size = {14, 12}};
    const Shape image{3, 6, 7, 6};
    const Case cases[] = {
        {"relu", image, [&](const Tensor& x) { return relu(conv2d(x, w, b, same)); }, {"conv2d_fused"}},
        {"prelu",
         image,
         [&](const Tensor& x) { return prelu(conv2d(x, w, b, same), slopes); },
         {"conv2d_fused"}},
        {"residual, then leaky relu",
         image,
         [&](const Tensor& x) { return leaky_relu(add(x, conv2d(x, w, {}, same)), 0.1); },
         {"conv2d_fused"}},
        {"a residual that is a product itself",
         image,
         [&](const Tensor& x) { return add(conv2d(x, w, {}, same), conv2d(x, w, b, same)); },
         {"conv2d", "conv2d_fused"}},
        {"gradient of relu",
         image,
         [&](const Tensor& x) {
           return apply1(op_relu_grad, {}, {kept, conv2d(x, w, {}, same)});
         },
         {"conv2d_fused"}},
        {"transposed",
         image,
         [&](const Tensor& x) { return relu(conv_transpose2d(x, up, b, twice)); },
         {"conv_transpose2d_fused"}},
        {"linear, seen as an image",
         {3, 5},
         [&](const Tensor& x) {
           return relu(reshape(linear(x, lin), {3, 6, 2, 2}));
         },
         {"matmul_fused"}},
        {"two activations",
         image,
         [&](const Tensor& x) { return relu(tanh(relu(conv2d(x, w, b, same)))); },
         {"conv2d_fused", "tanh", "relu"}},
        {"an activation before the residual",
         image,
         [&](const Tensor& x) { return add(relu(conv2d(x, w, b, same)), x); },
         {"conv2d_fused", "add"}},
        {"a product with two readers",
         image,
         [&](const Tensor& x) {
           const Tensor y = conv2d(x, w, b, same);
           return mul(relu(y), y);
         },
         {"conv2d", "relu", "mul"}},
        {"a sum that repeats rows",
         image,
         [&](const Tensor& x) { return add(conv2d(x, w, {}, same), row); },
         {"conv2d", "add"}},
    };
    for (const Case& c : cases) {
      const Tensor x = Tensor::meta(c.x), value = weight(c.x, 9);
      Tensor y;
      const Tape tape = trace([&](Tape&) { y = c.f(x); });
      const Tape fused = fuse_epilogue(tape, std::span(&y, 1));
      std::vector<std::string> kernels;
      for (const std::string& name : names(fused))
        if (name != "reshape") kernels.push_back(name);
      BOOST_TEST(kernels == c.kernels, c.name << boost::test_tools::per_element());
      BOOST_TEST(same_bits(run_tape(fused, x, y, value), c.f(value)), c.name << " on " << device);
    }
  }
}

// Walks the op table: an activation or a product that is new to it joins here, or this fails.
BOOST_AUTO_TEST_CASE(every_activation_joins_every_product) {
  for (const OpDef* product : all_ops()) {
    if (!product->fused || product->fused == product) continue;
    const Sample& sample = product->samples[0];
    const auto in = to_dtype(sample_inputs(sample, 3), DType::f32);
    for (const OpDef* op : all_ops()) {
      if (op->epilogue == Activation::none) continue;
      const Tensor x = Tensor::meta(in[0].shape());
      Tensor y;
      bool image = false;
      const auto f = [&](const Tensor& first) {
        auto operands = in;
        operands[0] = first;
        const Tensor made = apply1(*product, sample.attrs, operands);
        image = made.shape().rank() == 4;
        const MetaScope real(false);
        const NoTapeScope quiet;
        if (op->pointwise == Pointwise::channels)
          return std::vector<Tensor>{made, randn({made.dim(1)}, 4, DType::f32)};
        if (op->samples[0].in.size() == 2)  // a gradient: what was kept, then what comes in
          return std::vector<Tensor>{randn(made.shape(), 5, DType::f32), made};
        return std::vector<Tensor>{made};
      };
      const auto g = [&](const Tensor& first) { return apply1(*op, op->samples[0].attrs, f(first)); };
      const Tape tape = trace([&](Tape&) { y = g(x); });
      const Tape fused = fuse_epilogue(tape, std::span(&y, 1));
      const bool joins = op->epilogue != Activation::prelu || image;
      BOOST_TEST(fused.records().size() == (joins ? 1u : 2u), op->name << " behind " << product->name);
      BOOST_TEST(same_bits(run_tape(fused, x, y, in[0]), g(in[0])), op->name << " behind " << product->name);
    }
  }
}

BOOST_AUTO_TEST_CASE(batch_norm_folds_into_the_product_before_it) {
  const auto weight = [](const Shape& s, uint64_t seed) { return randn(s, seed, DType::f32); };
  const Tensor wc = weight({6, 2, 3, 3}, 1), bc = weight({6}, 2), wt = weight({4, 3, 4, 4}, 3),
               wl = weight({24, 5}, 4), wr = weight({5, 24}, 5), bl = weight({24}, 6),
               scale = Tensor::full({}, 0.17);
  const ConvAttrs conv{.stride = {2, 1}, .pad = {1, 1, 1, 1}, .groups = 2};
  const ConvAttrs up{.stride = {2, 2}, .pad = {1, 1, 1, 1}, .groups = 2, .size = {10, 12}};
  struct Case {
    const char* name;
    Shape x;
    std::function<Tensor(const Tensor&)> f;
  };
  const Case cases[] = {
      {"conv2d", {3, 4, 5, 6}, [&](const Tensor& x) { return norm(conv2d(x, wc, bc, conv), 20); }},
      {"conv_transpose2d",
       {3, 4, 5, 6},
       [&](const Tensor& x) { return norm(conv_transpose2d(x, wt, {}, up), 30); }},
      {"linear", {3, 5}, [&](const Tensor& x) { return norm(linear(x, wl, bl), 40); }},
      {"matmul", {3, 5}, [&](const Tensor& x) { return norm(matmul(x, wr), 50); }},
      {"linear as image",
       {3, 5},
       [&](const Tensor& x) {
         return norm(reshape(linear(x, wl), {3, 6, 2, 2}), 60);
       }},
      {"scaled twice",
       {3, 4, 5, 6},
       [&](const Tensor& x) { return affine(mul(norm(conv2d(x, wc, bc, conv), 20), scale), -2, 0.5); }},
  };
  for (const Case& c : cases) {
    const Tensor x = Tensor::meta(c.x), value = randn(c.x, 9, DType::f32);
    Tensor y;
    const Tape tape = trace([&](Tape&) { y = c.f(x); });
    const Tape folded = fold_batch_norm(tape, std::span(&y, 1));
    for (const Record& r : folded.records())
      BOOST_TEST((r.op != &op_batch_norm_eval && r.op != &op_mul && r.op != &op_affine), c.name);
    const double error = relative_error(run_tape(folded, x, y, value), run_tape(tape, x, y, value));
    BOOST_TEST(error < 1e-6, c.name << ": " << error);
  }
}

BOOST_AUTO_TEST_CASE(batch_norm_folds_into_every_product) {
  for (const OpDef* product : all_ops()) {
    if (!product->fused || product->fused == product) continue;
    for (const Sample& sample : product->samples) {
      const auto in = to_dtype(sample_inputs(sample, 3), DType::f32);
      const Tensor x = Tensor::meta(in[0].shape());
      const auto f = [&](const Tensor& first) {
        auto operands = in;
        operands[0] = first;
        return norm(apply1(*product, sample.attrs, operands), 20);
      };
      Tensor y;
      const Tape tape = trace([&](Tape&) { y = f(x); });
      const Tape folded = fold_batch_norm(tape, std::span(&y, 1));
      BOOST_TEST(folded.records().size() == 1u, product->name);
      BOOST_TEST(relative_error(run_tape(folded, x, y, in[0]), f(in[0])) < 2e-6, product->name);
    }
  }
}

BOOST_AUTO_TEST_CASE(batch_norm_that_must_stay) {
  const Tensor w = randn({4, 4, 3, 3}, 1, DType::f32), x = Tensor::meta({2, 4, 5, 5}),
               value = randn({2, 4, 5, 5}, 9, DType::f32);
  const ConvAttrs padded{.pad = {1, 1, 1, 1}};
  const auto norms = [](const Tape& t) {
    return std::count_if(t.records().begin(), t.records().end(),
                         [](const Record& r) { return r.op == &op_batch_norm_eval; });
  };
  // The trap: before a zero-padded convolution. Folding the shift into the bias is right inside of the image
  // and wrong along its border, where part of the shift is missing.
  Tensor y;
  const Tape before = trace([&](Tape&) { y = conv2d(norm(x, 20), w, {}, padded); });
  const Tape kept = fold_batch_norm(before, std::span(&y, 1));
  BOOST_TEST(norms(kept) == 1);
  const Tensor expected = conv2d(norm(value, 20), w, {}, padded);
  BOOST_TEST(same_bits(run_tape(kept, x, y, value), expected));
  // The product has another reader, or is an output itself.
  Tensor p, z;
  const Tape shared = trace([&](Tape&) {
    p = conv2d(x, w, {}, padded);
    z = add(p, norm(p, 30));
  });
  BOOST_TEST(norms(fold_batch_norm(shared, std::span(&z, 1))) == 1);
  const Tape seen = trace([&](Tape&) {
    p = conv2d(x, w, {}, padded);
    z = norm(p, 30);
  });
  const Tensor both[] = {p, z};
  BOOST_TEST(norms(fold_batch_norm(seen, both)) == 1);
  BOOST_TEST(norms(fold_batch_norm(seen, std::span(&z, 1))) == 0);
  // The weight is computed.
  const Tensor v = Tensor::meta({4, 4, 3, 3});
  const Tape computed = trace([&](Tape&) { z = norm(conv2d(x, exp(v), {}, padded), 30); });
  BOOST_TEST(norms(fold_batch_norm(computed, std::span(&z, 1))) == 1);
  // A reshape that mixes channels.
  const Tape mixed = trace([&](Tape&) { z = norm(reshape(conv2d(x, w, {}, padded), {2, 10, 2, 5}), 30); });
  BOOST_TEST(norms(fold_batch_norm(mixed, std::span(&z, 1))) == 1);
}

BOOST_AUTO_TEST_CASE(a_folded_decoder_is_the_decoder) {
  for (const char* name : {"deconv", "resup"}) {
    const auto net = decoder(name);
    const Tensor x = Tensor::meta({3, 24}), value = l2_normalise(randn({3, 24}, 9, DType::f32));
    Tensor image;
    const Tape tape = trace([&](Tape&) { image = net->forward(x); });
    const Tape folded = fold_batch_norm(tape, std::span(&image, 1));
    for (const Record& r : folded.records()) BOOST_TEST(r.op != &op_batch_norm_eval);
    const double error = relative_error(run_tape(folded, x, image, value), net->forward(value));
    BOOST_TEST(error < 2e-6, name << ": " << error);
  }
}
