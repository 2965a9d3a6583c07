// Element-wise functions of one tensor, any shape, and their gradients. Each gradient op takes (kept, g): the
// kept value is the output where that is enough. As a function of g every gradient op is a diagonal map, so
// its own gradient is itself; in the kept value it is not differentiated.
#include <numbers>

#include "tensor/ops/op_util.h"
#include "tensor/scalar_math.h"

namespace advf {
namespace {

void infer_unary(OpCall& call) {
  check_inputs(call, 1);
  infer_same_as_first(call);
}
void infer_kept_and_grad(OpCall& call) {
  check_inputs(call, 2);
  check(call.in[0].shape == call.in[1].shape, call.op->name, ": shapes ", call.in[0].shape, " and ",
        call.in[1].shape, " differ");
  infer_same_as_first(call);
}

double a_of(const KernelArgs& k) { return k.attr<ScalarAttrs>().a; }
double b_of(const KernelArgs& k) { return k.attr<ScalarAttrs>().b; }

// clang-format off
template <class T> void affine_ref(const KernelArgs& k) { map1<T>(k, scalar::Affine{a_of(k), b_of(k)}); }
template <class T> void power_ref(const KernelArgs& k) { map1<T>(k, scalar::Power{a_of(k)}); }
template <class T> void exp_ref(const KernelArgs& k) { map1<T>(k, scalar::Exp{}); }
template <class T> void log_ref(const KernelArgs& k) { map1<T>(k, scalar::Log{}); }
template <class T> void erf_ref(const KernelArgs& k) { map1<T>(k, scalar::Erf{}); }
template <class T> void abs_ref(const KernelArgs& k) { map1<T>(k, scalar::Abs{}); }
template <class T> void sign_ref(const KernelArgs& k) { map1<T>(k, scalar::Sign{}); }
template <class T> void clamp_ref(const KernelArgs& k) { map1<T>(k, scalar::Clamp{a_of(k), b_of(k)}); }
template <class T> void clamp_grad_ref(const KernelArgs& k) { map2<T>(k, scalar::ClampGrad{a_of(k), b_of(k)}); }
template <class T> void relu_ref(const KernelArgs& k) { map1<T>(k, scalar::Relu{}); }
template <class T> void relu_grad_ref(const KernelArgs& k) { map2<T>(k, scalar::ReluGrad{}); }
template <class T> void leaky_relu_ref(const KernelArgs& k) { map1<T>(k, scalar::LeakyRelu{a_of(k)}); }
template <class T> void leaky_relu_grad_ref(const KernelArgs& k) { map2<T>(k, scalar::LeakyReluGrad{a_of(k)}); }
template <class T> void sigmoid_ref(const KernelArgs& k) { map1<T>(k, scalar::Sigmoid{}); }
template <class T> void sigmoid_grad_ref(const KernelArgs& k) { map2<T>(k, scalar::SigmoidGrad{}); }
template <class T> void tanh_ref(const KernelArgs& k) { map1<T>(k, scalar::Tanh{}); }
template <class T> void tanh_grad_ref(const KernelArgs& k) { map2<T>(k, scalar::TanhGrad{}); }
// clang-format on

ScalarAttrs scalars(const VjpArgs& v) { return v.attr<ScalarAttrs>(); }

Grads affine_vjp(const VjpArgs& v) { return {affine(v.gout(0), scalars(v).a, 0)}; }
Grads power_vjp(const VjpArgs& v) {
  const double e = scalars(v).a;
  return {mul(v.gout(0), affine(power(v.in(0), e - 1), e, 0))};
}
Grads exp_vjp(const VjpArgs& v) { return {mul(v.gout(0), v.out(0))}; }
Grads log_vjp(const VjpArgs& v) { return {div(v.gout(0), v.in(0))}; }
// 2 / sqrt(pi) exp(-x^2)
Grads erf_vjp(const VjpArgs& v) {
  const Tensor& x = v.in(0);
  return {mul(v.gout(0), affine(exp(affine(mul(x, x), -1, 0)), 2 * std::numbers::inv_sqrtpi, 0))};
}
Grads abs_vjp(const VjpArgs& v) { return {mul(v.gout(0), sign(v.in(0)))}; }
Grads clamp_vjp(const VjpArgs& v) { return {apply1(op_clamp_grad, scalars(v), {v.in(0), v.gout(0)})}; }
Grads relu_vjp(const VjpArgs& v) { return {apply1(op_relu_grad, {}, {v.out(0), v.gout(0)})}; }
Grads leaky_relu_vjp(const VjpArgs& v) {
  return {apply1(op_leaky_relu_grad, scalars(v), {v.out(0), v.gout(0)})};
}
Grads sigmoid_vjp(const VjpArgs& v) { return {apply1(op_sigmoid_grad, {}, {v.out(0), v.gout(0)})}; }
Grads tanh_vjp(const VjpArgs& v) { return {apply1(op_tanh_grad, {}, {v.out(0), v.gout(0)})}; }

// Of a gradient op in its cotangent.
template <const OpDef& op>
Grads diagonal_vjp(const VjpArgs& v) {
  Attrs attrs;
  if constexpr (&op == &op_clamp_grad || &op == &op_leaky_relu_grad) attrs = scalars(v);
  return {{}, apply1(op, attrs, {v.in(0), v.gout(0)})};
}

std::vector<Sample> unary_samples(const Attrs& attrs = {}, Domain domain = Domain::normal) {
  std::vector<Sample> samples;
  for (const Shape& s : {Shape{1}, Shape{3, 13}, Shape{2, 5, 7, 127}})
    samples.push_back({{{s, domain}}, attrs});
  return samples;
}
std::vector<Sample> grad_samples(const Attrs& attrs = {}, Domain kept = Domain::normal) {
  std::vector<Sample> samples;
  for (const Shape& s : {Shape{1}, Shape{3, 13}, Shape{2, 5, 7, 127}})
    samples.push_back({{{s, kept}, {s}}, attrs});
  return samples;
}

constexpr Uses kInput{.in = 0b1, .out = 0}, kOutput{.in = 0, .out = 0b1}, kNothing{};
constexpr uint32_t kSecondInput = 0b10;

}  // namespace

// scale a, shift b
const OpDef op_affine = {.name = "affine",
                         .infer = infer_unary,
                         .reference = {affine_ref<float>, affine_ref<double>},
                         .vjp = affine_vjp,
                         .uses = kNothing,
                         .samples = unary_samples(ScalarAttrs{-1.5, 0.25}),
                         .in_place = 0b1,
                         .pointwise = Pointwise::elements};
// exponent a
const OpDef op_power = {.name = "power",
                        .infer = infer_unary,
                        .reference = {power_ref<float>, power_ref<double>},
                        .vjp = power_vjp,
                        .uses = kInput,
                        .samples = {{{{{2, 17}, Domain::positive}}, ScalarAttrs{-0.5, 0}},
                                    {{{{3, 13}, Domain::positive}}, ScalarAttrs{0.5, 0}},
                                    {{{{3, 13}, Domain::normal}}, ScalarAttrs{2, 0}},
                                    {{{{3, 13}, Domain::positive}}, ScalarAttrs{-1, 0}},
                                    {{{{2, 5, 7, 12}, Domain::positive}}, ScalarAttrs{1.7, 0}}},
                        .in_place = 0b1,
                        .pointwise = Pointwise::elements};
const OpDef op_exp = {.name = "exp",
                      .infer = infer_unary,
                      .reference = {exp_ref<float>, exp_ref<double>},
                      .vjp = exp_vjp,
                      .uses = kOutput,
                      .samples = unary_samples(),
                      .in_place = 0b1,
                      .pointwise = Pointwise::elements};
const OpDef op_log = {.name = "log",
                      .infer = infer_unary,
                      .reference = {log_ref<float>, log_ref<double>},
                      .vjp = log_vjp,
                      .uses = kInput,
                      .samples = unary_samples({}, Domain::positive),
                      .in_place = 0b1,
                      .pointwise = Pointwise::elements};
const OpDef op_erf = {.name = "erf",
                      .infer = infer_unary,
                      .reference = {erf_ref<float>, erf_ref<double>},
                      .vjp = erf_vjp,
                      .uses = kInput,
                      .samples = unary_samples(),
                      .in_place = 0b1,
                      .pointwise = Pointwise::elements};
const OpDef op_abs = {.name = "abs",
                      .infer = infer_unary,
                      .reference = {abs_ref<float>, abs_ref<double>},
                      .vjp = abs_vjp,
                      .uses = kInput,
                      .samples = unary_samples(),
                      .in_place = 0b1,
                      .pointwise = Pointwise::elements};
const OpDef op_sign = {.name = "sign",
                       .infer = infer_unary,
                       .reference = {sign_ref<float>, sign_ref<double>},
                       .no_vjp = "zero almost everywhere; a path through it is a mistake",
                       .differentiable = 0,
                       .samples = unary_samples(),
                       .in_place = 0b1,
                       .pointwise = Pointwise::elements};
// low a, high b
const OpDef op_clamp = {.name = "clamp",
                        .infer = infer_unary,
                        .reference = {clamp_ref<float>, clamp_ref<double>},
                        .vjp = clamp_vjp,
                        .uses = kInput,
                        .samples = unary_samples(ScalarAttrs{-0.7, 0.9}),
                        .in_place = 0b1,
                        .pointwise = Pointwise::elements};
const OpDef op_clamp_grad = {.name = "clamp_grad",
                             .infer = infer_kept_and_grad,
                             .reference = {clamp_grad_ref<float>, clamp_grad_ref<double>},
                             .vjp = diagonal_vjp<op_clamp_grad>,
                             .differentiable = kSecondInput,
                             .uses = kInput,
                             .samples = grad_samples(ScalarAttrs{-0.7, 0.9}),
                             .in_place = 0b11,
                             .pointwise = Pointwise::elements};
// At 0 the gradient is 0.
const OpDef op_relu = {.name = "relu",
                       .infer = infer_unary,
                       .reference = {relu_ref<float>, relu_ref<double>},
                       .vjp = relu_vjp,
                       .uses = kOutput,
                       .samples = unary_samples(),
                       .in_place = 0b1,
                       .pointwise = Pointwise::elements,
                       .epilogue = Activation::relu};
const OpDef op_relu_grad = {.name = "relu_grad",
                            .infer = infer_kept_and_grad,
                            .reference = {relu_grad_ref<float>, relu_grad_ref<double>},
                            .vjp = diagonal_vjp<op_relu_grad>,
                            .differentiable = kSecondInput,
                            .uses = kInput,
                            .samples = grad_samples(),
                            .in_place = 0b11,
                            .pointwise = Pointwise::elements,
                            .epilogue = Activation::relu_grad};
// slope a > 0
const OpDef op_leaky_relu = {.name = "leaky_relu",
                             .infer = infer_unary,
                             .reference = {leaky_relu_ref<float>, leaky_relu_ref<double>},
                             .vjp = leaky_relu_vjp,
                             .uses = kOutput,
                             .samples = unary_samples(ScalarAttrs{0.2, 0}),
                             .in_place = 0b1,
                             .pointwise = Pointwise::elements,
                             .epilogue = Activation::leaky_relu};
const OpDef op_leaky_relu_grad = {.name = "leaky_relu_grad",
                                  .infer = infer_kept_and_grad,
                                  .reference = {leaky_relu_grad_ref<float>, leaky_relu_grad_ref<double>},
                                  .vjp = diagonal_vjp<op_leaky_relu_grad>,
                                  .differentiable = kSecondInput,
                                  .uses = kInput,
                                  .samples = grad_samples(ScalarAttrs{0.2, 0}),
                                  .in_place = 0b11,
                                  .pointwise = Pointwise::elements,
                                  .epilogue = Activation::leaky_relu_grad};
const OpDef op_sigmoid = {.name = "sigmoid",
                          .infer = infer_unary,
                          .reference = {sigmoid_ref<float>, sigmoid_ref<double>},
                          .vjp = sigmoid_vjp,
                          .uses = kOutput,
                          .samples = unary_samples(),
                          .in_place = 0b1,
                          .pointwise = Pointwise::elements};
const OpDef op_sigmoid_grad = {.name = "sigmoid_grad",
                               .infer = infer_kept_and_grad,
                               .reference = {sigmoid_grad_ref<float>, sigmoid_grad_ref<double>},
                               .vjp = diagonal_vjp<op_sigmoid_grad>,
                               .differentiable = kSecondInput,
                               .uses = kInput,
                               .samples = grad_samples({}, Domain::unit_interval),
                               .in_place = 0b11,
                               .pointwise = Pointwise::elements};
const OpDef op_tanh = {.name = "tanh",
                       .infer = infer_unary,
                       .reference = {tanh_ref<float>, tanh_ref<double>},
                       .vjp = tanh_vjp,
                       .uses = kOutput,
                       .samples = unary_samples(),
                       .in_place = 0b1,
                       .pointwise = Pointwise::elements};
const OpDef op_tanh_grad = {.name = "tanh_grad",
                            .infer = infer_kept_and_grad,
                            .reference = {tanh_grad_ref<float>, tanh_grad_ref<double>},
                            .vjp = diagonal_vjp<op_tanh_grad>,
                            .differentiable = kSecondInput,
                            .uses = kInput,
                            .samples = grad_samples({}, Domain::unit_interval),
                            .in_place = 0b11,
                            .pointwise = Pointwise::elements};

Tensor affine(const Tensor& x, double scale, double shift) {
  return apply1(op_affine, ScalarAttrs{scale, shift}, {x});
}
Tensor power(const Tensor& x, double exponent) { return apply1(op_power, ScalarAttrs{exponent, 0}, {x}); }
Tensor exp(const Tensor& x) { return apply1(op_exp, {}, {x}); }
Tensor log(const Tensor& x) { return apply1(op_log, {}, {x}); }
Tensor erf(const Tensor& x) { return apply1(op_erf, {}, {x}); }
Tensor abs(const Tensor& x) { return apply1(op_abs, {}, {x}); }
Tensor sign(const Tensor& x) { return apply1(op_sign, {}, {x}); }
Tensor clamp(const Tensor& x, double low, double high) {
  check(low <= high, "clamp: low ", low, " is above high ", high);
  return apply1(op_clamp, ScalarAttrs{low, high}, {x});
}
Tensor relu(const Tensor& x) { return apply1(op_relu, {}, {x}); }
Tensor leaky_relu(const Tensor& x, double slope) {
  check(slope > 0, "leaky_relu: the slope must be positive, not ", slope);
  return apply1(op_leaky_relu, ScalarAttrs{slope, 0}, {x});
}
Tensor sigmoid(const Tensor& x) { return apply1(op_sigmoid, {}, {x}); }
Tensor tanh(const Tensor& x) { return apply1(op_tanh, {}, {x}); }

}  // namespace advf
