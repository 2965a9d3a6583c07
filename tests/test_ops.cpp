// The op table, walked: every op and every one of its samples. A new op needs no new code here.
#define BOOST_TEST_MODULE ops
#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "devices.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr double kGradientBound = 2e-6;
using boost::unit_test::label;  // "on_every_backend": what the device's own run of this file is to do

std::vector<Tensor> run(const char* device, const OpDef& op, const Attrs& attrs,
                        const std::vector<Tensor>& in) {
  BackendScope scope(backend(device));
  std::vector<Tensor> here;
  for (const Tensor& t : in) here.push_back(t.defined() ? t.to(backend(device)) : t);
  std::vector<Tensor> out;
  for (const Tensor& t : apply(op, attrs, here)) out.push_back(t.to(backend("reference")));
  return out;
}

// Outputs are poisoned with NaN (or -1 for whole numbers) before the kernel runs: every element must be
// written.
std::vector<Tensor> run_poisoned(const char* device, const OpDef& op, const Attrs& attrs,
                                 const std::vector<Tensor>& in) {
  BackendScope scope(backend(device));
  std::vector<Tensor> here, out;
  for (const Tensor& t : in) here.push_back(t.defined() ? t.to(backend(device)) : t);
  {
    MetaScope meta;
    out = apply(op, attrs, here);
  }
  for (Tensor& t : out)
    t = Tensor::full(t.shape(), t.dtype() == DType::f32 || t.dtype() == DType::f64 ? NAN : -1, t.dtype());
  apply_into(op, attrs, here, out);
  for (Tensor& t : out) t = t.to(backend("reference"));
  return out;
}

// The outputs through which gradients flow.
std::vector<Tensor> through(const OpDef& op, const std::vector<Tensor>& outs) {
  std::vector<Tensor> kept;
  for (size_t o = 0; o < outs.size(); ++o)
    if (op.carries_gradient >> o & 1u) kept.push_back(outs[o]);
  return kept;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_op_is_declared_whole) {
  for (const OpDef* op : all_ops()) {
    BOOST_TEST_CONTEXT(op->name) {
      BOOST_TEST(find_op(op->name) == op);
      BOOST_TEST(!op->samples.empty(), "no samples");
      BOOST_TEST((op->vjp != nullptr) != (op->no_vjp != nullptr),
                 "either a gradient rule or a reason for none");
      if (!op->is_view) {
        BOOST_TEST((op->reference.f32 && op->reference.f64), "a reference kernel in f32 and f64");
      }
    }
  }
}

