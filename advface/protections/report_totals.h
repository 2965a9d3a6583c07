// Reports of many records, summed.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "advface/protections/protection.h"

namespace advf {

class ReportTotals {
 public:
  void add(const RecordReport& r) {
    ++records_;
    noise_l2_ += r.noise_l2;
    cosine_ += r.cosine;
    before_ += r.loss_before;
    after_ += r.loss_after;
    recognition_ += r.recognition;
    losses_.resize(r.losses.size());
    for (size_t s = 0; s < losses_.size(); ++s) losses_[s] += double(r.losses[s]);
    least_ = std::min(least_, r.recognition);
    if (r.kept < 1) ++bounded_;
  }
  double noise_l2() const { return mean(noise_l2_); }
  double cosine() const { return mean(cosine_); }
  double loss_before() const { return mean(before_); }
  double loss_after() const { return mean(after_); }
  double recognition() const { return mean(recognition_); }
  double least_recognition() const { return least_; }
  bool climbed() const { return !losses_.empty(); }
  int64_t bounded() const { return bounded_; }  // records whose noise a bound on recognition made smaller
  std::vector<double> losses() const {
    std::vector<double> list;
    for (const double total : losses_) list.push_back(mean(total));
    return list;
  }

 private:
  double mean(double total) const { return total / double(std::max<int64_t>(records_, 1)); }
  double noise_l2_ = 0, cosine_ = 0, before_ = 0, after_ = 0, recognition_ = 0, least_ = 1;
  std::vector<double> losses_;
  int64_t records_ = 0, bounded_ = 0;
};

}  // namespace advf
