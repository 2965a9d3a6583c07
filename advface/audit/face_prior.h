// What is known of a face before anything is seen of it, as a distribution: the normal one with the mean and
// the covariance of some photographs. It lies in the space that these span.
#pragma once
#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace advf {

class FacePrior {
 public:
  // photographs: (n,3,S,S) in [0,1], two or more, not all alike. Host memory.
  explicit FacePrior(const Tensor& photographs);

  const Tensor& mean() const { return mean_; }  // (3,S,S)
  int64_t values() const { return values_; }    // d = 3 S S
  // The trace of the covariance over d: the mean squared error of who says the mean face.
  double variance() const { return variance_; }
  // Faces number `begin` to `end` (n,3,S,S) of the distribution; their values may lie outside of [0,1].
  Tensor draw(int64_t begin, int64_t end, uint64_t seed) const;
  // Squared length of the covariance times each row of (n,d).
  std::vector<double> weighted_squares(const Tensor& rows) const;

 private:
  Tensor mean_, deviations_;  // (photographs, d), over the root of their number less one
  int64_t values_ = 0;
  double variance_ = 0;
};

}  // namespace advf