namespace {

// t with element i from place order[i].
Tensor reordered(const Tensor& t, const std::vector<int64_t>& order) {
  const auto v = t.to_vector<double>();
  std::vector<double> moved;
  for (const int64_t from : order) moved.push_back(v[size_t(from)]);
  return Tensor::from(moved, t.shape());
}

// A random order of a tensor's elements, in which each stays in its channel or not.
std::vector<int64_t> random_order(const Shape& shape, bool in_channel) {
  std::map<int64_t, std::vector<int64_t>> places;
  const int64_t inner = shape.numel(2, shape.rank());
  for (int64_t i = 0; i < shape.numel(); ++i) places[in_channel ? i / inner % shape[1] : 0].push_back(i);
  std::vector<int64_t> order(size_t(shape.numel()));
  for (const auto& [channel, here] : places) {
    std::vector<int64_t> from = here;
    const Philox rng{5, uint64_t(channel)};
    for (size_t i = from.size(); i > 1; --i) std::swap(from[i - 1], from[rng.below(i, i)]);
    for (size_t i = 0; i < here.size(); ++i) order[size_t(here[i])] = from[i];
  }
  return order;
}

// What the samples show: whether an order of the elements of the inputs that have the output's shape becomes
// the output's.
Pointwise pointwise_as_seen(const OpDef& op) {
  size_t seen[2] = {}, kept[2] = {};
  for (const Sample& sample : op.samples) {
    const auto in = sample_inputs(sample, 3);
    if (in.empty() || !std::all_of(in.begin(), in.end(),
                                   [](const Tensor& t) { return t.defined() && t.dtype() == DType::f64; }))
      continue;
    const auto out = run("reference", op, sample.attrs, in);
    const Shape& shape = out[0].shape();
    if (out.size() != 1 || in[0].shape() != shape || shape.numel() < 2) continue;
    const size_t alike =
        size_t(std::count_if(in.begin(), in.end(), [&](const Tensor& t) { return t.shape() == shape; }));
    const bool by_channel = alike == 1 && in.size() > 1;
    if (!by_channel && alike != in.size()) continue;
    const auto of_channels = [&](const Tensor& t) { return t.numel() == 1 || t.shape() == Shape{shape[1]}; };
    if (by_channel && !std::all_of(in.begin() + 1, in.end(), of_channels)) continue;
    const std::vector<int64_t> order = random_order(shape, by_channel);
    std::vector<Tensor> moved = in;
    for (size_t k = 0; k < alike; ++k) moved[k] = reordered(in[k], order);
    ++seen[by_channel];
    kept[by_channel] += run("reference", op, sample.attrs, moved)[0].to_vector<double>() ==
                        reordered(out[0], order).to_vector<double>();
  }
  if (seen[0] > 0 && kept[0] == seen[0]) return Pointwise::elements;
  if (seen[1] > 0 && kept[1] == seen[1]) return Pointwise::channels;
  return Pointwise::no;
}

double sum_of(const Tensor& t) {
  double sum = 0;
  for (const double v : t.to_vector<double>()) sum += v;
  return sum;
}

// Of a sample of two operands, and nothing else.
bool is_bilinear(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in) {
  const Tensor once = run("reference", op, attrs, in)[0];
  for (size_t k = 0; k < 2; ++k) {
    auto twice = in;
    twice[k] = affine(in[k], 2, 0);
    if (run("reference", op, attrs, twice)[0].to_vector<double>() != affine(once, 2, 0).to_vector<double>())
      return false;
  }
  return true;
}

}  // namespace

// What others need to know of an op stands in its definition (op.h), and an op that forgot to say it is found
// here.
BOOST_AUTO_TEST_CASE(ops_that_work_point_by_point_say_so) {
  const BackendScope scope(backend("reference"));
  for (const OpDef* op : all_ops())
    if (!op->is_view)
      BOOST_TEST(int(op->pointwise) == int(pointwise_as_seen(*op)), op->name << ": " << int(op->pointwise));
}

BOOST_AUTO_TEST_CASE(products_know_their_work) {
  const BackendScope scope(backend("reference"));
  for (const OpDef* op : all_ops()) {
    if (op->is_view || op->fused == op) continue;
    size_t samples = 0, bilinear = 0;
    for (const Sample& sample : op->samples) {
      const auto in = sample_inputs(sample, 3);
      if (in.size() < 2 || in.size() > 3 || (in.size() == 3 && in[2].defined())) continue;
      const auto is_real = [](const Tensor& t) { return t.defined() && t.dtype() == DType::f64; };
      if (!is_real(in[0]) || !is_real(in[1])) continue;
      ++samples;
      bilinear += is_bilinear(*op, sample.attrs, in);
      if (!op->macs) continue;
      // Of ones, the output counts the products that lie inside of the borders.
      auto ones = in;
      for (size_t k = 0; k < 2; ++k) ones[k] = Tensor::full(in[k].shape(), 1, DType::f64);
      const auto out = run("reference", *op, sample.attrs, ones);
      const double inside = sum_of(out[0]), macs = double(op->macs(call_of(*op, sample.attrs, in, out)));
      BOOST_TEST((inside <= macs && inside >= macs / 4), op->name << ": " << inside << " of " << macs);
    }
    const bool sums =
        samples > 0 && bilinear == samples && op->exact_on_integers && op->pointwise == Pointwise::no;
    BOOST_TEST(sums == (op->macs != nullptr), op->name << " is a product: " << sums);
  }
  BOOST_TEST(op_matmul.macs(call_of(op_matmul, MatmulAttrs{}, std::array{randn({3, 5}, 1), randn({5, 7}, 2)},
                                    std::array{randn({3, 7}, 3)})) == 3 * 5 * 7);
  const int64_t large = int64_t(1) << 40;
  BOOST_TEST(saturating_product(large, large) == INT64_MAX);
}

