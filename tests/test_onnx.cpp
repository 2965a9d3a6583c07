// ONNX: every supported op against onnxruntime (oracles/onnx_oracles.py, onnx_graph_oracles.py), gradients
// through a loaded graph, export and back.
#define BOOST_TEST_MODULE onnx
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "file_test_util.h"
#include "nn/nets/recognisers.h"
#include "nn/onnx/export.h"
#include "nn/onnx/model.h"
#include "onnx_cases.h"
#include "onnx_test_util.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

std::vector<std::string> names(const OnnxModel::Feeds& list) {
  std::vector<std::string> out;
  for (const auto& [name, unused] : list) out.push_back(name);
  return out;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_op_against_onnxruntime) {
  BOOST_TEST(cases().size() >= 180u);
  for (const char* device : {"reference", "cpu"}) {
    const BackendScope scope(backend(device));
    for (const auto& [name, c] : cases()) {
      BOOST_TEST_CONTEXT(name << " on " << device) {
        try {
          const OnnxModel model = load(c.model);
          const auto out = model.run(c.in, names(c.out));
          for (size_t i = 0; i < out.size(); ++i) {
            BOOST_TEST(out[i].shape() == c.out[i].second.shape());
            BOOST_TEST(relative_error(out[i], c.out[i].second) < 1e-5);
          }
          // The same shapes come from shapes alone.
          OnnxModel::FeedShapes shapes;
          for (const auto& [feed, tensor] : c.in) shapes.emplace_back(feed, tensor.shape());
          BOOST_TEST((model.trace(shapes, {c.out[0].first}).back().shape == c.out[0].second.shape()));
        } catch (const Error& e) {
          BOOST_ERROR(e.what());
        }
      }
    }
  }
}

// Rows of a batch do not know of each other: row 1 of two equals row 1 alone, also where the file says
// batch 1.
BOOST_AUTO_TEST_CASE(any_batch) {
  for (const auto& [name, c] : cases()) {
    if (c.in.size() != 1 || c.in[0].second.dim(0) < 2 || name == "transpose") continue;  // moves the batch
    const OnnxModel model = load(c.model);
    const Tensor whole = model.run(c.in, {c.out[0].first})[0];
    if (whole.shape().rank() == 0 || whole.dim(0) != c.in[0].second.dim(0)) continue;
    const Tensor alone = model.run({{c.in[0].first, c.in[0].second.slice_batch(1, 2)}}, {c.out[0].first})[0];
    BOOST_TEST(relative_error(whole.slice_batch(1, 2), alone) < 1e-6, name);
  }
}

BOOST_AUTO_TEST_CASE(gradients_flow_through_a_loaded_graph) {
  const BackendScope scope(backend("reference"));
  const Case c = cases().at("branches");
  const OnnxModel model = OnnxModel::from_bytes(c.model, "branches", DType::f64);
  const double error = gradient_error(
      [&](const std::vector<Tensor>& x) {
        return model.run({{"x", x[0]}, {"z", x[1]}}, {"y", "g"});
      },
      {c.in[0].second.to(DType::f64), c.in[1].second.to(DType::f64)}, {true, true}, 3);
  BOOST_TEST(error < 1e-6);
}

// Every graph of the second set, through all its ops back to its inputs.
BOOST_AUTO_TEST_CASE(gradients_of_every_graph) {
  const BackendScope scope(backend("reference"));
  int seen = 0;
  for (const auto& [key, unused] :
       load_safetensors(ADVF_TEST_DATA + std::string("/onnx_graphs.safetensors")).tensors) {
    if (!key.ends_with(".model")) continue;
    const std::string name = key.substr(0, key.find('.'));
    const Case c = cases().at(name);
    const OnnxModel model = OnnxModel::from_bytes(c.model, name, DType::f64);
    std::vector<Tensor> inputs;
    for (const auto& [feed, tensor] : c.in) inputs.push_back(tensor.to(DType::f64));
    const double error = gradient_error(
        [&](const std::vector<Tensor>& x) {
          OnnxModel::Feeds feeds;
          for (size_t i = 0; i < x.size(); ++i) feeds.emplace_back(c.in[i].first, x[i]);
          return model.run(feeds, names(c.out));
        },
        inputs, std::vector<bool>(inputs.size(), true), 3);
    BOOST_TEST(error < 1e-5, name << ": " << error);
    ++seen;
  }
  BOOST_TEST(seen > 100);
}

