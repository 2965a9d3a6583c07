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

// The best so far of one probe, as a heap whose front is the worst of them.
void take(std::vector<Neighbour>& best, size_t most, int64_t first_row, const float* scores, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    if (best.size() == most && scores[i] <= best.front().score) continue;  // nearly always
    const Neighbour found{first_row + i, scores[i]};
    if (best.size() == most) {
      std::pop_heap(best.begin(), best.end(), before);
      best.back() = found;
    } else {
      best.push_back(found);
    }
    std::push_heap(best.begin(), best.end(), before);
  }
}

float dot_product(const float* a, const float* b, int64_t n) {
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

// (probes, rows), where every row is read once for all probes.
Tensor scores_of_few(const Tensor& probes, const Tensor& rows) {
  const int64_t n = rows.dim(0), d = rows.dim(1), m = probes.dim(0);
  Tensor scores = Tensor::zeros({m, n});
  float* out = scores.mutable_data<float>();
  parallel_for((n + kRowsOfTask - 1) / kRowsOfTask, [&](int64_t task) {
    for (int64_t r = task * kRowsOfTask; r < std::min(n, (task + 1) * kRowsOfTask); ++r)
      for (int64_t p = 0; p < m; ++p)
        out[p * n + r] = dot_product(probes.data<float>() + p * d, rows.data<float>() + r * d, d);
  });
  return scores;
}

}  // namespace

std::vector<std::vector<Neighbour>> nearest_rows(const Tensor& stored, const Tensor& probes, int64_t most) {
  check(stored.shape().rank() == 2 && probes.shape().rank() == 2 && stored.dim(1) == probes.dim(1),
        "nearest rows of ", stored.shape(), " to probes of ", probes.shape());
  check(most >= 1, "of the nearest rows at least 1 is wanted, not ", most);
  const BackendScope on_host(host_backend());
  const NoTapeScope off;
  const auto wanted = size_t(std::min(most, stored.dim(0)));
  std::vector<std::vector<Neighbour>> best(size_t(probes.dim(0)));
  for (int64_t p = 0; p < probes.dim(0); p += kProbes) {
    const int64_t asked = std::min(kProbes, probes.dim(0) - p);
    const Tensor block = probes.slice_batch(p, p + asked);
    for (int64_t r = 0; r < stored.dim(0); r += kRows) {
      const int64_t rows = std::min(kRows, stored.dim(0) - r);
      const Tensor part = stored.slice_batch(r, r + rows);
      const Tensor scores =
          asked <= kFewProbes ? scores_of_few(block, part) : matmul(block, part, {}, {.transpose_b = true});
      const float* all = scores.data<float>();
      parallel_for(asked, [&](int64_t i) { take(best[size_t(p + i)], wanted, r, all + i * rows, rows); });
    }
  }
  for (auto& mine : best) std::sort(mine.begin(), mine.end(), before);
  return best;
}

}  // namespace advf
