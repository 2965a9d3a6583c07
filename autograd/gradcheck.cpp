#include "autograd/gradcheck.h"

#include <cmath>

#include "autograd/tape.h"
#include "tensor/rng.h"

namespace advf {
namespace {

Tensor random_like(const Tensor& t, uint64_t seed, uint64_t stream) {
  std::vector<double> v(size_t(t.numel()));
  const Philox rng{seed, stream};
  for (size_t i = 0; i < v.size(); ++i) v[i] = rng.normal(i);
  return Tensor::from(v, t.shape());
}

double dot(const Tensor& a, const Tensor& b) {
  const double *x = a.data<double>(), *y = b.data<double>();
  double sum = 0;
  for (int64_t i = 0; i < a.numel(); ++i) sum += x[i] * y[i];
  return sum;
}

}  // namespace

double gradient_error(const MultiFunction& f, const std::vector<Tensor>& inputs,
                      const std::vector<bool>& wanted, uint64_t seed, double step, int directions) {
  Tape tape;
  std::vector<Tensor> outputs, cotangents, wrt, gradients;
  {
    TapeScope scope(tape);
    outputs = f(inputs);
  }
  for (const Tensor& o : outputs) cotangents.push_back(random_like(o, seed, 100 + cotangents.size()));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (wanted[i]) wrt.push_back(inputs[i]);
  gradients = backward(tape, outputs, cotangents, wrt);

  auto value_at = [&](size_t input, const Tensor& direction, double t) {
    std::vector<Tensor> moved = inputs;
    std::vector<double> v = inputs[input].to_vector<double>();
    for (size_t i = 0; i < v.size(); ++i) v[i] += t * direction.data<double>()[i];
    moved[input] = Tensor::from(v, inputs[input].shape());
    double sum = 0;
    size_t k = 0;
    for (const Tensor& o : f(moved)) sum += dot(o, cotangents[k++]);
    return sum;
  };
  double worst = 0;
  size_t g = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!wanted[i]) continue;
    for (int d = 0; d < directions; ++d) {
      const Tensor direction = random_like(inputs[i], seed, 200 + 10 * i + uint64_t(d));
      const double numeric = (value_at(i, direction, step) - value_at(i, direction, -step)) / (2 * step);
      const double analytic = dot(gradients[g], direction);
      const double error =
          std::abs(numeric - analytic) / std::max({1.0, std::abs(numeric), std::abs(analytic)});
      worst = std::isnan(error) ? INFINITY : std::max(worst, error);
    }
    ++g;
  }
  return worst;
}

}  // namespace advf
