// The judge `identity`, by each verifier V: cosine/V of the image's embedding to that of the photograph, and
// replay_rate/V/same_photo and /other_photo, 1 where the image is accepted in the place of the photograph or
// of another one of the person.
#pragma once
#include "advface/audit/judge.h"

namespace advf {

class IdentityJudge : public Judge {
 public:
  std::vector<Measure> judge(const Tensor& images, const TestImages& test) const override;
};

}  // namespace advf
