#include "advface/networks/mean_face.h"

#include "advface/networks/trainer.h"

namespace advf {

Tensor mean_face_of(const std::function<Tensor(const std::vector<int64_t>&)>& face,
                    const std::vector<int64_t>& rows) {
  constexpr int64_t kBatch = 64;
  check(!rows.empty(), "the mean of no faces is asked for");
  std::vector<double> sums;
  Shape shape;
  for (int64_t begin = 0; begin < int64_t(rows.size()); begin += kBatch) {
    const Tensor x = face(part_of(rows, begin, begin + kBatch)).on_host();
    shape = {x.dim(1), x.dim(2), x.dim(3)};
    sums.resize(size_t(shape.numel()));
    for (int64_t i = 0; i < x.dim(0); ++i)
      for (size_t k = 0; k < sums.size(); ++k)
        sums[k] += double(x.data<float>()[size_t(i) * sums.size() + k]);
  }
  std::vector<float> mean;
  for (const double sum : sums) mean.push_back(float(sum / double(rows.size())));
  return Tensor::from(mean, shape);
}

}  // namespace advf
