#include "advface/feature_domain.h"

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

}  // namespace advf
