#include "advface/protections/ascent/noise.h"

#include <cmath>

#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr double kTiny = 1e-30;                 // keeps quotients finite where everything is zero
constexpr double kMomentum = 1;                 // mi-fgsm: arXiv 1710.06081
constexpr double kBeta1 = 0.9, kBeta2 = 0.999;  // Adam: arXiv 1412.6980
constexpr double kAdamFloor = 1e-12;            // far below any gradient of a mean over pixels

std::vector<int> all_but_first(const Tensor& x) {
  std::vector<int> axes;
  for (int a = 1; a < x.shape().rank(); ++a) axes.push_back(a);
  return axes;
}
Tensor sum_per_record(const Tensor& x) { return reduce_sum(x, all_but_first(x), true); }

// Each record with L2 norm 1.
Tensor unit(const Tensor& x) {
  if (x.shape().rank() == 2) return l2_normalise(x, kTiny);
  const int64_t n = x.dim(0);
  return reshape(l2_normalise(reshape(x, {n, x.shape().numel(1, x.shape().rank())}), kTiny), x.shape());
}
Tensor at_most(const Tensor& x, double limit) { return affine(relu(affine(x, -1, limit)), -1, limit); }

// u r / max(r, |u|)
Tensor into_l2_ball(const Tensor& u, double r) {
  const Tensor norm = power(sum_per_record(mul(u, u)), 0.5);
  const Tensor larger = affine(relu(affine(norm, 1, -r)), 1, std::max(r, kTiny));
  return mul(u, affine(power(larger, -1), std::max(r, kTiny), 0));
}

// With q = (z + u) / |z + u|, k = |q - z|^2 / 2 = 1 - cos of its angle, t the unit vector across z towards q:
// the point at 1 - cos = min(k, r^2 / 2) on the arc from z to q, less z. Written in k, not in the cosine, so
// that nothing cancels at small angles.
Tensor into_cap(const Tensor& z, const Tensor& u, double r) {
  const Tensor away = sub(l2_normalise(add(z, u)), z);
  const Tensor k = affine(sum_per_record(mul(away, away)), 0.5, 0);
  const Tensor across = unit(add(away, mul(z, k)));
  const Tensor kept = at_most(k, std::min(r * r / 2, 2.0));
  const Tensor sine = power(relu(mul(kept, affine(kept, -1, 2))), 0.5);
  return sub(mul(across, sine), mul(z, kept));
}

// The longest step's end that leaves z + d non-negative: max(u, -z / scale), with u's own bits where it is
// inside.
Tensor above_floor(const NoiseSpace& space, const Tensor& z, const Tensor& u) {
  const Tensor height = space.scale.defined() ? div(z, space.scale) : z;
  return add(u, relu(affine(add(height, u), -1, 0)));
}

Tensor into_ball(const NoiseSpace& space, const Tensor& z, const Tensor& u) {
  if (space.cap()) return into_cap(z, u, space.radius);
  return space.norm == Norm::l2 ? into_l2_ball(u, space.radius) : clamp(u, -space.radius, space.radius);
}
Tensor above_zero(const NoiseSpace& space, const Tensor& z, const Tensor& u) {
  return space.domain == FeatureDomain::non_negative ? above_floor(space, z, u) : u;
}

}  // namespace

Tensor in_feature_units(const NoiseSpace& space, const Tensor& u) {
  return space.scale.defined() ? mul(u, space.scale) : u;
}

Tensor into_domain(FeatureDomain domain, const Tensor& x) {
  switch (domain) {
    case FeatureDomain::sphere:
      return l2_normalise(x);
    case FeatureDomain::non_negative:
      return relu(x);
    case FeatureDomain::real:
      break;
  }
  return x;
}

Tensor project(const NoiseSpace& space, const Tensor& z, const Tensor& u) {
  return above_zero(space, z, into_ball(space, z, u));
}

Tensor squashed(const NoiseSpace& space, const Tensor& g) {
  constexpr double kSteepness = 3;  // most values near the border: the objectives want them there
  const double values = double(g.shape().numel(1, g.shape().rank()));
  if (space.norm == Norm::l2) return affine(unit(g), space.radius, 0);
  return affine(tanh(affine(unit(g), kSteepness * std::sqrt(values), 0)), space.radius, 0);
}

