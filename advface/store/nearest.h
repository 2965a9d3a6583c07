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

// The nearest so far of each of several probes, for rows that come a block at a time, each with a number of
// its own, in ascending order within one of these; what several have found is put together with join().
// Which rows are kept does not depend on how they were parted.
class NearestSoFar {
 public:
  NearestSoFar(int64_t probes, int64_t most);
  void take(int64_t probe, int64_t first_row, const float* scores, int64_t count);
  void take(int64_t probe, int64_t row, float score) {
    auto& best = best_[size_t(probe)];
    if (best.size() < most_ || score > best.front().score) put(best, {row, score});
  }
  void join(const NearestSoFar& other);
  std::vector<std::vector<Neighbour>>
  sorted() &&;  // of each probe, the nearest first; of equals the lower row

 private:
  void put(std::vector<Neighbour>& best, const Neighbour& found);

  size_t most_;
  std::vector<std::vector<Neighbour>> best_;  // heaps whose fronts are the worst of them
};

// In f32, in an order that depends on n alone.
float inner_product(const float* a, const float* b, int64_t n);

// For each probe the `most` stored rows (all, where there are fewer) with the largest inner products, the
// largest first; of equal ones the row that comes first. stored: (N, D), probes: (M, D), f32 in host memory.
// Products are taken a block of rows at a time, so that memory does not grow with N. The same bits at any
// number of threads.
std::vector<std::vector<Neighbour>> nearest_rows(const Tensor& stored, const Tensor& probes, int64_t most);

}  // namespace advf
