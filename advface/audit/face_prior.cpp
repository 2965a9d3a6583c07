#include "advface/audit/face_prior.h"

#include <cmath>

#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr uint64_t kStream = uint64_t(5) << 59;  // beside those of records

std::vector<double> squares_of_rows(const Tensor& rows) {
  const std::vector<float> v = rows.to_vector<float>();
  std::vector<double> sums(size_t(rows.dim(0)), 0);
  const size_t d = v.size() / sums.size();
  for (size_t i = 0; i < v.size(); ++i) sums[i / d] += double(v[i]) * double(v[i]);
  return sums;
}

}  // namespace

FacePrior::FacePrior(const Tensor& photographs) {
  const NoTapeScope off;
  const BackendScope on_host(host_backend());
  const int64_t n = photographs.dim(0);
  check(photographs.shape().rank() == 4 && n >= 2, "a prior of photographs of shape ", photographs.shape(),
        ": two or more are needed");
  values_ = photographs.numel() / n;
  const Tensor rows = reshape(photographs, {n, values_});
  const Tensor centre = affine(reduce_sum(rows, {0}, true), 1 / double(n), 0);
  mean_ = reshape(centre, row_of(photographs.shape()));
  deviations_ = affine(sub(rows, centre), 1 / std::sqrt(double(n - 1)), 0);
  for (const double square : squares_of_rows(deviations_)) variance_ += square / double(values_);
  check(variance_ > 0, "a prior of ", n, " photographs that are all alike");
}

Tensor FacePrior::draw(int64_t begin, int64_t end, uint64_t seed) const {
  const NoTapeScope off;
  const BackendScope on_host(host_backend());
  const int64_t n = end - begin, photographs = deviations_.dim(0);
  std::vector<float> weights;
  for (int64_t face = begin; face < end; ++face) {
    const Philox rng{seed, kStream | uint64_t(face)};
    for (int64_t k = 0; k < photographs; ++k) weights.push_back(float(rng.normal(uint64_t(k))));
  }
  const Tensor moved = matmul(Tensor::from(weights, {n, photographs}), deviations_);
  return reshape(add(moved, reshape(mean_, {1, values_})), with_rows(n, mean_.shape()));
}

std::vector<double> FacePrior::weighted_squares(const Tensor& rows) const {
  const NoTapeScope off;
  const BackendScope on_host(host_backend());
  const Tensor along = matmul(rows.on_host(), deviations_, {}, {.transpose_b = true});
  return squares_of_rows(matmul(along, deviations_));
}

}  // namespace advf
