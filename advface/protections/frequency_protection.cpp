#include "advface/protections/frequency_protection.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "advface/protections/ascent/noise.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kMostFrequencies = 512;

// (n, n): the projection onto the first `count` basis functions of the orthonormal DCT-II of n samples.
Tensor onto_lowest(size_t count, size_t n) {
  std::vector<double> sums(n * n);
  for (size_t u = 0; u < std::min(count, n); ++u) {
    const auto basis = [&](size_t i) {
      return std::sqrt((u == 0 ? 1.0 : 2.0) / double(n)) *
             std::cos(std::numbers::pi * (double(i) + 0.5) * double(u) / double(n));
    };
    for (size_t i = 0; i < n; ++i)
      for (size_t j = 0; j < n; ++j) sums[i * n + j] += basis(i) * basis(j);
  }
  return Tensor::from(std::vector<float>(sums.begin(), sums.end()), {int64_t(n), int64_t(n)});
}

class FrequencyProtection : public Protection {
 public:
  FrequencyProtection(const FrequencySpec& spec, const FeatureSpace& space)
      : spec_(spec),
        space_(space),
        down_(onto_lowest(size_t(spec.low_frequencies), size_t(space.row[1]))),
        across_(onto_lowest(size_t(spec.low_frequencies), size_t(space.row[2]))) {}

  AppliedProtection applied() const override { return {"frequency", spec_.values(), {}}; }
  FeatureSpace out() const override { return space_; }

  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& /*photographs*/,
                      const Context& context) override {
    return protect_each(features, records, space_, context, "give more --low-frequencies", filling());
  }
  Tensor apply_probe(const Tensor& features, std::span<const int64_t>) const override {
    return without_low(features);
  }

 private:
  FillRecord filling() const {
    return [this](int64_t, std::span<const float> feature, std::span<float> stored) {
      const NoTapeScope off;
      const Tensor one =
          Tensor::from(std::vector<float>(feature.begin(), feature.end()), with_rows(1, space_.row));
      std::ranges::copy(without_low(one.to(current_backend())).to_vector<float>(), stored.begin());
    };
  }

  // Of every channel z (h, w): z - P z Q, with P and Q the projections onto the lowest cosines of its sides.
  Tensor without_low(const Tensor& z) const {
    const int64_t n = z.dim(0), c = z.dim(1), h = z.dim(2), w = z.dim(3);
    const Tensor p = down_.to(current_backend()), q = across_.to(current_backend());
    const Tensor rows = reshape(matmul(reshape(z, {n * c * h, w}), q), {n, c, h, w});
    const Tensor turned = reshape(permute(rows, {0, 1, 3, 2}), {n * c * w, h});
    const Tensor low = permute(reshape(matmul(turned, p), {n, c, w, h}), {0, 1, 3, 2});
    return into_domain(space_.domain, sub(z, low));
  }

  FrequencySpec spec_;
  FeatureSpace space_;
  Tensor down_, across_;  // (h, h) and (w, w), symmetric
};

}  // namespace

Settings FrequencySpec::settings() {
  return {whole_setting("low_frequencies", low_frequencies, {1, kMostFrequencies},
                        "frequencies that are taken away in each direction of a map; 1: the mean alone")};
}

void FrequencySpec::check_valid() const {
  check(low_frequencies >= 1 && low_frequencies <= kMostFrequencies,
        "the number of low frequencies must lie between 1 and ", kMostFrequencies, ", not ", low_frequencies);
}

std::unique_ptr<Protection> FrequencySpec::make(const ProtectionInput& input) const {
  const Shape& row = input.space.row;
  check_takes_maps(row, "frequency", input.what);
  check_domain_known(input, "frequency");
  check(low_frequencies < std::max(row[1], row[2]), "--low-frequencies ", low_frequencies,
        " leaves nothing of ", input.what, " of shape ", row, "; give fewer than ", std::max(row[1], row[2]));
  return std::make_unique<FrequencyProtection>(*this, input.space);
}

}  // namespace advf
