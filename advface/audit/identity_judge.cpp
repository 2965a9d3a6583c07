#include "advface/audit/identity_judge.h"

#include "advface/audit/metrics.h"
#include "advface/core/feature_rows.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 32;

std::vector<double> accepted(const std::vector<double>& scores, double threshold) {
  std::vector<double> out;
  for (double s : scores) out.push_back(s >= threshold ? 1 : 0);
  return out;
}

// Of each image (n,D), whose people are named, the mean cosine to those photographs (N,D) of the crowd that
// show another person; none where all are of one.
std::vector<double> mean_cosine_of_others(const Tensor& images, const std::vector<int64_t>& people,
                                          const Tensor& photographs, const std::vector<int64_t>& crowd) {
  const BackendScope on_host(host_backend());
  const Tensor scores =
      matmul(l2_normalise(images.on_host()), l2_normalise(photographs.on_host()), {}, {.transpose_b = true});
  const float* all = scores.data<float>();
  const size_t n = crowd.size();
  std::vector<double> means;
  for (size_t i = 0; i < people.size(); ++i) {
    double sum = 0, count = 0;
    for (size_t j = 0; j < n; ++j)
      if (crowd[j] != people[i]) sum += double(all[i * n + j]), ++count;
    if (count == 0) return {};
    means.push_back(sum / count);
  }
  return means;
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
    if (auto others = mean_cosine_of_others(embedded, test.people, test.crowd.empty() ? v.same : v.crowd,
                                            test.crowd.empty() ? test.people : test.crowd);
        !others.empty())
      all.push_back({"cosine_of_others/" + v.name, std::move(others)});
  }
  return all;
}

}  // namespace advf
