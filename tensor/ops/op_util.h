// Helpers for op files: shape checks, element-wise loops, views of attributes.
#pragma once
#include <algorithm>
#include <span>
#include <utility>

#include "tensor/backend.h"
#include "tensor/op.h"
#include "tensor/ops.h"

namespace advf {

// Throws unless the call has `count` inputs that share one floating point type (absent ones aside).
void check_inputs(const OpCall& call, size_t count);
// The shape that NumPy's rule gives two shapes; throws naming the op where they do not fit.
Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b);

// out[i] = f(in0[i])
template <class T, class F>
void map1(const KernelArgs& a, F f) {
  const T* x = a.in[0].as<const T>();
  T* y = a.out[0].as<T>();
  for (int64_t i = 0, n = a.out[0].numel(); i < n; ++i) y[i] = f(x[i]);
}
// out[i] = f(in0[i], in1[i]); equal shapes
template <class T, class F>
void map2(const KernelArgs& a, F f) {
  const T *x = a.in[0].as<const T>(), *z = a.in[1].as<const T>();
  T* y = a.out[0].as<T>();
  for (int64_t i = 0, n = a.out[0].numel(); i < n; ++i) y[i] = f(x[i], z[i]);
}

// For kernels that add up an output in another order than its own: one f64 sum per element of the last
// output.
size_t sums_bytes(const OpCall& call);
inline std::span<double> sums_of(const KernelArgs& k) {
  return {static_cast<double*>(k.scratch), size_t(k.out.back().numel())};
}
// Each sum rounded once.
template <class T>
void store_sums(const KernelArgs& k) {
  T* y = k.out.back().as<T>();
  for (const double sum : sums_of(k)) *y++ = T(sum);
}

// (N, C, rest): the batch, channels and elements per channel of an (N,C) or (N,C,H,W) shape.
struct ChannelDims {
  int64_t n, c, inner;
};
inline ChannelDims channel_dims(const Shape& s) { return {s[0], s[1], s.numel(2, s.rank())}; }

}  // namespace advf
