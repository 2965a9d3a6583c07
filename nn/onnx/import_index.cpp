// What picks, repeats or surrounds values: slices, gathers, splits, padding; and what reads shapes. Indices
// must be constants of the file, or follow from shapes.
#include <algorithm>
#include <cmath>

#include "nn/onnx/host_numbers.h"
#include "nn/onnx/import.h"
#include "tensor/ops.h"
#include "tensor/ops/op_util.h"

namespace advf::onnx {
namespace {

constexpr int64_t kMaxParts = 4096;  // of a gather or a split, and what may surround an image

// The elements of one axis that `indices` names, in that order: neighbours in one slice, the slices joined.
Tensor take(const Tensor& x, int axis, const std::vector<int64_t>& indices) {
  const int64_t n = x.dim(axis);
  if (indices.empty()) return slice(x, axis, 0, 0);
  std::vector<Tensor> parts;
  for (size_t i = 0; i < indices.size();) {
    size_t end = i + 1;
    while (end < indices.size() && indices[end] == indices[end - 1] + 1) ++end;
    check(indices[i] >= 0 && indices[end - 1] < n, "index ", indices[end - 1], " of a dimension of ", n);
    check(int64_t(parts.size()) < kMaxParts, "picks from more than ", kMaxParts, " places");
    parts.push_back(slice(x, axis, indices[i], indices[end - 1] + 1));
    i = end;
  }
  return parts.size() == 1 ? parts[0] : concat(parts, axis);
}

// Every step-th element of [begin, end): the range filled up to whole steps, and the first of each step.
Tensor strided(const Tensor& x, int axis, int64_t begin, int64_t end, int64_t step) {
  const int64_t n = x.dim(axis), count = (end - begin + step - (step > 0 ? 1 : -1)) / step;
  if (count == 1) return slice(x, axis, begin, begin + 1);
  if (step < 0 || x.shape().rank() == Shape::kMaxRank) {
    std::vector<int64_t> indices;
    for (int64_t i = begin; step > 0 ? i < end : i > end; i += step) {
      check(int64_t(indices.size()) < kMaxParts, "takes more than ", kMaxParts, " steps of ", step);
      indices.push_back(i);
    }
    return take(x, axis, indices);
  }
  const int64_t whole = count * step;
  Tensor part = slice(x, axis, begin, std::min(n, begin + whole));
  if (part.dim(axis) < whole) {
    PadAttrs fill;
    fill.after[size_t(axis)] = whole - part.dim(axis);
    part = pad(part, fill);
  }
  Shape apart;
  for (int d = 0; d < x.shape().rank(); ++d) {
    apart.push_back(d == axis ? count : x.dim(d));
    if (d == axis) apart.push_back(step);
  }
  Shape together = x.shape();
  together.set(axis, count);
  return reshape(slice(reshape(part, apart), axis + 1, 0, 1), together);
}

// starts, ends, axes (all where absent), steps: attributes up to opset 9, inputs since.
Emit slice_node(NodeReader& node) {
  const bool by_input = node.opset() >= 10;
  const auto fixed_starts = node.integers("starts", {}), fixed_ends = node.integers("ends", {}),
             fixed_axes = node.integers("axes", {});
  if (by_input) node.require(node.has_input(1) && node.has_input(2), "has no starts or no ends");
  return [=](const Inputs& in) {
    Tensor x = in.tensor(0);
    const int rank = x.shape().rank();
    const int64_t images = rank > 0 ? x.dim(0) : 0;
    const auto &starts = by_input ? in.ints(1) : fixed_starts, &ends = by_input ? in.ints(2) : fixed_ends;
    const std::vector<int64_t> axes = by_input && in.has(3) ? in.ints(3) : fixed_axes,
                               steps = in.has(4) ? in.ints(4) : std::vector<int64_t>(starts.size(), 1);
    check(starts.size() == ends.size() && (axes.empty() || axes.size() == starts.size()) &&
              steps.size() == starts.size() && starts.size() <= size_t(rank),
          "has ", starts.size(), " starts, ", ends.size(), " ends, ", axes.size(), " axes and ", steps.size(),
          " steps");
    for (size_t i = 0; i < starts.size(); ++i) {
      const int axis = checked_axis(axes.empty() ? int64_t(i) : axes[i], rank);
      const int64_t n = x.dim(axis), step = steps[i], low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
      check(step != 0 && step >= -kMaxParts && step <= (int64_t(1) << 30), "has a step of ", step);
      const auto from_end = [&](int64_t v) {
        return std::clamp<int64_t>(v < 0 ? std::max(v, -n - 1) + n : v, low, high);
      };
      const int64_t begin = from_end(starts[i]), end = from_end(ends[i]);
      if (step == 1)
        x = slice(x, axis, begin, std::max(begin, end));
      else if (step > 0 ? begin < end : begin > end)
        x = strided(x, axis, begin, end, step);
      else
        x = slice(x, axis, 0, 0);
    }
    auto out = one(x);
    out[0].batched = rank > 0 && x.dim(0) == images;
    return out;
  };
}

// The elements of an axis by number; a single number takes the axis away.
Emit gather(NodeReader& node) {
  const int64_t axis = node.integer("axis", 0);
  return [axis](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    const int a = checked_axis(axis, x.shape().rank());
    std::vector<int64_t> indices = in.ints(1);
    for (int64_t& i : indices) {
      check(i >= -x.dim(a) && i < x.dim(a), "index ", i, " of a dimension of ", x.dim(a));
      i = i < 0 ? i + x.dim(a) : i;
    }
    Shape shape;
    for (int d = 0; d < x.shape().rank(); ++d) {
      if (d != a) shape.push_back(x.dim(d));
      if (d == a)
        for (const int64_t s : in.value(1).int_shape) shape.push_back(s);
    }
    auto out = one(reshape(take(x, a, indices), shape));
    out[0].batched = a != 0;
    return out;
  };
}

// Sizes are an attribute up to opset 12 and an input since; without them the parts are equal, the last
// possibly smaller where num_outputs (18) says how many there are.
Emit split(NodeReader& node) {
  const int64_t axis = node.integer("axis", 0);
  const auto fixed = node.integers("split", {}, 0);
  const int64_t parts = int64_t(node.node().outputs.size());
  node.require(node.integer("num_outputs", parts) == parts, "num_outputs is not the number of outputs");
  node.require(parts <= kMaxParts, "has too many outputs");
  return [=](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    const int a = checked_axis(axis, x.shape().rank());
    const int64_t n = x.dim(a);
    std::vector<int64_t> sizes = in.has(1) ? in.ints(1) : fixed;
    if (sizes.empty())
      for (int64_t i = 0, piece = (n + parts - 1) / parts; i < parts; ++i)
        sizes.push_back(std::clamp<int64_t>(n - i * piece, 0, piece));
    check(int64_t(sizes.size()) == parts, "has ", sizes.size(), " sizes for ", parts, " outputs");
    std::vector<Value> out;
    int64_t at = 0;
    for (const int64_t size : sizes) {
      check(size >= 0 && size <= n - at, "splits a dimension of ", n, " into more");
      out.emplace_back(slice(x, a, at, at + size));
      out.back().batched = a != 0;
      at += size;
    }
    check(at == n, "splits a dimension of ", n, " into ", at);
    return out;
  };
}

// The positions of one axis with `before` and `after` more, which repeat the border or mirror at it.
std::vector<int64_t> surrounded(int64_t n, int64_t before, int64_t after, bool mirrored) {
  std::vector<int64_t> indices;
  for (int64_t i = -before; i < n + after; ++i) {
    const int64_t mirror = i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
    indices.push_back(mirrored ? mirror : std::clamp<int64_t>(i, 0, n - 1));
  }
  return indices;
}

struct Padding {
  enum class Mode { constant, reflect, edge } mode = Mode::constant;
  double value = 0;

