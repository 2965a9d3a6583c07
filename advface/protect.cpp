#include "advface/protect.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <optional>

#include "autograd/plan.h"
#include "nn/freeze.h"
#include "tensor/ops.h"
#include "tensor/rng.h"

namespace advf {
namespace {

// Rows of the largest batch, as a power of two. On the host activations of 32 images stay near the caches,
// and weights are read once for many; a device needs more work at a time.
constexpr int kLargestHostBatch = 5, kLargestDeviceBatch = 8;

// Features that are not finite, or have no direction where one is needed, have no meaning to protect.
void check_records(const Tensor& z, std::span<const int64_t> records, FeatureDomain domain) {
  const int64_t n = z.dim(0), d = z.shape().numel(1, z.shape().rank());
  const float* p = z.data<float>();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t record = records[size_t(i)];
    double norm = 0;
    for (int64_t k = 0; k < d; ++k) {
      const double v = double(p[i * d + k]);
      check(std::isfinite(v), "record ", record, ": value ", k, " is ", v, "; it cannot be protected");
      norm += v * v;
    }
    norm = std::sqrt(norm);
    check(domain != FeatureDomain::sphere || norm > 1e-6, "record ", record,
          ": the feature is zero and has no direction; it cannot be protected");
    check(domain != FeatureDomain::sphere || std::abs(norm - 1) < 1e-3, "record ", record,
          ": the feature has norm ", norm,
          ", but the shadow takes unit vectors; normalise the features first");
  }
}

// Uniform in the ball. The gradient of the direct objective is exactly zero at d = 0, so there must be a
// start.
Tensor random_start(const Shape& shape, std::span<const int64_t> records, const ProtectSettings& settings) {
  const int64_t n = shape[0], d = shape.numel(1, shape.rank());
  std::vector<float> start(size_t(n * d));
  for (int64_t i = 0; i < n; ++i) {
    const Philox rng{settings.seed, uint64_t(records[size_t(i)])};
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

// One batch size: S(x), and one step of ascent on |S(P(z + d)) - base|^2 from d to the next d.
struct Protector::Plans {
  PlanState look;  // x -> image
  PlanState step;  // z, d, base -> distances, next d; d goes round

  Plans(Decoder& shadow, const Shape& features, const ProtectSettings& settings)
      : look(compile_look(shadow, features)), step(compile_step(shadow, features, settings)) {}

 private:
  static std::shared_ptr<const Plan> compile_look(Decoder& shadow, const Shape& features) {
    Tape tape(Tape::Keep::everything);
    const Tensor x = Tensor::meta(features);
    Tensor image;
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      image = shadow.forward(x);
    }
    return compile(fold_batch_norm(tape, std::span(&image, 1)), std::span(&x, 1), std::span(&image, 1));
  }

  static std::shared_ptr<const Plan> compile_step(Decoder& shadow, const Shape& features,
                                                  const ProtectSettings& settings) {
    Tape tape(Tape::Keep::everything);
    const Tensor z = Tensor::meta(features), delta = Tensor::meta(features);
    Tensor base, distances, next;
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      const Tensor image = shadow.forward(into_domain(add(z, delta), shadow.info().domain));
      tape = fold_batch_norm(tape, std::span(&image, 1));
      base = Tensor::meta(image.shape());
      distances = image_distance(image, base);
      // A sum, not a mean: a record's noise must not depend on its neighbours.
      const Tensor grad = backward(tape, sum_all(distances), {delta}, true)[0];
      next = pgd_step(delta, grad, settings.effective_step_size(), settings.epsilon);
    }
    const Tensor in[] = {z, delta, base}, out[] = {distances, next};
    const Carry round{delta, next};
    return compile(tape, in, out, std::span(&round, 1));
  }
};

// A batch on its way: what the device needs, what it will leave, and, once read, the numbers of the report.
struct Protector::Batch {
  std::span<const int64_t> records;
  Tensor features, start;
  Tensor before, after, adversarial;
  std::vector<float> before_values, after_values, z, adv;
};

Protector::Protector(Decoder& shadow, const ProtectSettings& settings)
    : shadow_(shadow),
      settings_(settings),
      largest_(current_backend().is_host() ? kLargestHostBatch : kLargestDeviceBatch),
      plans_(size_t(largest_) + 1) {
  settings.check_valid();
  shadow.train(false);
}
Protector::~Protector() = default;

Protector::Plans& Protector::plans_for(int64_t batch) {
  std::unique_ptr<Plans>& slot = plans_[size_t(std::bit_width(uint64_t(batch))) - 1];
  if (!slot) {
    Shape features{batch};
    for (int64_t d : shadow_.info().spec.feature) features.push_back(d);
    slot = std::make_unique<Plans>(shadow_, features, settings_);
  }
  return *slot;
}

Protector::Batch Protector::prepare(const Tensor& rows, std::span<const int64_t> records) const {
  Batch b;
  b.records = records;
  b.features = rows.to(current_backend());
  b.start = random_start(rows.shape(), records, settings_);
  return b;
}

// Only enqueues, where the backend is a device.
void Protector::launch(Batch& b) {
  Plans& plans = plans_for(b.features.dim(0));
  plans.look.set(0, b.features);
  plans.look.run();
  const Tensor base = plans.look.get(0);

  PlanState& step = plans.step;
  step.set(0, b.features);
  step.set(1, b.start);
  step.set(2, base);
  b.before = Tensor::empty({b.features.dim(0)});
  step.run();
  step.get(0, b.before);
  step.run(settings_.steps - 1);

  b.adversarial = into_domain(add(b.features, step.get(1)), shadow_.info().domain);
  plans.look.set(0, b.adversarial);
  plans.look.run();
  b.after = image_distance(plans.look.get(0), base);
}

void Protector::read(Batch& b) {
  b.before_values = b.before.to_vector<float>();
  b.after_values = b.after.to_vector<float>();
  b.z = b.features.to_vector<float>();
  b.adv = b.adversarial.to_vector<float>();
}

void Protector::report(const Batch& b, Protected& result) const {
  const size_t n = b.records.size(), d = b.z.size() / n;
  const int64_t side = shadow_.info().spec.image_size;
  const double pixels = 3 * double(side) * double(side);
  for (size_t i = 0; i < n; ++i) {
    ProtectReport report = report_of(b.records[i], &b.z[i * d], &b.adv[i * d], int64_t(d));
    report.loss_before = double(b.before_values[i]) / pixels;
    report.loss_after = double(b.after_values[i]) / pixels;
    result.reports.push_back(report);
  }
}

Protected Protector::protect(const Tensor& features, int64_t first_record) {
  std::vector<int64_t> records(size_t(features.dim(0)));
  std::iota(records.begin(), records.end(), first_record);
  return protect(features, records);
}

// While the device works on one batch, the host makes the next one's start, sends both ahead, and writes the
// last one's report.
Protected Protector::protect(const Tensor& features, std::span<const int64_t> records) {
  const int64_t n = features.dim(0), row = features.shape().numel(1, features.shape().rank());
  check(int64_t(records.size()) == n, "protect: ", n, " features with ", records.size(), " numbers");
  const Tensor host = features.to(host_backend());
  check_records(host, records, shadow_.info().domain);
  const NoTapeScope off;
  Protected result;
  result.reports.reserve(size_t(n));
  std::vector<float> values;
  values.reserve(size_t(n * row));
  std::optional<Batch> running;
  const auto collect = [&] {
    if (!running) return;
    report(*running, result);
    values.insert(values.end(), running->adv.begin(), running->adv.end());
  };
  for (int64_t begin = 0; begin < n;) {
    const int64_t batch =
        std::min<int64_t>(int64_t(std::bit_floor(uint64_t(n - begin))), int64_t(1) << largest_);
    Batch next =
        prepare(host.slice_batch(begin, begin + batch), records.subspan(size_t(begin), size_t(batch)));
    if (running && running->z.empty()) read(*running);
    try {
      launch(next);
    } catch (const OutOfMemory&) {
      if (batch == 1) throw;
      largest_ = std::bit_width(uint64_t(batch)) - 2;  // half of it, here and from now on
      for (size_t k = size_t(largest_) + 1; k < plans_.size(); ++k) plans_[k].reset();
      continue;
    }
    collect();
    running = std::move(next);
    begin += batch;
  }
  if (running) read(*running);
  collect();
  result.features = Tensor::from(values, features.shape());
  return result;
}

Protected protect(Decoder& shadow, const Tensor& features, int64_t first_record,
                  const ProtectSettings& settings) {
  return Protector(shadow, settings).protect(features, first_record);
}

}  // namespace advf
