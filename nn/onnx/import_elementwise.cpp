// Arithmetic, activations and what does nothing at inference.
#include <cmath>
#include <limits>

#include "nn/onnx/import.h"
#include "tensor/ops.h"

namespace advf::onnx {
namespace {

template <Tensor (*op)(const Tensor&)>
Emit unary(NodeReader&) {
  return [](const Inputs& in) { return one(op(in.tensor(0))); };
}

template <Tensor (*op)(const Tensor&, const Tensor&)>
Emit binary(NodeReader&) {
  return [](const Inputs& in) { return one(op(in.tensor(0), in.tensor(1))); };
}

Emit sqrt_node(NodeReader&) {
  return [](const Inputs& in) { return one(power(in.tensor(0), 0.5)); };
}

Emit pow_node(NodeReader&) {
  return [](const Inputs& in) {
    const Value& exponent = in.value(1);
    if (exponent.ints && exponent.ints->size() == 1)
      return one(power(in.tensor(0), double((*exponent.ints)[0])));
    return one(power(in.tensor(0), in.scalar(1)));
  };
}

Emit leaky_relu_node(NodeReader& node) {
  const double slope = node.real("alpha", 0.01);
  return [slope](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    if (slope > 0) return one(leaky_relu(x, slope));
    return one(sub(relu(x), affine(relu(affine(x, -1, 0)), slope, 0)));
  };
}

// The slope broadcasts to x from the right. One value per channel is the op prelu; anything else is composed.
Emit prelu_node(NodeReader&) {
  return [](const Inputs& in) {
    const Tensor &x = in.tensor(0), &slope = in.tensor(1);
    const Shape& s = slope.shape();
    const int channel_axis = s.rank() - (x.shape().rank() - 1);  // where x's dimension 1 lies in the slope
    if (slope.numel() == 1) return one(prelu(x, reshape(slope, {1})));
    if (x.shape().rank() >= 2 && channel_axis >= 0 && channel_axis < s.rank() &&
        s[channel_axis] == slope.numel())
      return one(prelu(x, reshape(slope, {slope.numel()})));
    return one(sub(relu(x), mul(slope, relu(affine(x, -1, 0)))));
  };
}

// min and max are attributes up to opset 6 of the file's ops and inputs since 11.
Emit clip_node(NodeReader& node) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const double low = node.real("min", -kInf), high = node.real("max", kInf);
  return [low, high](const Inputs& in) {
    const double min = in.has(1) ? in.scalar(1) : low, max = in.has(2) ? in.scalar(2) : high;
    check(!(min > max), "min ", min, " above max ", max);
    return one(clamp(in.tensor(0), min, max));
  };
}

Emit identity_node(NodeReader&) {
  return [](const Inputs& in) { return std::vector<Value>{in.value(0)}; };
}

Emit dropout_node(NodeReader& node) {
  node.real("ratio", 0.5);
  node.integer("seed", 0);
  return [](const Inputs& in) {
    check(!in.has(2) || in.ints(2) == std::vector<int64_t>{0}, "training_mode must be false");
    return std::vector<Value>{in.value(0)};
  };
}

// Between float types nothing is left to do: all floats were brought to one type when the file was loaded.
Emit cast_node(NodeReader& node) {
  const int64_t to = node.integer("to", 0);
  node.integer("saturate", 1);
  const bool to_float = to == 1 || to == 10 || to == 11 || to == 16, to_int = to == 6 || to == 7;
  if (!to_float && !to_int) node.problem("casts to element type ", to, ", which is not supported");
  return [to_float, dtype = node.dtype()](const Inputs& in) {
    const Value& v = in.value(0);
    if (v.ints && to_float) {
      Constant c{.name = {}, .shape = v.int_shape, .floats = {v.ints->begin(), v.ints->end()}, .ints = {}};
      return std::vector<Value>{to_value(c, dtype)};
    }
    check(to_float || v.ints, "casts floats to whole numbers, which is not supported");
    return std::vector<Value>{v};
  };
}

Emit constant_node(NodeReader& node) {
  Constant c{.name = {}, .shape = {}, .floats = {}, .ints = {}};
  if (const Constant* tensor = node.tensor("value")) {
    c = *tensor;
  } else if (node.has("value_float")) {
    c.floats = {float(node.real("value_float", 0))};
  } else if (node.has("value_floats")) {
    c.floats = node.reals("value_floats");
    c.shape = {int64_t(c.floats.size())};
  } else if (node.has("value_int")) {
    c.is_float = false;
    c.ints = {node.integer("value_int", 0)};
  } else if (node.has("value_ints")) {
    c.is_float = false;
    c.ints = node.integers("value_ints", {});
    c.shape = {int64_t(c.ints.size())};
  } else {
    node.problem("has no value of a kind that is supported");
  }
  return [c = std::move(c), dtype = node.dtype()](const Inputs&) {
    return std::vector<Value>{to_value(c, dtype)};
  };
}

}  // namespace

std::span<const OpRow> elementwise_rows() {
  static const OpRow rows[] = {
      {"Add", 2, 2, binary<add>},
      {"Sub", 2, 2, binary<sub>},
      {"Mul", 2, 2, binary<mul>},
      {"Div", 2, 2, binary<div>},
      {"Abs", 1, 1, unary<abs>},
      {"Exp", 1, 1, unary<exp>},
      {"Log", 1, 1, unary<log>},
      {"Relu", 1, 1, unary<relu>},
      {"Sigmoid", 1, 1, unary<sigmoid>},
      {"Tanh", 1, 1, unary<tanh>},
      {"Sqrt", 1, 1, sqrt_node},
      {"Pow", 2, 2, pow_node},
      {"LeakyRelu", 1, 1, leaky_relu_node},
      {"PRelu", 2, 2, prelu_node},
      {"Clip", 1, 3, clip_node},
      {"Identity", 1, 1, identity_node},
      {"Dropout", 1, 3, dropout_node},
      {"Cast", 1, 1, cast_node},
      {"Constant", 0, 0, constant_node},
  };
  return rows;
}

}  // namespace advf::onnx
