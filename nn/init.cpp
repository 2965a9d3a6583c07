#include "nn/init.h"

#include <cmath>

namespace advf {

int64_t fan_in(const Shape& weight) {
  check(weight.rank() >= 2, "a weight of shape ", weight, " has no fan-in");
  return weight.numel(1, weight.rank());
}

Tensor uniform(const Shape& shape, double low, double high, const Philox& rng) {
  std::vector<float> v(size_t(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = float(rng.uniform(i, low, high));
  return Tensor::from(v, shape);
}

Tensor normal(const Shape& shape, double deviation, const Philox& rng) {
  std::vector<float> v(size_t(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = float(deviation * rng.normal(i));
  return Tensor::from(v, shape);
}

Tensor initial_weight(const Shape& shape, Init rule, const Philox& rng) {
  const double in = double(fan_in(shape)), out = double(shape[0] * shape.numel(2, shape.rank()));
  double deviation = 0;
  switch (rule) {
    case Init::pytorch:
      deviation = std::sqrt(1.0 / 3.0 / in);
      break;
    case Init::kaiming_uniform:
    case Init::kaiming_normal:
      deviation = std::sqrt(2.0 / in);
      break;
    case Init::xavier_uniform:
    case Init::xavier_normal:
      deviation = std::sqrt(2.0 / (in + out));
      break;
  }
  if (rule == Init::kaiming_normal || rule == Init::xavier_normal) return normal(shape, deviation, rng);
  const double bound = std::sqrt(3.0) * deviation;  // a uniform variable has the deviation bound / sqrt(3)
  return uniform(shape, -bound, bound, rng);
}

}  // namespace advf