BOOST_AUTO_TEST_CASE(every_activation_is_the_work_of_one_op) {
  std::map<Activation, int> ops;
  for (const OpDef* op : all_ops()) {
    if (op->epilogue != Activation::none) ++ops[op->epilogue];
    if (op->fused) BOOST_TEST((op->fused->fused == op->fused && op->macs), op->name);
  }
  for (const Activation a : {Activation::relu, Activation::leaky_relu, Activation::prelu,
                             Activation::relu_grad, Activation::leaky_relu_grad})
    BOOST_TEST(ops[a] == 1, "activation " << int(a));
}

// f32 on every backend against the f64 reference.
BOOST_AUTO_TEST_CASE(parity_of_every_backend, *label("on_every_backend")) {
  for (const OpDef* op : all_ops()) {
    if (op->is_view) continue;
    for (size_t s = 0; s < op->samples.size(); ++s) {
      const Sample& sample = op->samples[s];
      const auto in = sample_inputs(sample, 7 + s);
      const auto exact = run("reference", *op, sample.attrs, to_dtype(to_dtype(in, DType::f32), DType::f64));
      for (const char* device : devices_under_test()) {
        note_sample(where(*op, s));
        const auto out = run_poisoned(device, *op, sample.attrs, to_dtype(in, DType::f32));
        BOOST_REQUIRE_EQUAL(out.size(), exact.size());
        for (size_t o = 0; o < out.size(); ++o)
          BOOST_TEST(relative_error(out[o], exact[o]) <= op->bound,
                     where(*op, s) << " output " << o << " on " << device << ": "
                                   << relative_error(out[o], exact[o]) << " > " << op->bound);
      }
    }
  }
}

namespace {

// Inputs, one bit each, that an op asks for a sign or a choice alone: what is not a number there chooses
// something, and does not pass on. sign gives 0.
const std::map<std::string, uint32_t> kChoosers = {{"sign", 0b1},
                                                   {"relu_grad", 0b1},
                                                   {"leaky_relu_grad", 0b1},
                                                   {"clamp_grad", 0b1},
                                                   {"pgd_step", 0b10},
                                                   {"ascent_step", 0b111},
                                                   {"conv2d_fused", 0b10000},
                                                   {"conv_transpose2d_fused", 0b10000},
                                                   {"matmul_fused", 0b10000},
                                                   {"arcface_margin_grad", 0b1}};

int not_numbers(const std::vector<Tensor>& out) {
  int n = 0;
  for (const Tensor& t : out)
    if (t.dtype() == DType::f32)
      for (const float v : t.to_vector<float>()) n += std::isnan(v);
  return n;
}

}  // namespace

// What is not a number goes through to whatever is computed of it, on every backend, and hides nowhere as a
// zero: recognisers, shadows and trainings that are broken must show it.
BOOST_AUTO_TEST_CASE(not_a_number_stays_so, *label("on_every_backend")) {
  for (const OpDef* op : all_ops()) {
    if (op->is_view) continue;
    const auto chooser = kChoosers.find(op->name);
    for (const char* device : devices_under_test()) {
      std::map<size_t, int> seen;  // by input; one sample may have a mask before it that lets nothing through
      for (size_t s = 0; s < op->samples.size(); ++s) {
        const auto in = to_dtype(sample_inputs(op->samples[s], 7 + s), DType::f32);
        for (size_t i = 0; i < in.size(); ++i) {
          if (!in[i].defined() || in[i].dtype() != DType::f32 || in[i].numel() == 0) continue;
          if (chooser != kChoosers.end() && chooser->second >> i & 1u) continue;
          auto bad = in;
          bad[i] = Tensor::full(in[i].shape(), NAN);
          seen[i] += not_numbers(run(device, *op, op->samples[s].attrs, bad));
        }
      }
      for (const auto& [i, places] : seen)
        BOOST_TEST(places > 0, op->name << " on " << device << " hides NaN of input " << i);
    }
  }
}

