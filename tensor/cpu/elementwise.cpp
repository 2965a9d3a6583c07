// Element-wise ops on all threads, from the formulas that the reference uses (scalar_math.h), compiled for
// the base instruction set. Simple maps run at memory speed; sigmoid and adam_step do not yet
// (docs/cpu-engine.md, Measured).
#include <bit>
#include <cmath>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/loops.h"
#include "tensor/scalar_math.h"

namespace advf::cpu {
namespace {

// e^x to about 2 ulp without a branch or a table: 2^n times a polynomial on |r| <= ln(2)/2 (Taylor to degree
// 7).
inline float fast_exp(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number in the low bits
  const float shifted = x * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  const int32_t power = (std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(kRound) + 127) << 23;
  return p * std::bit_cast<float>(power);
}
struct FastSigmoid {
  float operator()(float x) const { return 1.0f / (1.0f + fast_exp(-x)); }
};

template <class F>
std::unique_ptr<BoundOp> unary(const BindArgs& args, F f) {
  return make_op([n = args.call.out[0].shape.numel(), f](Views in, Views out, void*) {
    const float* x = in[0].as<const float>();
    float* y = out[0].as<float>();
    parallel_chunks(n, kChunk, [&](int64_t begin, int64_t end) {
      fill_blocks(y + begin, end - begin, [f, x = x + begin](int64_t i) { return f(x[i]); });
    });
  });
}
template <class F>
std::unique_ptr<BoundOp> binary_same(const BindArgs& args, F f) {
  return make_op([n = args.call.out[0].shape.numel(), f](Views in, Views out, void*) {
    const float *x = in[0].as<const float>(), *z = in[1].as<const float>();
    float* y = out[0].as<float>();
    parallel_chunks(n, kChunk, [&](int64_t begin, int64_t end) {
      fill_blocks(y + begin, end - begin,
                  [f, x = x + begin, z = z + begin](int64_t i) { return f(x[i], z[i]); });
    });
  });
}

// Two shapes that broadcast, with neighbouring dimensions joined where neither input changes its behaviour.
struct Broadcast {
  int rank = 0;
  int64_t size[Shape::kMaxRank] = {}, step[2][Shape::kMaxRank] = {};  // step in elements, 0 = repeated

