// matmul: op(a) op(b) + bias, where op is the identity or the transpose. a is (M,K) or (K,M), b (K,N) or
// (N,K), bias (N) or absent. Sums in f64, so the reference defines the product up to one rounding. A linear
// layer is transpose_b. The gradients are matmuls again.
// matmul_fused does more to a value before it stores it (epilogue.h); no prelu.
#include "tensor/ops/epilogue.h"

namespace advf {
namespace {

void infer_matmul(OpCall& call) {
  check_inputs(call, 3);
  const auto& t = call.attr<MatmulAttrs>();
  const Shape &a = call.in[0].shape, &b = call.in[1].shape;
  check(a.rank() == 2 && b.rank() == 2, "matmul: shapes ", a, " and ", b, "; two matrices are needed");
  const int64_t m = a[t.transpose_a ? 1 : 0], k = a[t.transpose_a ? 0 : 1];
  const int64_t kb = b[t.transpose_b ? 1 : 0], n = b[t.transpose_b ? 0 : 1];
  check(k == kb, "matmul: ", a, t.transpose_a ? " transposed" : "", " times ", b,
        t.transpose_b ? " transposed" : "", ": inner sizes ", k, " and ", kb, " differ");
  check(!call.in[2].defined || call.in[2].shape == Shape{n}, "matmul: bias of shape ", call.in[2].shape,
        ", not [", n, "]");
  call.out = {{{m, n}, call.in[0].dtype}};
}

void infer_matmul_fused(OpCall& call) { infer_fused(call, call.attr<MatmulAttrs>().epilogue, infer_matmul); }

int64_t matmul_macs(const OpCall& call) {
  const int inner = call.attr<MatmulAttrs>().transpose_a ? 0 : 1;
  return saturating_product(call.out[0].shape.numel(), call.in[0].shape[inner]);
}

template <class T>
void matmul_ref(const KernelArgs& args) {
  const auto& t = args.attr<MatmulAttrs>();
  const int64_t m = args.out[0].shape[0], n = args.out[0].shape[1];
  const int64_t k = args.in[0].shape[t.transpose_a ? 0 : 1];
  const int64_t a_row = t.transpose_a ? 1 : k, a_col = t.transpose_a ? m : 1;
  const int64_t b_row = t.transpose_b ? 1 : n, b_col = t.transpose_b ? k : 1;
  const T *a = args.in[0].as<const T>(), *b = args.in[1].as<const T>(), *bias = args.in[2].as<const T>();
  const EpilogueRef<T> finish(args, t.epilogue);
  T* y = args.out[0].as<T>();
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = bias ? double(bias[j]) : 0.0;
      for (int64_t p = 0; p < k; ++p)
        sum += double(a[i * a_row + p * a_col]) * double(b[p * b_row + j * b_col]);
      y[i * n + j] = finish(T(sum), i * n + j);
    }
}

Grads matmul_vjp(const VjpArgs& v) {
  const auto t = v.attr<MatmulAttrs>();
  const Tensor& g = v.gout(0);
  Grads grads(3);
  if (v.needs(0))  // op(a) gets g op(b)^T
    grads[0] = t.transpose_a ? matmul(v.in(1), g, {}, {t.transpose_b, true})
                             : matmul(g, v.in(1), {}, {false, !t.transpose_b});
  if (v.needs(1))  // op(b) gets op(a)^T g
    grads[1] = t.transpose_b ? matmul(g, v.in(0), {}, {true, t.transpose_a})
                             : matmul(v.in(0), g, {}, {!t.transpose_a, false});
  if (v.needs(2)) grads[2] = reduce_sum(g, {0}, false);
  return grads;
}

std::vector<Sample> samples() {
  std::vector<Sample> list;
  for (bool ta : {false, true})
    for (bool tb : {false, true}) {
      list.push_back(
          {{{ta ? Shape{7, 5} : Shape{5, 7}}, {tb ? Shape{9, 7} : Shape{7, 9}}, {{9}}}, MatmulAttrs{ta, tb}});
      list.push_back({{{ta ? Shape{67, 33} : Shape{33, 67}},
                       {tb ? Shape{50, 67} : Shape{67, 50}},
                       {{}, Domain::normal, 0, false}},
                      MatmulAttrs{ta, tb}});
    }
  list.push_back({{{{1, 300}}, {{300, 1}}, {{}, Domain::normal, 0, false}}, MatmulAttrs{}});
  list.push_back({{{{2, 513}}, {{130, 513}}, {{130}}}, MatmulAttrs{false, true}});
  return list;
}

std::vector<Sample> fused_samples() {
  std::vector<Sample> list;
  for (const Sample& plain : samples())
    for (Activation act : {Activation::none, Activation::relu, Activation::leaky_relu, Activation::relu_grad,
                           Activation::leaky_relu_grad}) {
      auto t = std::get<MatmulAttrs>(plain.attrs);
      t.epilogue = {act, 0.3};
      const Shape out{plain.in[0].shape[t.transpose_a ? 1 : 0], plain.in[1].shape[t.transpose_b ? 0 : 1]};
      list.push_back(fused_sample(plain, t, out, t.epilogue, list.size() % 2));
    }
  return list;
}

}  // namespace

const OpDef op_matmul = {
    .name = "matmul",
    .infer = infer_matmul,
    .reference = {matmul_ref<float>, matmul_ref<double>},
    .vjp = matmul_vjp,
    .uses = {.in = 0b011},
    .samples = samples(),
    .exact_on_integers = true,
    .macs = matmul_macs,
    .fused = &op_matmul_fused,
};
const OpDef op_matmul_fused = {
    .name = "matmul_fused",
    .infer = infer_matmul_fused,
    .reference = {matmul_ref<float>, matmul_ref<double>},
    .no_vjp = kFusedHasNoGradient,
    .samples = fused_samples(),
    .in_place = kFusedInPlace,
    .macs = matmul_macs,
    .fused = &op_matmul_fused,
};

Tensor matmul(const Tensor& a, const Tensor& b, const Tensor& bias, const MatmulAttrs& attrs) {
  return apply1(op_matmul, attrs, {a, b, bias});
}
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return matmul(x, weight, bias, {.transpose_b = true});
}

}  // namespace advf
