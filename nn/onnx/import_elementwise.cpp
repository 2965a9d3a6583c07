// Arithmetic, activations and what does nothing at inference.
#include <cmath>
#include <limits>
#include <numbers>

#include "nn/onnx/host_numbers.h"
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

// Of any number of inputs, which broadcast.
template <Tensor (*op)(const Tensor&, const Tensor&)>
Emit variadic(NodeReader&) {
  return [](const Inputs& in) {
    Tensor y = in.tensor(0);
    for (size_t i = 1; i < in.count(); ++i) y = op(y, in.tensor(i));
    return one(y);
  };
}

// With one short constant this is a clamp, exact; of two tensors a + relu(b - a).
template <bool want_larger>
Emit extremum(NodeReader&) {
  return [](const Inputs& in) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    const auto number = [&](size_t i) { return in.value(i).host && in.value(i).host->size() == 1; };
    size_t first = 0;
    while (first + 1 < in.count() && number(first)) ++first;  // a tensor, if there is one
    Tensor y = in.tensor(first);
    for (size_t i = 0; i < in.count(); ++i) {
      if (i == first) continue;
      if (number(i) && in.tensor(i).shape().rank() <= y.shape().rank())
        y = want_larger ? clamp(y, in.scalar(i), kInf) : clamp(y, -kInf, in.scalar(i));
      else if (want_larger)
        y = add(y, relu(sub(in.tensor(i), y)));
      else
        y = sub(y, relu(sub(y, in.tensor(i))));
    }
    return one(y);
  };
}

Tensor negative(const Tensor& x) { return affine(x, -1, 0); }
Tensor reciprocal(const Tensor& x) { return power(x, -1); }
Tensor softplus(const Tensor& x) { return add(relu(x), log(affine(exp(negative(abs(x))), 1, 1))); }
Tensor hard_swish(const Tensor& x) { return mul(x, clamp(affine(x, 1.0 / 6, 0.5), 0, 1)); }

Emit hard_sigmoid(NodeReader& node) {
  const double alpha = node.real("alpha", 0.2), beta = node.real("beta", 0.5);
  return [=](const Inputs& in) { return one(clamp(affine(in.tensor(0), alpha, beta), 0, 1)); };
}

Emit elu(NodeReader& node) {
  const double alpha = node.real("alpha", 1);
  return [=](const Inputs& in) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    const Tensor &x = in.tensor(0), below = affine(exp(clamp(x, -kInf, 0)), alpha, -alpha);
    return one(add(relu(x), below));
  };
}

// x Phi(x), with the normal distribution's function itself or the usual approximation of it.
Emit gelu(NodeReader& node) {
  const std::string approximate = node.text("approximate", "none");
  node.require(approximate == "none" || approximate == "tanh", "approximate must be none or tanh");
  return [by_tanh = approximate == "tanh"](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    const double slope = std::sqrt(2 / std::numbers::pi);
    const Tensor odd = by_tanh ? tanh(mul(x, affine(mul(x, x), 0.044715 * slope, slope)))
                               : erf(affine(x, std::numbers::sqrt2 / 2, 0));
    return one(mul(x, affine(odd, 0.5, 0.5)));
  };
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
  const bool to_float = to == 1 || to == 10 || to == 11 || to == 16, to_bool = to == 9,
             to_int = to == 6 || to == 7 || to_bool;
  if (!to_float && !to_int) node.problem("casts to element type ", to, ", which is not supported");
  return [to_float, to_bool, dtype = node.dtype()](const Inputs& in) {
    const Value& v = in.value(0);
    if (!to_float && (v.ints || v.host)) {
      std::vector<int64_t> numbers;
      for (size_t i = 0; i < (v.ints ? v.ints->size() : v.host->size()); ++i)
        numbers.push_back(to_bool  ? (v.ints ? (*v.ints)[i] != 0 : (*v.host)[i] != 0)
                          : v.ints ? (*v.ints)[i]
                                   : whole((*v.host)[i]));
      return std::vector<Value>{whole_numbers(std::move(numbers), v.ints ? v.int_shape : v.tensor.shape())};
    }
    if (v.ints && to_float) {
      Constant c{.name = {}, .shape = v.int_shape, .floats = {v.ints->begin(), v.ints->end()}, .ints = {}};
      return std::vector<Value>{to_value(c, dtype)};
    }
    check(to_float, "casts floats to whole numbers, which is supported for shapes and short constants only");
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
  using enum OpRow::Host;
  static const OpRow rows[] = {
      sign_of_all({"Add", 2, 2, binary<add>, 1, also}),
      {"Sub", 2, 2, binary<sub>, 1, also},
      sign_of_all({"Mul", 2, 2, binary<mul>, 1, also}),
      sign_of_all({"Div", 2, 2, binary<div>, 1, also}),
      sign_of_all({"Sum", 1, kAnyNumber, variadic<add>}),
      sign_of_all({"Max", 1, kAnyNumber, extremum<true>, 1, also}),
      sign_of_all({"Min", 1, kAnyNumber, extremum<false>, 1, also}),
      {"Neg", 1, 1, unary<negative>, 1, also},
      never_negative({"Abs", 1, 1, unary<abs>, 1, also}),
      sign_of_first({"Reciprocal", 1, 1, unary<reciprocal>}),
      sign_of_first({"Erf", 1, 1, unary<erf>}),
      never_negative({"Exp", 1, 1, unary<exp>}),
      {"Log", 1, 1, unary<log>},
      never_negative({"Relu", 1, 1, unary<relu>}),
      never_negative({"Sigmoid", 1, 1, unary<sigmoid>}),
      sign_of_first({"Tanh", 1, 1, unary<tanh>}),
      never_negative({"Softplus", 1, 1, unary<softplus>}),
      never_negative({"HardSigmoid", 1, 1, hard_sigmoid}),
      sign_of_first({"HardSwish", 1, 1, unary<hard_swish>}),
      sign_of_first({"Elu", 1, 1, elu}),
      sign_of_first({"Gelu", 1, 1, gelu}),
      never_negative({"Sqrt", 1, 1, sqrt_node, 1, also}),
      sign_of_first({"Pow", 2, 2, pow_node}),
      sign_of_first({"LeakyRelu", 1, 1, leaky_relu_node}),
      weighted({"PRelu", 2, 2, prelu_node}),
      {"Clip", 1, 3, clip_node},
      sign_of_first({"Identity", 1, 1, identity_node}),
      sign_of_first({"Dropout", 1, 3, dropout_node, 2}),  // the second is the mask of training
      {"Cast", 1, 1, cast_node},
      {"Constant", 0, 0, constant_node},
  };
  return rows;
}

}  // namespace advf::onnx