// The same for one element, at its very place.
BOOST_AUTO_TEST_CASE(activations_keep_the_place_of_what_is_no_number, *label("on_every_backend")) {
  for (const char* device : devices_under_test()) {
    const BackendScope scope(backend(device));
    for (const int64_t n : {1, 7, 16, 33}) {
      const Tensor slope = Tensor::full({1}, 0.25), shared = Tensor::full({n}, -0.5);
      for (int64_t at = 0; at < n; at += 3) {
        std::vector<float> values(static_cast<size_t>(n), -1.5f);
        values[size_t(at)] = NAN;
        const Tensor x = Tensor::from(values, {1, n});
        for (const auto& [what, y] : {std::pair("relu", relu(x)),
                                      {"leaky_relu", leaky_relu(x, 0.1)},
                                      {"prelu", prelu(x, slope)},
                                      {"prelu by channel", prelu(x, shared)},
                                      {"clamp", clamp(x, 0, 1)},
                                      {"sigmoid", sigmoid(x)},
                                      {"tanh", tanh(x)},
                                      {"exp", exp(x)},
                                      {"abs", abs(x)}}) {
          const auto out = y.to_vector<float>();
          for (int64_t k = 0; k < n; ++k)
            BOOST_TEST(std::isnan(out[size_t(k)]) == (k == at),
                       what << " on " << device << ", " << n << " values, place " << k);
        }
      }
    }
  }
}

// One at each place of an image: every window that holds it gives it, and its place.
BOOST_AUTO_TEST_CASE(the_largest_of_a_window_is_no_number_where_one_is_none, *label("on_every_backend")) {
  const int64_t size = 11;
  const auto image = randn({size * size}, 5, DType::f32).to_vector<float>();
  for (const char* device : devices_under_test()) {
    const BackendScope scope(backend(device));
    for (const auto& [kernel, stride] : {std::pair(2, 1), {2, 2}, {3, 1}, {3, 2}, {3, 3}}) {
      const PoolAttrs window{.kernel = {kernel, kernel}, .stride = {stride, stride}};
      int wrong = 0;
      for (int64_t at = 0; at < size * size; ++at) {
        auto values = image;
        values[size_t(at)] = NAN;
        const Tensor x = Tensor::from(values, {1, 1, size, size});
        const auto out = apply(*find_op("max_pool2d"), window, {x});
        const auto y = out[0].to_vector<float>();
        const auto places = out[1].to_vector<int32_t>();
        const int64_t n = out[0].dim(2);
        for (int64_t oy = 0; oy < n; ++oy)
          for (int64_t ox = 0; ox < n; ++ox) {
            const int64_t dy = at / size - oy * stride, dx = at % size - ox * stride;
            const bool holds = dy >= 0 && dy < kernel && dx >= 0 && dx < kernel;
            wrong +=
                std::isnan(y[size_t(oy * n + ox)]) != holds || (holds && places[size_t(oy * n + ox)] != at);
          }
      }
      BOOST_TEST(wrong == 0, kernel << " by " << kernel << ", stride " << stride << " on " << device);
    }
  }
}

// Small whole numbers make sums of products exact in f32: bit for bit.
BOOST_AUTO_TEST_CASE(linear_ops_are_exact_on_integers, *label("on_every_backend")) {
  int seen = 0;
  for (const OpDef* op : all_ops()) {
    if (!op->exact_on_integers) continue;
    for (size_t s = 0; s < op->samples.size(); ++s) {
      auto in = sample_inputs(op->samples[s], 31 + s);
      for (Tensor& t : in) {
        if (!t.defined() || t.dtype() != DType::f64) continue;
        auto v = t.to_vector<double>();
        for (double& x : v) x = std::round(2 * x);
        t = Tensor::from(v, t.shape());
      }
      const auto exact = run("reference", *op, op->samples[s].attrs, in);
      for (const char* device : devices_under_test()) {
        const auto out = run_poisoned(device, *op, op->samples[s].attrs, to_dtype(in, DType::f32));
        for (size_t o = 0; o < out.size(); ++o)
          BOOST_TEST((out[o].to(exact[o].dtype()).to_vector<double>() == exact[o].to_vector<double>()),
                     where(*op, s) << " on " << device);
      }
      ++seen;
    }
  }
  BOOST_TEST(seen > 0);
}

