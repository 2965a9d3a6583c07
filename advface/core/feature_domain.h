// Where features live, so that a protected feature stays a feature.
#pragma once
#include <functional>
#include <span>
#include <string>

namespace advf {

enum class FeatureDomain {
  real,          // any numbers
  sphere,        // unit vectors: a normalised embedding
  non_negative,  // a cut after a ReLU
};

const char* name_of(FeatureDomain domain);  // "real", "sphere", "non-negative"
// Throws Error naming `source` for another word.
FeatureDomain domain_from(const std::string& name, const std::string& source);

// The one rule for features that come in, from files and from networks: every value is finite, and the
// feature lies in its domain. Unit vectors may miss norm 1 by 1e-3, as float16 does; others are refused and
// never normalised in silence, since their scale says that they are not what they are taken for. Throws Error
// that begins with name() and says what to do.
void check_feature(std::span<const float> feature, FeatureDomain domain,
                   const std::function<std::string()>& name);
// Brings a feature that was changed back to its domain: on the sphere to norm 1, and where nothing is
// negative what is below zero to zero. Throws Error that begins with name() for a zero vector, which has no
// direction.
void bring_into_domain(std::span<float> feature, FeatureDomain domain,
                       const std::function<std::string()>& name);
// The part of it about norms.
double norm(std::span<const float> feature);
double dot(std::span<const float> a, std::span<const float> b);
double cosine(std::span<const float> a, std::span<const float> b);  // 0 where one of them is zero
constexpr bool is_unit_norm(double norm) { return norm > 1 - 1e-3 && norm < 1 + 1e-3; }

}  // namespace advf
