// add, sub, mul, div of two tensors that broadcast as in NumPy. A gradient is summed back to its input's
// shape.
#include "tensor/ops/op_util.h"
#include "tensor/scalar_math.h"

namespace advf {
namespace {

void infer_binary(OpCall& call) {
  check_inputs(call, 2);
  call.out = {{broadcast_shapes(call.op->name, call.in[0].shape, call.in[1].shape), call.in[0].dtype}};
}

// Walks the output in order; an input's step along a broadcast dimension is zero.
template <class T, class F>
void broadcast_map(const KernelArgs& k, F f) {
  const Shape& out = k.out[0].shape;
  const int rank = out.rank();
  int64_t step[2][Shape::kMaxRank] = {};
  for (int i = 0; i < 2; ++i) {
    const Shape& s = k.in[i].shape;
    int64_t stride = 1;
    for (int d = rank - 1, e = s.rank() - 1; e >= 0; --d, --e) {
      step[i][d] = s[e] == 1 ? 0 : stride;
      stride *= s[e];
    }
  }
  const T *a = k.in[0].as<const T>(), *b = k.in[1].as<const T>();
  T* y = k.out[0].as<T>();
  int64_t index[Shape::kMaxRank] = {};
  for (int64_t i = 0, n = out.numel(); i < n; ++i) {
    y[i] = f(*a, *b);
    for (int d = rank - 1; d >= 0; --d) {
      a += step[0][d];
      b += step[1][d];
      if (++index[d] < out[d]) break;
      a -= step[0][d] * out[d];
      b -= step[1][d] * out[d];
      index[d] = 0;
    }
  }
}

template <class T>
void add_ref(const KernelArgs& k) {
  broadcast_map<T>(k, scalar::Add{});
}
template <class T>
void sub_ref(const KernelArgs& k) {
  broadcast_map<T>(k, scalar::Sub{});
}
template <class T>
void mul_ref(const KernelArgs& k) {
  broadcast_map<T>(k, scalar::Mul{});
}
template <class T>
void div_ref(const KernelArgs& k) {
  broadcast_map<T>(k, scalar::Div{});
}

Tensor to_input(const VjpArgs& v, int i, const Tensor& g) { return sum_to(g, v.in(i).shape()); }

Grads add_vjp(const VjpArgs& v) {
  return {v.needs(0) ? to_input(v, 0, v.gout(0)) : Tensor(),
          v.needs(1) ? to_input(v, 1, v.gout(0)) : Tensor()};
}
Grads sub_vjp(const VjpArgs& v) {
  return {v.needs(0) ? to_input(v, 0, v.gout(0)) : Tensor(),
          v.needs(1) ? affine(to_input(v, 1, v.gout(0)), -1, 0) : Tensor()};
}
Grads mul_vjp(const VjpArgs& v) {
  return {v.needs(0) ? to_input(v, 0, mul(v.gout(0), v.in(1))) : Tensor(),
          v.needs(1) ? to_input(v, 1, mul(v.gout(0), v.in(0))) : Tensor()};
}
// d(a/b)/db = -a/b^2
Grads div_vjp(const VjpArgs& v) {
  return {v.needs(0) ? to_input(v, 0, div(v.gout(0), v.in(1))) : Tensor(),
          v.needs(1) ? to_input(v, 1, affine(div(mul(v.gout(0), v.in(0)), mul(v.in(1), v.in(1))), -1, 0))
                     : Tensor()};
}

std::vector<Sample> samples(Domain second) {
  std::vector<Sample> list;
  const std::pair<Shape, Shape> shapes[] = {{{5}, {5}},
                                            {{3, 13}, {3, 13}},
                                            {{2, 5, 7, 33}, {2, 5, 7, 33}},
                                            {{2, 5, 7, 9}, {1, 5, 1, 1}},  // per channel
                                            {{1, 5, 1, 1}, {2, 5, 3, 4}},
                                            {{4, 3}, {3}},
                                            {{4, 3}, {}},  // a scalar
                                            {{4, 1}, {1, 6}},
                                            {{2, 1, 3, 1, 2}, {5, 1, 4, 1}}};
  for (const auto& [a, b] : shapes) list.push_back({{{a}, {b, second}}});
  return list;
}

}  // namespace

const OpDef op_add = {.name = "add",
                      .infer = infer_binary,
                      .reference = {add_ref<float>, add_ref<double>},
                      .vjp = add_vjp,
                      .samples = samples(Domain::normal),
                      .exact_on_integers = true,
                      .in_place = 0b11,
                      .pointwise = Pointwise::elements};
const OpDef op_sub = {.name = "sub",
                      .infer = infer_binary,
                      .reference = {sub_ref<float>, sub_ref<double>},
                      .vjp = sub_vjp,
                      .samples = samples(Domain::normal),
                      .exact_on_integers = true,
                      .in_place = 0b11,
                      .pointwise = Pointwise::elements};
const OpDef op_mul = {.name = "mul",
                      .infer = infer_binary,
                      .reference = {mul_ref<float>, mul_ref<double>},
                      .vjp = mul_vjp,
                      .uses = {.in = 0b11},
                      .samples = samples(Domain::normal),
                      .exact_on_integers = true,
                      .in_place = 0b11,
                      .pointwise = Pointwise::elements};
const OpDef op_div = {.name = "div",
                      .infer = infer_binary,
                      .reference = {div_ref<float>, div_ref<double>},
                      .vjp = div_vjp,
                      .uses = {.in = 0b11},
                      .samples = samples(Domain::positive),
                      .in_place = 0b11,
                      .pointwise = Pointwise::elements};

Tensor add(const Tensor& a, const Tensor& b) { return apply1(op_add, {}, {a, b}); }
Tensor sub(const Tensor& a, const Tensor& b) { return apply1(op_sub, {}, {a, b}); }
Tensor mul(const Tensor& a, const Tensor& b) { return apply1(op_mul, {}, {a, b}); }
Tensor div(const Tensor& a, const Tensor& b) { return apply1(op_div, {}, {a, b}); }

}  // namespace advf
