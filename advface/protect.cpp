#include "advface/protect.h"

#include <cmath>

#include "autograd/tape.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

// Features that are not finite, or have no direction where one is needed, have no meaning to protect.
void check_records(const Tensor& z, int64_t first_record, FeatureDomain domain) {
  const int64_t n = z.dim(0), d = z.shape().numel(1, z.shape().rank());
  const float* p = z.data<float>();
  for (int64_t i = 0; i < n; ++i) {
    double norm = 0;
    for (int64_t k = 0; k < d; ++k) {
      const double v = double(p[i * d + k]);
      check(std::isfinite(v), "record ", first_record + i, ": value ", k, " is ", v,
            "; it cannot be protected");
      norm += v * v;
    }
    norm = std::sqrt(norm);
    check(domain != FeatureDomain::sphere || norm > 1e-6, "record ", first_record + i,
          ": the feature is zero and has no direction; it cannot be protected");
    check(domain != FeatureDomain::sphere || std::abs(norm - 1) < 1e-3, "record ", first_record + i,
          ": the feature has norm ", norm,
          ", but the shadow takes unit vectors; normalise the features first");
  }
}

// Uniform in the ball. The gradient of the direct objective is exactly zero at d = 0, so there must be a
// start.
Tensor random_start(const Shape& shape, int64_t first_record, const ProtectSettings& settings) {
  const int64_t n = shape[0], d = shape.numel(1, shape.rank());
  std::vector<float> start(size_t(n * d));
  for (int64_t i = 0; i < n; ++i) {
    const Philox rng{settings.seed, uint64_t(first_record + i)};
    for (int64_t k = 0; k < d; ++k)
      start[size_t(i * d + k)] = float(settings.epsilon) * (2 * rng.uniform(uint64_t(k)) - 1);
  }
  return Tensor::from(start, shape);
}

Tensor into_domain(const Tensor& x, FeatureDomain domain) {
  return domain == FeatureDomain::sphere ? l2_normalise(x) : x;
}

// Per record: the squared difference of the images, summed (n).
Tensor image_distance(const Tensor& a, const Tensor& b) {
  return reduce_sum(power(sub(a, b), 2), {1, 2, 3}, false);
}

ProtectReport report_of(int64_t record, const float* z, const float* adv, int64_t d) {
  double dot = 0, zz = 0, aa = 0, noise = 0, largest = 0;
  for (int64_t k = 0; k < d; ++k) {
    const double a = double(z[k]), b = double(adv[k]), r = b - a;
    dot += a * b;
    zz += a * a;
    aa += b * b;
    noise += r * r;
    largest = std::max(largest, std::abs(r));
  }
  ProtectReport report;
  report.record = record;
  report.noise_l2 = std::sqrt(noise);
  report.noise_linf = largest;
  report.cosine = zz > 0 && aa > 0 ? dot / std::sqrt(zz * aa) : 0;
  return report;
}

}  // namespace

void ProtectSettings::check_valid() const {
  check(std::isfinite(epsilon) && epsilon >= 0, "epsilon must be a number of at least 0, not ", epsilon);
  check(steps >= 1 && steps <= 100000, "the number of steps must lie between 1 and 100000, not ", steps);
  check(std::isfinite(step_size) && step_size >= 0, "the step size must be positive (0 = chosen), not ",
        step_size);
}

Protected protect(Decoder& shadow, const Tensor& features, int64_t first_record,
                  const ProtectSettings& settings) {
  settings.check_valid();
  const FeatureDomain domain = shadow.info().domain;
  const int64_t n = features.dim(0), d = features.shape().numel(1, features.shape().rank());
  check_records(features, first_record, domain);
  NoTapeScope off;
  shadow.train(false);
  const Tensor base = shadow.forward(features);
  const double pixels = double(base.numel()) / double(std::max<int64_t>(n, 1));
  const double alpha = settings.effective_step_size();

  Tensor delta = random_start(features.shape(), first_record, settings);
  std::vector<float> before;
  for (int step = 0; step < settings.steps; ++step) {
    Tape tape;
    Tensor distances, loss;
    {
      TapeScope scope(tape);
      distances = image_distance(shadow.forward(into_domain(add(features, delta), domain)), base);
      // A sum, not a mean: a record's noise must not depend on its neighbours.
      loss = sum_all(distances);
    }
    if (step == 0) before = distances.to_vector<float>();
    delta = pgd_step(delta, backward(tape, loss, {delta})[0], alpha, settings.epsilon);
  }

  Protected result;
  result.features = into_domain(add(features, delta), domain);
  const std::vector<float> after = image_distance(shadow.forward(result.features), base).to_vector<float>();
  const std::vector<float> z = features.to_vector<float>(), adv = result.features.to_vector<float>();
  for (int64_t i = 0; i < n; ++i) {
    ProtectReport report = report_of(first_record + i, &z[size_t(i * d)], &adv[size_t(i * d)], d);
    report.loss_before = double(before[size_t(i)]) / pixels;
    report.loss_after = double(after[size_t(i)]) / pixels;
    result.reports.push_back(report);
  }
  return result;
}

}  // namespace advf
