// The sum of what several ranks have, written once for the host and the CUDA kernel, so that it has the same
// bits on both: in the order of ranks, in f64, rounded once.
#pragma once
#include <cstdint>

#include "tensor/scalar_math.h"

namespace advf {

// sum[k] = blocks[k] + blocks[n + k] + ... for K neighbours: `ranks` blocks of n values. May write over the
// first block.
template <int K>
ADVF_HD inline void sum_in_order(const float* blocks, int64_t ranks, int64_t n, float* sum) {
  double totals[K] = {};
  for (int64_t r = 0; r < ranks; ++r)
    for (int k = 0; k < K; ++k) totals[k] += double(blocks[r * n + k]);
  for (int k = 0; k < K; ++k) sum[k] = float(totals[k]);
}

}  // namespace advf
