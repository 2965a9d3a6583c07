// Where features live, so that a protected feature stays a feature.
#pragma once
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

}  // namespace advf
