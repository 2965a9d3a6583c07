// The judge `pixels`: ssim, psnr and mse of the image to the photograph (docs/method.md defines them).
#pragma once
#include "advface/audit/judge.h"

namespace advf {

class PixelJudge : public Judge {
 public:
  std::vector<Measure> judge(const Tensor& images, const TestImages& test) const override;
};

}  // namespace advf
