// Sums over dimensions and what is made of them: means, norms, maxima, softmax, layer normalisation.
#include <algorithm>

#include "nn/onnx/import.h"
#include "tensor/ops.h"

namespace advf::onnx {
namespace {

constexpr int64_t kMaxWindow = 1 << 20;  // values of one maximum

Tensor sum_of_squares(const Tensor& x, const std::vector<int>& over, bool keep) {
  return reduce_sum(mul(x, x), over, keep);
}
Tensor l2_norm(const Tensor& x, const std::vector<int>& over, bool keep) {
  return power(sum_of_squares(x, over, keep), 0.5);
}
Tensor l1_norm(const Tensor& x, const std::vector<int>& over, bool keep) {
  return reduce_sum(abs(x), over, keep);
}

// The dimensions moved to the end, and one window of max_pool2d over them.
Tensor largest(const Tensor& x, const std::vector<int>& over, bool keep) {
  std::vector<int> order;
  Shape result;
  int64_t reduced = 1;
  for (int d = 0; d < x.shape().rank(); ++d) {
    const bool goes = std::find(over.begin(), over.end(), d) != over.end();
    if (goes) reduced *= x.dim(d);
    if (!goes) order.push_back(d);
    if (!goes || keep) result.push_back(goes ? 1 : x.dim(d));
  }
  const int64_t rows = x.numel() / std::max<int64_t>(reduced, 1);
  check(reduced >= 1 && reduced <= kMaxWindow, "the largest of ", reduced, " values is not supported");
  order.insert(order.end(), over.begin(), over.end());
  const Tensor last = std::is_sorted(order.begin(), order.end()) ? x : permute(x, order);
  const PoolAttrs window{.kernel = {1, int(reduced)}, .stride = {1, int(reduced)}};
  return reshape(max_pool2d(reshape(last, {rows, 1, 1, reduced}), window), result);
}
Tensor smallest(const Tensor& x, const std::vector<int>& over, bool keep) {
  return affine(largest(affine(x, -1, 0), over, keep), -1, 0);
}

using Reduce = Tensor (*)(const Tensor&, const std::vector<int>&, bool);
template <Reduce reduce, int64_t axes_are_input_since>
Emit reduction(NodeReader& node) {
  const Axes axes = read_axes(node, axes_are_input_since);
  const bool keep = node.flag("keepdims", true), empty_is_none = node.flag("noop_with_empty_axes", false);
  return [=](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    std::vector<int> over = axes.resolve(in, x.shape().rank());
    if (over.empty() && empty_is_none) return std::vector<Value>{in.value(0)};
    if (over.empty())
      for (int i = 0; i < x.shape().rank(); ++i) over.push_back(i);
    if (over.empty()) return std::vector<Value>{in.value(0)};  // of a scalar
    auto out = one(reduce(x, over, keep));
    out[0].batched = over[0] != 0;
    return out;
  };
}

Emit global_max_pool(NodeReader&) {
  return [](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    check(x.shape().rank() == 4, "its input has shape ", x.shape(), " where an image (N,C,H,W) is needed");
    return one(largest(x, {2, 3}, true));
  };
}

// Up to opset 12 over all dimensions from the axis on, since over the axis alone.
Emit softmax_node(NodeReader& node) {
  const bool flat = node.opset() < 13;
  const int64_t axis = node.integer("axis", flat ? 1 : -1);
  return [=](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    const Shape& s = x.shape();
    const int rank = s.rank(), a = checked_axis(axis, rank);
    if (flat) return one(reshape(softmax(reshape(x, {s.numel(0, a), s.numel(a, rank)})), s));
    if (a == rank - 1) return one(softmax(x));
    std::vector<int> order;
    for (int d = 0; d < rank; ++d) order.push_back(d == a ? rank - 1 : d == rank - 1 ? a : d);
    return one(permute(softmax(permute(x, order)), order));  // a swap undoes itself
  };
}

// (x - mean) / sqrt(variance + epsilon), over `over`, in the exporter's order of operations.
Tensor standardised(const Tensor& x, const std::vector<int>& over, double epsilon) {
  const Tensor away = sub(x, mean(x, over));
  return mul(away, power(affine(mean(mul(away, away), over), 1, epsilon), -0.5));
}

Emit layer_normalization(NodeReader& node) {
  const int64_t axis = node.integer("axis", -1);
  const double epsilon = node.real("epsilon", 1e-5);
  node.integer("stash_type", 1);
  node.require(epsilon >= 0, "epsilon is negative");
  return [=](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    std::vector<int> over;
    for (int d = checked_axis(axis, x.shape().rank()); d < x.shape().rank(); ++d) over.push_back(d);
    const Tensor y = mul(standardised(x, over, epsilon), in.tensor(1));
    return one(in.has(2) ? add(y, in.tensor(2)) : y);
  };
}

Emit instance_normalization(NodeReader& node) {
  const double epsilon = node.real("epsilon", 1e-5);
  node.require(epsilon >= 0, "epsilon is negative");
  return [=](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    const int rank = x.shape().rank();
    check(rank >= 3 && in.tensor(1).numel() == x.dim(1) && in.tensor(2).numel() == x.dim(1),
          "its input has shape ", x.shape(), " with ", in.tensor(1).numel(), " scales");
    std::vector<int> over;
    Shape channels{x.dim(1)};
    for (int d = 2; d < rank; ++d) {
      over.push_back(d);
      channels.push_back(1);
    }
    return one(add(mul(standardised(x, over, epsilon), reshape(in.tensor(1), channels)),
                   reshape(in.tensor(2), channels)));
  };
}

// x / |x|_2 along an axis; a zero vector stays zero (ONNX leaves it undefined).
Emit lp_normalization(NodeReader& node) {
  const int64_t axis = node.integer("axis", -1);
  node.require(node.integer("p", 2) == 2, "only p = 2 is supported");
  return [axis](const Inputs& in) {
    const Tensor& x = in.tensor(0);
    const Shape& shape = x.shape();
    const int rank = shape.rank(), a = checked_axis(axis, rank);
    if (a != rank - 1) {
      const Tensor squares = reduce_sum(mul(x, x), {a});
      return one(div(x, power(clamp(squares, 1e-24, 1e300), 0.5)));
    }
    if (rank == 2) return one(l2_normalise(x));
    return one(reshape(l2_normalise(reshape(x, {shape.numel(0, a), shape[a]})), shape));
  };
}

}  // namespace

std::span<const OpRow> reduce_rows() {
  static const OpRow rows[] = {
      sign_of_first({"ReduceMean", 1, 2, reduction<mean, 18>}),
      sign_of_first({"ReduceSum", 1, 2, reduction<reduce_sum, 13>}),
      never_negative({"ReduceSumSquare", 1, 2, reduction<sum_of_squares, 18>}),
      never_negative({"ReduceL1", 1, 2, reduction<l1_norm, 18>}),
      never_negative({"ReduceL2", 1, 2, reduction<l2_norm, 18>}),
      sign_of_first({"ReduceMax", 1, 2, reduction<largest, 18>}),
      sign_of_first({"ReduceMin", 1, 2, reduction<smallest, 18>}),
      sign_of_first({"GlobalMaxPool", 1, 1, global_max_pool}),
      never_negative({"Softmax", 1, 1, softmax_node}),
      weighted({"LayerNormalization", 2, 3, layer_normalization}),
      weighted({"InstanceNormalization", 3, 3, instance_normalization}),
      sign_of_first({"LpNormalization", 1, 1, lp_normalization}),
  };
  return rows;
}

}  // namespace advf::onnx