  // before and after: of every dimension; what is negative is cut off.
  Tensor apply(Tensor x, std::vector<int64_t> before, std::vector<int64_t> after) const {
    PadAttrs attrs;
    attrs.value = value;
    bool grows = false;
    for (int d = 0; d < x.shape().rank(); ++d) {
      int64_t &b = before[size_t(d)], &a = after[size_t(d)];
      const int64_t n = x.dim(d), most = mode == Mode::constant ? int64_t(1) << 20 : kMaxParts / 2;
      check(b <= most && a <= most, "a padding of ", std::max(a, b), " is not supported");
      check(b >= -n && a >= -n && b + a >= -n, "cuts more than there is of a dimension of ", n);
      if (b < 0 || a < 0) x = slice(x, d, std::max<int64_t>(0, -b), n - std::max<int64_t>(0, -a));
      b = std::max<int64_t>(0, b);
      a = std::max<int64_t>(0, a);
      if (a == 0 && b == 0) continue;
      grows = true;
      attrs.before[size_t(d)] = b;
      attrs.after[size_t(d)] = a;
      if (mode == Mode::constant) continue;
      const int64_t rest = x.dim(d), reach = mode == Mode::reflect ? rest - 1 : kMaxParts;
      check(rest > 0 && a <= reach && b <= reach, "a padding of ", std::max(a, b), " around ", rest);
      x = take(x, d, surrounded(rest, b, a, mode == Mode::reflect));
    }
    return grows && mode == Mode::constant ? pad(x, attrs) : x;
  }
};

// pads: all "before" numbers, then all "after" numbers. An input since opset 11, as are the value and the
// axes.
Emit pad_node(NodeReader& node) {
  Padding how;
  const std::string mode = node.text("mode", "constant");
  if (mode == "reflect") {
    how.mode = Padding::Mode::reflect;
  } else if (mode == "edge") {
    how.mode = Padding::Mode::edge;
  } else if (mode != "constant") {
    node.problem("mode '", mode, "' is not supported; constant, reflect and edge are");
  }
  const auto fixed = node.integers("pads", {});
  const double fixed_value = node.real("value", 0);
  const bool by_input = node.opset() >= 11;
  node.require(by_input ? node.has_input(1) : node.has("pads"), "has no pads");
  return [=](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    const size_t rank = size_t(x.shape().rank());
    const auto& pads = by_input ? in.ints(1) : fixed;
    std::vector<int> axes;
    if (in.has(3)) {
      for (const int64_t a : in.ints(3)) axes.push_back(checked_axis(a, int(rank)));
    } else {
      for (int i = 0; i < int(rank); ++i) axes.push_back(i);
    }
    check(pads.size() == 2 * axes.size(), "has ", pads.size(), " pads for ", axes.size(), " dimensions");
    Padding padding = how;
    padding.value = in.has(2) ? in.scalar(2) : fixed_value;
    std::vector<int64_t> before(rank), after(rank);
    for (size_t i = 0; i < axes.size(); ++i) {
      before[size_t(axes[i])] = pads[i];
      after[size_t(axes[i])] = pads[i + axes.size()];
    }
    return one(padding.apply(x, before, after));
  };
}

// ---- shapes

const Shape& shape_of(const Value& v) { return v.tensor.defined() ? v.tensor.shape() : v.int_shape; }

Emit shape_node(NodeReader& node) {
  const int64_t start = node.integer("start", 0), end = node.integer("end", INT64_MAX);
  return [=](const Inputs& in) {
    const Shape& s = shape_of(in.value(0));
    const auto place = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + s.rank() : i, 0, s.rank()); };
    const int64_t from = place(start), to = std::max(from, place(end));
    return std::vector<Value>{whole_numbers({s.begin() + from, s.begin() + to}, {to - from})};
  };
}