// Shapes that the file's sizes settle are constants: they need no input and go round no cut.
BOOST_AUTO_TEST_CASE(shapes_are_folded) {
  const OnnxModel model = load(OnnxBuilder()
                                   .input("x", {1, 2, 4, 4})
                                   .output("y")
                                   .ints("mask", {0, 1, 1, 0})
                                   .node("Shape", {"x"}, {"s"})
                                   .node("Relu", {"x"}, {"r"})
                                   .node("Sigmoid", {"r"}, {"q"})
                                   .node("Mul", {"s", "mask"}, {"t"})
                                   .node("Reshape", {"q", "t"}, {"y"})
                                   .bytes());
  BOOST_TEST((model.cuts("y") == std::vector<std::string>{"r", "q", "y"}));
  BOOST_TEST((model.values() == std::vector<std::string>{"s", "r", "q", "y"}));  // s holds the batch
  const Tensor q = randn({3, 2, 4, 4}, 1, DType::f32);
  BOOST_TEST((model.run({{"q", q}}, {"y"})[0].shape() == Shape{3, 2, 4, 4}));
}

BOOST_AUTO_TEST_CASE(cuts_and_what_goes_round_them) {
  const OnnxModel model =
      load(OnnxBuilder()
               .input("x", {1, 2, 4, 4})
               .output("y")
               .node("Add", {"a", "b"}, {"s"})  // before its inputs: order is ours to find
               .node("Relu", {"x"}, {"r"})
               .node("Sigmoid", {"r"}, {"a"})
               .node("Tanh", {"r"}, {"b"})
               .node("Flatten", {"s"}, {"y"})
               .node("Relu", {"a"}, {"unused"})
               .bytes());
  BOOST_TEST((model.cuts("y") == std::vector<std::string>{"r", "s", "y"}));
  BOOST_TEST(model.bypass("s", "y").empty());
  BOOST_TEST((model.bypass("a", "y") == "r"));
  BOOST_TEST((model.bypass("b", "y") == "a"));
  refused([&] { model.bypass("unused", "y"); }, {"unused", "y"});
  refused([&] { model.bypass("nowhere", "y"); }, {"nowhere"});
  // The second half alone, on several images, needs nothing else; a part that lacks an input says which.
  const Tensor r = randn({3, 2, 4, 4}, 1, DType::f32);
  const Tensor y = model.run({{"r", r}}, {"y"})[0];
  BOOST_TEST(relative_error(y, reshape(add(sigmoid(r), tanh(r)), {3, 32})) < 1e-6);
  refused([&] { model.run({{"a", r}}, {"y"}); }, {"'x'", "not given"});
  refused([&] { model.run({{"x", randn({1, 3, 4, 4}, 1, DType::f32)}}, {"y"}); }, {"[?,2,4,4]", "[1,3,4,4]"});
}

BOOST_AUTO_TEST_CASE(macs_are_counted) {
  const Case c = cases().at("conv_grouped");  // (2,4,9,8), weight (6,2,3,3): 2*6*7*6 outputs of 18 products
  const auto traced = load(c.model).trace({{"x", {2, 4, 9, 8}}}, {"y"});
  BOOST_TEST(traced.back().macs == 2 * 6 * 7 * 6 * 18);
}

// By statistics of each value, which for two dimensions are those of each channel.
BOOST_AUTO_TEST_CASE(batch_norm_of_two_dimensions_without_spatial) {
  const auto model = [](const std::vector<int64_t>& shape) {
    return OnnxBuilder(7)
        .input("x", shape)
        .output("y")
        .floats("s", {2}, {2, 3})
        .floats("b", {2}, {1, -1})
        .floats("m", {2}, {1, 2})
        .floats("v", {2}, {4, 9})
        .node("BatchNormalization", {"x", "s", "b", "m", "v"}, {"y"}, {}, {{"spatial", 0}});
  };
  const auto y = load(model({1, 2}).bytes())
                     .run({{"x", Tensor::from(std::vector<float>{3, 5, 1, 2}, {2, 2})}}, {"y"})[0]
                     .to_vector<float>();
  const std::vector<float> expected{3, 2, 1, -1};
  for (size_t i = 0; i < 4; ++i) BOOST_TEST(std::fabs(y[i] - expected[i]) < 1e-4);
  refuse(model({1, 2, 3, 3}), {"BatchNormalization 'y'", "spatial = 0", "[1,2,3,3]"});
}

