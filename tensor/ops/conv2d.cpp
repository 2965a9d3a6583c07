// Convolution (cross-correlation, as in PyTorch), its adjoint in the input and its adjoint in the weight. The
// map (x, w) -> conv2d is bilinear, so the three ops are each other's gradients and the family is closed:
//   conv2d             x (N,C,H,W), w (O,C/g,kh,kw), bias (O) or absent -> y (N,O,h,w)
//   conv_transpose2d   y, w, bias (C) or absent -> x; attrs.size = (H,W), since several H give the same h
//   conv2d_grad_weight x, y -> w; attrs.size = (kh,kw)
// conv2d_fused and conv_transpose2d_fused do more to a value before they store it (epilogue.h).
// One loop nest visits every product x[n,c,iy,ix] * w[o,c,ky,kx] that goes into y[n,o,oy,ox].
#include "tensor/ops/epilogue.h"

namespace advf {
namespace {

// All sizes of one convolution. "x" is the large side, "y" the side that the stride makes small.
struct Geometry {
  int64_t n, c, h, w, o, oh, ow, kh, kw;
  const ConvAttrs& a;
};

int64_t out_size(int64_t in, int64_t kernel, int axis, const ConvAttrs& a) {
  const int64_t span = in + a.pad[size_t(axis)] + a.pad[size_t(axis) + 2] -
                       int64_t(a.dilation[size_t(axis)]) * (kernel - 1) - 1;
  return span < 0 ? 0 : span / a.stride[size_t(axis)] + 1;
}

void check_attrs(const OpCall& call) {
  const auto& a = call.attr<ConvAttrs>();
  const char* name = call.op->name;
  for (size_t i = 0; i < 2; ++i) {
    check(a.stride[i] > 0 && a.dilation[i] > 0, name, ": stride and dilation must be positive, not ",
          a.stride[i], " and ", a.dilation[i]);
    check(a.size[i] >= 0, name, ": a size of ", a.size[i]);
  }
  for (int p : a.pad) check(p >= 0, name, ": a padding of ", p);
  check(a.groups > 0, name, ": ", a.groups, " groups");
  check(call.in[0].shape.rank() == 4 && call.in[1].shape.rank() == 4, name, ": shapes ", call.in[0].shape,
        " and ", call.in[1].shape, "; (N,C,H,W) and (O,C/groups,kh,kw) are needed");
}

void check_bias(const OpCall& call, int64_t channels) {
  check(!call.in[2].defined || call.in[2].shape == Shape{channels}, call.op->name, ": bias of shape ",
        call.in[2].shape, ", not [", channels, "]");
}

void infer_conv2d(OpCall& call) {
  check_inputs(call, 3);
  check_attrs(call);
  const auto& a = call.attr<ConvAttrs>();
  const Shape &x = call.in[0].shape, &w = call.in[1].shape;
  check(x[1] == w[1] * a.groups && w[0] % a.groups == 0, "conv2d: an input of shape ", x,
        " and a weight of shape ", w, " with ", a.groups, " groups: channels do not fit");
  check_bias(call, w[0]);
  const int64_t oh = out_size(x[2], w[2], 0, a), ow = out_size(x[3], w[3], 1, a);
  check(oh > 0 && ow > 0, "conv2d: a weight of shape ", w, " is larger than the padded input of shape ", x);
  call.out = {{{x[0], w[0], oh, ow}, call.in[0].dtype}};
}

void infer_conv_transpose2d(OpCall& call) {
  check_inputs(call, 3);
  check_attrs(call);
  const auto& a = call.attr<ConvAttrs>();
  const Shape &y = call.in[0].shape, &w = call.in[1].shape;
  check(y[1] == w[0] && w[0] % a.groups == 0, "conv_transpose2d: an input of shape ", y,
        " and a weight of shape ", w, " with ", a.groups, " groups: channels do not fit");
  check_bias(call, w[1] * a.groups);
  for (int i = 0; i < 2; ++i)
    check(out_size(a.size[size_t(i)], w[2 + i], i, a) == y[2 + i], "conv_transpose2d: an output of ",
          a.size[0], "x", a.size[1], " does not fit an input of shape ", y, " and a weight of shape ", w);
  call.out = {{{y[0], w[1] * a.groups, a.size[0], a.size[1]}, call.in[0].dtype}};
}

void infer_conv2d_fused(OpCall& call) { infer_fused(call, call.attr<ConvAttrs>().epilogue, infer_conv2d); }
void infer_conv_transpose2d_fused(OpCall& call) {
  infer_fused(call, call.attr<ConvAttrs>().epilogue, infer_conv_transpose2d);
}

void infer_conv2d_grad_weight(OpCall& call) {
  check_inputs(call, 2);
  check_attrs(call);
  const auto& a = call.attr<ConvAttrs>();
  const Shape &x = call.in[0].shape, &y = call.in[1].shape;
  check(x[0] == y[0] && x[1] % a.groups == 0 && y[1] % a.groups == 0, "conv2d_grad_weight: shapes ", x,
        " and ", y, " with ", a.groups, " groups do not fit");
  for (int i = 0; i < 2; ++i)
    check(out_size(x[2 + i], a.size[size_t(i)], i, a) == y[2 + i], "conv2d_grad_weight: a kernel of ",
          a.size[0], "x", a.size[1], " does not fit shapes ", x, " and ", y);
  call.out = {{{y[1], x[1] / a.groups, a.size[0], a.size[1]}, call.in[0].dtype}};
}

// Every value of the small side is a sum over a weight's (C/groups,kh,kw).
int64_t macs_of(const ValueInfo& y, const ValueInfo& weight) {
  return saturating_product(y.shape.numel(), weight.shape.numel(1, 4));
}
int64_t conv2d_macs(const OpCall& call) { return macs_of(call.out[0], call.in[1]); }
int64_t conv_transpose2d_macs(const OpCall& call) { return macs_of(call.in[0], call.in[1]); }
int64_t conv2d_grad_weight_macs(const OpCall& call) { return macs_of(call.in[1], call.out[0]); }

// f(index into x, index into w, index into y) for every product.
template <class F>
void for_products(const Geometry& g, F f) {
  const int64_t cg = g.c / g.a.groups, og = g.o / g.a.groups;
  for (int64_t n = 0; n < g.n; ++n)
    for (int64_t o = 0; o < g.o; ++o)
      for (int64_t ci = 0; ci < cg; ++ci) {
        const int64_t c = o / og * cg + ci;
        for (int64_t ky = 0; ky < g.kh; ++ky)
          for (int64_t kx = 0; kx < g.kw; ++kx)
            for (int64_t oy = 0; oy < g.oh; ++oy) {
              const int64_t iy = oy * g.a.stride[0] + ky * g.a.dilation[0] - g.a.pad[0];
              if (iy < 0 || iy >= g.h) continue;
              for (int64_t ox = 0; ox < g.ow; ++ox) {
                const int64_t ix = ox * g.a.stride[1] + kx * g.a.dilation[1] - g.a.pad[1];
                if (ix < 0 || ix >= g.w) continue;
                f(((n * g.c + c) * g.h + iy) * g.w + ix, ((o * cg + ci) * g.kh + ky) * g.kw + kx,
                  ((n * g.o + o) * g.oh + oy) * g.ow + ox);
              }
            }
      }
}

Geometry geometry(const Shape& x, const Shape& w, const Shape& y, const ConvAttrs& a) {
  return {x[0], x[1], x[2], x[3], y[1], y[2], y[3], w[2], w[3], a};
}

// Sums in f64, started from the bias of dimension 1, then rounded once.
template <class T>
std::span<double> start_from_bias(const KernelArgs& k, const View& bias) {
  const std::span<double> sums = sums_of(k);
  const Shape& y = k.out[0].shape;
  const int64_t inner = y.numel(2, 4);
  for (size_t i = 0; i < sums.size(); ++i)
    sums[i] = bias ? double(bias.as<const T>()[int64_t(i) / inner % y[1]]) : 0;
  return sums;
}

template <class T>
void store_with_epilogue(const KernelArgs& k) {
  const std::span<double> sums = sums_of(k);
  const EpilogueRef<T> finish(k, k.attr<ConvAttrs>().epilogue);
  T* y = k.out[0].as<T>();
  for (size_t i = 0; i < sums.size(); ++i) y[i] = finish(T(sums[i]), int64_t(i));
}

// Plain and fused: a plain op's epilogue does nothing.
template <class T>
void conv2d_ref(const KernelArgs& k) {
  const T *x = k.in[0].as<const T>(), *w = k.in[1].as<const T>();
  const auto sums = start_from_bias<T>(k, k.in[2]);
  for_products(
      geometry(k.in[0].shape, k.in[1].shape, k.out[0].shape, k.attr<ConvAttrs>()),
      [&](int64_t ix, int64_t iw, int64_t iy) { sums[size_t(iy)] += double(x[ix]) * double(w[iw]); });
  store_with_epilogue<T>(k);
}
template <class T>
void conv_transpose2d_ref(const KernelArgs& k) {
  const T *y = k.in[0].as<const T>(), *w = k.in[1].as<const T>();
  const auto sums = start_from_bias<T>(k, k.in[2]);
  for_products(
      geometry(k.out[0].shape, k.in[1].shape, k.in[0].shape, k.attr<ConvAttrs>()),
      [&](int64_t ix, int64_t iw, int64_t iy) { sums[size_t(ix)] += double(y[iy]) * double(w[iw]); });
  store_with_epilogue<T>(k);
}
template <class T>
void conv2d_grad_weight_ref(const KernelArgs& k) {
  const T *x = k.in[0].as<const T>(), *y = k.in[1].as<const T>();
  const auto sums = start_from_bias<T>(k, {});
  for_products(
      geometry(k.in[0].shape, k.out[0].shape, k.in[1].shape, k.attr<ConvAttrs>()),
      [&](int64_t ix, int64_t iw, int64_t iy) { sums[size_t(iw)] += double(x[ix]) * double(y[iy]); });
  store_sums<T>(k);
}

ConvAttrs with_size(const VjpArgs& v, const Shape& s) {
  ConvAttrs a = v.attr<ConvAttrs>();
  a.size = {s[2], s[3]};
  return a;
}
ConvAttrs without_size(const VjpArgs& v) {
  ConvAttrs a = v.attr<ConvAttrs>();
  a.size = {};
  return a;
}

Grads conv2d_vjp(const VjpArgs& v) {
  const Tensor& g = v.gout(0);
  return {v.needs(0) ? conv_transpose2d(g, v.in(1), {}, with_size(v, v.in(0).shape())) : Tensor(),
          v.needs(1) ? conv2d_grad_weight(v.in(0), g, with_size(v, v.in(1).shape())) : Tensor(),
          v.needs(2) ? reduce_sum(g, {0, 2, 3}, false) : Tensor()};
}
Grads conv_transpose2d_vjp(const VjpArgs& v) {
  const Tensor& g = v.gout(0);  // of the large side
  return {v.needs(0) ? conv2d(g, v.in(1), {}, without_size(v)) : Tensor(),
          v.needs(1) ? conv2d_grad_weight(g, v.in(0), with_size(v, v.in(1).shape())) : Tensor(),
          v.needs(2) ? reduce_sum(g, {0, 2, 3}, false) : Tensor()};
}
Grads conv2d_grad_weight_vjp(const VjpArgs& v) {
  const Tensor& g = v.gout(0);  // of the weight's shape
  return {v.needs(0) ? conv_transpose2d(v.in(1), g, {}, with_size(v, v.in(0).shape())) : Tensor(),
          v.needs(1) ? conv2d(v.in(0), g, {}, without_size(v)) : Tensor()};
}

// One list of geometries serves the three ops.
struct Case {
  Shape x, w;
  ConvAttrs a;
};
const std::vector<Case>& cases() {
  static const std::vector<Case> list = {
      {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
      {{2, 3, 7, 9}, {4, 3, 3, 3}, {.pad = {1, 1, 1, 1}}},
      {{2, 5, 8, 6}, {7, 5, 1, 1}, {}},
      {{1, 4, 11, 10}, {6, 4, 3, 3}, {.stride = {2, 2}}},
      {{3, 6, 4, 4}, {5, 6, 4, 4}, {.stride = {2, 2}, .pad = {1, 1, 1, 1}}},
      {{2, 4, 9, 8}, {6, 2, 3, 3}, {.pad = {1, 1, 1, 1}, .groups = 2}},
      {{2, 6, 10, 9}, {6, 1, 3, 3}, {.stride = {2, 2}, .pad = {1, 1, 1, 1}, .groups = 6}},
      {{2, 6, 7, 7}, {6, 1, 7, 7}, {.groups = 6}},
      {{1, 3, 12, 11}, {4, 3, 3, 2}, {.stride = {1, 2}, .pad = {2, 0, 1, 3}, .dilation = {2, 3}}},
      {{2, 17, 17, 17}, {18, 17, 1, 7}, {.pad = {0, 3, 0, 3}}},
      {{1, 3, 9, 9}, {2, 3, 2, 2}, {.stride = {3, 3}}},  // the stride jumps over pixels
      {{2, 3, 5, 5}, {4, 3, 3, 3}, {.stride = {3, 2}, .pad = {0, 1, 2, 0}}},
      {{1, 32, 16, 16}, {35, 32, 3, 3}, {.pad = {1, 1, 1, 1}}},
      {{1, 16, 32, 32}, {3, 16, 3, 3}, {.pad = {1, 1, 1, 1}}},
  };
  return list;
}
Shape y_shape(const Case& c) {
  return {c.x[0], c.w[0], out_size(c.x[2], c.w[2], 0, c.a), out_size(c.x[3], c.w[3], 1, c.a)};
}
SampleInput absent() { return {{}, Domain::normal, 0, false}; }

std::vector<Sample> conv2d_samples() {
  std::vector<Sample> list;
  for (const Case& c : cases())
    list.push_back({{{c.x}, {c.w}, list.size() % 2 ? SampleInput{{c.w[0]}} : absent()}, c.a});
  return list;
}
std::vector<Sample> conv_transpose2d_samples() {
  std::vector<Sample> list;
  for (const Case& c : cases()) {
    ConvAttrs a = c.a;
    a.size = {c.x[2], c.x[3]};
    list.push_back({{{y_shape(c)}, {c.w}, list.size() % 2 ? SampleInput{{c.x[1]}} : absent()}, a});
  }
  return list;
}
// Every activation in turn over the geometries, every other time with a residual.
std::vector<Sample> fused_samples(const std::vector<Sample>& plain, bool transposed) {
  constexpr Activation kAll[] = {Activation::relu, Activation::relu_grad,  Activation::prelu,
                                 Activation::none, Activation::leaky_relu, Activation::leaky_relu_grad};
  std::vector<Sample> list;
  for (size_t i = 0; i < 2 * plain.size(); ++i) {
    const Case& c = cases()[i % plain.size()];
    ConvAttrs a = std::get<ConvAttrs>(plain[i % plain.size()].attrs);
    a.epilogue = {kAll[i % std::size(kAll)], 0.3};
    list.push_back(
        fused_sample(plain[i % plain.size()], a, transposed ? c.x : y_shape(c), a.epilogue, i / 3 % 2));
  }
  return list;
}
std::vector<Sample> conv2d_grad_weight_samples() {
  std::vector<Sample> list;
  for (const Case& c : cases()) {
    ConvAttrs a = c.a;
    a.size = {c.w[2], c.w[3]};
    list.push_back({{{c.x}, {y_shape(c)}}, a});
  }
  return list;
}

}  // namespace

const OpDef op_conv2d = {
    .name = "conv2d",
    .infer = infer_conv2d,
    .reference = {conv2d_ref<float>, conv2d_ref<double>, sums_bytes},
    .vjp = conv2d_vjp,
    .uses = {.in = 0b011},
    .samples = conv2d_samples(),
    .exact_on_integers = true,
    .macs = conv2d_macs,
    .fused = &op_conv2d_fused,
};
const OpDef op_conv_transpose2d = {
    .name = "conv_transpose2d",
    .infer = infer_conv_transpose2d,
    .reference = {conv_transpose2d_ref<float>, conv_transpose2d_ref<double>, sums_bytes},
    .vjp = conv_transpose2d_vjp,
    .uses = {.in = 0b011},
    .samples = conv_transpose2d_samples(),
    .exact_on_integers = true,
    .macs = conv_transpose2d_macs,
    .fused = &op_conv_transpose2d_fused,
};
const OpDef op_conv2d_grad_weight = {
    .name = "conv2d_grad_weight",
    .infer = infer_conv2d_grad_weight,
    .reference = {conv2d_grad_weight_ref<float>, conv2d_grad_weight_ref<double>, sums_bytes},
    .vjp = conv2d_grad_weight_vjp,
    .uses = {.in = 0b11},
    .samples = conv2d_grad_weight_samples(),
    .exact_on_integers = true,
    .macs = conv2d_grad_weight_macs,
};
const OpDef op_conv2d_fused = {
    .name = "conv2d_fused",
    .infer = infer_conv2d_fused,
    .reference = {conv2d_ref<float>, conv2d_ref<double>, sums_bytes},
    .no_vjp = kFusedHasNoGradient,
    .samples = fused_samples(conv2d_samples(), false),
    .in_place = kFusedInPlace,
    .macs = conv2d_macs,
    .fused = &op_conv2d_fused,
};
const OpDef op_conv_transpose2d_fused = {
    .name = "conv_transpose2d_fused",
    .infer = infer_conv_transpose2d_fused,
    .reference = {conv_transpose2d_ref<float>, conv_transpose2d_ref<double>, sums_bytes},
    .no_vjp = kFusedHasNoGradient,
    .samples = fused_samples(conv_transpose2d_samples(), true),
    .in_place = kFusedInPlace,
    .macs = conv_transpose2d_macs,
    .fused = &op_conv_transpose2d_fused,
};

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvAttrs& attrs) {
  return apply1(op_conv2d, attrs, {x, weight, bias});
}
Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvAttrs& attrs) {
  return apply1(op_conv_transpose2d, attrs, {x, weight, bias});
}
Tensor conv2d_grad_weight(const Tensor& x, const Tensor& g, const ConvAttrs& attrs) {
  return apply1(op_conv2d_grad_weight, attrs, {x, g});
}

}  // namespace advf
