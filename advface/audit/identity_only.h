// The reference of the audit that no attacker needs a network for.
#pragma once
#include <cstdint>
#include <vector>

#include "advface/core/feature_domain.h"
#include "advface/core/feature_rows.h"

namespace advf {

// What identity alone reveals: for each of these rows of a set the mean feature of the person's other rows,
// brought into the features' domain. A defence without a key under which recognition still works cannot go
// below what this gives an attacker. person: of every row of the set. Throws Error for a row whose person has
// no other. Up to memory_bytes stay in memory.
FeatureRows identity_only(const FeatureRows& features, const std::vector<int64_t>& rows,
                          const std::vector<int64_t>& person, FeatureDomain domain, int64_t memory_bytes);

}  // namespace advf
