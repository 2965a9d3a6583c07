#include "advface/protections/shuffle_protection.h"

#include <algorithm>
#include <numeric>

#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr uint64_t kStream = uint64_t(1) << 61;  // beside those of records

// Drawn uniformly (Fisher and Yates).
std::vector<size_t> permutation(size_t n, uint64_t seed) {
  const Philox rng{seed, kStream};
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t(0));
  for (size_t i = n; i > 1; --i) std::swap(order[i - 1], order[rng.below(i, i)]);
  return order;
}

class ShuffleProtection : public Protection {
 public:
  ShuffleProtection(const ShuffleSpec& spec, const FeatureSpace& space)
      : spec_(spec), space_(space), order_(permutation(size_t(space.row[0]), spec.seed)) {
    std::vector<float> matrix(order_.size() * order_.size());
    for (size_t c = 0; c < order_.size(); ++c) matrix[order_[c] * order_.size() + c] = 1;
    matrix_ = Tensor::from(matrix, {space.row[0], space.row[0]});
  }

  AppliedProtection applied() const override { return {"shuffle", spec_.values(), {}}; }
  FeatureSpace out() const override { return spec_.out(space_); }
  Guarantee guarantee() const override {
    Guarantee proved;
    if (space_.domain == FeatureDomain::sphere) proved.largest_angle = 0;
    return proved;
  }

  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& /*photographs*/,
                      const Context& context) override {
    ProtectedRows result{shuffled(features, records, context), {}};
    for (const int64_t record : records) result.reports.push_back({.record = record, .losses = {}});
    return result;
  }
  // As a product, so that an attacker who knows the order can differentiate it.
  Tensor apply_probe(const Tensor& features, std::span<const int64_t>) const override {
    const Shape& shape = features.shape();
    const int64_t n = shape[0], c = shape[1], inner = shape.numel(2, shape.rank());
    const Tensor order = matrix_.to(current_backend());
    if (inner == 1) return reshape(matmul(reshape(features, {n, c}), order), shape);
    const Tensor last = permute(reshape(features, {n, c, inner}), {0, 2, 1});
    const Tensor mixed = reshape(matmul(reshape(last, {n * inner, c}), order), {n, inner, c});
    return reshape(permute(mixed, {0, 2, 1}), shape);
  }

 private:
  Tensor shuffled(const Tensor& features, std::span<const int64_t> records, const Context& context) const {
    const size_t size = size_t(space_.row.numel()) / order_.size();  // of what keeps together: a channel
    return each_row(features, records, space_, &context,
                    [&](int64_t, std::span<const float> feature, std::span<float> stored) {
                      for (size_t c = 0; c < order_.size(); ++c)
                        std::ranges::copy(feature.subspan(order_[c] * size, size),
                                          stored.begin() + std::ptrdiff_t(c * size));
                    });
  }

  ShuffleSpec spec_;
  FeatureSpace space_;
  std::vector<size_t> order_;
  Tensor matrix_;  // (C,C): a row of channels times it is shuffled
};

}  // namespace

std::unique_ptr<Protection> ShuffleSpec::make(const ProtectionInput& input) const {
  check_domain_known(input, "shuffle");
  const std::vector<size_t> order = permutation(size_t(input.space.row[0]), seed);
  check(!std::is_sorted(order.begin(), order.end()), "--seed ", seed, " leaves ", input.what, " of shape ",
        input.space.row, " in the order that they have; take another seed");
  return std::make_unique<ShuffleProtection>(*this, input.space);
}

}  // namespace advf
