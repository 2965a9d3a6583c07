#include "advface/core/enrolment.h"

#include <algorithm>
#include <map>

namespace advf {

RowsByPerson::RowsByPerson(const std::vector<int64_t>& person) {
  std::map<int64_t, size_t> number;
  for (size_t r = 0; r < person.size(); ++r) {
    const auto [at, fresh] = number.try_emplace(person[r], rows_.size());
    if (fresh) rows_.emplace_back();
    rows_[at->second].push_back(int64_t(r));
    of_.push_back(at->second);
  }
}

std::vector<std::vector<int64_t>> RowsByPerson::first(int64_t most) const {
  std::vector<std::vector<int64_t>> groups = rows_;
  for (auto& rows : groups)
    if (most > 0 && most < int64_t(rows.size())) rows.resize(size_t(most));
  return groups;
}

std::vector<int64_t> enrolled_with(int64_t row, const std::vector<int64_t>& mine, int64_t most,
                                   const std::function<bool(int64_t)>& takes_no_part) {
  std::vector<int64_t> rows{row};
  const auto at = size_t(std::find(mine.begin(), mine.end(), row) - mine.begin());
  for (size_t back = 1; back < mine.size() && (most == 0 || int64_t(rows.size()) < most); ++back) {
    const int64_t other = mine[(at + mine.size() - back) % mine.size()];
    if (!takes_no_part(other)) rows.push_back(other);
  }
  return rows;
}

FeatureRows means_of(const FeatureRows& features, const std::vector<std::vector<int64_t>>& groups,
                     FeatureDomain domain, int64_t memory_bytes,
                     const std::function<std::string(int64_t group)>& name) {
  const auto n = size_t(features.row().numel());
  FeatureSpool spool(features.row(), memory_bytes);
  std::vector<double> sum;
  std::vector<float> mean(n);
  for (size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].size() == 1) {  // bit for bit
      spool.append(features.range(groups[g][0], groups[g][0] + 1));
      continue;
    }
    sum.assign(n, 0);
    for (const int64_t r : groups[g]) {
      const Tensor row = features.range(r, r + 1);
      for (size_t k = 0; k < n; ++k) sum[k] += double(row.data<float>()[k]);
    }
    for (size_t k = 0; k < n; ++k) mean[k] = float(sum[k] / double(groups[g].size()));
    bring_into_domain(mean, domain, [&] { return name(int64_t(g)); });
    spool.append(Tensor::from(mean, with_rows(1, features.row())));
  }
  return spool.finish();
}

FeatureRows means_of_others(const FeatureRows& features, const std::vector<int64_t>& rows,
                            const RowsByPerson& people, FeatureDomain domain, int64_t memory_bytes) {
  const auto n = size_t(features.row().numel());
  FeatureSpool spool(features.row(), memory_bytes);
  std::vector<double> sum(n);  // over the photographs `whose`
  std::vector<float> mean(n);
  const std::vector<int64_t>* whose = nullptr;
  for (const int64_t r : rows) {
    const std::vector<int64_t>& mine = people.of(r);
    check(mine.size() > 1, "row ", r, ": there is no other photograph of this person");
    if (whose != &mine) {
      whose = &mine;
      std::fill(sum.begin(), sum.end(), 0.0);
      for (const int64_t photograph : mine) {
        const Tensor z = features.range(photograph, photograph + 1);
        for (size_t k = 0; k < n; ++k) sum[k] += double(z.data<float>()[k]);
      }
    }
    const Tensor own = features.range(r, r + 1);
    for (size_t k = 0; k < n; ++k)
      mean[k] = float((sum[k] - double(own.data<float>()[k])) / double(mine.size() - 1));
    bring_into_domain(mean, domain, [&] {
      return "row " + std::to_string(r) + ": the mean of the person's other photographs";
    });
    spool.append(Tensor::from(mean, own.shape()));
  }
  return spool.finish();
}

}  // namespace advf