Emit size_node(NodeReader&) {
  return
      [](const Inputs& in) { return std::vector<Value>{whole_numbers({shape_of(in.value(0)).numel()}, {})}; };
}

Shape shape_from(const std::vector<int64_t>& dims) {
  for (const int64_t d : dims) check(d >= 0 && d <= (int64_t(1) << 40), "has a dimension of ", d);
  return Shape(dims);
}

// Broadcasts both ways: a target dimension of one keeps the input's.
Emit expand(NodeReader&) {
  return [](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    const Shape to = broadcast_shapes("expand", x.shape(), shape_from(in.ints(1)));
    return one(to == x.shape() ? x : broadcast_to(x, to));
  };
}

Emit tile(NodeReader&) {
  return [](const Inputs& in) {
    Tensor x = in.tensor(0);
    const auto& repeats = in.ints(1);
    check(int(repeats.size()) == x.shape().rank(), "has ", repeats.size(), " repeats for shape ", x.shape());
    for (int d = 0; d < x.shape().rank(); ++d) {
      const int64_t times = repeats[size_t(d)];
      check(times >= 1 && times <= kMaxParts, times, " repeats are not supported");
      if (times > 1) x = concat(std::vector<Tensor>(size_t(times), x), d);
    }
    auto out = one(x);
    out[0].batched = !repeats.empty() && repeats[0] == 1;
    return out;
  };
}

