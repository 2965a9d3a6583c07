#include "advface/audit/judge.h"

#include <map>
#include <numeric>

#include "advface/audit/identity_judge.h"
#include "advface/audit/pixel_judge.h"
#include "advface/core/feature_rows.h"

namespace advf {
namespace {

template <class J>
std::unique_ptr<Judge> make() {
  return std::make_unique<J>();
}

}  // namespace

const std::vector<JudgeKind>& judges() {
  static const std::vector<JudgeKind> rows{
      {"pixels", "how like the photograph the image is: SSIM, PSNR, MSE", make<PixelJudge>},
      {"identity", "whom recognisers see: cosine, and whether the image is accepted (replay)",
       make<IdentityJudge>},
  };
  return rows;
}

std::vector<Measure> judge_all(const Tensor& images, const TestImages& test) {
  check(images.shape() == test.faces.shape(), "reconstructions of shape ", images.shape(),
        " of originals of shape ", test.faces.shape());
  std::vector<Measure> all;
  for (const JudgeKind& kind : judges())
    for (Measure& measure : kind.make()->judge(images, test)) all.push_back(std::move(measure));
  return all;
}

const Measure* find_measure(const std::vector<Measure>& measures, const std::string& name) {
  for (const Measure& m : measures)
    if (m.name == name) return &m;
  return nullptr;
}

TestImages TestImages::only(const std::vector<int64_t>& chosen) const {
  TestImages t{picked(images, chosen),
               picked(files, chosen),
               picked(identities, chosen),
               picked(people, chosen),
               FeatureRows(faces).at(chosen),
               {},
               {}};
  for (const Verifier& verifier : verifiers) t.verifiers.push_back(verifier.only(chosen));
  return t;
}

TestImages TestImages::range(int64_t begin, int64_t end) const {
  if (begin == 0 && end == int64_t(images.size())) return *this;
  std::vector<int64_t> chosen(size_t(end - begin));
  std::iota(chosen.begin(), chosen.end(), begin);
  TestImages some = only(chosen);
  some.crowd = crowd.empty() ? people : crowd;
  for (size_t i = 0; i < verifiers.size(); ++i)
    some.verifiers[i].crowd = crowd.empty() ? verifiers[i].same : verifiers[i].crowd;
  return some;
}

Verifier Verifier::only(const std::vector<int64_t>& originals) const {
  Verifier some{name, recogniser, threshold, FeatureRows(same).at(originals), {}, {}, {}};
  std::map<int64_t, int64_t> row_of;  // of `other`
  for (size_t i = 0; i < other_of.size(); ++i) row_of[other_of[i]] = int64_t(i);
  std::vector<int64_t> rows;
  for (size_t i = 0; i < originals.size(); ++i) {
    const auto found = row_of.find(originals[i]);
    if (found == row_of.end()) continue;
    some.other_of.push_back(int64_t(i));
    rows.push_back(found->second);
  }
  if (!rows.empty()) some.other = FeatureRows(other).at(rows);
  return some;
}

}  // namespace advf
