#include "advface/core/feature_domain.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"

namespace advf {
namespace {
constexpr FeatureDomain kAll[] = {FeatureDomain::real, FeatureDomain::sphere, FeatureDomain::non_negative};
}

const char* name_of(FeatureDomain domain) {
  switch (domain) {
    case FeatureDomain::real:
      return "real";
    case FeatureDomain::sphere:
      return "sphere";
    case FeatureDomain::non_negative:
      return "non-negative";
  }
  return "";
}

FeatureDomain domain_from(const std::string& name, const std::string& source) {
  for (FeatureDomain domain : kAll)
    if (name == name_of(domain)) return domain;
  fail(source, ": the domain \"", name, "\" is none of real, sphere, non-negative");
}

double dot(std::span<const float> a, std::span<const float> b) {
  // Sums that do not wait for one another: a map has some 50,000 values.
  constexpr size_t kSums = 8;
  double sums[kSums] = {};
  size_t k = 0;
  for (; k + kSums <= a.size(); k += kSums)
    for (size_t s = 0; s < kSums; ++s) sums[s] += double(a[k + s]) * double(b[k + s]);
  for (size_t s = 0; k < a.size(); ++k, ++s) sums[s] += double(a[k]) * double(b[k]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}
double norm(std::span<const float> feature) { return std::sqrt(dot(feature, feature)); }
double cosine(std::span<const float> a, std::span<const float> b) {
  const double squares = dot(a, a) * dot(b, b);
  return squares > 0 ? dot(a, b) / std::sqrt(squares) : 0;
}

void check_feature(std::span<const float> feature, FeatureDomain domain,
                   const std::function<std::string()>& name) {
  for (size_t k = 0; k < feature.size(); ++k) {
    const double v = double(feature[k]);
    if (!std::isfinite(v)) fail(name(), ": value ", k, " is ", v, "; a feature must be finite");
    if (domain == FeatureDomain::non_negative && v < 0)
      fail(name(), ": value ", k, " is ", v, ", but features at this cut are not negative");
  }
  if (domain != FeatureDomain::sphere) return;
  const double length = norm(feature);
  if (!(length > 1e-6)) fail(name(), ": the feature is zero and has no direction");
  if (!is_unit_norm(length))
    fail(name(), ": the feature has norm ", length,
         ", but embeddings are unit vectors; normalise the features first");
}

void bring_into_domain(std::span<float> feature, FeatureDomain domain,
                       const std::function<std::string()>& name) {
  if (domain == FeatureDomain::non_negative)
    for (float& v : feature) v = std::max(v, 0.0f);
  if (domain != FeatureDomain::sphere) return;
  const double length = norm(feature);
  if (!(length > 0)) fail(name(), ": nothing is left of the feature, which then has no direction");
  for (float& v : feature) v = float(double(v) / length);
}

}  // namespace advf
