// Validation by a team (nn/team.h), or by one process.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "advface/networks/trainer.h"
#include "nn/team.h"

namespace advf {

// What f(rows, begin) -> std::vector<T> says of each batch of these rows, in their order; `begin` is where in
// `rows` the batch begins. In a team each rank works out some of the batches and all get all of them. A batch
// is never cut, so that what is added up of them has the bits that one process of the same weights has.
template <class T, class F>
std::vector<std::vector<T>> of_batches(const std::vector<int64_t>& rows, int64_t batch, const F& f) {
  const int64_t batches = (int64_t(rows.size()) + batch - 1) / batch;
  Team* const team = current_team();
  const auto [first, last] = team ? team->share(batches) : std::pair<int64_t, int64_t>(0, batches);
  std::vector<std::vector<T>> said;
  for (int64_t b = first; b < last; ++b)
    said.push_back(f(part_of(rows, b * batch, (b + 1) * batch), b * batch));
  if (!team) return said;
  std::vector<size_t> counts;
  std::vector<T> values;
  for (const std::vector<T>& one : said) {
    counts.push_back(one.size());
    values.insert(values.end(), one.begin(), one.end());
  }
  counts = team->joined(std::move(counts));
  values = team->joined(std::move(values));
  said.clear();
  auto at = values.begin();
  for (const size_t count : counts) {
    said.emplace_back(at, at + ptrdiff_t(count));
    at += ptrdiff_t(count);
  }
  return said;
}

}  // namespace advf
