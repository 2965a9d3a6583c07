// Sums and normalisations. Every sum is taken in f32 over short blocks and in f64 over the blocks, in an
// order that the shape alone decides.
#include <algorithm>
#include <cmath>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/loops.h"
#include "tensor/ops/op_util.h"

namespace advf::cpu {
namespace {

// f(first element of a plane) for every image's plane of channel c, in order.
template <class F>
void for_planes(const ChannelDims& d, int64_t c, const F& f) {
  for (int64_t n = 0; n < d.n; ++n) f((n * d.c + c) * d.inner);
}

// The dimensions of a reduce_sum, neighbours of one kind joined.
struct Reduction {
  int rank = 0;
  int64_t size[Shape::kMaxRank] = {};
  bool summed[Shape::kMaxRank] = {};

  Reduction(const Shape& s, uint32_t axes) {
    for (int d = 0; d < s.rank(); ++d) {
      if (s[d] == 1) continue;
      const bool sum = axes >> d & 1u;
      if (rank > 0 && summed[rank - 1] == sum) {
        size[rank - 1] *= s[d];
      } else {
        size[rank] = s[d];
        summed[rank++] = sum;
      }
    }
  }
  int64_t product(bool of_summed, int end) const {
    int64_t n = 1;
    for (int d = 0; d < end; ++d)
      if (summed[d] == of_summed) n *= size[d];
    return n;
  }
  // The row (all dimensions but the last, in memory order) of the i-th kept and the j-th summed outer index.
  int64_t row(int64_t kept, int64_t sum) const {
    int64_t at = 0, stride = 1;
    for (int d = rank - 2; d >= 0; --d) {
      int64_t& index = summed[d] ? sum : kept;
      at += index % size[d] * stride;
      index /= size[d];
      stride *= size[d];
    }
    return at;
  }
};

// The last dimension is summed: every row (in pieces) to one f64, then the rows of an output in order.
std::unique_ptr<BoundOp> sum_rows(const Reduction& r, const KernelTable& kernels) {
  const int64_t inner = r.size[r.rank - 1], pieces = (inner + kChunk - 1) / kChunk;
  const int64_t kept = r.product(false, r.rank - 1), summed = r.product(true, r.rank - 1);
  const auto run = [=, k = &kernels](Views in, Views out, void* scratch) {
    double* partial = static_cast<double*>(scratch);
    parallel_rows(kept * summed * pieces, std::min(inner, kChunk), [&](int64_t task) {
      const int64_t begin = task % pieces * kChunk;
      partial[task] =
          k->sum(in[0].as<const float>() + task / pieces * inner + begin, std::min(kChunk, inner - begin));
    });
    for (int64_t i = 0; i < kept; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < summed; ++j) {
        const double* row = partial + r.row(i, j) * pieces;
        for (int64_t p = 0; p < pieces; ++p) sum += row[p];
      }
      out[0].as<float>()[i] = float(sum);
    }
  };
  return make_op(run, size_t(kept * summed * pieces) * sizeof(double));
}

// The last dimension is kept: columns in blocks, every block down the summed rows.
std::unique_ptr<BoundOp> sum_columns(const Reduction& r) {
  constexpr int64_t kBlock = 256;
  const int64_t inner = r.size[r.rank - 1], blocks = (inner + kBlock - 1) / kBlock;
  const int64_t kept = r.product(false, r.rank - 1), summed = r.product(true, r.rank - 1);
  return make_op([=](Views in, Views out, void*) {
    parallel_rows(kept * blocks, std::min(inner, kBlock) * summed, [&](int64_t task) {
      const int64_t i = task / blocks, begin = task % blocks * kBlock, n = std::min(kBlock, inner - begin);
      double sums[kBlock] = {};
      for (int64_t j = 0; j < summed; ++j) {
        const float* row = in[0].as<const float>() + r.row(i, j) * inner + begin;
        for (int64_t c = 0; c < n; ++c) sums[c] += double(row[c]);
      }
      for (int64_t c = 0; c < n; ++c) out[0].as<float>()[i * inner + begin + c] = float(sums[c]);
    });
  });
}

}  // namespace

std::unique_ptr<BoundOp> bind_reduce_sum(const BindArgs& args) {
  const Shape& s = args.call.in[0].shape;
  if (s.numel() == 0) return nullptr;
  const Reduction r(s, args.call.attr<AxesAttrs>().axes);
  if (r.rank == 0) return nullptr;
  return r.summed[r.rank - 1] ? sum_rows(r, args.kernels) : sum_columns(r);
}

