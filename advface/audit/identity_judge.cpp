#include "advface/audit/identity_judge.h"

#include "advface/audit/metrics.h"
#include "advface/core/feature_rows.h"
#include "autograd/tape.h"
#include "tensor/backend.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 32;

std::vector<double> accepted(const std::vector<double>& scores, double threshold) {
  std::vector<double> out;
  for (double s : scores) out.push_back(s >= threshold ? 1 : 0);
  return out;
}

}  // namespace

std::vector<Measure> IdentityJudge::judge(const Tensor& images, const TestImages& test) const {
  const NoTapeScope off;
  std::vector<Measure> all;
  for (const Verifier& v : test.verifiers) {
    const Tensor embedded = collect_rows(images.dim(0), kBatch, [&](int64_t begin, int64_t end) {
      const Tensor batch = images.slice_batch(begin, end).to(current_backend());
      return v.recogniser->embed(v.recogniser->preprocess(batch));
    });
    Measure cosine{"cosine/" + v.name, cosine_rows(embedded, v.same), {}, true};
    all.push_back({"replay_rate/" + v.name + "/same_photo", accepted(cosine.values, v.threshold)});
    Measure other{"replay_rate/" + v.name + "/other_photo", {}, v.other_of};
    if (!v.other_of.empty())
      other.values = accepted(cosine_rows(FeatureRows(embedded).at(v.other_of), v.other), v.threshold);
    all.push_back(std::move(other));
    all.push_back(std::move(cosine));
  }
  return all;
}

}  // namespace advf
