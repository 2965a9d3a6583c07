// ascent_step: one step of projected gradient ascent per record, with all that happens between a gradient
// and the next feature that a network sees.
//   in:  z, u, g, m (or absent), scale (1,C,1,1) (or absent)        out: u', m' (with m), x' (at_feature)
//   gradient in u    g; at_feature: g is in x = P(z + scale u), P normalising for `sphere`, and goes back
//                    through P and scale
//   momentum         m' = decay m + gradient / |gradient|_1; its own direction takes the gradient's place
//                    (MI-FGSM, arXiv 1710.06081)
//   step             box: u + length sign(direction); else u + length direction / |direction|
//   projection       box: |u[k]| <= radius; l2: |u| <= radius; cap: z + u on the unit sphere, at most the
//                    chord `radius` from z. floor: z + scale u >= 0
//   x' = P(z + scale u')
#include "tensor/ops/ascent_step.h"

#include "tensor/ops/op_util.h"

namespace advf {
namespace {

bool present(const OpCall& call, size_t i) { return call.in[i].defined; }

void infer_ascent(OpCall& call) {
  check_inputs(call, 5);
  const auto& a = call.attr<AscentAttrs>();
  const Shape& s = call.in[0].shape;
  check(s.rank() >= 2 && present(call, 0) && present(call, 1) && present(call, 2), call.op->name,
        ": features of shape ", s, "; z, u and g are (N,...)");
  for (size_t i : {1, 2, 3})
    check(!present(call, i) || call.in[i].shape == s, call.op->name, ": shapes ", s, " and ",
          call.in[i].shape);
  check(!present(call, 4) || (s.rank() == 4 && call.in[4].shape == Shape{1, s[1], 1, 1}), call.op->name,
        ": a scale of shape ", call.in[4].shape, " for features of shape ", s);
  check(a.length >= 0 && a.radius >= 0, call.op->name, ": a length of ", a.length, ", a radius of ",
        a.radius);
  call.out = {call.in[0]};
  if (present(call, 3)) call.out.push_back(call.in[0]);
  if (a.at_feature) call.out.push_back(call.in[0]);
}

template <class T>
void ascent_ref(const KernelArgs& k) {
  const auto& a = k.attr<AscentAttrs>();
  const Shape& s = k.in[0].shape;
  const int64_t d = s.numel(1, s.rank());
  const auto in = [&](size_t i, int64_t row) { return k.in[i] ? k.in[i].as<const T>() + row * d : nullptr; };
  const bool momentum = bool(k.in[3]);
  for (int64_t n = 0; n < s[0]; ++n) {
    const ascent::Row<T> row{in(0, n),
                             in(1, n),
                             in(2, n),
                             in(3, n),
                             k.in[4].as<const T>(),
                             s.numel(2, s.rank()),
                             k.out[0].as<T>() + n * d,
                             momentum ? k.out[1].as<T>() + n * d : nullptr,
                             a.at_feature ? k.out.back().as<T>() + n * d : nullptr};
    ascent::step(a, row, d, 0, 1, [](double v) { return v; });
  }
}

constexpr const char* kStep = "a step, never part of a differentiated function";

Sample sample_of(const Shape& s, const AscentAttrs& a, bool momentum = false, bool scaled = false) {
  return {{{s},
           {s},
           {s},
           {s, Domain::normal, 0, momentum},
           {scaled ? Shape{1, s[1], 1, 1} : Shape{}, Domain::positive, 0, scaled}},
          a};
}

}  // namespace

const OpDef op_ascent_step = {
    .name = "ascent_step",
    .infer = infer_ascent,
    .reference = {ascent_ref<float>, ascent_ref<double>},
    .no_vjp = kStep,
    .samples = {sample_of({3, 13}, {.length = 0.3, .radius = 1.2}),
                sample_of({5, 512}, {.length = 0.1, .radius = 0.4, .at_feature = true, .sphere = true}),
                sample_of({4, 70},
                          {.length = 0.1, .radius = 1, .decay = 1, .at_feature = true, .sphere = true}, true),
                sample_of({3, 40}, {.length = 2, .radius = 3, .ball = NoiseBall::l2, .at_feature = true}),
                sample_of({2, 5},
                          {.length = 0.1, .radius = 9, .decay = 0.5, .ball = NoiseBall::l2, .floor = true},
                          true),
                sample_of(
                    {3, 33},
                    {.length = 1, .radius = 0.5, .ball = NoiseBall::cap, .at_feature = true, .sphere = true}),
                sample_of({3, 257},
                          {.length = 1, .radius = 0.5, .decay = 1, .ball = NoiseBall::cap, .sphere = true},
                          true),
                sample_of(
                    {2, 3, 5, 7}, {.length = 0.2, .radius = 1, .decay = 1, .at_feature = true, .floor = true},
                    true, true),
                sample_of(
                    {2, 4, 9, 8},
                    {.length = 2, .radius = 5, .ball = NoiseBall::l2, .at_feature = true, .floor = true},
                    false, true)},
    .in_place = 0b110,
    .in_place_others = {0b1000}};

AscentStep ascent_step(const Tensor& z, const Tensor& u, const Tensor& g, const Tensor& m,
                       const Tensor& scale, const AscentAttrs& attrs) {
  std::vector<Tensor> out = apply(op_ascent_step, attrs, {z, u, g, m, scale});
  return {out[0], m.defined() ? out[1] : Tensor(), attrs.at_feature ? out.back() : Tensor()};
}

}  // namespace advf
