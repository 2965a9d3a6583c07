#include "advface/protections/recognition_bound.h"

#include "advface/core/feature_domain.h"

namespace advf {
namespace {

// Halvings of the factor: it is found to 1/256.
constexpr int kHalvings = 8;

}  // namespace

void RecognitionBound::search() {
  if (!least_) return run(factors_);
  run(std::vector<float>(factors_.size(), 0));
  plain_ = finish_.get("embedding").to_vector<float>();
  run(factors_);
  std::vector<float> low(factors_.size(), 0), high = factors_;
  bool open = false;
  for (size_t i = 0; i < low.size(); ++i)
    if (holds(i))
      low[i] = 1;
    else
      open = true;
  for (int halving = 0; open && halving < kHalvings; ++halving) {
    std::vector<float> middle;
    for (size_t i = 0; i < low.size(); ++i) middle.push_back((low[i] + high[i]) / 2);
    run(middle);
    for (size_t i = 0; i < low.size(); ++i) (holds(i) ? low : high)[i] = middle[i];
  }
  factors_ = low;
  if (open) run(factors_);
}

double RecognitionBound::recognition(size_t i) const {
  if (!least_) return 0;
  const size_t d = plain_.size() / factors_.size();
  return cosine(std::span(plain_).subspan(i * d, d), std::span(now_).subspan(i * d, d));
}

void RecognitionBound::run(const std::vector<float>& factors) {
  finish_.set("factor", Tensor::from(factors, finish_.input_shape("factor")));
  finish_.run();
  if (least_) now_ = finish_.get("embedding").to_vector<float>();
}

}  // namespace advf
