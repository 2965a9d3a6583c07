#include "advface/protections/frequency_protection.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tensor/linear_algebra.h"

namespace advf {
namespace {

constexpr int64_t kMostFrequencies = 512;

// The first `count` basis functions of the orthonormal DCT-II of n samples, a row each.
Matrix lowest_cosines(size_t count, size_t n) {
  Matrix basis(std::min(count, n), n);
  for (size_t u = 0; u < basis.rows(); ++u)
    for (size_t i = 0; i < n; ++i)
      basis(u, i) = std::sqrt((u == 0 ? 1.0 : 2.0) / double(n)) *
                    std::cos(std::numbers::pi * (double(i) + 0.5) * double(u) / double(n));
  return basis;
}

class FrequencyProtection : public Protection {
 public:
  FrequencyProtection(const FrequencySpec& spec, const FeatureSpace& space)
      : spec_(spec),
        space_(space),
        down_(lowest_cosines(size_t(spec.low_frequencies), size_t(space.row[1]))),
        across_(lowest_cosines(size_t(spec.low_frequencies), size_t(space.row[2]))) {}

  AppliedProtection applied() const override { return {"frequency", spec_.values(), {}}; }
  FeatureSpace out() const override { return space_; }

  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& /*photographs*/,
                      const Context& context) override {
    return protect_each(features, records, space_, context, "give more --low-frequencies", filling());
  }
  Tensor apply_probe(const Tensor& features, std::span<const int64_t> records) const override {
    return each_row(features, records, space_, nullptr, filling());
  }

 private:
  FillRecord filling() const {
    return [this](int64_t record, std::span<const float> feature, std::span<float> stored) {
      const size_t size = across_.columns() * down_.columns();
      for (size_t begin = 0; begin < feature.size(); begin += size)
        without_low(feature.subspan(begin, size), stored.subspan(begin, size));
      bring_into_domain(stored, space_.domain, [&] { return "record " + std::to_string(record); });
    };
  }

  // One channel z (h, w): z - A^T (A z B^T) B, with the rows of A and B the lowest cosines of its sides.
  void without_low(std::span<const float> z, std::span<float> out) const {
    const size_t h = down_.columns(), w = across_.columns();
    Matrix rows(h, across_.rows()), low(down_.rows(), across_.rows()), back(h, across_.rows());
    for (size_t i = 0; i < h; ++i)
      for (size_t v = 0; v < across_.rows(); ++v)
        for (size_t j = 0; j < w; ++j) rows(i, v) += double(z[i * w + j]) * across_(v, j);
    for (size_t u = 0; u < down_.rows(); ++u)
      for (size_t i = 0; i < h; ++i)
        for (size_t v = 0; v < across_.rows(); ++v) low(u, v) += down_(u, i) * rows(i, v);
    for (size_t i = 0; i < h; ++i)
      for (size_t u = 0; u < down_.rows(); ++u)
        for (size_t v = 0; v < across_.rows(); ++v) back(i, v) += down_(u, i) * low(u, v);
    for (size_t i = 0; i < h; ++i)
      for (size_t j = 0; j < w; ++j) {
        double taken = 0;
        for (size_t v = 0; v < across_.rows(); ++v) taken += back(i, v) * across_(v, j);
        out[i * w + j] = float(double(z[i * w + j]) - taken);
      }
  }

  FrequencySpec spec_;
  FeatureSpace space_;
  Matrix down_, across_;  // (lowest, h) and (lowest, w)
};

}  // namespace

Settings FrequencySpec::settings() {
  return {whole_setting("low_frequencies", low_frequencies,
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