  Broadcast(const Shape& a, const Shape& b, const Shape& out) {
    const Shape* shapes[2] = {&a, &b};
    bool previous[2] = {};
    for (int d = 0; d < out.rank(); ++d) {
      if (out[d] == 1) continue;
      bool moves[2];
      for (int i = 0; i < 2; ++i) {
        const int e = d - (out.rank() - shapes[i]->rank());
        moves[i] = e >= 0 && (*shapes[i])[e] != 1;
      }
      if (rank > 0 && moves[0] == previous[0] && moves[1] == previous[1]) {
        size[rank - 1] *= out[d];
      } else {
        size[rank] = out[d];
        for (int i = 0; i < 2; ++i) step[i][rank] = previous[i] = moves[i];
        ++rank;
      }
    }
    if (rank == 0) size[rank++] = 1;
    for (int i = 0; i < 2; ++i) {
      int64_t stride = 1;
      for (int d = rank - 1; d >= 0; --d)
        if (step[i][d]) {
          step[i][d] = stride;
          stride *= size[d];
        }
    }
  }
  int64_t inner() const { return size[rank - 1]; }
  int64_t rows() const {
    int64_t n = 1;
    for (int d = 0; d + 1 < rank; ++d) n *= size[d];
    return n;
  }
  int64_t offset(int input, int64_t row) const {
    int64_t at = 0;
    for (int d = rank - 2; d >= 0; --d) {
      at += row % size[d] * step[input][d];
      row /= size[d];
    }
    return at;
  }
};

template <class F>
void binary_row(const Broadcast& s, F f, const float* a, const float* b, float* y, int64_t n) {
  const bool a_moves = s.step[0][s.rank - 1], b_moves = s.step[1][s.rank - 1];
  if (a_moves && b_moves)
    fill_blocks(y, n, [=](int64_t i) { return f(a[i], b[i]); });
  else if (a_moves)
    fill_blocks(y, n, [=, v = *b](int64_t i) { return f(a[i], v); });
  else if (b_moves)
    fill_blocks(y, n, [=, v = *a](int64_t i) { return f(v, b[i]); });
  else
    std::fill_n(y, n, f(*a, *b));
}

template <class F>
std::unique_ptr<BoundOp> binary(const BindArgs& args) {
  const Shape &a = args.call.in[0].shape, &b = args.call.in[1].shape, &out = args.call.out[0].shape;
  if (out.numel() == 0) return nullptr;
  return make_op([s = Broadcast(a, b, out)](Views in, Views out, void*) {
    const int64_t inner = s.inner(), pieces = (inner + kChunk - 1) / kChunk;
    parallel_rows(s.rows() * pieces, std::min(inner, kChunk), [&](int64_t task) {
      const int64_t row = task / pieces, begin = task % pieces * kChunk;
      binary_row(s, F{}, in[0].as<const float>() + s.offset(0, row) + (s.step[0][s.rank - 1] ? begin : 0),
                 in[1].as<const float>() + s.offset(1, row) + (s.step[1][s.rank - 1] ? begin : 0),
                 out[0].as<float>() + row * inner + begin, std::min(kChunk, inner - begin));
    });
  });
}

double a_of(const BindArgs& args) { return args.call.attr<ScalarAttrs>().a; }
double b_of(const BindArgs& args) { return args.call.attr<ScalarAttrs>().b; }

struct Plane {
  int64_t channels, size;
  explicit Plane(const Shape& s) : channels(s[1]), size(s.numel(2, s.rank())) {}
};

}  // namespace

// clang-format off
std::unique_ptr<BoundOp> bind_add(const BindArgs& args) { return binary<scalar::Add>(args); }
std::unique_ptr<BoundOp> bind_sub(const BindArgs& args) { return binary<scalar::Sub>(args); }
std::unique_ptr<BoundOp> bind_mul(const BindArgs& args) { return binary<scalar::Mul>(args); }
std::unique_ptr<BoundOp> bind_div(const BindArgs& args) { return binary<scalar::Div>(args); }
std::unique_ptr<BoundOp> bind_affine(const BindArgs& args) {
  return unary(args, [scale = float(a_of(args)), shift = float(b_of(args))](float x) { return scale * x + shift; });
}
std::unique_ptr<BoundOp> bind_exp(const BindArgs& args) { return unary(args, scalar::Exp{}); }
std::unique_ptr<BoundOp> bind_log(const BindArgs& args) { return unary(args, scalar::Log{}); }
std::unique_ptr<BoundOp> bind_power(const BindArgs& args) { return unary(args, scalar::Power{a_of(args)}); }
std::unique_ptr<BoundOp> bind_abs(const BindArgs& args) { return unary(args, scalar::Abs{}); }
std::unique_ptr<BoundOp> bind_sign(const BindArgs& args) { return unary(args, scalar::Sign{}); }
std::unique_ptr<BoundOp> bind_clamp(const BindArgs& args) { return unary(args, scalar::Clamp{a_of(args), b_of(args)}); }
std::unique_ptr<BoundOp> bind_clamp_grad(const BindArgs& args) { return binary_same(args, scalar::ClampGrad{a_of(args), b_of(args)}); }
std::unique_ptr<BoundOp> bind_relu(const BindArgs& args) { return unary(args, scalar::Relu{}); }
std::unique_ptr<BoundOp> bind_relu_grad(const BindArgs& args) { return binary_same(args, scalar::ReluGrad{}); }
std::unique_ptr<BoundOp> bind_leaky_relu(const BindArgs& args) { return unary(args, scalar::LeakyRelu{a_of(args)}); }
std::unique_ptr<BoundOp> bind_leaky_relu_grad(const BindArgs& args) { return binary_same(args, scalar::LeakyReluGrad{a_of(args)}); }
std::unique_ptr<BoundOp> bind_sigmoid(const BindArgs& args) { return unary(args, FastSigmoid{}); }
std::unique_ptr<BoundOp> bind_sigmoid_grad(const BindArgs& args) { return binary_same(args, scalar::SigmoidGrad{}); }
std::unique_ptr<BoundOp> bind_tanh(const BindArgs& args) { return unary(args, scalar::Tanh{}); }
std::unique_ptr<BoundOp> bind_tanh_grad(const BindArgs& args) { return binary_same(args, scalar::TanhGrad{}); }
std::unique_ptr<BoundOp> bind_pgd_step(const BindArgs& args) { return binary_same(args, scalar::PgdStep{a_of(args), b_of(args)}); }
// clang-format on

std::unique_ptr<BoundOp> bind_prelu(const BindArgs& args) {
  const Shape& s = args.call.in[0].shape;
  return make_op([rows = s.numel(0, 2), p = Plane(s), shared = args.call.in[1].shape[0] == 1](
                     Views in, Views out, void*) {
    parallel_rows(rows, p.size, [&](int64_t r) {
      const float* x = in[0].as<const float>() + r * p.size;
      const float slope = in[1].as<const float>()[shared ? 0 : r % p.channels];
      fill_blocks(out[0].as<float>() + r * p.size, p.size,
                  [=](int64_t i) { return scalar::Prelu{}(x[i], slope); });
    });
  });
}

// The slope's gradient: sums of a plane each, then of the planes of a channel in order.
std::unique_ptr<BoundOp> bind_prelu_grad(const BindArgs& args) {
  const Shape& s = args.call.in[0].shape;
  const int64_t rows = s.numel(0, 2);
  const auto run = [rows, p = Plane(s), shared = args.call.in[1].shape[0] == 1, kernels = &args.kernels](
                       Views in, Views out, void* scratch) {
    double* sums = static_cast<double*>(scratch);
    parallel_rows(rows, p.size, [&](int64_t r) {
      const float *x = in[0].as<const float>() + r * p.size, *g = in[2].as<const float>() + r * p.size;
      const float slope = in[1].as<const float>()[shared ? 0 : r % p.channels];
      fill_blocks(out[0].as<float>() + r * p.size, p.size,
                  [=](int64_t i) { return x[i] > 0.0f ? g[i] : slope * g[i]; });
      sums[r] = 0;
      constexpr int64_t kBlock = 512;
      float products[kBlock];
      for (int64_t b = 0; b < p.size; b += kBlock) {
        const int64_t n = std::min(kBlock, p.size - b);
        for (int64_t i = 0; i < n; ++i) products[i] = x[b + i] > 0.0f ? 0.0f : x[b + i] * g[b + i];
        sums[r] += kernels->sum(products, n);
      }
    });
    const int64_t slopes = shared ? 1 : p.channels;
    for (int64_t c = 0; c < slopes; ++c) {
      double sum = 0;
      for (int64_t r = c; r < rows; r += slopes) sum += sums[r];
      out[1].as<float>()[c] = float(sum);
    }
  };
  return make_op(run, size_t(rows) * sizeof(double));
}

std::unique_ptr<BoundOp> bind_sgd_step(const BindArgs& args) {
  return make_op([n = args.call.out[0].shape.numel()](Views in, Views out, void*) {
    const float* h = in[3].as<const float>();
    const float lr = h[0], momentum = h[1], decay = h[2];
    const bool nesterov = h[3] != 0.0f;
    parallel_chunks(n, kChunk, [&](int64_t begin, int64_t end) {
      constexpr int64_t kBlock = 512;
      float new_p[kBlock], new_b[kBlock];
      for (int64_t at = begin; at < end; at += kBlock) {
        const int64_t count = std::min(kBlock, end - at);
        const float *p = in[0].as<const float>() + at, *g = in[1].as<const float>() + at,
                    *buf = in[2].as<const float>() + at;
        for (int64_t i = 0; i < count; ++i) {
          const float grad = g[i] + decay * p[i];
          const float b = momentum * buf[i] + grad;
          new_p[i] = p[i] - lr * (nesterov ? grad + momentum * b : b);
          new_b[i] = b;
        }
        std::memcpy(out[0].as<float>() + at, new_p, size_t(count) * sizeof(float));
        std::memcpy(out[1].as<float>() + at, new_b, size_t(count) * sizeof(float));
      }
    });
  });
}

std::unique_ptr<BoundOp> bind_adam_step(const BindArgs& args) {
  return make_op([n = args.call.out[0].shape.numel()](Views in, Views out, void*) {
    float h[8];
    std::copy_n(in[4].as<const float>(), 8, h);
    parallel_chunks(n, kChunk, [&](int64_t begin, int64_t end) {
      constexpr int64_t kBlock = 512;
      float new_p[kBlock], new_m[kBlock], new_v[kBlock];
      for (int64_t at = begin; at < end; at += kBlock) {
        const int64_t count = std::min(kBlock, end - at);
        const float *p = in[0].as<const float>() + at, *g = in[1].as<const float>() + at,
                    *m = in[2].as<const float>() + at, *v = in[3].as<const float>() + at;
        for (int64_t i = 0; i < count; ++i) {
          const float grad = g[i] + h[4] * p[i];
          new_m[i] = h[1] * m[i] + (1.0f - h[1]) * grad;
          new_v[i] = h[2] * v[i] + (1.0f - h[2]) * grad * grad;
          const float denominator = std::sqrt(new_v[i] / h[7]) + h[3];
          new_p[i] = p[i] - h[0] * h[5] * p[i] - h[0] * (new_m[i] / h[6]) / denominator;
        }
        std::memcpy(out[0].as<float>() + at, new_p, size_t(count) * sizeof(float));
        std::memcpy(out[1].as<float>() + at, new_m, size_t(count) * sizeof(float));
        std::memcpy(out[2].as<float>() + at, new_v, size_t(count) * sizeof(float));
      }
    });
  });
}

}  // namespace advf::cpu
