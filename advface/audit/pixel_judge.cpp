#include "advface/audit/pixel_judge.h"

#include <algorithm>

#include "autograd/tape.h"
#include "nn/loss.h"
#include "tensor/backend.h"

namespace advf {
namespace {

constexpr int64_t kBatch = 32;

void append(std::vector<double>& to, const std::vector<double>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

std::vector<Measure> PixelJudge::judge(const Tensor& images, const TestImages& test) const {
  const NoTapeScope off;
  Measure similarity{"ssim", {}, {}, true}, ratio{"psnr", {}}, error{"mse", {}};
  for (int64_t begin = 0; begin < images.dim(0); begin += kBatch) {
    const int64_t end = std::min(images.dim(0), begin + kBatch);
    const Tensor a = images.slice_batch(begin, end).to(current_backend()),
                 b = test.faces.slice_batch(begin, end).to(current_backend());
    for (float s : ssim(a, b).to_vector<float>()) similarity.values.push_back(double(s));
    append(ratio.values, psnr(a, b));
    append(error.values, mse_per_image(a, b));
  }
  return {similarity, ratio, error};
}

}  // namespace advf
