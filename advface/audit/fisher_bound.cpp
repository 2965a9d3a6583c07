#include "advface/audit/fisher_bound.h"

#include <algorithm>
#include <cmath>

#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

constexpr uint64_t kStream = uint64_t(7) << 59;  // beside those of records and of the prior's faces

// Direction number `k` of image `image`: an axis, or random signs.
void fill_direction(std::span<float> v, int64_t k, int64_t image, bool axes, uint64_t seed) {
  if (axes) {
    std::fill(v.begin(), v.end(), 0.0f);
    v[size_t(k)] = 1;
    return;
  }
  const Philox rng{seed, kStream | uint64_t(image)};
  const uint64_t begin = uint64_t(k) * v.size();
  for (size_t i = 0; i < v.size(); ++i) v[i] = rng.bits(begin + i) & 1 ? 1.0f : -1.0f;
}

}  // namespace

Tensor shortened(const Tensor& features, NoiseMechanism mechanism, double clip) {
  constexpr double kAny = 1e30;
  const int64_t n = features.dim(0);
  const Tensor rows = reshape(features, {n, features.numel() / n});
  const Tensor length = mechanism == NoiseMechanism::laplace
                            ? reduce_sum(abs(rows), {1}, true)
                            : power(reduce_sum(mul(rows, rows), {1}, true), 0.5);
  const Tensor share = affine(power(clamp(length, clip, kAny), -1), clip, 0);
  return reshape(mul(rows, share), features.shape());
}

JacobianTraces jacobian_traces(const Encoder& encoder, const Tensor& images, const FacePrior* prior,
                               const TraceSettings& settings, const Context& context) {
  const NoTapeScope off;
  const int64_t n = images.dim(0), batch = std::min(settings.batch, n);
  check(n > 0 && settings.directions > 0, "a Jacobian of ", n, " images along ", settings.directions,
        " directions");
  InputGradient backward(encoder, with_rows(batch, row_of(images.shape())));
  const int64_t values = backward.output().numel() / batch;
  const bool axes = settings.directions >= values;
  const int64_t directions = axes ? values : settings.directions;
  const double share = axes ? 1 : 1 / double(directions);
  JacobianTraces traces{std::vector<double>(size_t(n), 0), std::vector<double>(prior ? size_t(n) : 0, 0)};
  std::vector<float> v(size_t(batch * values));
  const auto progress = context.begin("differentiate", n, "images");
  for (int64_t begin = 0; begin < n; begin += batch) {
    // The last images fill a batch together with some that were done.
    const int64_t first = std::min(begin, n - batch);
    backward.set_images(images.slice_batch(first, first + batch));
    for (int64_t k = 0; k < directions; ++k) {
      context.check_stop();
      for (int64_t i = 0; i < batch; ++i)
        fill_direction(std::span(v).subspan(size_t(i * values), size_t(values)), k, first + i, axes,
                       settings.seed);
      const Tensor g = backward.along(Tensor::from(v, backward.output()));
      const size_t d = size_t(g.numel() / batch);
      std::vector<double> weighted;
      if (prior) weighted = prior->weighted_squares(reshape(g, {batch, int64_t(d)}));
      for (int64_t i = begin - first; i < batch; ++i) {
        double square = 0;
        for (size_t j = 0; j < d; ++j) square += std::pow(double(g.data<float>()[size_t(i) * d + j]), 2);
        traces.plain[size_t(first + i)] += share * square;
        if (prior) traces.weighted[size_t(first + i)] += share * weighted[size_t(i)];
      }
    }
    progress->advance(std::min(batch, n - begin));
  }
  progress->finish();
  return traces;
}

Estimate estimate(const std::vector<double>& values) {
  check(!values.empty(), "a mean of no values");
  const double n = double(values.size());
  Estimate result;
  for (const double v : values) result.mean += v / n;
  double square = 0;
  for (const double v : values) square += (v - result.mean) * (v - result.mean);
  result.error = n > 1 ? std::sqrt(square / (n - 1) / n) : 0;
  return result;
}

double unbiased_bound(double dfil) { return 1 / dfil; }
double pixel_noise_bound(double dfil, double pixel_noise) {
  return 1 / (dfil + 1 / (pixel_noise * pixel_noise));
}
double prior_bound(double variance, double information) { return variance / (1 + information); }

}  // namespace advf
