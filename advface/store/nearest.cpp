#include "advface/store/nearest.h"

#include <algorithm>

#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tensor/parallel.h"

namespace advf {
namespace {

// Scores of so many rows and probes lie in the caches when they are looked through.
constexpr int64_t kRows = 8192, kProbes = 64;
// For fewer probes a matrix product would spend its time on packing rows that are read once.
constexpr int64_t kFewProbes = 4, kRowsOfTask = 512;

bool before(const Neighbour& a, const Neighbour& b) {
  return a.score > b.score || (a.score == b.score && a.row < b.row);
}

// (probes, rows), where every row is read once for all probes.
Tensor scores_of_few(const Tensor& probes, const Tensor& rows) {
  const int64_t n = rows.dim(0), d = rows.dim(1), m = probes.dim(0);
  Tensor scores = Tensor::zeros({m, n});
  float* out = scores.mutable_data<float>();
  parallel_for((n + kRowsOfTask - 1) / kRowsOfTask, [&](int64_t task) {
    for (int64_t r = task * kRowsOfTask; r < std::min(n, (task + 1) * kRowsOfTask); ++r)
      for (int64_t p = 0; p < m; ++p)
        out[p * n + r] = inner_product(probes.data<float>() + p * d, rows.data<float>() + r * d, d);
  });
  return scores;
}

}  // namespace

NearestSoFar::NearestSoFar(int64_t probes, int64_t most) : most_(size_t(most)), best_(size_t(probes)) {
  check(most >= 1, "of the nearest rows at least 1 is wanted, not ", most);
}

void NearestSoFar::put(std::vector<Neighbour>& best, const Neighbour& found) {
  if (best.size() == most_) {
    if (!before(found, best.front())) return;
    std::pop_heap(best.begin(), best.end(), before);
    best.back() = found;
  } else {
    best.push_back(found);
  }
  std::push_heap(best.begin(), best.end(), before);
}

void NearestSoFar::take(int64_t probe, int64_t first_row, const float* scores, int64_t count) {
  for (int64_t i = 0; i < count; ++i) take(probe, first_row + i, scores[i]);
}

void NearestSoFar::join(const NearestSoFar& other) {
  for (size_t p = 0; p < best_.size(); ++p)
    for (const Neighbour& found : other.best_[p]) put(best_[p], found);
}

std::vector<std::vector<Neighbour>> NearestSoFar::sorted() && {
  for (auto& mine : best_) std::sort(mine.begin(), mine.end(), before);
  return std::move(best_);
}

float inner_product(const float* a, const float* b, int64_t n) {
  constexpr int64_t kLanes = 16;  // sums that the compiler keeps in vectors
  float sums[kLanes] = {};
  int64_t k = 0;
  for (; k + kLanes <= n; k += kLanes)
    for (int64_t l = 0; l < kLanes; ++l) sums[l] += a[k + l] * b[k + l];
  for (; k < n; ++k) sums[0] += a[k] * b[k];
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t l = 0; l < half; ++l) sums[l] += sums[l + half];
  return sums[0];
}

std::vector<std::vector<Neighbour>> nearest_rows(const Tensor& stored, const Tensor& probes, int64_t most) {
  check(stored.shape().rank() == 2 && probes.shape().rank() == 2 && stored.dim(1) == probes.dim(1),
        "nearest rows of ", stored.shape(), " to probes of ", probes.shape());
  const BackendScope on_host(host_backend());
  const NoTapeScope off;
  NearestSoFar best(probes.dim(0), most);
  for (int64_t p = 0; p < probes.dim(0); p += kProbes) {
    const int64_t asked = std::min(kProbes, probes.dim(0) - p);
    const Tensor block = probes.slice_batch(p, p + asked);
    for (int64_t r = 0; r < stored.dim(0); r += kRows) {
      const int64_t rows = std::min(kRows, stored.dim(0) - r);
      const Tensor part = stored.slice_batch(r, r + rows);
      const Tensor scores =
          asked <= kFewProbes ? scores_of_few(block, part) : matmul(block, part, {}, {.transpose_b = true});
      const float* all = scores.data<float>();
      parallel_for(asked, [&](int64_t i) { best.take(p + i, r, all + i * rows, rows); });
    }
  }
  return std::move(best).sorted();
}

}  // namespace advf
