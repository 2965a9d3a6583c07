#include "advface/audit/reconstruction_scores.h"

#include <cmath>
#include <map>

#include "advface/protections/ascent/noise.h"
#include "autograd/tape.h"
#include "nn/loss.h"
#include "tensor/backend.h"
#include "tensor/rng.h"

namespace advf {
namespace {

void append(std::vector<double>& to, const std::vector<double>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

Tensor embed_all(const Recogniser& recogniser, const Tensor& images, int64_t batch) {
  return collect_rows(images.dim(0), batch, [&](int64_t begin, int64_t end) {
    return recogniser.embed(recogniser.preprocess(images.slice_batch(begin, end).to(current_backend())));
  });
}

std::vector<double> accepted(const std::vector<double>& scores, double threshold) {
  std::vector<double> out;
  for (double s : scores) out.push_back(s >= threshold ? 1 : 0);
  return out;
}

}  // namespace

Judge Judge::only(const std::vector<int64_t>& originals) const {
  Judge judge{name, recogniser, threshold, FeatureRows(same).at(originals), {}, {}};
  std::map<int64_t, int64_t> row_of;  // of `other`
  for (size_t i = 0; i < other_of.size(); ++i) row_of[other_of[i]] = int64_t(i);
  std::vector<int64_t> rows;
  for (size_t i = 0; i < originals.size(); ++i) {
    const auto found = row_of.find(originals[i]);
    if (found == row_of.end()) continue;
    judge.other_of.push_back(int64_t(i));
    rows.push_back(found->second);
  }
  if (!rows.empty()) judge.other = FeatureRows(other).at(rows);
  return judge;
}

ReconstructionScores score_reconstructions(const Tensor& images, const Tensor& originals,
                                           const std::vector<Judge>& judges, int64_t batch) {
  check(images.shape() == originals.shape(), "reconstructions of shape ", images.shape(),
        " of originals of shape ", originals.shape());
  NoTapeScope off;
  ReconstructionScores scores;
  for (int64_t begin = 0; begin < images.dim(0); begin += batch) {
    const int64_t end = std::min(images.dim(0), begin + batch);
    const Tensor a = images.slice_batch(begin, end).to(current_backend()),
                 b = originals.slice_batch(begin, end).to(current_backend());
    for (float s : ssim(a, b).to_vector<float>()) scores.ssim.push_back(double(s));
    append(scores.psnr, psnr(a, b));
    append(scores.mse, mse_per_image(a, b));
  }
  for (const Judge& judge : judges) {
    const Tensor embedded = embed_all(*judge.recogniser, images, batch);
    Identity identity;
    identity.cosine = cosine_rows(embedded, judge.same);
    identity.replay_same = accepted(identity.cosine, judge.threshold);
    if (!judge.other_of.empty())
      identity.replay_other =
          accepted(cosine_rows(FeatureRows(embedded).at(judge.other_of), judge.other), judge.threshold);
    scores.judges.push_back(std::move(identity));
  }
  return scores;
}

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
