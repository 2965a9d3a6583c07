// Element-wise ops on all threads: a tensor in chunks, or in the rows that broadcasting leaves; the loops
// themselves are compiled per instruction set (elementwise_body.inc).

#include "tensor/cpu/bind.h"
#include "tensor/cpu/loops.h"

namespace advf::cpu {
namespace {

std::unique_ptr<BoundOp> unary(const BindArgs& args, Map1 map, double a = 0, double b = 0) {
  return make_op([=, n = args.call.out[0].shape.numel()](Views in, Views out, void*) {
    parallel_chunks(n, kChunk, [&](int64_t begin, int64_t end) {
      map(out[0].as<float>() + begin, in[0].as<const float>() + begin, end - begin, a, b);
    });
  });
}
std::unique_ptr<BoundOp> binary_same(const BindArgs& args, Map2 map, double a = 0, double b = 0) {
  return make_op([=, n = args.call.out[0].shape.numel()](Views in, Views out, void*) {
    parallel_chunks(n, kChunk, [&](int64_t begin, int64_t end) {
      map(out[0].as<float>() + begin, in[0].as<const float>() + begin, true, in[1].as<const float>() + begin,
          true, end - begin, a, b);
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

std::unique_ptr<BoundOp> binary(const BindArgs& args, Map2 map) {
  const Shape &a = args.call.in[0].shape, &b = args.call.in[1].shape, &out = args.call.out[0].shape;
  if (out.numel() == 0) return nullptr;
  return make_op([map, s = Broadcast(a, b, out)](Views in, Views out, void*) {
    const int64_t inner = s.inner(), pieces = (inner + kChunk - 1) / kChunk;
    const bool a_moves = s.step[0][s.rank - 1], b_moves = s.step[1][s.rank - 1];
    parallel_rows(s.rows() * pieces, std::min(inner, kChunk), [&](int64_t task) {
      const int64_t row = task / pieces, begin = task % pieces * kChunk;
      map(out[0].as<float>() + row * inner + begin,
          in[0].as<const float>() + s.offset(0, row) + (a_moves ? begin : 0), a_moves,
          in[1].as<const float>() + s.offset(1, row) + (b_moves ? begin : 0), b_moves,
          std::min(kChunk, inner - begin), 0, 0);
    });
  });
}

struct Plane {
  int64_t channels, size;
  explicit Plane(const Shape& s) : channels(s[1]), size(s.numel(2, s.rank())) {}
};

}  // namespace

#define ADVF_BIND_BROADCAST(name) \
  std::unique_ptr<BoundOp> bind_##name(const BindArgs& args) { return binary(args, args.kernels.maps.name); }
ADVF_BIND_BROADCAST(add)
ADVF_BIND_BROADCAST(sub)
ADVF_BIND_BROADCAST(mul)
ADVF_BIND_BROADCAST(div)
#undef ADVF_BIND_BROADCAST

// Ops without numbers, then those that have two.
#define ADVF_BIND(name, kind) \
  std::unique_ptr<BoundOp> bind_##name(const BindArgs& args) { return kind(args, args.kernels.maps.name); }
#define ADVF_BIND_AB(name, kind)                                     \
  std::unique_ptr<BoundOp> bind_##name(const BindArgs& args) {       \
    const auto& scalars = args.call.attr<ScalarAttrs>();             \
    return kind(args, args.kernels.maps.name, scalars.a, scalars.b); \
  }
ADVF_BIND(exp, unary)
ADVF_BIND(log, unary)
ADVF_BIND(abs, unary)
ADVF_BIND(sign, unary)
ADVF_BIND(relu, unary)
ADVF_BIND(sigmoid, unary)
ADVF_BIND(tanh, unary)
ADVF_BIND(erf, unary)
ADVF_BIND(relu_grad, binary_same)
ADVF_BIND(sigmoid_grad, binary_same)
ADVF_BIND(tanh_grad, binary_same)
ADVF_BIND_AB(affine, unary)
ADVF_BIND_AB(power, unary)
ADVF_BIND_AB(clamp, unary)
ADVF_BIND_AB(leaky_relu, unary)
ADVF_BIND_AB(clamp_grad, binary_same)
ADVF_BIND_AB(leaky_relu_grad, binary_same)
ADVF_BIND_AB(pgd_step, binary_same)
#undef ADVF_BIND
#undef ADVF_BIND_AB

std::unique_ptr<BoundOp> bind_prelu(const BindArgs& args) {
  const Shape& s = args.call.in[0].shape;
  return make_op([rows = s.numel(0, 2), p = Plane(s), shared = args.call.in[1].shape[0] == 1,
                  map = args.kernels.maps.prelu](Views in, Views out, void*) {
    parallel_rows(rows, p.size, [&](int64_t r) {
      map(out[0].as<float>() + r * p.size, in[0].as<const float>() + r * p.size, true,
          in[1].as<const float>() + (shared ? 0 : r % p.channels), false, p.size, 0, 0);
    });
  });
}

// The slope's gradient: sums of a plane each, then of the planes of a channel in order.
std::unique_ptr<BoundOp> bind_prelu_grad(const BindArgs& args) {
  const Shape& s = args.call.in[0].shape;
  const int64_t rows = s.numel(0, 2);
  const auto run = [rows, p = Plane(s), shared = args.call.in[1].shape[0] == 1, maps = &args.kernels.maps](
                       Views in, Views out, void* scratch) {
    double* sums = static_cast<double*>(scratch);
    parallel_rows(rows, p.size, [&](int64_t r) {
      const float *x = in[0].as<const float>() + r * p.size, *g = in[2].as<const float>() + r * p.size;
      const float slope = in[1].as<const float>()[shared ? 0 : r % p.channels];
      sums[r] = maps->dot_not_positive(x, g, p.size);
      // The same formula as leaky_relu_grad's, on the input instead of the output.
      maps->leaky_relu_grad(out[0].as<float>() + r * p.size, x, true, g, true, p.size, double(slope), 0);
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
  return make_op(
      [n = args.call.out[0].shape.numel(), step = args.kernels.maps.sgd](Views in, Views out, void*) {
        parallel_chunks(n, kChunk, [&](int64_t at, int64_t end) {
          step(out[0].as<float>() + at, out[1].as<float>() + at, in[0].as<const float>() + at,
               in[1].as<const float>() + at, in[2].as<const float>() + at, in[3].as<const float>(), end - at);
        });
      });
}

std::unique_ptr<BoundOp> bind_adam_step(const BindArgs& args) {
  return make_op(
      [n = args.call.out[0].shape.numel(), step = args.kernels.maps.adam](Views in, Views out, void*) {
        parallel_chunks(n, kChunk, [&](int64_t at, int64_t end) {
          step(out[0].as<float>() + at, out[1].as<float>() + at, out[2].as<float>() + at,
               in[0].as<const float>() + at, in[1].as<const float>() + at, in[2].as<const float>() + at,
               in[3].as<const float>() + at, in[4].as<const float>(), end - at);
        });
      });
}

}  // namespace advf::cpu
