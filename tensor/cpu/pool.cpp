// Pooling and resizing, plane by plane: loops run along the rows of the output, so that the compiler
// vectorises over pixels, and what depends on the position alone is worked out at bind.
#include "tensor/ops/pool.h"

#include <span>
#include <vector>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/loops.h"
#include "tensor/ops/resize.h"

namespace advf::cpu {
namespace {

// Output columns whose window has tap kx inside the image.
struct Columns {
  int64_t begin, end;
};
std::vector<Columns> columns_of_taps(const PoolAttrs& a, int64_t in_w, int64_t out_w) {
  std::vector<Columns> list;
  for (int64_t kx = 0; kx < a.kernel[1]; ++kx) {
    int64_t begin = 0, end = out_w;
    while (begin < out_w && begin * a.stride[1] + kx - a.pad[1] < 0) ++begin;
    while (end > begin && (end - 1) * a.stride[1] + kx - a.pad[1] >= in_w) --end;
    list.push_back({begin, end});
  }
  return list;
}

// 1 / (pixels that count) of each output pixel of a plane.
std::vector<float> average_weights(const PoolAttrs& a, int64_t h, int64_t w, int64_t oh, int64_t ow) {
  std::vector<float> weights;
  for (int64_t oy = 0; oy < oh; ++oy)
    for (int64_t ox = 0; ox < ow; ++ox) {
      const Window v = window(a, oy, ox, h, w);
      int64_t count = (v.y1 - v.y0) * (v.x1 - v.x0);
      if (a.count_include_pad) {
        const int64_t y = oy * a.stride[0], x = ox * a.stride[1];
        count = (std::min<int64_t>(y + a.kernel[0], h + a.pad[0] + a.pad[2]) - y) *
                (std::min<int64_t>(x + a.kernel[1], w + a.pad[1] + a.pad[3]) - x);
      }
      weights.push_back(float(1.0 / double(count)));
    }
  return weights;
}

struct PoolPlan {
  PoolAttrs a;
  int64_t planes, h, w, oh, ow;  // h, w: of the image; oh, ow: pooled
  std::vector<Columns> columns;

  PoolPlan(const PoolAttrs& attrs, const Shape& image, const Shape& pooled)
      : a(attrs),
        planes(image[0] * image[1]),
        h(image[2]),
        w(image[3]),
        oh(pooled[2]),
        ow(pooled[3]),
        columns(columns_of_taps(attrs, w, ow)) {}
  // f(offset in the image row of output column 0, columns) for every tap inside of the image, top to bottom.
  template <class F>
  void for_taps(int64_t oy, const F& f) const {
    const Window v = window(a, oy, 0, h, w);
    for (int64_t iy = v.y0; iy < v.y1; ++iy)
      for (int64_t kx = 0; kx < a.kernel[1]; ++kx) f(iy * w + kx - a.pad[1], columns[size_t(kx)]);
  }
};

// The taps of every pooled row, as offsets in the image.
struct RowTaps {
  std::vector<int32_t> offsets;
  std::vector<size_t> begin{0};  // of each row in `offsets`

  explicit RowTaps(const PoolPlan& p) {
    for (int64_t oy = 0; oy < p.oh; ++oy) {
      p.for_taps(oy, [&](int64_t offset, Columns) { offsets.push_back(int32_t(offset)); });
      begin.push_back(offsets.size());
    }
  }
  std::span<const int32_t> of(int64_t oy) const {
    return std::span(offsets).subspan(begin[size_t(oy)], begin[size_t(oy) + 1] - begin[size_t(oy)]);
  }
};

// One pooled row: the columns whose windows lie inside of the image's width by the kernel, the others here.
void max_pool_row(const PoolPlan& p, const KernelTable& kernels, const float* x, int64_t oy, float* y,
                  int32_t* place, std::span<const int32_t> offsets) {
  const int64_t begin = p.columns.front().begin, end = std::max(begin, p.columns.back().end);
  // The order in which windows touch lines hides the stream from the hardware's prefetcher.
  constexpr int64_t kAhead = 1024, kLine = 16;
  const float* ahead = x + oy * p.a.stride[0] * p.w + kAhead;
  for (int64_t i = 0; i < p.a.stride[0] * p.w; i += kLine) __builtin_prefetch(ahead + i);
  kernels.maps.max_pool(y, place, x, begin, end, offsets.data(), int(offsets.size()), p.a.stride[1]);
  for (int64_t ox = 0; ox < p.ow; ++ox) {
    if (ox == begin) ox = end;
    if (ox >= p.ow) break;
    const Window v = window(p.a, oy, ox, p.h, p.w);
    int64_t best = v.y0 * p.w + v.x0;
    for (int64_t iy = v.y0; iy < v.y1; ++iy)
      for (int64_t ix = v.x0; ix < v.x1; ++ix)
        if (x[iy * p.w + ix] > x[best]) best = iy * p.w + ix;
    y[ox] = x[best];
    place[ox] = int32_t(best);
  }
}

std::vector<ResizeTap> resize_taps(int64_t in, int64_t out, const ResizeAttrs& a) {
  std::vector<ResizeTap> taps;
  for (int64_t i = 0; i < out; ++i) taps.push_back(resize_tap(i, in, out, a.mode, a.coordinates));
  return taps;
}

// Both directions of a resize: `source` is the image that resize2d reads and resize2d_grad writes.
struct ResizePlan {
  int64_t planes, source_h, source_w, target_h, target_w;
  std::vector<ResizeTap> rows, columns;

