#include "advface/audit/identity_only.h"

#include <algorithm>

#include "advface/core/enrolment.h"

namespace advf {

FeatureRows identity_only(const FeatureRows& features, const std::vector<int64_t>& rows,
                          const std::vector<int64_t>& person, FeatureDomain domain, int64_t memory_bytes) {
  const std::vector<std::vector<int64_t>> mine = rows_by_person(person);
  std::vector<std::vector<int64_t>> others;
  for (const int64_t r : rows) {
    others.push_back(mine[size_t(r)]);
    std::erase(others.back(), r);
    check(!others.back().empty(), "row ", r, ": there is no other photograph of this person");
  }
  return means_of(features, others, domain, memory_bytes, [&](int64_t g) {
    return "row " + std::to_string(rows[size_t(g)]) + ": the mean of the person's other photographs";
  });
}

}  // namespace advf
