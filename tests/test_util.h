// Shared by the tests: random tensors, comparison, and the sample inputs of the op table.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "tensor/backend.h"
#include "tensor/op.h"
#include "tensor/rng.h"
#include "tensor/tensor.h"

namespace advf::test {

// Whether the address sanitizer looks on, under which arithmetic takes ten to twenty times as long.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kUnderSanitizer = true;
#elif defined(__has_feature)
inline constexpr bool kUnderSanitizer = __has_feature(address_sanitizer);
#else
inline constexpr bool kUnderSanitizer = false;
#endif

// ||a - b|| / ||b|| over all elements, in f64; infinite where a holds a NaN, |a| itself where b is zero.
inline double relative_error(const Tensor& a, const Tensor& b) {
  const auto x = a.to(DType::f64).to_vector<double>(), y = b.to(DType::f64).to_vector<double>();
  if (x.size() != y.size()) return INFINITY;
  double diff = 0, norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    diff += (x[i] - y[i]) * (x[i] - y[i]);
    norm += y[i] * y[i];
  }
  if (!(diff >= 0)) return INFINITY;
  return norm > 0 ? std::sqrt(diff / norm) : std::sqrt(diff);
}

// Standard normal values.
inline Tensor randn(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  std::vector<double> v(size_t(shape.numel()));
  const Philox rng{seed, 1};
  for (size_t i = 0; i < v.size(); ++i) v[i] = rng.normal(i);
  return Tensor::from(v, shape).to(dtype);
}

// One input of an op's sample. f64, or i32 for indices.
inline Tensor sample_input(const SampleInput& spec, uint64_t seed) {
  if (!spec.defined) return {};
  const size_t n = size_t(spec.shape.numel());
  const Philox rng{seed, 2};
  if (spec.domain == Domain::index) {
    std::vector<int32_t> v(n);
    for (size_t i = 0; i < n; ++i) v[i] = int32_t(rng.below(i, uint64_t(spec.limit)));
    return Tensor::from(v, spec.shape);
  }
  std::vector<double> v(n);
  for (size_t i = 0; i < n; ++i) switch (spec.domain) {
      case Domain::normal: {
        const double x = rng.normal(i);
        v[i] = x < 0 ? x - 0.05 : x + 0.05;
        break;
      }
      case Domain::positive:
        v[i] = rng.uniform(i, 0.2, 2);
        break;
      case Domain::unit_interval:
        v[i] = rng.uniform(i, 0.05, 0.95);
        break;
      case Domain::cosine:
        v[i] = rng.uniform(i, -0.999, 0.999);
        break;
      case Domain::index:
        break;
    }
  return Tensor::from(v, spec.shape);
}

inline std::vector<Tensor> sample_inputs(const Sample& sample, uint64_t seed) {
  std::vector<Tensor> in;
  for (size_t i = 0; i < sample.in.size(); ++i) in.push_back(sample_input(sample.in[i], seed * 131 + i));
  return in;
}

inline std::vector<Tensor> to_dtype(const std::vector<Tensor>& in, DType dtype) {
  std::vector<Tensor> out;
  for (const Tensor& t : in) out.push_back(t.defined() && t.dtype() == DType::f64 ? t.to(dtype) : t);
  return out;
}

// "conv2d sample 3" for messages.
inline std::string where(const OpDef& op, size_t sample) {
  return std::string(op.name) + " sample " + std::to_string(sample);
}

}  // namespace advf::test
