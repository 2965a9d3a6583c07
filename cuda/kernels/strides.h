// Walks a box of up to five dimensions: element i of the box lies at one offset in each of K arrays.
// Dimensions that every array sees as one are merged, so that most calls divide once or twice.
#pragma once
#include <cstdint>

#include "tensor/shape.h"

namespace advf::cuda {

template <int K>
struct Strides {
  int64_t n = 0;
  int rank = 0;
  uint32_t dim[Shape::kMaxRank] = {};
  int64_t step[K][Shape::kMaxRank] = {};
  int64_t base[K] = {};

  Strides(const char* op, const Shape& box) : n(box.numel()), rank(box.rank()) {
    check(n <= int64_t(UINT32_MAX), op, ": a tensor of shape ", box, " is too large for cuda");
    for (int d = 0; d < rank; ++d) dim[d] = uint32_t(box[d]);
  }

  // Array k is contiguous of shape `s`, whose last dimensions are the box's.
  void contiguous(int k, const Shape& s) {
    int64_t stride = 1;
    for (int d = rank - 1, e = s.rank() - 1; d >= 0 && e >= 0; --d, --e) {
      step[k][d] = stride;
      stride *= s[e];
    }
  }
  // The same where a dimension of 1 repeats.
  void broadcast(int k, const Shape& s) {
    contiguous(k, s);
    for (int d = rank - 1, e = s.rank() - 1; d >= 0 && e >= 0; --d, --e)
      if (s[e] == 1) step[k][d] = 0;
  }

  // Once all arrays are set.
  void merge() {
    int last = 0;
    for (int d = 0; d < rank; ++d) {
      if (dim[d] == 1) continue;
      bool joins = last > 0;
      for (int k = 0; k < K && joins; ++k) joins = step[k][last - 1] == step[k][d] * int64_t(dim[d]);
      const int to = joins ? last - 1 : last++;
      dim[to] = joins ? dim[to] * dim[d] : dim[d];
      for (int k = 0; k < K; ++k) step[k][to] = step[k][d];
    }
    rank = last;
  }

  __device__ void locate(int64_t i, int64_t* at) const {
    for (int k = 0; k < K; ++k) at[k] = base[k];
    uint32_t rest = uint32_t(i);
    for (int d = rank - 1; d > 0; --d) {
      const uint32_t up = rest / dim[d], here = rest - up * dim[d];
      for (int k = 0; k < K; ++k) at[k] += here * step[k][d];
      rest = up;
    }
    if (rank > 0)
      for (int k = 0; k < K; ++k) at[k] += rest * step[k][0];
  }
};

}  // namespace advf::cuda
