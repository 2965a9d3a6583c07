#include "nn/onnx/rows.h"

#include <algorithm>
#include <cmath>
#include <variant>
#include <vector>

namespace advf::onnx {
namespace {

std::vector<double> numbers(const Tensor& t) {
  if (t.dtype() != DType::f32) return t.to_vector<double>();
  const std::vector<float> narrow = t.to_vector<float>();
  return {narrow.begin(), narrow.end()};
}

// Kernels may add up in another order for another number of rows; what mixes images is far above that.
class Same {
 public:
  Same(const std::vector<double>& a, const std::vector<double>& b) {
    double largest = 0;
    for (const auto* list : {&a, &b})
      for (const double v : *list)
        if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
    limit_ = 2e-4 * largest;
  }
  bool operator()(double a, double b) const {
    return a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= limit_;
  }

 private:
  double limit_ = 0;
};

}  // namespace

RowsApart compare_rows(const Tensor& both, const Tensor& first, const Tensor& second) {
  const Shape &s = both.shape(), &one = first.shape();
  if (s.rank() != one.rank() || one != second.shape()) return {};
  RowsApart result;
  for (int d = 0; d < s.rank(); ++d) {
    if (s[d] == one[d]) continue;
    if (result.axis >= 0 || s[d] != 2 * one[d]) return {};
    result.axis = d;
  }
  const std::vector<double> all = numbers(both), a = numbers(first), b = numbers(second);
  const Same same(a, b);
  const size_t outer = size_t(result.axis < 0 ? 1 : one.numel(0, result.axis));
  const size_t run = a.size() / std::max<size_t>(outer, 1), step = result.axis < 0 ? 0 : run;
  for (size_t o = 0; o < outer; ++o)
    for (size_t i = 0; i < run; ++i) {
      const size_t at = o * (run + step) + i;
      if (!same(all[at], a[o * run + i]) || !same(all[at + step], b[o * run + i])) return result;
    }
  result.apart = true;
  return result;
}

namespace {

constexpr int kUnknown = -1, kMixed = -2;

// The dimension of a reshaped value whose halves are the images, as those of dimension `axis` were.
int reshaped_axis(const Shape& from, const Shape& to, int axis) {
  const int64_t before = from.numel(0, axis);
  for (int d = 0; d < to.rank(); ++d)
    if (to.numel(0, d) == before && to[d] > 1) return to[d] % 2 == 0 ? d : kUnknown;
  return kUnknown;
}

// Of one operand (by its number) whose dimension `axis` counts images: the output's that does.
int axis_behind(const OpDef& op, const Attrs& attrs, size_t operand, const Shape& in, const Shape& out,
                int axis) {
  const int rank = in.rank(), from_right = out.rank() - rank + axis;
  if (op.pointwise == Pointwise::elements ||
      &op == &op_broadcast_to)  // shapes are aligned at their last dimensions
    return out[from_right] == in[axis] ? from_right : kUnknown;
  if (op.pointwise == Pointwise::channels) return operand == 0 && axis != 1 ? axis : kUnknown;
  if (op.is_view) return reshaped_axis(in, out, axis);
  if (&op == &op_permute) {
    const auto& order = std::get<PermuteAttrs>(attrs).order;
    return int(std::find(order.begin(), order.begin() + rank, axis) - order.begin());
  }
  if (&op == &op_reduce_sum) {
    const auto& a = std::get<AxesAttrs>(attrs);
    if (a.axes >> axis & 1u) return kMixed;
    int gone = 0;
    for (int d = 0; d < axis; ++d) gone += int(a.axes >> d & 1u);
    return a.keep_dims ? axis : axis - gone;
  }
  if (&op == &op_concat) return std::get<AxisAttrs>(attrs).axis == axis ? kMixed : axis;
  if (&op == &op_slice) return out[axis] == in[axis] ? axis : kMixed;
  if (&op == &op_pad) return out[axis] == in[axis] ? axis : kMixed;
  if (&op == &op_softmax || &op == &op_l2_normalise) return axis == rank - 1 ? kMixed : axis;
  if (&op == &op_matmul || &op == &op_batch_matmul) {
    const auto& t = std::get<MatmulAttrs>(attrs);
    if (operand > 1) return kUnknown;
    const int first = rank - 2;  // the matrix's first dimension
    if (axis < first) return axis;
    const bool transposed = operand == 0 ? t.transpose_a : t.transpose_b;
    const int kept = operand == 0 ? (transposed ? 1 : 0) : (transposed ? 0 : 1);  // in the product
    return axis - first == kept ? first + int(operand) : kMixed;
  }
  if (op.macs) return operand == 0 && axis == 0 ? 0 : kUnknown;  // convolutions
  if (&op == &op_max_pool2d || &op == &op_avg_pool2d || &op == &op_resize2d) return axis < 2 ? axis : kMixed;
  return kUnknown;
}

}  // namespace

void RowTracker::record(const OpDef& op, const Attrs& attrs, std::span<const Tensor> in,
                        std::span<const Tensor> out) {
  int found = kUnknown;
  for (size_t i = 0; i < in.size(); ++i) {
    const auto known = in[i].defined() ? axis_.find(in[i].id()) : axis_.end();
    if (known == axis_.end()) continue;
    const int axis = known->second == kMixed
                         ? kMixed
                         : axis_behind(op, attrs, i, in[i].shape(), out[0].shape(), known->second);
    // Two operands that count images along different dimensions: every image meets every other.
    found = axis == kMixed || (found >= 0 && axis >= 0 && axis != found) || found == kMixed
                ? kMixed
                : std::max(found, axis);
  }
  if (found == kUnknown) return;
  for (const Tensor& t : out) axis_[t.id()] = found;
}

bool RowTracker::mixed(const Tensor& t) const {
  const auto known = t.defined() ? axis_.find(t.id()) : axis_.end();
  return known != axis_.end() && known->second == kMixed;
}

}  // namespace advf::onnx
