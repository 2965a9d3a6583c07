// ONNX: every supported op against onnxruntime (oracles/onnx_oracles.py, onnx_graph_oracles.py), gradients
// through a loaded graph, export and back, what a file may not do, and damaged files.
#define BOOST_TEST_MODULE onnx
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "file_test_util.h"
#include "nn/nets/recognisers.h"
#include "nn/onnx/export.h"
#include "nn/onnx/model.h"
#include "onnx_test_util.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

struct Case {
  std::string model;  // the file's bytes
  OnnxModel::Feeds in, out;
};

std::map<std::string, Case> cases() {
  std::map<std::string, Case> all;
  for (const char* file : {"/onnx_ops.safetensors", "/onnx_graphs.safetensors"})
    for (const auto& [key, tensor] : load_safetensors(ADVF_TEST_DATA + std::string(file)).tensors) {
      const size_t dot = key.find('.');
      Case& c = all[key.substr(0, dot)];
      const std::string rest = key.substr(dot + 1);
      if (rest == "model") {
        c.model.assign(reinterpret_cast<const char*>(tensor.raw()), tensor.bytes());
      } else {
        (rest[0] == 'i' ? c.in : c.out).emplace_back(rest.substr(rest.find('.') + 1), tensor);
      }
    }
  return all;
}

std::vector<std::string> names(const OnnxModel::Feeds& list) {
  std::vector<std::string> out;
  for (const auto& [name, unused] : list) out.push_back(name);
  return out;
}

OnnxModel load(const std::string& bytes) { return OnnxModel::from_bytes(bytes, "test.onnx"); }