Tensor random_start(const NoiseSpace& space, const Shape& shape, std::span<const int64_t> records,
                    uint64_t seed) {
  const int64_t n = shape[0], d = shape.numel(1, shape.rank());
  std::vector<float> start(size_t(n * d));
  for (int64_t i = 0; i < n; ++i) {
    const Philox rng{seed, uint64_t(records[size_t(i)])};
    float* u = start.data() + i * d;
    if (space.norm == Norm::linf) {
      for (int64_t k = 0; k < d; ++k) u[k] = float(space.radius) * (2 * rng.uniform(uint64_t(k)) - 1);
      continue;
    }
    // A direction from normal numbers, which use positions below 2d; then the radius of a uniform point.
    double squares = 0;
    std::vector<double> direction(static_cast<size_t>(d));
    for (int64_t k = 0; k < d; ++k) {
      direction[size_t(k)] = rng.normal(uint64_t(k));
      squares += direction[size_t(k)] * direction[size_t(k)];
    }
    const double share = std::pow(1 - double(rng.uniform(uint64_t(2 * d))), 1 / double(d));
    const double length = space.radius * share / std::sqrt(std::max(squares, kTiny));
    for (int64_t k = 0; k < d; ++k) u[k] = float(length * direction[size_t(k)]);
  }
  return Tensor::from(start, shape);
}

UpdateRule::UpdateRule(const AscentSettings& settings, const Shape& feature)
    : method_(settings.method), length_(settings.step_length(feature)) {}

std::vector<Tensor> UpdateRule::memory(const Shape& shape) const {
  if (method_ == Method::mi_fgsm) return {Tensor::zeros(shape)};
  if (method_ == Method::adam)
    return {Tensor::zeros(shape), Tensor::zeros(shape), Tensor::full({1}, 1), Tensor::full({1}, 1)};
  return {};
}

namespace {

// A direction of ascent, and the memory after it.
UpdateRule::Step momentum(const Tensor& grad, const Tensor& m) {
  const Tensor size = affine(sum_per_record(abs(grad)), 1, kTiny);
  const Tensor next = add(affine(m, kMomentum, 0), div(grad, size));
  return {next, {next}};
}
UpdateRule::Step adam(const Tensor& g, const std::vector<Tensor>& memory) {
  const Tensor m = add(affine(memory[0], kBeta1, 0), affine(g, 1 - kBeta1, 0));
  const Tensor v = add(affine(memory[1], kBeta2, 0), affine(mul(g, g), 1 - kBeta2, 0));
  const Tensor power1 = affine(memory[2], kBeta1, 0), power2 = affine(memory[3], kBeta2, 0);
  const Tensor mean = div(m, affine(power1, -1, 1)), square = div(v, affine(power2, -1, 1));
  return {div(mean, affine(power(square, 0.5), 1, kAdamFloor)), {m, v, power1, power2}};
}

}  // namespace

UpdateRule::Step UpdateRule::step(const NoiseSpace& space, const Tensor& z, const Tensor& u,
                                  const Tensor& grad, const std::vector<Tensor>& memory) const {
  Step along{grad, {}};
  if (method_ == Method::mi_fgsm) along = momentum(grad, memory[0]);
  if (method_ == Method::adam) along = adam(grad, memory);
  const Tensor& direction = along.u;
  if (method_ != Method::adam && space.norm == Norm::linf)  // the sign, and the ball, in one op
    return {above_zero(space, z, pgd_step(u, direction, length_, space.radius)), along.memory};
  // Adam moves every value by about the same, so that its length in L2 grows with their number.
  const double values = double(u.shape().numel(1, u.shape().rank()));
  const double adam_length = space.norm == Norm::l2 ? length_ / std::sqrt(values) : length_;
  const Tensor moved = method_ == Method::adam ? add(u, affine(direction, adam_length, 0))
                                               : add(u, affine(unit(direction), length_, 0));
  return {project(space, z, moved), along.memory};
}

UpdateRule::FusedStep UpdateRule::fused_step(const NoiseSpace& space, const Tensor& z, const Tensor& u,
                                             const Tensor& grad_x, const std::vector<Tensor>& memory) const {
  check(has_fused_step(), "adam's step is several ops");
  const AscentAttrs attrs{.length = length_,
                          .radius = space.radius,
                          .decay = kMomentum,
                          .ball = space.cap()                ? NoiseBall::cap
                                  : space.norm == Norm::linf ? NoiseBall::box
                                                             : NoiseBall::l2,
                          .at_feature = true,
                          .sphere = space.domain == FeatureDomain::sphere,
                          .floor = space.domain == FeatureDomain::non_negative};
  const AscentStep next =
      ascent_step(z, u, grad_x, memory.empty() ? Tensor() : memory[0], space.scale, attrs);
  return {next.u, next.x, next.m.defined() ? std::vector<Tensor>{next.m} : std::vector<Tensor>{}};
}

}  // namespace advf
