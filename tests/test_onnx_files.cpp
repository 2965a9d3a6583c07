// ONNX files: weights beside the model, what a file may not do, how much it may ask for, and damaged files.
#define BOOST_TEST_MODULE onnx_files
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>

#include "file_test_util.h"
#include "nn/onnx/model.h"
#include "onnx_cases.h"
#include "onnx_test_util.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

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