Emit constant_of_shape(NodeReader& node) {
  Constant fill{.name = {}, .shape = {1}, .floats = {0}, .ints = {}};
  if (const Constant* given = node.tensor("value")) fill = *given;
  node.require(fill.floats.size() + fill.ints.size() == 1, "its value must be one number");
  return [fill, dtype = node.dtype()](const Inputs& in) {
    Constant c = fill;
    c.shape = shape_from(in.ints(0));
    if (c.is_float && c.shape.numel() > kMaxHostNumbers) {  // spread over a batch it may become large
      Constant one_number = fill;
      one_number.shape = {};
      return one(broadcast_to(to_value(one_number, dtype).tensor, c.shape));
    }
    check(c.shape.numel() <= kMaxHostNumbers, "a constant of shape ", c.shape, " is too large");
    c.floats.assign(c.is_float ? size_t(c.shape.numel()) : 0, c.is_float ? fill.floats[0] : 0);
    c.ints.assign(c.is_float ? 0 : size_t(c.shape.numel()), c.is_float ? 0 : fill.ints[0]);
    return std::vector<Value>{to_value(c, dtype)};
  };
}

Emit range(NodeReader&) {
  return [](const Inputs& in) {
    double v[3];
    for (size_t i = 0; i < 3; ++i) v[i] = in.tensor(i).item();
    const double count = std::ceil((v[1] - v[0]) / v[2]);
    check(count <= double(kMaxHostNumbers), "a range of ", count, " numbers is not supported");
    std::vector<double> numbers;
    for (int64_t i = 0; double(i) < count; ++i) numbers.push_back(v[0] + double(i) * v[2]);
    return one(Tensor::from(numbers, {int64_t(numbers.size())}));
  };
}

Emit equal(NodeReader&) {
  return
      [](const Inputs& in) { return one(affine(clamp(abs(sub(in.tensor(0), in.tensor(1))), 0, 1), -1, 1)); };
}

Emit where(NodeReader&) {
  return [](const Inputs& in) {
    const Tensor& c = in.tensor(0);
    return one(add(mul(c, in.tensor(1)), mul(affine(c, -1, 1), in.tensor(2))));
  };
}

template <double (*round)(double)>
Emit rounding(NodeReader&) {
  return [](const Inputs& in) {
    std::vector<double> numbers = in.tensor(0).to_vector<double>();
    for (double& v : numbers) v = round(v);
    return one(Tensor::from(numbers, in.tensor(0).shape()));
  };
}

}  // namespace

std::span<const OpRow> index_rows() {
  using enum OpRow::Host;
  static const OpRow rows[] = {
      sign_of_first({"Slice", 1, 5, slice_node, 1, also, 1}),
      sign_of_first({"Gather", 2, 2, gather, 1, also, 1}),
      sign_of_first({"Split", 1, 2, split, kAnyNumber, also, 1}),
      {"Pad", 1, 4, pad_node},
      {"Shape", 1, 1, shape_node},
      {"Size", 1, 1, size_node},
      sign_of_first({"Expand", 2, 2, expand, 1, also, 1}),
      sign_of_first({"Tile", 2, 2, tile, 1, also, 1}),
      {"ConstantOfShape", 1, 1, constant_of_shape},
      {"Range", 3, 3, range, 1, only},
      {"Equal", 2, 2, equal, 1, only},
      {"Where", 3, 3, where, 1, only},
      sign_of_first({"Floor", 1, 1, rounding<std::floor>, 1, only}),
      sign_of_first({"Ceil", 1, 1, rounding<std::ceil>, 1, only}),
  };
  return rows;
}

}  // namespace advf::onnx
