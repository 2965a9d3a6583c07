// Element-wise formulas, shared by the CPU loops and the CUDA kernels. The one place with host/device
// macros. A gradient reads the OUTPUT y wherever that is enough, so that the input may be freed.
#pragma once
#include <cmath>

#ifdef __CUDACC__
#define ADVF_HD __host__ __device__
// Before a template for both sides that calls what its caller gives it, for that caller's side alone.
#define ADVF_EXEC_CHECK_OFF _Pragma("nv_exec_check_disable")
#else
#define ADVF_HD
#define ADVF_EXEC_CHECK_OFF
#endif

namespace advf::scalar {

struct Add {
  template <class T>
  ADVF_HD T operator()(T a, T b) const {
    return a + b;
  }
};
struct Sub {
  template <class T>
  ADVF_HD T operator()(T a, T b) const {
    return a - b;
  }
};
struct Mul {
  template <class T>
  ADVF_HD T operator()(T a, T b) const {
    return a * b;
  }
};
struct Div {
  template <class T>
  ADVF_HD T operator()(T a, T b) const {
    return a / b;
  }
};

struct Affine {
  double scale, shift;
  template <class T>
  ADVF_HD T operator()(T x) const {
    return T(scale) * x + T(shift);
  }
};
struct Power {
  double exponent;
  template <class T>
  ADVF_HD T operator()(T x) const {
    if (exponent == 2) return x * x;
    if (exponent == 0.5) return std::sqrt(x);
    if (exponent == -0.5) return T(1) / std::sqrt(x);
    if (exponent == -1) return T(1) / x;
    return std::pow(x, T(exponent));
  }
};
struct Exp {
  template <class T>
  ADVF_HD T operator()(T x) const {
    return std::exp(x);
  }
};
struct Log {
  template <class T>
  ADVF_HD T operator()(T x) const {
    return std::log(x);
  }
};
struct Erf {
  template <class T>
  ADVF_HD T operator()(T x) const {
    return std::erf(x);
  }
};
struct Abs {
  template <class T>
  ADVF_HD T operator()(T x) const {
    return std::abs(x);
  }
};
struct Sign {
  template <class T>
  ADVF_HD T operator()(T x) const {
    return T((x > T(0)) - (x < T(0)));
  }
};
struct Clamp {
  double low, high;
  template <class T>
  ADVF_HD T operator()(T x) const {
    return x < T(low) ? T(low) : x > T(high) ? T(high) : x;
  }
};
// From the input x: the gradient passes inside the closed interval.
struct ClampGrad {
  double low, high;
  template <class T>
  ADVF_HD T operator()(T x, T g) const {
    return x >= T(low) && x <= T(high) ? g : T(0);
  }
};

struct Relu {  // what is not a number stays so, as in PyTorch and ONNX Runtime: it must not hide as a zero
  template <class T>
  ADVF_HD T operator()(T x) const {
    return x <= T(0) ? T(0) : x;
  }
};
// Whether v takes the place of the largest value so far. The first that is no number wins, and stays.
template <class T>
ADVF_HD bool is_larger(T v, T best) {
  return v > best || (v != v && best == best);
}
struct ReluGrad {
  template <class T>
  ADVF_HD T operator()(T y, T g) const {
    return y <= T(0) ? T(0) : g;
  }
};
struct LeakyRelu {  // slope > 0, so that the sign of y is the sign of x
  double slope;
  template <class T>
  ADVF_HD T operator()(T x) const {
    return x > T(0) ? x : T(slope) * x;
  }
};
struct LeakyReluGrad {
  double slope;
  template <class T>
  ADVF_HD T operator()(T y, T g) const {
    return y > T(0) ? g : T(slope) * g;
  }
};
struct Sigmoid {
  template <class T>
  ADVF_HD T operator()(T x) const {
    return T(1) / (T(1) + std::exp(-x));
  }
};
struct SigmoidGrad {
  template <class T>
  ADVF_HD T operator()(T y, T g) const {
    return g * y * (T(1) - y);
  }
};
struct Tanh {
  template <class T>
  ADVF_HD T operator()(T x) const {
    return std::tanh(x);
  }
};
struct TanhGrad {
  template <class T>
  ADVF_HD T operator()(T y, T g) const {
    return g * (T(1) - y * y);
  }
};
struct Prelu {
  template <class T>
  ADVF_HD T operator()(T x, T slope) const {
    return x > T(0) ? x : slope * x;
  }
};
// One element of an optimiser step; what the fields of `hyper` mean is said in tensor/ops/steps.cpp.
template <class T>
ADVF_HD inline void sgd_step(const T* hyper, T p, T g, T momentum, T& next, T& next_momentum) {
  const T grad = g + hyper[2] * p;
  next_momentum = hyper[1] * momentum + grad;
  next = p - hyper[0] * (hyper[3] != T(0) ? grad + hyper[1] * next_momentum : next_momentum);
}
template <class T>
ADVF_HD inline void adam_step(const T* hyper, T p, T g, T m, T v, T& next, T& next_m, T& next_v) {
  const T grad = g + hyper[4] * p;
  next_m = hyper[1] * m + (T(1) - hyper[1]) * grad;
  next_v = hyper[2] * v + (T(1) - hyper[2]) * grad * grad;
  const T denominator = std::sqrt(next_v / hyper[7]) + hyper[3];
  next = p - hyper[0] * hyper[5] * p - hyper[0] * (next_m / hyper[6]) / denominator;
}

// The logit at the label (before the scale) of arcface_margin with margin m, and its slope in the cosine c.
ADVF_HD inline double arcface_target(double c, double m) {
  if (c < std::cos(3.14159265358979323846 - m)) return c - m * std::sin(m);
  const double root2 = 1 - c * c;
  return c * std::cos(m) - std::sin(m) * std::sqrt(root2 > 1e-12 ? root2 : 1e-12);
}
ADVF_HD inline double arcface_slope(double c, double m) {
  if (c < std::cos(3.14159265358979323846 - m)) return 1;
  const double root2 = 1 - c * c;
  return std::cos(m) + (root2 > 1e-12 ? std::sin(m) * c / std::sqrt(root2) : 0);
}

// One element of image_loss: the gradient; the difference of the images goes to `difference`.
template <class T>
ADVF_HD T image_loss(double scale, T x, T base, T& difference) {
  const T s = Sigmoid{}(x);
  difference = s - base;
  return SigmoidGrad{}(s, T(scale) * difference);
}

struct PgdStep {  // delta + alpha * sign(grad) on the L-inf ball
  double alpha, epsilon;
  template <class T>
  ADVF_HD T operator()(T delta, T grad) const {
    return Clamp{-epsilon, epsilon}(delta + T(alpha) * Sign{}(grad));
  }
};

}  // namespace advf::scalar