// One task per channel, whose planes stay in cache between the passes: mean, variance about the mean, output.
std::unique_ptr<BoundOp> bind_batch_norm_train(const BindArgs& args) {
  const ChannelDims d = channel_dims(args.call.in[0].shape);
  if (d.inner < 8) return nullptr;
  return make_op([d, eps = args.call.attr<ScalarAttrs>().a, k = &args.kernels](Views in, Views out, void*) {
    const float* x = in[0].as<const float>();
    const double count = double(d.n * d.inner);
    parallel_for(d.c, [&](int64_t c) {
      double sum = 0, squares = 0;
      for_planes(d, c, [&](int64_t at) { sum += k->sum(x + at, d.inner); });
      const double mean = sum / count;
      const float shift = float(mean);
      for_planes(d, c, [&](int64_t at) { squares += k->dot(x + at, shift, x + at, shift, d.inner); });
      const double rest = mean - double(shift), var = std::max(0.0, squares / count - rest * rest);
      const double scale = double(in[1].as<const float>()[c]) / std::sqrt(var + eps);
      const double offset = double(in[2].as<const float>()[c]) - rest * scale;
      for_planes(d, c, [&](int64_t at) {
        k->scale_shift(out[0].as<float>() + at, x + at, shift, float(scale), float(offset), d.inner);
      });
      out[1].as<float>()[c] = float(mean);
      out[2].as<float>()[c] = float(var);
    });
  });
}

std::unique_ptr<BoundOp> bind_batch_norm_train_grad(const BindArgs& args) {
  const ChannelDims d = channel_dims(args.call.in[0].shape);
  if (d.inner < 8) return nullptr;
  return make_op([d, eps = args.call.attr<ScalarAttrs>().a, k = &args.kernels](Views in, Views out, void*) {
    const float *x = in[0].as<const float>(), *g = in[4].as<const float>();
    const double count = double(d.n * d.inner);
    parallel_for(d.c, [&](int64_t c) {
      const float mean = in[2].as<const float>()[c];
      const double r = 1.0 / std::sqrt(double(in[3].as<const float>()[c]) + eps);
      double dbeta = 0, dgamma = 0;
      for_planes(d, c, [&](int64_t at) {
        dbeta += k->sum(g + at, d.inner);
        dgamma += k->dot(g + at, 0.0f, x + at, mean, d.inner);
      });
      dgamma *= r;
      const double scale = double(in[1].as<const float>()[c]) * r;
      for_planes(d, c, [&](int64_t at) {
        k->combine(out[0].as<float>() + at, g + at, float(scale), x + at, mean,
                   float(-scale * r * dgamma / count), float(-scale * dbeta / count), d.inner);
      });
      out[1].as<float>()[c] = float(dgamma);
      out[2].as<float>()[c] = float(dbeta);
    });
  });
}

std::unique_ptr<BoundOp> bind_batch_norm_eval(const BindArgs& args) {
  const ChannelDims d = channel_dims(args.call.in[0].shape);
  if (d.inner < 8) return nullptr;
  return make_op([d, eps = args.call.attr<ScalarAttrs>().a, k = &args.kernels](Views in, Views out, void*) {
    parallel_rows(d.n * d.c, d.inner, [&](int64_t row) {
      const int64_t c = row % d.c;
      const auto at = [&](size_t i) { return in[i].as<const float>()[c]; };
      k->scale_shift(out[0].as<float>() + row * d.inner, in[0].as<const float>() + row * d.inner, at(3),
                     float(double(at(1)) / std::sqrt(double(at(4)) + eps)), at(2), d.inner);
    });
  });
}

std::unique_ptr<BoundOp> bind_softmax(const BindArgs& args) {
  const int64_t d = args.call.in[0].shape[-1], rows = args.call.in[0].shape.numel() / d;
  return make_op([=, maps = &args.kernels.maps](Views in, Views out, void*) {
    parallel_rows(rows, d, [&](int64_t r) {
      const float* x = in[0].as<const float>() + r * d;
      float* y = out[0].as<float>() + r * d;
      maps->affine(y, x, d, 1, -double(maps->largest(x, d)));
      maps->exp(y, y, d, 0, 0);
      double sum = 0;
      for (int64_t i = 0; i < d; ++i) sum += double(y[i]);
      maps->affine(y, y, d, 1 / sum, 0);
    });
  });
}

std::unique_ptr<BoundOp> bind_l2_normalise(const BindArgs& args) {
  const Shape& s = args.call.in[0].shape;
  return make_op([rows = s[0], n = s[1], eps = args.call.attr<ScalarAttrs>().a, k = &args.kernels](
                     Views in, Views out, void*) {
    parallel_rows(rows, n, [&](int64_t r) {
      const float* x = in[0].as<const float>() + r * n;
      const double norm = std::max(std::sqrt(k->dot(x, 0, x, 0, n)), eps);
      k->scale_shift(out[0].as<float>() + r * n, x, 0, float(1 / norm), 0, n);
    });
  });
}

std::unique_ptr<BoundOp> bind_l2_normalise_grad(const BindArgs& args) {
  const Shape& s = args.call.in[0].shape;
  return make_op([rows = s[0], n = s[1], eps = args.call.attr<ScalarAttrs>().a, k = &args.kernels](
                     Views in, Views out, void*) {
    parallel_rows(rows, n, [&](int64_t r) {
      const float *x = in[0].as<const float>() + r * n, *g = in[1].as<const float>() + r * n;
      const double square = k->dot(x, 0, x, 0, n), norm = std::sqrt(square);
      const double along = norm > eps ? k->dot(x, 0, g, 0, n) / (square * norm) : 0;
      k->combine(out[0].as<float>() + r * n, g, float(1 / std::max(norm, eps)), x, 0, float(-along), 0, n);
    });
  });
}

}  // namespace advf::cpu
