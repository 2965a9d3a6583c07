// Element-wise formulas, shared by the CPU loops and the CUDA kernels. The one place with a host/device macro.
#pragma once
#include <cmath>

#ifdef __CUDACC__
#define ADVF_HD __host__ __device__
#else
#define ADVF_HD
#endif

namespace advf::scalar {

struct Add { template <class T> ADVF_HD T operator()(T a, T b) const { return a + b; } };
struct Sub { template <class T> ADVF_HD T operator()(T a, T b) const { return a - b; } };
struct Mul { template <class T> ADVF_HD T operator()(T a, T b) const { return a * b; } };
struct Div { template <class T> ADVF_HD T operator()(T a, T b) const { return a / b; } };

struct Relu { template <class T> ADVF_HD T operator()(T x) const { return x > T(0) ? x : T(0); } };
// From the OUTPUT y, so that x may be freed.
struct ReluGrad { template <class T> ADVF_HD T operator()(T y, T g) const { return y > T(0) ? g : T(0); } };

}  // namespace advf::scalar
