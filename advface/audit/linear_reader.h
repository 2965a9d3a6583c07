// What pairs of a raw and a stored feature give away about other records of the same set: the linear map from
// what is stored to embeddings that fits them, by least squares. Of fewer pairs than dimensions it is the one
// of least norm, which knows the directions that it was shown and gives nothing of the others: all that can
// be known of a random rotation.
#pragma once
#include <vector>

#include "tensor/linear_algebra.h"
#include "tensor/tensor.h"

namespace advf {

// (n,D) in host memory: rows of D values scaled to unit length; zeros stay zeros.
Tensor unit_rows(std::vector<float> rows, int64_t values);

class LinearReader {
 public:
  static constexpr int64_t kMostValues = 4096;  // of a stored feature

  // stored (N,D), wanted (N,E) in host memory: row i of both is of one photograph; D at most kMostValues. The
  // weight of the penalty on the map's norm is the one of a few, from next to nothing on, under which each
  // pair is told best from the others (leave-one-out, in closed form).
  LinearReader(const Tensor& stored, const Tensor& wanted);
  // (n,D) -> (n,E) in host memory: unit rows, or zeros where it knows nothing.
  Tensor read(const Tensor& stored) const;
  double penalty() const { return penalty_; }  // in units of the mean square of what is stored

 private:
  Tensor map_;  // (D,E)
  double penalty_ = 0;
};

}  // namespace advf
