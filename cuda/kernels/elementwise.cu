// Element-wise ops, with formulas from tensor/scalar_math.h, and the optimiser steps. Equal shapes go through
// map_kernel; add, sub, mul and div of shapes that broadcast through broadcast_kernel.
#include "tensor/scalar_math.h"

#include "cuda/kernels/map.h"
#include "cuda/kernels/strides.h"

namespace advf::cuda {
namespace {

template <class F>
struct Unary {
  F f;
  __device__ void operator()(const float* x, float* y, int64_t) const { y[0] = f(x[0]); }
};
template <class F>
struct Binary {
  F f;
  __device__ void operator()(const float* x, float* y, int64_t) const { y[0] = f(x[0], x[1]); }
};

template <class F>
std::unique_ptr<BoundOp> bind_unary(const BindArgs& args, const F& f) {
  return bound_map(args, [f](const Run&) { return Unary<F>{f}; });
}
template <class T, class F>
std::unique_ptr<BoundOp> bind_binary_of(const F& f) {
  return bound([f](const Run& r) {
    launch_map(
        MapArgs<T, 2, 1>{
            {r.in[0].as<const T>(), r.in[1].as<const T>()}, {r.out[0].as<T>()}, r.out[0].numel(), false},
        Binary<F>{f}, r.stream);
  });
}
// Where an element stands does not matter, its type does.
template <class F>
std::unique_ptr<BoundOp> bind_binary(const BindArgs& args, const F& f) {
  return args.out().layout == kChannelsLast ? bind_binary_of<bf16>(f) : bind_binary_of<float>(f);
}

template <class F>
__global__ void broadcast_kernel(F f, const float* a, const float* b, float* y, Strides<2> s) {
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < s.n;
       i += int64_t(gridDim.x) * blockDim.x) {
    int64_t at[2];
    s.locate(i, at);
    y[i] = f(a[at[0]], b[at[1]]);
  }
}

template <class F>
std::unique_ptr<BoundOp> bind_broadcast(const BindArgs& args, const F& f) {
  if (args.in(0).shape == args.in(1).shape) return bind_binary(args, f);
  Strides<2> s(args.call.op->name, args.out().shape);
  s.broadcast(0, args.in(0).shape);
  s.broadcast(1, args.in(1).shape);
  s.merge();
  return bound([f, s](const Run& r) {
    launch("broadcast_kernel", broadcast_kernel<F>, grid_for(s.n), r.stream, f, r.f32(0), r.f32(1),
           r.to_f32(), s);
  });
}

struct SgdStep {  // p, g, momentum -> p, momentum
  const float* hyper;
  __device__ void operator()(const float* x, float* y, int64_t) const {
    scalar::sgd_step(hyper, x[0], x[1], x[2], y[0], y[1]);
  }
};
struct AdamStep {  // p, g, m, v -> p, m, v
  const float* hyper;
  __device__ void operator()(const float* x, float* y, int64_t) const {
    scalar::adam_step(hyper, x[0], x[1], x[2], x[3], y[0], y[1], y[2]);
  }
};

double a_of(const BindArgs& args) { return args.attr<ScalarAttrs>().a; }
double b_of(const BindArgs& args) { return args.attr<ScalarAttrs>().b; }

}  // namespace

#define ADVF_UNARY(name, ...) \
  std::unique_ptr<BoundOp> bind_##name(const BindArgs& args) { return bind_unary(args, __VA_ARGS__); }
#define ADVF_BINARY(name, ...) \
  std::unique_ptr<BoundOp> bind_##name(const BindArgs& args) { return bind_binary(args, __VA_ARGS__); }
ADVF_UNARY(affine, scalar::Affine{a_of(args), b_of(args)})
ADVF_UNARY(power, scalar::Power{a_of(args)})
ADVF_UNARY(exp, scalar::Exp{})
ADVF_UNARY(log, scalar::Log{})
ADVF_UNARY(erf, scalar::Erf{})
ADVF_UNARY(abs, scalar::Abs{})
ADVF_UNARY(sign, scalar::Sign{})
ADVF_UNARY(clamp, scalar::Clamp{a_of(args), b_of(args)})
ADVF_UNARY(relu, scalar::Relu{})
ADVF_UNARY(leaky_relu, scalar::LeakyRelu{a_of(args)})
ADVF_UNARY(sigmoid, scalar::Sigmoid{})
ADVF_UNARY(tanh, scalar::Tanh{})
ADVF_BINARY(clamp_grad, scalar::ClampGrad{a_of(args), b_of(args)})
ADVF_BINARY(relu_grad, scalar::ReluGrad{})
ADVF_BINARY(leaky_relu_grad, scalar::LeakyReluGrad{a_of(args)})
ADVF_BINARY(sigmoid_grad, scalar::SigmoidGrad{})
ADVF_BINARY(tanh_grad, scalar::TanhGrad{})
ADVF_BINARY(pgd_step, scalar::PgdStep{a_of(args), b_of(args)})
#undef ADVF_UNARY
#undef ADVF_BINARY

std::unique_ptr<BoundOp> bind_add(const BindArgs& args) { return bind_broadcast(args, scalar::Add{}); }
std::unique_ptr<BoundOp> bind_sub(const BindArgs& args) { return bind_broadcast(args, scalar::Sub{}); }
std::unique_ptr<BoundOp> bind_mul(const BindArgs& args) { return bind_broadcast(args, scalar::Mul{}); }
std::unique_ptr<BoundOp> bind_div(const BindArgs& args) { return bind_broadcast(args, scalar::Div{}); }

std::unique_ptr<BoundOp> bind_sgd_step(const BindArgs&) {
  return bound([](const Run& r) {
    launch_map(
        MapArgs<float, 3, 2>{
            {r.f32(0), r.f32(1), r.f32(2)}, {r.to_f32(0), r.to_f32(1)}, r.in[0].numel(), false},
        SgdStep{r.f32(3)}, r.stream);
  });
}
std::unique_ptr<BoundOp> bind_adam_step(const BindArgs&) {
  return bound([](const Run& r) {
    launch_map(MapArgs<float, 4, 3>{{r.f32(0), r.f32(1), r.f32(2), r.f32(3)},
                                    {r.to_f32(0), r.to_f32(1), r.to_f32(2)},
                                    r.in[0].numel(),
                                    false},
               AdamStep{r.f32(4)}, r.stream);
  });
}

}  // namespace advf::cuda
