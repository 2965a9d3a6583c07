// 1:N: whose stored record is most like a probe, among all of a set that is compared by cosines (raw, or
// behind one rotation for the whole set).
#pragma once
#include <cstdint>
#include <vector>

#include "tensor/tensor.h"

namespace advf {

struct Neighbour {
  int64_t row = 0;
  float score = 0;  // the inner product
};

// For each probe the `most` stored rows (all, where there are fewer) with the largest inner products, the
// largest first; of equal ones the row that comes first. stored: (N, D), probes: (M, D), f32 in host memory.
// Products are taken a block of rows at a time, so that memory does not grow with N. The same bits at any
// number of threads.
std::vector<std::vector<Neighbour>> nearest_rows(const Tensor& stored, const Tensor& probes, int64_t most);

}  // namespace advf