BOOST_AUTO_TEST_CASE(gradients_by_central_differences) {
  BackendScope scope(backend("reference"));
  for (const OpDef* op : all_ops()) {
    if (!op->vjp) continue;
    for (size_t s = 0; s < op->samples.size(); ++s) {
      const Sample& sample = op->samples[s];
      const auto in = sample_inputs(sample, 17 + s);
      std::vector<bool> wanted(in.size());
      for (size_t i = 0; i < in.size(); ++i)
        wanted[i] = in[i].defined() && in[i].dtype() == DType::f64 && (op->differentiable >> i & 1u);
      const double error = gradient_error(
          [&](const std::vector<Tensor>& x) { return through(*op, apply(*op, sample.attrs, x)); }, in, wanted,
          3 + s);
      BOOST_TEST(error < kGradientBound, where(*op, s) << ": " << error);
    }
  }
}

// Each subset of wanted gradients gives the same numbers as all of them.
BOOST_AUTO_TEST_CASE(every_subset_of_gradients) {
  BackendScope scope(backend("reference"));
  for (const OpDef* op : all_ops()) {
    if (!op->vjp) continue;
    const Sample& sample = op->samples[0];
    const auto in = sample_inputs(sample, 5);
    std::vector<size_t> able;
    for (size_t i = 0; i < in.size(); ++i)
      if (in[i].defined() && in[i].dtype() == DType::f64 && (op->differentiable >> i & 1u)) able.push_back(i);
    if (able.size() > 5) able.resize(5);
    std::vector<Tensor> full;
    for (uint32_t mask = (1u << able.size()) - 1; mask > 0; --mask) {
      Tape tape;
      std::vector<Tensor> outs, cotangents, wrt;
      {
        TapeScope record(tape);
        outs = through(*op, apply(*op, sample.attrs, in));
      }
      for (size_t o = 0; o < outs.size(); ++o) cotangents.push_back(randn(outs[o].shape(), 900 + o));
      for (size_t k = 0; k < able.size(); ++k)
        if (mask >> k & 1u) wrt.push_back(in[able[k]]);
      const auto grads = backward(tape, outs, cotangents, wrt);
      if (full.empty()) full = grads;
      size_t g = 0;
      for (size_t k = 0; k < able.size(); ++k)
        if (mask >> k & 1u)
          BOOST_TEST((grads[g++].to_vector<double>() == full[k].to_vector<double>()),
                     op->name << " subset " << mask << " input " << able[k]);
    }
  }
}

BOOST_AUTO_TEST_CASE(same_bits_at_any_thread_count) {
  for (const OpDef* op : all_ops()) {
    if (op->is_view) continue;
    for (size_t s = 0; s < op->samples.size(); ++s) {
      const auto in = to_dtype(sample_inputs(op->samples[s], 77 + s), DType::f32);
      std::vector<std::vector<Tensor>> runs;
      for (int threads : {1, 2, 5}) {
        set_num_threads(threads);
        runs.push_back(run("cpu", *op, op->samples[s].attrs, in));
      }
      for (size_t r = 1; r < runs.size(); ++r)
        for (size_t o = 0; o < runs[r].size(); ++o)
          BOOST_TEST(std::equal(runs[r][o].raw(), runs[r][o].raw() + runs[r][o].bytes(), runs[0][o].raw()),
                     where(*op, s) << " differs between thread counts");
    }
  }
  set_num_threads(0);
}

BOOST_AUTO_TEST_CASE(wrong_shapes_name_the_op) {
  const Tensor a = randn({2, 3}, 1), b = randn({4, 5}, 2);
  BOOST_CHECK_EXCEPTION(add(a, b), Error, [](const Error& e) {
    const std::string what = e.what();
    return what.find("add") != std::string::npos && what.find("[2,3]") != std::string::npos;
  });
  BOOST_CHECK_THROW(matmul(a, b), Error);
  BOOST_CHECK_THROW(reshape(a, {7}), Error);
}
