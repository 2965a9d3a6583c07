#include "advface/audit/reconstruction_scores.h"

#include <cmath>
#include <map>

#include "advface/protections/ascent/noise_ball.h"
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

Tensor equal_norm_noise(const Tensor& z, const Tensor& protected_features, bool on_sphere, uint64_t seed,
                        int64_t first_row) {
  check(z.shape() == protected_features.shape(), "noise for features of shapes ", z.shape(), " and ",
        protected_features.shape());
  const int64_t n = z.dim(0), d = z.shape().numel(1, z.shape().rank());
  std::vector<float> out = z.to_vector<float>();
  const Tensor host_z = z.on_host(), host_protected = protected_features.on_host();
  const float *p = host_z.data<float>(), *q = host_protected.data<float>();
  for (int64_t i = 0; i < n; ++i) {
    const Philox rng{seed, uint64_t(first_row + i) | (uint64_t(1) << 63)};
    const float* row = p + i * d;
    std::vector<double> direction(static_cast<size_t>(d));
    double zz = 0, zq = 0, qq = 0, distance = 0, dot = 0, norm = 0;
    for (int64_t k = 0; k < d; ++k) {
      direction[size_t(k)] = rng.normal(uint64_t(k));
      const double a = double(row[k]), b = double(q[i * d + k]);
      zz += a * a;
      zq += a * b;
      qq += b * b;
      distance += (b - a) * (b - a);
      dot += direction[size_t(k)] * a;
    }
    // On the sphere only the part across z turns it.
    for (int64_t k = 0; k < d; ++k) {
      if (on_sphere) direction[size_t(k)] -= dot / zz * double(row[k]);
      norm += direction[size_t(k)] * direction[size_t(k)];
    }
    norm = std::sqrt(norm);
    const double cosine = std::min(1.0, zq / std::sqrt(zz * qq)),
                 sine = std::sqrt(std::max(0.0, 1 - cosine * cosine));
    for (int64_t k = 0; k < d; ++k) {
      const double unit = direction[size_t(k)] / norm;
      out[size_t(i * d + k)] = float(on_sphere ? cosine * double(row[k]) + sine * std::sqrt(zz) * unit
                                               : double(row[k]) + std::sqrt(distance) * unit);
    }
  }
  const BackendScope there(z.backend());
  return Tensor::from(out, z.shape());
}

}  // namespace advf
