#include "advface/protections/quantise_protection.h"

#include <algorithm>
#include <cmath>

namespace advf {
namespace {

// feature, stored: what has one scale.
void quantise(std::span<const float> feature, bool non_negative, int64_t bits, std::span<float> stored) {
  double scale = 0;
  for (const float v : feature) scale = std::max(scale, std::abs(double(v)));
  const double levels = double(int64_t(1) << bits);
  for (size_t k = 0; k < feature.size(); ++k) {
    const double share = scale > 0 ? double(feature[k]) / scale : 0;  // in [-1, 1]
    const double step =
        non_negative
            ? std::floor(share * (levels - 1) + 0.5) / (levels - 1)
            : (std::clamp(std::floor(share * levels / 2), -levels / 2, levels / 2 - 1) + 0.5) / (levels / 2);
    stored[k] = float(step * scale);
  }
}

class QuantiseProtection : public Protection {
 public:
  QuantiseProtection(const QuantiseSpec& spec, const FeatureSpace& space) : spec_(spec), space_(space) {}

  AppliedProtection applied() const override { return {"quantise", spec_.values(), {}}; }
  FeatureSpace out() const override { return space_; }

  ProtectedRows apply(const Tensor& features, std::span<const int64_t> records, const Tensor& /*photographs*/,
                      const Context& context) override {
    const size_t groups = space_.row.rank() == 3 ? size_t(space_.row[0]) : 1,
                 size = size_t(space_.row.numel()) / groups;
    return protect_each(
        features, records, space_, context, "give fewer --bits",
        [&](int64_t record, std::span<const float> feature, std::span<float> stored) {
          for (size_t g = 0; g < groups; ++g)
            quantise(feature.subspan(g * size, size), space_.domain == FeatureDomain::non_negative,
                     spec_.bits, stored.subspan(g * size, size));
          bring_into_domain(stored, space_.domain, [&] { return "record " + std::to_string(record); });
        });
  }

 private:
  QuantiseSpec spec_;
  FeatureSpace space_;
};

}  // namespace

void QuantiseSpec::check_valid() const {
  check(bits >= 1 && bits <= 8, "the number of bits must lie between 1 and 8, not ", bits);
}

std::unique_ptr<Protection> QuantiseSpec::make(const ProtectionInput& input) const {
  check_domain_known(input, "quantise");
  return std::make_unique<QuantiseProtection>(*this, input.space);
}

}  // namespace advf
