// The ascent in one call, and what stands in files about it.
#pragma once
#include "advface/protections/ascent/advface_protection.h"

namespace advf::test {

inline ProtectedRows protect(const AscentNetworks& networks, const Tensor& features, int64_t first_record,
                             const AscentSettings& settings, const Tensor& photographs = {}) {
  return Ascent(networks, settings).protect(features, first_record, photographs);
}

inline ProtectionId protected_by(const AscentSettings& settings, const Metadata& networks) {
  AdvFaceSpec spec;
  spec.ascent = settings;
  return {{{"advface", spec.values(), networks}}, {}};
}

}  // namespace advf::test