// Of three dimensions, as exporters write a group normalisation; several images.
BOOST_AUTO_TEST_CASE(instance_norm_of_three_dimensions) {
  const OnnxModel model = load(OnnxBuilder()
                                   .input("x", {1, 2, 4})
                                   .output("y")
                                   .floats("s", {2}, {2, -1})
                                   .floats("b", {2}, {0, 5})
                                   .node("InstanceNormalization", {"x", "s", "b"}, {"y"})
                                   .bytes());
  const Tensor x = randn({3, 2, 4}, 8, DType::f32);
  const auto in = x.to_vector<float>(), out = model.run({{"x", x}}, {"y"})[0].to_vector<float>();
  for (size_t row = 0; row < 6; ++row) {
    double mean = 0, squares = 0;
    for (size_t k = 0; k < 4; ++k) mean += double(in[row * 4 + k]) / 4;
    for (size_t k = 0; k < 4; ++k) squares += std::pow(double(in[row * 4 + k]) - mean, 2) / 4;
    const double scale = row % 2 == 0 ? 2 : -1, bias = row % 2 == 0 ? 0 : 5;
    for (size_t k = 0; k < 4; ++k)
      BOOST_TEST(std::fabs(double(out[row * 4 + k]) -
                           ((double(in[row * 4 + k]) - mean) / std::sqrt(squares + 1e-5) * scale + bias)) <
                 1e-4);
  }
}

// ---- export

