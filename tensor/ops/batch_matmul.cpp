// batch_matmul: op(a) op(b) for every pair of matrices of two stacks, where op is the identity or the
// transpose. a is (B,M,K) or (B,K,M), b (B,K,N) or (B,N,K). The gradients are products of the same kind.
#include "tensor/ops/op_util.h"

namespace advf {
namespace {

void infer_batch_matmul(OpCall& call) {
  check_inputs(call, 2);
  const auto& t = call.attr<MatmulAttrs>();
  const Shape &a = call.in[0].shape, &b = call.in[1].shape;
  check(a.rank() == 3 && b.rank() == 3 && a[0] == b[0], "batch_matmul: shapes ", a, " and ", b,
        "; two stacks of as many matrices are needed");
  check(a[t.transpose_a ? 1 : 2] == b[t.transpose_b ? 2 : 1], "batch_matmul: ", a,
        t.transpose_a ? " transposed" : "", " times ", b, t.transpose_b ? " transposed" : "",
        ": inner sizes differ");
  call.out = {{{a[0], a[t.transpose_a ? 2 : 1], b[t.transpose_b ? 1 : 2]}, call.in[0].dtype}};
}

int64_t batch_matmul_macs(const OpCall& call) {
  const int inner = call.attr<MatmulAttrs>().transpose_a ? 1 : 2;
  return saturating_product(call.out[0].shape.numel(), call.in[0].shape[inner]);
}

template <class T>
void batch_matmul_ref(const KernelArgs& args) {
  const auto& t = args.attr<MatmulAttrs>();
  const Shape& y = args.out[0].shape;
  const int64_t m = y[1], n = y[2], k = args.in[0].shape[t.transpose_a ? 1 : 2];
  const int64_t a_row = t.transpose_a ? 1 : k, a_col = t.transpose_a ? m : 1;
  const int64_t b_row = t.transpose_b ? 1 : n, b_col = t.transpose_b ? k : 1;
  T* out = args.out[0].as<T>();
  for (int64_t s = 0; s < y[0]; ++s) {
    const T *a = args.in[0].as<const T>() + s * m * k, *b = args.in[1].as<const T>() + s * k * n;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p)
          sum += double(a[i * a_row + p * a_col]) * double(b[p * b_row + j * b_col]);
        *out++ = T(sum);
      }
  }
}

Grads batch_matmul_vjp(const VjpArgs& v) {
  const auto t = v.attr<MatmulAttrs>();
  const Tensor& g = v.gout(0);
  Grads grads(2);
  if (v.needs(0))  // op(a) gets g op(b)^T
    grads[0] = t.transpose_a ? batch_matmul(v.in(1), g, {t.transpose_b, true})
                             : batch_matmul(g, v.in(1), {false, !t.transpose_b});
  if (v.needs(1))  // op(b) gets op(a)^T g
    grads[1] = t.transpose_b ? batch_matmul(g, v.in(0), {true, t.transpose_a})
                             : batch_matmul(v.in(0), g, {!t.transpose_a, false});
  return grads;
}

std::vector<Sample> samples() {
  std::vector<Sample> list;
  for (bool ta : {false, true})
    for (bool tb : {false, true}) {
      list.push_back({{{ta ? Shape{3, 7, 5} : Shape{3, 5, 7}}, {tb ? Shape{3, 9, 7} : Shape{3, 7, 9}}},
                      MatmulAttrs{ta, tb}});
      list.push_back(
          {{{ta ? Shape{2, 67, 33} : Shape{2, 33, 67}}, {tb ? Shape{2, 50, 67} : Shape{2, 67, 50}}},
           MatmulAttrs{ta, tb}});
    }
  list.push_back({{{{1, 1, 1}}, {{1, 1, 1}}}, MatmulAttrs{}});
  return list;
}

}  // namespace

const OpDef op_batch_matmul = {
    .name = "batch_matmul",
    .infer = infer_batch_matmul,
    .reference = {batch_matmul_ref<float>, batch_matmul_ref<double>},
    .vjp = batch_matmul_vjp,
    .uses = {.in = 0b11},
    .samples = samples(),
    .exact_on_integers = true,
    .macs = batch_matmul_macs,
};

Tensor batch_matmul(const Tensor& a, const Tensor& b, const MatmulAttrs& attrs) {
  return apply1(op_batch_matmul, attrs, {a, b});
}

}  // namespace advf
