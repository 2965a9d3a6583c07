// What moves values or changes shapes. Shapes, axes and sizes must be constants of the file, or follow from
// shapes. A file exported with a batch of one runs any batch: a leading 1 in the target shape of a tensor
// that carries the batch means N.
#include <algorithm>
#include <cmath>

#include "nn/onnx/import.h"
#include "tensor/ops.h"

namespace advf::onnx {
namespace {

constexpr int64_t kMaxSize = int64_t(1) << 40;  // of one dimension in a file; products are checked by Shape

Emit reshape_node(NodeReader& node) {
  const bool zero_is_zero = node.flag("allowzero", false);
  return [zero_is_zero](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    std::vector<int64_t> dims = in.ints(1);
    if (in.batched(0) && !dims.empty() && dims[0] == 1 && x.shape().rank() > 0) dims[0] = x.dim(0);
    int64_t known = 1, unknown = -1;
    for (size_t i = 0; i < dims.size(); ++i) {
      if (dims[i] == 0 && !zero_is_zero) {
        check(int(i) < x.shape().rank(), "copies dimension ", i, " of a tensor of shape ", x.shape());
        dims[i] = x.dim(int(i));
      }
      if (dims[i] == -1) {
        check(unknown < 0, "has two unknown dimensions");
        unknown = int64_t(i);
      } else {
        check(dims[i] >= 0 && dims[i] <= kMaxSize, "has a dimension of ", dims[i]);
        check(!__builtin_mul_overflow(known, dims[i], &known), "has a shape that is too large");
      }
    }
    if (unknown >= 0) {
      check(known > 0 && x.numel() % known == 0, "cannot divide the elements of shape ", x.shape(), " by ",
            known);
      dims[size_t(unknown)] = x.numel() / known;
    }
    return one(reshape(x, Shape(dims)));
  };
}

Emit flatten(NodeReader& node) {
  const int64_t axis = node.integer("axis", 1);
  return [axis](const Inputs& in) {
    const Shape& s = in.tensor(0).shape();
    const int rank = s.rank();
    check(axis >= -rank && axis <= rank, "axis ", axis, " of shape ", s);
    const int a = int(axis < 0 ? axis + rank : axis);
    return one(reshape(in.tensor(0), {s.numel(0, a), s.numel(a, rank)}));
  };
}

Emit transpose(NodeReader& node) {
  const bool given = node.has("perm");
  const auto perm = node.integers("perm", {}, 0, Shape::kMaxRank - 1);
  return [given, perm](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    const int rank = x.shape().rank();
    std::vector<int> order(perm.begin(), perm.end());
    if (!given)
      for (int i = rank; i-- > 0;) order.push_back(i);
    std::vector<int> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    check(int(order.size()) == rank, "permutes ", order.size(), " dimensions of shape ", x.shape());
    for (int i = 0; i < rank; ++i) check(sorted[size_t(i)] == i, "perm is not a permutation");
    auto out = one(permute(x, order));
    out[0].batched = rank > 0 && order[0] == 0;
    return out;
  };
}

Emit concat_node(NodeReader& node) {
  const int64_t axis = node.integer("axis", 1);
  return [axis](const Inputs& in) {
    std::vector<Tensor> parts;
    for (size_t i = 0; i < in.count(); ++i) parts.push_back(in.tensor(i));
    return one(concat(parts, checked_axis(axis, parts[0].shape().rank())));
  };
}

// Without axes every dimension of one goes, except the one that counts images.
Emit squeeze(NodeReader& node) {
  const Axes axes = read_axes(node, 13);
  return [axes](const Inputs& in) {
    const Shape& s = in.tensor(0).shape();
    std::vector<int> drop = axes.resolve(in, s.rank());
    if (!axes.given)
      for (int i = in.batched(0) ? 1 : 0; i < s.rank(); ++i)
        if (s[i] == 1) drop.push_back(i);
    Shape out;
    for (int i = 0; i < s.rank(); ++i) {
      const bool dropped = std::find(drop.begin(), drop.end(), i) != drop.end();
      check(!dropped || s[i] == 1, "removes dimension ", i, " of shape ", s);
      if (!dropped) out.push_back(s[i]);
    }
    return one(reshape(in.tensor(0), out));
  };
}

Emit unsqueeze(NodeReader& node) {
  const Axes axes = read_axes(node, 13);
  node.require(axes.given, "has no axes");
  return [axes](const Inputs& in) {
    const Shape& s = in.tensor(0).shape();
    const size_t count = axes.from_input ? in.ints(1).size() : axes.fixed.size();
    check(count <= size_t(Shape::kMaxRank), "adds ", count, " dimensions");
    const int rank = s.rank() + int(count);
    const std::vector<int> fresh = axes.resolve(in, rank);
    Shape out;
    for (int i = 0, from = 0; i < rank; ++i)
      out.push_back(std::find(fresh.begin(), fresh.end(), i) != fresh.end() ? 1 : s[from++]);
    auto result = one(reshape(in.tensor(0), out));
    result[0].batched = fresh.empty() || fresh[0] != 0;
    return result;
  };
}

// How Resize and Upsample find the source of an output pixel.
struct Sampling {
  ResizeMode mode = ResizeMode::nearest;
  ResizeCoordinates coordinates = ResizeCoordinates::asymmetric;
  bool several_pixels = false;  // pytorch_half_pixel equals half_pixel unless the output has one pixel
};

// Output height and width for factors of (N,C,H,W); the product must be a whole number, as ONNX computes
// positions from the factor and the op from the sizes.
std::array<int64_t, 2> scaled_size(const Tensor& x, const std::vector<float>& scales) {
  check(scales.size() == 4 && scales[0] == 1 && scales[1] == 1, "scales must be 1, 1, height, width");
  std::array<int64_t, 2> size{};
  for (int i = 0; i < 2; ++i) {
    const double exact = double(x.dim(2 + i)) * double(scales[size_t(2 + i)]);
    check(exact >= 1 && exact < 1 << 24, "a factor of ", scales[size_t(2 + i)], " is not supported");
    size[size_t(i)] = int64_t(std::floor(exact + 1e-4));
    check(std::fabs(exact - double(size[size_t(i)])) < 1e-3, "a factor of ", scales[size_t(2 + i)], " gives ",
          exact, " pixels; only whole numbers are supported");
  }
  return size;
}

std::vector<Value> resize(const Tensor& x, const std::array<int64_t, 2>& size, const Sampling& how) {
  check(!how.several_pixels || (size[0] > 1 && size[1] > 1),
        "pytorch_half_pixel with one pixel is not supported");
  return one(resize2d(x, {.size = size, .mode = how.mode, .coordinates = how.coordinates}));
}

Sampling read_sampling(NodeReader& node) {
  Sampling how;
  const std::string mode = node.text("mode", "nearest");
  if (mode == "linear") {
    how.mode = ResizeMode::bilinear;
  } else if (mode != "nearest") {
    node.problem("mode '", mode, "' is not supported; nearest and linear are");
  }
  if (node.node().op_type == "Upsample" || node.opset() < 11) return how;
  const std::string coordinates = node.text("coordinate_transformation_mode", "half_pixel");
  const std::string rounding = node.text("nearest_mode", "round_prefer_floor");
  // The op resize2d rounds nearest positions as ONNX does by default, and takes the floor where asymmetric.
  const bool nearest = how.mode == ResizeMode::nearest;
  if (coordinates == "half_pixel" || coordinates == "pytorch_half_pixel") {
    how.coordinates = ResizeCoordinates::half_pixel;
    how.several_pixels = coordinates == "pytorch_half_pixel";
  } else if (coordinates == "align_corners") {
    how.coordinates = ResizeCoordinates::align_corners;
  } else if (coordinates != "asymmetric") {
    node.problem("coordinate_transformation_mode '", coordinates, "' is not supported");
  }
  const char* rounds = how.coordinates == ResizeCoordinates::asymmetric ? "floor" : "round_prefer_floor";
  if (nearest && rounding != rounds)
    node.problem("nearest_mode '", rounding, "' is not supported with ", coordinates, "; ", rounds, " is");
  for (const char* unused : {"cubic_coeff_a", "extrapolation_value"}) node.real(unused, 0);
  node.require(!node.flag("antialias", false), "antialias is not supported");
  node.require(node.text("keep_aspect_ratio_policy", "stretch") == "stretch",
               "only the policy stretch is supported");
  node.require(!node.has("axes"), "axes are not supported");
  node.integer("exclude_outside", 0);
  return how;
}

// Opset 10: x, scales. Since 11: x, roi, scales, sizes.
Emit resize_node(NodeReader& node) {
  const Sampling how = read_sampling(node);
  const size_t scales_at = node.opset() < 11 ? 1 : 2;
  return [how, scales_at](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    check(x.shape().rank() == 4, "its input has shape ", x.shape(), " where an image (N,C,H,W) is needed");
    if (scales_at == 1 || !in.has(3) || in.ints(3).empty())
      return resize(x, scaled_size(x, in.floats(scales_at)), how);
    const auto& sizes = in.ints(3);
    check(sizes.size() == 4 && sizes[1] == x.dim(1) && (sizes[0] == 1 || sizes[0] == x.dim(0)),
          "sizes do not keep the batch and the channels of ", x.shape());
    for (const int64_t s : sizes) check(s >= 1 && s < 1 << 24, "a size of ", s, " is not supported");
    return resize(x, {sizes[2], sizes[3]}, how);
  };
}

// Factors: an attribute up to opset 8, an input in 9; always asymmetric.
Emit upsample(NodeReader& node) {
  const Sampling how = read_sampling(node);
  const std::vector<float> fixed = node.reals("scales");
  return [how, fixed](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    check(x.shape().rank() == 4, "its input has shape ", x.shape(), " where an image (N,C,H,W) is needed");
    return resize(x, scaled_size(x, in.has(1) ? in.floats(1) : fixed), how);
  };
}

}  // namespace

std::span<const OpRow> shape_rows() {
  using enum OpRow::Host;
  static const OpRow rows[] = {
      sign_of_first({"Reshape", 2, 2, reshape_node, 1, also, 1}),
      sign_of_first({"Flatten", 1, 1, flatten}),
      sign_of_first({"Transpose", 1, 1, transpose, 1, also}),
      sign_of_all({"Concat", 1, kAnyNumber, concat_node, 1, also}),
      sign_of_first({"Squeeze", 1, 2, squeeze, 1, also, 1}),
      sign_of_first({"Unsqueeze", 1, 2, unsqueeze, 1, also, 1}),
      sign_of_first({"Resize", 1, 4, resize_node}),
      sign_of_first({"Upsample", 1, 2, upsample}),
  };
  return rows;
}

}  // namespace advf::onnx
