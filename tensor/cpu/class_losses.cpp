// The losses of classifiers, a row (an image, all its classes) to a task.
#include <cmath>

#include "tensor/cpu/bind.h"
#include "tensor/cpu/loops.h"
#include "tensor/scalar_math.h"

namespace advf::cpu {
namespace {

struct Rows {
  int64_t n, classes;
  explicit Rows(const BindArgs& args) : n(args.call.in[0].shape[0]), classes(args.call.in[0].shape[1]) {}
};

int64_t label_of(Views in, int64_t row) { return in[1].as<const int32_t>()[row]; }

// What becomes of the element at a row's label, where it has one: f(place in the tensor).
template <class F>
void at_label(const Rows& rows, Views in, int64_t row, const F& f) {
  const int64_t label = label_of(in, row);
  if (label >= 0 && label < rows.classes) f(row * rows.classes + label);
}

}  // namespace

std::unique_ptr<BoundOp> bind_softmax_cross_entropy(const BindArgs& args) {
  const Rows rows(args);
  const auto run = [rows, maps = &args.kernels.maps](Views in, Views out, void* scratch) {
    double* losses = static_cast<double*>(scratch);
    for (int64_t r = 0; r < rows.n; ++r)  // the first that is wrong is told, at any number of threads
      check(label_of(in, r) >= 0 && label_of(in, r) < rows.classes, "softmax_cross_entropy: label ",
            label_of(in, r), " of ", rows.classes, " classes");
    parallel_rows(rows.n, rows.classes, [&](int64_t r) {
      const float* x = in[0].as<const float>() + r * rows.classes;
      float* p = out[1].as<float>() + r * rows.classes;
      const double top = double(maps->largest(x, rows.classes));
      maps->affine(p, x, rows.classes, 1, -top);
      maps->exp(p, p, rows.classes, 0, 0);
      double sum = 0;
      for (int64_t i = 0; i < rows.classes; ++i) sum += double(p[i]);
      maps->affine(p, p, rows.classes, 1 / sum, 0);
      losses[r] = std::log(sum) + top - double(x[label_of(in, r)]);
    });
    double total = 0;
    for (int64_t r = 0; r < rows.n; ++r) total += losses[r];
    *out[0].as<float>() = float(total / double(rows.n));
  };
  return make_op(run, size_t(rows.n) * sizeof(double));
}

std::unique_ptr<BoundOp> bind_softmax_cross_entropy_grad(const BindArgs& args) {
  return make_op([rows = Rows(args), maps = &args.kernels.maps](Views in, Views out, void*) {
    const double g = double(*in[2].as<const float>()) / double(rows.n);
    parallel_rows(rows.n, rows.classes, [&](int64_t r) {
      const float* p = in[0].as<const float>();
      const int64_t first = r * rows.classes;
      maps->affine(out[0].as<float>() + first, p + first, rows.classes, g, 0);
      at_label(rows, in, r, [&](int64_t i) { out[0].as<float>()[i] = float(g * (double(p[i]) - 1)); });
    });
  });
}

std::unique_ptr<BoundOp> bind_arcface_margin(const BindArgs& args) {
  if (args.call.out[0].shape.numel() == 0) return nullptr;
  return make_op([rows = Rows(args), a = args.call.attr<ScalarAttrs>(), maps = &args.kernels.maps](
                     Views in, Views out, void*) {
    parallel_rows(rows.n, rows.classes, [&](int64_t r) {
      const float* c = in[0].as<const float>();
      const int64_t first = r * rows.classes;
      maps->affine(out[0].as<float>() + first, c + first, rows.classes, a.a, 0);
      at_label(rows, in, r, [&](int64_t i) {
        out[0].as<float>()[i] = float(a.a * scalar::arcface_target(double(c[i]), a.b));
      });
    });
  });
}

std::unique_ptr<BoundOp> bind_arcface_margin_grad(const BindArgs& args) {
  if (args.call.out[0].shape.numel() == 0) return nullptr;
  return make_op([rows = Rows(args), a = args.call.attr<ScalarAttrs>(), maps = &args.kernels.maps](
                     Views in, Views out, void*) {
    parallel_rows(rows.n, rows.classes, [&](int64_t r) {
      const float *c = in[0].as<const float>(), *g = in[2].as<const float>();
      const int64_t first = r * rows.classes;
      maps->affine(out[0].as<float>() + first, g + first, rows.classes, a.a, 0);
      at_label(rows, in, r, [&](int64_t i) {
        out[0].as<float>()[i] = float(a.a * double(g[i]) * scalar::arcface_slope(double(c[i]), a.b));
      });
    });
  });
}

}  // namespace advf::cpu
