#include "advface/audit/identity_only.h"

#include <map>

#include "advface/protections/ascent/noise.h"
#include "autograd/tape.h"
#include "tensor/backend.h"

namespace advf {

FeatureRows identity_only(const FeatureRows& features, const std::vector<int64_t>& rows,
                          const std::vector<int64_t>& person, FeatureDomain domain, int64_t memory_bytes) {
  std::map<int64_t, std::vector<int64_t>> photographs;
  for (size_t r = 0; r < person.size(); ++r) photographs[person[r]].push_back(int64_t(r));
  NoTapeScope off;
  FeatureSpool spool(features.row(), memory_bytes);
  std::vector<double> sum;  // over the photographs of `whose`
  std::vector<float> others;
  int64_t whose = -1;
  for (int64_t r : rows) {
    const std::vector<int64_t>& mine = photographs[person[size_t(r)]];
    check(mine.size() > 1, "row ", r, ": there is no other photograph of this person");
    const Tensor own = features.range(r, r + 1);
    const auto n = size_t(own.numel());
    if (person[size_t(r)] != whose) {
      whose = person[size_t(r)];
      sum.assign(n, 0);
      for (int64_t photograph : mine) {
        const Tensor z = features.range(photograph, photograph + 1);
        for (size_t k = 0; k < n; ++k) sum[k] += double(z.data<float>()[k]);
      }
    }
    others.resize(n);
    for (size_t k = 0; k < n; ++k)
      others[k] = float((sum[k] - double(own.data<float>()[k])) / double(mine.size() - 1));
    spool.append(into_domain(domain, Tensor::from(others, own.shape()).to(current_backend())));
  }
  return spool.finish();
}

}  // namespace advf
