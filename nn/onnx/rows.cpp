#include "nn/onnx/rows.h"

#include <algorithm>
#include <cmath>
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

}  // namespace advf::onnx