  ResizePlan(const Shape& source, const Shape& target, const ResizeAttrs& a)
      : planes(source[0] * source[1]),
        source_h(source[2]),
        source_w(source[3]),
        target_h(target[2]),
        target_w(target[3]),
        rows(resize_taps(source_h, target_h, a)),
        columns(resize_taps(source_w, target_w, a)) {}
};

// The taps of all columns, one array per field for vector loads.
struct ColumnTaps {
  std::vector<int32_t> first, second;
  std::vector<float> w0, w1;
  explicit ColumnTaps(const std::vector<ResizeTap>& taps) {
    for (const ResizeTap& t : taps) {
      first.push_back(int32_t(t.first));
      second.push_back(int32_t(t.second));
      w0.push_back(float(1 - t.weight));
      w1.push_back(float(t.weight));
    }
  }
};

constexpr int64_t kMaxRow = 4096;  // of a resized image; wider ones are left to the reference

}  // namespace

std::unique_ptr<BoundOp> bind_max_pool2d(const BindArgs& args) {
  const PoolPlan plan(args.call.attr<PoolAttrs>(), args.call.in[0].shape, args.call.out[0].shape);
  if (plan.h * plan.w > INT32_MAX / 2) return nullptr;
  return make_op([plan, taps = RowTaps(plan), k = &args.kernels](Views in, Views out, void*) {
    parallel_rows(plan.planes, plan.oh * plan.ow * plan.a.kernel[0] * plan.a.kernel[1], [&](int64_t plane) {
      const float* x = in[0].as<const float>() + plane * plan.h * plan.w;
      for (int64_t oy = 0; oy < plan.oh; ++oy) {
        const int64_t row = (plane * plan.oh + oy) * plan.ow;
        max_pool_row(plan, *k, x, oy, out[0].as<float>() + row, out[1].as<int32_t>() + row, taps.of(oy));
      }
    });
  });
}

std::unique_ptr<BoundOp> bind_max_pool2d_grad(const BindArgs& args) {
  const Shape &g = args.call.in[0].shape, &x = args.call.out[0].shape;
  return make_op(
      [planes = g[0] * g[1], small = g[2] * g[3], large = x[2] * x[3]](Views in, Views out, void*) {
        parallel_rows(planes, large, [&](int64_t plane) {
          float* dx = out[0].as<float>() + plane * large;
          const float* from = in[0].as<const float>() + plane * small;
          const int32_t* place = in[1].as<const int32_t>() + plane * small;
          std::fill_n(dx, large, 0.0f);
          for (int64_t i = 0; i < small; ++i) dx[place[i]] += from[i];
        });
      });
}

std::unique_ptr<BoundOp> bind_avg_pool2d(const BindArgs& args) {
  const PoolPlan plan(args.call.attr<PoolAttrs>(), args.call.in[0].shape, args.call.out[0].shape);
  return make_op([plan, weights = average_weights(plan.a, plan.h, plan.w, plan.oh, plan.ow)](
                     Views in, Views out, void*) {
    parallel_rows(plan.planes, plan.oh * plan.ow * plan.a.kernel[0] * plan.a.kernel[1], [&](int64_t plane) {
      const float* x = in[0].as<const float>() + plane * plan.h * plan.w;
      for (int64_t oy = 0; oy < plan.oh; ++oy) {
        float* y = out[0].as<float>() + (plane * plan.oh + oy) * plan.ow;
        std::fill_n(y, plan.ow, 0.0f);
        plan.for_taps(oy, [&](int64_t offset, Columns c) {
          for (int64_t ox = c.begin; ox < c.end; ++ox) y[ox] += x[offset + ox * plan.a.stride[1]];
        });
        for (int64_t ox = 0; ox < plan.ow; ++ox) y[ox] *= weights[size_t(oy * plan.ow + ox)];
      }
    });
  });
}

std::unique_ptr<BoundOp> bind_avg_pool2d_grad(const BindArgs& args) {
  const PoolPlan plan(args.call.attr<PoolAttrs>(), args.call.out[0].shape, args.call.in[0].shape);
  return make_op([plan, weights = average_weights(plan.a, plan.h, plan.w, plan.oh, plan.ow)](
                     Views in, Views out, void*) {
    parallel_rows(plan.planes, plan.h * plan.w, [&](int64_t plane) {
      float* dx = out[0].as<float>() + plane * plan.h * plan.w;
      std::fill_n(dx, plan.h * plan.w, 0.0f);
      for (int64_t oy = 0; oy < plan.oh; ++oy) {
        const float* g = in[0].as<const float>() + (plane * plan.oh + oy) * plan.ow;
        const float* weight = weights.data() + oy * plan.ow;
        plan.for_taps(oy, [&](int64_t offset, Columns c) {
          for (int64_t ox = c.begin; ox < c.end; ++ox)
            dx[offset + ox * plan.a.stride[1]] += g[ox] * weight[ox];
        });
      }
    });
  });
}

// Rows are resized to the target's width when first needed and kept while the next target row may use them.
std::unique_ptr<BoundOp> bind_resize2d(const BindArgs& args) {
  const ResizePlan plan(args.call.in[0].shape, args.call.out[0].shape, args.call.attr<ResizeAttrs>());
  if (plan.target_w > kMaxRow) return nullptr;
  return make_op([plan, taps = ColumnTaps(plan.columns), k = &args.kernels](Views in, Views out, void*) {
    parallel_rows(plan.planes, plan.target_h * plan.target_w, [&](int64_t plane) {
      const float* x = in[0].as<const float>() + plane * plan.source_h * plan.source_w;
      float* y = out[0].as<float>() + plane * plan.target_h * plan.target_w;
      float rows[2][kMaxRow];
      int64_t held[2] = {-1, -1};  // the source row in each; row i always stands in rows[i % 2]
      const auto resized = [&](int64_t row) {
        const size_t slot = size_t(row % 2);
        if (held[slot] != row)
          k->maps.mix_columns(rows[slot], x + row * plan.source_w, taps.first.data(), taps.second.data(),
                              taps.w0.data(), taps.w1.data(), plan.target_w);
        held[slot] = row;
        return rows[slot];
      };
      for (const ResizeTap& v : plan.rows) {
        const float* row0 = resized(v.first);
        const float* row1 = v.weight > 0 ? resized(v.second) : row0;
        k->combine(y, row0, float(1 - v.weight), row1, 0.0f, float(v.weight), 0.0f, plan.target_w);
        y += plan.target_w;
      }
    });
  });
}

std::unique_ptr<BoundOp> bind_resize2d_grad(const BindArgs& args) {
  const ResizePlan plan(args.call.out[0].shape, args.call.in[0].shape, args.call.attr<ResizeAttrs>());
  if (plan.source_w > kMaxRow) return nullptr;
  return make_op([plan](Views in, Views out, void*) {
    parallel_rows(plan.planes, plan.target_h * plan.target_w, [&](int64_t plane) {
      const float* g = in[0].as<const float>() + plane * plan.target_h * plan.target_w;
      float* dx = out[0].as<float>() + plane * plan.source_h * plan.source_w;
      std::fill_n(dx, plan.source_h * plan.source_w, 0.0f);
      float mixed[kMaxRow];
      for (const ResizeTap& v : plan.rows) {
        std::fill_n(mixed, plan.source_w, 0.0f);
        for (const ResizeTap& u : plan.columns) {
          mixed[u.first] += float(1 - u.weight) * *g;
          mixed[u.second] += float(u.weight) * *g++;
        }
        float *row0 = dx + v.first * plan.source_w, *row1 = dx + v.second * plan.source_w;
        const float w1 = float(v.weight), w0 = float(1 - v.weight);
        for (int64_t i = 0; i < plan.source_w; ++i) row0[i] += w0 * mixed[i];
        if (w1 != 0)
          for (int64_t i = 0; i < plan.source_w; ++i) row1[i] += w1 * mixed[i];
      }
    });
  });
}

}  // namespace advf::cpu
