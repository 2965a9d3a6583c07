// The judge `identity`, by each verifier V: cosine/V of the image's embedding to that of the photograph,
// cosine_of_others/V, the mean of those to the photographs of the other people under test, and
// replay_rate/V/same_photo and /other_photo, 1 where the image is accepted in the place of the photograph or
// of another one of the person. What an image shows of its person is how much nearer it is to that one than
// to others: some images are a little like everybody.
#pragma once
#include "advface/audit/judge.h"

namespace advf {

class IdentityJudge : public Judge {
 public:
  std::vector<Measure> judge(const Tensor& images, const TestImages& test) const override;
};

}  // namespace advf