namespace {

// Writes f(x) as ONNX, reads it back, and compares on another batch.
void round_trip(const std::string& what, const std::function<Tensor(const Tensor&)>& f, const Shape& image) {
  BOOST_TEST_CONTEXT(what) {
    const auto batch = [&](int64_t n, uint64_t seed) {
      Shape s{n};
      for (const int64_t d : image) s.push_back(d);
      return randn(s, seed, DType::f32);
    };
    Tape tape(Tape::Keep::everything);
    const Tensor x = batch(2, 1);
    Tensor y;
    {
      const TapeScope record(tape);
      y = f(x);
    }
    const OnnxModel model = load(to_onnx(what, tape, x, "image", {{y, "embedding"}}));
    for (const int64_t n : {1, 3}) {
      const Tensor fresh = batch(n, uint64_t(7 + n));
      BOOST_TEST(relative_error(model.run({{"image", fresh}}, {"embedding"})[0], f(fresh)) < 1e-6);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(export_and_back) {
  const auto w = [](const Shape& s, uint64_t seed) { return affine(randn(s, seed, DType::f32), 0.3, 0); };
  const Tensor vector = w({4}, 3), variance = affine(abs(vector), 1, 0.5);
  round_trip("conv",
             [&, k = w({4, 3, 3, 3}, 1)](const Tensor& x) {
               Tensor y = conv2d(x, k, vector, {.stride = {2, 1}, .pad = {1, 0, 2, 1}, .dilation = {1, 2}});
               y = batch_norm_eval(y, vector, vector, vector, variance, 1e-3);
               y = add(prelu(y, vector), mul(leaky_relu(y, 0.2), sigmoid(tanh(y))));
               return sub(y, div(relu(y), clamp(exp(y), 0.5, 1e3)));
             },
             {3, 9, 8});
  round_trip("conv_transpose",
             [k = w({3, 2, 3, 4}, 2)](const Tensor& x) {
               return conv_transpose2d(x, k, {}, {.stride = {2, 3}, .pad = {1, 0, 0, 1}, .size = {19, 26}});
             },
             {3, 9, 8});
  round_trip("pool_and_resize",
             [](const Tensor& x) {
               const PoolAttrs window{.kernel = {3, 2}, .stride = {2, 2}, .pad = {1, 0, 1, 1}};
               const Tensor y = concat({max_pool2d(x, window), avg_pool2d(x, window)}, 1);
               Tensor z = resize2d(y, {.size = {7, 11}});
               z = sub(z, broadcast_to(mean(z, {2, 3}), z.shape()));
               const Tensor up = resize2d(slice(z, 1, 1, 3), {.size = {14, 22}, .mode = ResizeMode::nearest});
               return pad(permute(up, {0, 2, 3, 1}), {.before = {0, 1}, .after = {0, 0, 2}, .value = 0.25});
             },
             {3, 9, 8});
  round_trip("attention",
             [](const Tensor& x) {
               const Tensor a = softmax(x);
               const Tensor b = batch_matmul(a, erf(a), {.transpose_b = true});
               return batch_matmul(b, a, {.transpose_a = true});
             },
             {3, 4});
  round_trip("head",
             [k = w({5, 12}, 4), b = w({5}, 5), m = w({5, 5}, 6)](const Tensor& x) {
               const Tensor y = matmul(linear(reshape(x, {x.dim(0), 12}), k, b), m);
               return l2_normalise(affine(mul(y, mean(power(abs(y), 1.5), {1})), 2, -0.5));
             },
             {3, 2, 2});
}

// Walks the op table: every op can be written, and comes back as itself, or stands in the list of those that
// no network has after training.
BOOST_AUTO_TEST_CASE(export_of_every_op) {
  const auto is_of_training = [](const OpDef& op) {
    const std::string name = op.name;
    for (const char* part : {"_grad", "_step", "_fused", "_train", "image_loss", "cross_entropy", "arcface"})
      if (name.find(part) != std::string::npos) return true;
    return name == "sign";  // of a gradient
  };
  for (const OpDef* op : all_ops()) {
    BOOST_TEST(has_onnx_form(*op) != is_of_training(*op), op->name);
    if (!has_onnx_form(*op)) continue;
    size_t written = 0;
    for (size_t s = 0; s < op->samples.size(); ++s) {
      const auto in = to_dtype(sample_inputs(op->samples[s], 3), DType::f32);
      Tape tape(Tape::Keep::everything);
      std::vector<Tensor> y;
      {
        const TapeScope record(tape);
        y = apply(*op, op->samples[s].attrs, in);
      }
      std::string bytes;
      try {
        bytes = to_onnx(op->name, tape, in[0], "image", {{y[0], "y"}});
      } catch (const Error&) {
        continue;  // it mixes the images of a batch
      }
      ++written;
      BOOST_TEST_CONTEXT(where(*op, s)) {
        BOOST_TEST(relative_error(load(bytes).run({{"image", in[0]}}, {"y"})[0], y[0]) < 1e-6);
      }
    }
    // Those that export_and_back has: all operands of concat are of the batch, and the samples of
    // broadcast_to repeat the batch.
    BOOST_TEST((written > 0 || op == &op_concat || op == &op_broadcast_to), op->name << ": none was written");
  }
}

BOOST_AUTO_TEST_CASE(export_of_a_whole_recogniser) {
  const auto net = make_recogniser({.name = "mobilefacenet", .width_percent = 50}, 1);
  net->train(false);
  Tape tape(Tape::Keep::everything);
  const Tensor x = randn({1, 3, 112, 112}, 4, DType::f32);
  Tensor y;
  {
    const NoTapeScope quiet;
    const TapeScope record(tape);
    y = net->forward(x);
  }
  std::map<uint64_t, std::string> weights;
  for (const Named& n : net->state()) weights[n.tensor->id()] = n.name;
  const TempDir folder;
  export_onnx(folder / "net.onnx", tape, x, "image", {{y, "embedding"}}, weights);
  const OnnxModel model = OnnxModel::load(folder / "net.onnx");
  BOOST_TEST(relative_error(model.run({{"image", x}}, {"embedding"})[0], y) < 1e-6);
  BOOST_TEST(model.run({{"image", randn({2, 3, 112, 112}, 5, DType::f32)}}, {"embedding"})[0].dim(0) == 2);
  BOOST_TEST(model.has_value(net->parameters()[0].name));
}

BOOST_AUTO_TEST_CASE(export_lists_what_it_cannot_write) {
  Tape tape(Tape::Keep::everything);
  const Tensor x = randn({2, 3}, 1, DType::f32);
  Tensor y;
  {
    const TapeScope record(tape);
    y = softmax_cross_entropy(sign(x), Tensor::from(std::vector<int32_t>{0, 1}, {2}));
  }
  refused(
      [&] {
        to_onnx("out.onnx", tape, x, "x", {{y, "y"}});
      },
      {"out.onnx", "sign", "softmax_cross_entropy"});
  refused(
      [&] {
        to_onnx("out.onnx", tape, x, "x", {{randn({2}, 1), "stranger"}});
      },
      {"stranger", "not recorded"});
}