void refuse(const OnnxBuilder& file, std::vector<std::string> words) {
  words.push_back("test.onnx");
  refused([&] { load(file.bytes()); }, words);
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

// ---- what a file may not do

BOOST_AUTO_TEST_CASE(all_problems_in_one_error) {
  refuse(OnnxBuilder(99)
             .input("x", {1, 2, 4, 4})
             .output("y")
             .output("nobody")
             .floats("w", {3, 2, 3, 3}, {1, 2, 3})
             .external("far")
             .node("Conv", {"x", "w"}, {"c"}, {{"strides", {0, 1}}, {"pads", {1, 1}}})
             .node("Einsum", {"c"}, {"e"})
             .node("Einsum", {"e"}, {"f"})
             .node("Loop", {"f"}, {"g"})
             .node("Add", {"g", "missing"}, {"h"})
             .node("MaxPool", {"h"}, {"h2"}, {{"kernel_shape", {1 << 30, 1}}})
             .node("Relu", {"h2"}, {"y"}, {{"surprise", {1}}})
             .node("Relu", {"x"}, {"y"}),
         {"opset is 99", "'w' has shape [3,2,3,3]", "12 bytes", "'far' keeps its data in another file",
          "'strides'", "'pads'", "Einsum", "2 nodes", "Loop", "'missing', which nothing makes",
          "'kernel_shape'", "'surprise'", "exists already", "'nobody'"});
}

// Weights in a file beside the model: the same numbers, a fingerprint that knows them, and nothing read that
// lies elsewhere.
BOOST_AUTO_TEST_CASE(data_in_other_files) {
  const TempDir dir;
  const std::vector<float> w{1, 2, 3, 4, 5, 6};
  const auto model = [](const std::string& location, const std::string& offset, const std::string& length) {
    return OnnxBuilder()
        .input("x", {1, 2})
        .output("y")
        .external("w", {2, 3}, location, offset, length)
        .node("MatMul", {"x", "w"}, {"y"});
  };
  const auto write = [&](const std::string& name, const OnnxBuilder& b) {
    write_bytes(dir / name, b.bytes());
  };
  std::string data = "12345678";
  data.append(reinterpret_cast<const char*>(w.data()), 24);
  write_bytes(dir / "net.data", data);
  write("a.onnx", model("net.data", "8", "24"));
  const OnnxModel a = OnnxModel::load(dir / "a.onnx");
  const Tensor x = Tensor::from(std::vector<float>{10, 1}, {1, 2});
  BOOST_TEST((a.run({{"x", x}}, {"y"})[0].to_vector<float>() == std::vector<float>{14, 25, 36}));
  const std::string fingerprint = a.fingerprint();
  data[9] = 1;
  write_bytes(dir / "net.data", data);
  BOOST_TEST(OnnxModel::load(dir / "a.onnx").fingerprint() != fingerprint);

  std::filesystem::create_directory(dir / "sub");
  write_bytes(dir / "sub/inside.data", data);
  write("inside.onnx", model("sub/inside.data", "8", "24"));
  BOOST_CHECK_NO_THROW(OnnxModel::load(dir / "inside.onnx"));
  std::filesystem::create_symlink("/etc/hostname", dir / "link.data");
  for (const auto& [location, offset, length, word] :
       {std::tuple("../net.data", "8", "24", "not a file in the model's folder"),
        {"/etc/passwd", "0", "24", "not a file in"},
        {"link.data", "0", "24", "not a file in"},
        {"absent.data", "0", "24", "absent.data, which is not there"},
        {"sub", "0", "24", "not there"},
        {"net.data", "16", "24", "beyond the end of \"net.data\", which has 32 bytes"},
        {"net.data", "18446744073709551615", "24", "which has 32"},
        {"net.data", "8", "20", "holds 20 bytes"},
        {"net.data", "-8", "24", "\"-8\", which is no number"},
        {"", "8", "24", "not a file in"}}) {
    write("bad.onnx", model(location, offset, length));
    refused([&] { OnnxModel::load(dir / "bad.onnx"); }, {"bad.onnx", "initialiser 'w'", word});
  }
  // A file that is too short for all of them, as one that stands for a large file does, is one line.
  OnnxBuilder cut;
  cut.input("x", {1, 2}).output("y").node("Relu", {"x"}, {"y"});
  for (int i = 0; i < 40; ++i)
    cut.external("w" + std::to_string(i), {2, 3}, "net.data", std::to_string(100 + 24 * i), "24");
  write("cut.onnx", cut);
  refused([&] { OnnxModel::load(dir / "cut.onnx"); }, {"'w0' (and 39 more) keeps its data beyond the end"});
  // From memory there is no folder; one line tells it of all tensors.
  OnnxBuilder many;
  many.input("x", {1, 2}).output("y").node("Relu", {"x"}, {"y"});
  for (int i = 0; i < 66; ++i) many.external("w" + std::to_string(i), {2, 3}, "net.data", "8", "24");
  refused([&] { load(many.bytes()); }, {"'w0' (and 65 more) keeps its data in another file"});
}

// What these opsets added does not touch the ops here; what is newer is refused.
BOOST_AUTO_TEST_CASE(opsets_up_to_24) {
  const auto model = [](int64_t opset) {
    return OnnxBuilder(opset)
        .input("x", {1, 3})
        .output("y")
        .floats("w", {3, 2}, {1, 2, 3, 4, 5, 6})
        .node("MatMul", {"x", "w"}, {"m"})
        .node("Relu", {"m"}, {"y"});
  };
  for (const int64_t opset : {13, 22, 23, 24}) {
    const Tensor y =
        load(model(opset).bytes()).run({{"x", Tensor::from(std::vector<float>{1, -1, 1}, {1, 3})}}, {"y"})[0];
    BOOST_TEST((y.to_vector<float>() == std::vector<float>{3, 4}), opset);
  }
  refuse(model(25), {"opset is 25", "7 to 24"});
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

BOOST_AUTO_TEST_CASE(quantised_networks_are_told_the_way_out) {
  const int8_t q[4] = {1, 2, 3, 4};
  OnnxBuilder b;
  b.input("x", {1, 2}).output("y").constant("q", {4}, 3, q, 4).constant("p", {4}, 3, q, 4);
  b.node("DequantizeLinear", {"q", "s"}, {"w"}).node("QLinearConv", {"x"}, {"y"});
  b.node("MatMulIntegerToFloat", {"x"}, {"m"}).node("DynamicQuantizeMatMul", {"x"}, {"d"});
  // Two tensors and four nodes are one line.
  refuse(b, {"'q' (and 5 more) is quantised", "float32 or float16"});
}

// One line a kind, not a line a tensor.
BOOST_AUTO_TEST_CASE(weights_that_are_not_finite_make_one_line) {
  OnnxBuilder b;
  b.input("x", {1, 2}).output("y");
  std::string last = "x";
  for (const char* name : {"a", "b", "c"}) {
    b.floats(std::string("w") + name, {2, 2}, {INFINITY, 0, 0, 1})
        .node("MatMul", {last, std::string("w") + name}, {name});
    last = name;
  }
  b.floats("nan", {2}, {NAN, 1}).node("Add", {"c", "nan"}, {"y"});
  try {
    load(b.bytes());
    BOOST_ERROR("accepted");
  } catch (const Error& e) {
    const std::string text = e.what();
    BOOST_TEST(std::count(text.begin(), text.end(), '\n') == 2, text);
    BOOST_TEST(text.find("'wa' (and 2 more) holds values that are not finite") != std::string::npos, text);
  }
}

BOOST_AUTO_TEST_CASE(cycles_and_shapes_that_do_not_fit) {
  refuse(
      OnnxBuilder().input("x", {1, 2}).output("a").node("Add", {"x", "b"}, {"a"}).node("Relu", {"a"}, {"b"}),
      {"cycle"});
  refuse(OnnxBuilder()
             .input("x", {1, 2, 4, 4})
             .output("y")
             .floats("w", {1, 3, 1, 1}, {1, 2, 3})
             .floats("v", {3}, {1, 2, 3})
             .node("Conv", {"x", "w"}, {"c"})
             .node("Add", {"x", "v"}, {"y"}),
         {"Conv 'c'", "Add 'y'", "[1,3,1,1]"});
}

// What tensors cannot do here, and shapes that make no sense.
BOOST_AUTO_TEST_CASE(shape_arithmetic_that_cannot_be_folded) {
  const auto start = [] { return OnnxBuilder(13).input("x", {1, 2, 4, 4}).output("y"); };
  for (const char* op : {"Floor", "Ceil"})
    refuse(start().node(op, {"x"}, {"y"}), {op, "shapes and short constants only"});
  refuse(start().node("Equal", {"x", "x"}, {"y"}), {"Equal", "shapes and short constants only"});
  refuse(start().ints("i", {2}).node("Gather", {"x", "i"}, {"y"}), {"Gather", "index 2 of a dimension of 1"});
  refuse(start().node("Relu", {"x"}, {"i"}).node("Gather", {"x", "i"}, {"y"}),
         {"Gather", "input 1 must be constant whole numbers"});
  refuse(
      start().ints("a", {6}).ints("b", {0}).node("Div", {"a", "b"}, {"s"}).node("Expand", {"x", "s"}, {"y"}),
      {"y", "a dimension of"});
  refuse(start().ints("z", {0}).node("Div", {"z", "z"}, {"s"}).node("Expand", {"x", "s"}, {"y"}),
         {"Div", "not a number"});
  refuse(start().ints("n", {3, 2}).node("Split", {"x", "n"}, {"y", "z"}, {}), {"Split", "dimension of 1"});
  refuse(start().ints("p", {0, 0, 0, 0, 0, 0, 0, -9}).node("Pad", {"x", "p"}, {"y"}), {"Pad", "cuts more"});
  refuse(start().floats("w", {3, 4, 4}, std::vector<float>(48)).node("MatMul", {"x", "w"}, {"y"}),
         {"MatMul", "[1,2]", "[3]"});
  // Small files that ask for many numbers.
  refuse(start().ints("s", {1 << 30}).node("ConstantOfShape", {"s"}, {"y"}), {"too large"});
  refuse(start()
             .ints("a", {0})
             .ints("b", {INT64_MAX})
             .ints("c", {1})
             .node("Range", {"a", "b", "c"}, {"r"})
             .node("Reshape", {"x", "r"}, {"y"}),
         {"a range of"});
  refuse(start().ints("a", {1, 2}).ints("t", {1 << 30}).node("Expand", {"a", "t"}, {"y"}), {"Expand"});
  refuse(start().ints("a", {1}).ints("t", {1 << 30}).node("Expand", {"a", "t"}, {"y"}),
         {"numbers of shapes"});
  refuse(start().ints("b", {0}).ints("e", {4}).ints("a", {2}).ints("s", {0}).node(
             "Slice", {"x", "b", "e", "a", "s"}, {"y"}),
         {"Slice", "a step of 0"});
}

// Small files that ask for much memory.
BOOST_AUTO_TEST_CASE(sizes_are_bounded_before_anything_is_allocated) {
  const auto start = [] {
    return OnnxBuilder(11).input("x", {1, 1, 64, 64}).output("y").floats("none", {0}, {});
  };
  const int64_t huge = int64_t(1) << 19;
  refuse(start().ints("p", {0, 0, huge, huge, 0, 0, huge, huge}).node("Pad", {"x", "p"}, {"y"}),
         {"too large"});
  refuse(start().floats("s", {4}, {1, 1, 9999, 9999}).node("Resize", {"x", "none", "s"}, {"y"}),
         {"too large"});
  refuse(start().floats("s", {4}, {1, 1, 1e30f, 1}).node("Resize", {"x", "none", "s"}, {"y"}), {"factor"});
  refuse(start().ints("s", {-1, -1}).node("Reshape", {"x", "s"}, {"y"}), {"two unknown"});
  refuse(start().ints("s", {INT64_MAX, INT64_MAX}).node("Reshape", {"x", "s"}, {"y"}), {"dimension of"});
  refuse(start().floats("w", {INT64_MAX, INT64_MAX}, {1}).node("MatMul", {"x", "w"}, {"y"}),
         {"too many elements"});
  refuse(OnnxBuilder().input("x", {1, int64_t(1) << 40}).output("y").node("Relu", {"x"}, {"y"}),
         {"too large"});
  // Doubling, of what depends on the input and of constants.
  OnnxBuilder dynamic = start(), fixed = start().floats("x0", {1, 1}, {1}).node("Add", {"x", "x30"}, {"y"});
  std::string last = "x";
  for (int i = 1; i <= 30; ++i) {
    const std::string next = i == 30 ? "y" : "d" + std::to_string(i);
    dynamic.node("Concat", {last, last}, {next}, {});
    fixed.node("Concat", {"x" + std::to_string(i - 1), "x" + std::to_string(i - 1)},
               {"x" + std::to_string(i)});
    last = next;
  }
  refuse(dynamic, {"too large"});
  refuse(fixed, {"too large"});
}

BOOST_AUTO_TEST_CASE(not_an_onnx_file) {
  refused([] { load(""); }, {"no graph"});
  refused([] { load("hello, this is text"); }, {"not a readable ONNX model"});
  refused([] { OnnxModel::load("/nowhere/x.onnx"); }, {"/nowhere/x.onnx"});
  refused([] { OnnxModel::load("/tmp"); }, {"/tmp"});
}

// Damaged files are refused or give a model that runs or refuses to; ASan and UBSan watch.
BOOST_AUTO_TEST_CASE(damaged_files) {
  constexpr int64_t kLittleWork = 1000000;
  size_t ran = 0;
  for (const auto& entry : cases()) {
    const Case& c = entry.second;
    survive(
        c.model,
        [&](const std::string& bytes) {
          const OnnxModel model = load(bytes);
          OnnxModel::FeedShapes shapes;
          for (const auto& [feed, tensor] : c.in) shapes.emplace_back(feed, tensor.shape());
          int64_t work = 0;
          for (const auto& t : model.trace(shapes, model.outputs())) work += t.macs + t.shape.numel();
          if (work > kLittleWork) return;
          model.run(c.in, model.outputs());
          ++ran;
        },
        100);
  }
  BOOST_TEST(ran > 100u);
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
