#include "advface/protections/ascent/ascent.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>

#include "advface/protections/ascent/ascent_plans.h"
#include "nn/layers.h"
#include "tensor/ops.h"

namespace advf {
namespace {

// Rows of the largest batch. On the host activations of 32 images stay near the caches, and weights are read
// once for many; where a recogniser or maps make images larger, fewer, so that the step's arena keeps to the
// limit. A device needs more work at a time, and says itself when its memory is full.
constexpr int64_t kLargestBatch = 32, kLargestDeviceBatch = 256, kArenaBytes = int64_t(512) << 20;
// Steps of the ascent between two looks at whether the user wants to stop.
constexpr int kStepsAtOnce = 16;
// Halvings of the noise's factor under a bound on recognition: it is found to 1/256.
constexpr int kHalvings = 8;
// Rows that statistics of batch norm are averaged over.
constexpr int64_t kCalibrationBatch = 64;

// Features that are not finite, or lie outside their domain, have no meaning to protect.
void check_records(const Tensor& z, std::span<const int64_t> records, FeatureDomain domain) {
  const size_t d = size_t(z.shape().numel(1, z.shape().rank()));
  for (size_t i = 0; i < records.size(); ++i)
    check_feature({z.data<float>() + i * d, d}, domain,
                  [&] { return "record " + std::to_string(records[i]); });
}

// An ascent whose loss is no number, or the same at every step, has found nothing: the noise would be the
// random start, and the record would count as protected. So would one whose noise is nothing.
void check_ascent(const ProtectReport& report, const ProtectSettings& settings, double length) {
  for (const float loss : report.losses)
    check(std::isfinite(loss), "record ", report.record, ": the loss is ", loss,
          "; a network that protects is broken: train it again");
  if (settings.epsilon == 0) return;
  const auto [least, most] = std::minmax_element(report.losses.begin(), report.losses.end());
  check(*most != 0 && (*least != *most || settings.method == Method::generator), "record ", report.record,
        ": the loss is ", *most,
        " at every step, so the noise protects nothing; either the shadow makes one image "
        "of everything and must be trained again, or epsilon ",
        settings.epsilon, " (or the step size) is too small");
  constexpr double kNothing = 5e-7;  // of the feature's length: rounding
  check(report.noise_l2 > kNothing * length, "record ", report.record, ": its noise is nothing (norm ",
        report.noise_l2, "), so it is not protected; ",
        settings.method == Method::generator
            ? "the generator's training has failed: train it again, with a smaller --lr"
        : settings.keep_recognition ? "the bound on recognition leaves no room: lower it"
                                    : "epsilon is too small");
}

ProtectReport report_of(int64_t record, const float* z, const float* adv, int64_t d) {
  ProtectReport report;
  report.record = record;
  double noise = 0;
  for (int64_t k = 0; k < d; ++k) {
    const double r = double(adv[k]) - double(z[k]);
    noise += r * r;
    report.noise_linf = std::max(report.noise_linf, std::abs(r));
  }
  report.noise_l2 = std::sqrt(noise);
  report.cosine = cosine({z, size_t(d)}, {adv, size_t(d)});
  return report;
}

}  // namespace

// A batch on its way: what the backend needs, what it will leave there, and, once read, the numbers of the
// report.
struct Protector::Batch {
  std::span<const int64_t> records;
  Tensor features, start, photographs;
  Tensor trace, after, adversarial;
  std::vector<double> kept, recognition;
  std::vector<float> trace_values, after_values, z, adv;
};

namespace {

// How much of the noise each record keeps. Bisection, with a factor that holds at its lower end; a record
// whose whole noise is within the bound keeps it.
class BackOff {
 public:
  BackOff(NamedPlan& finish, const ProtectSettings& settings, int64_t n)
      : finish_(finish), least_(settings.keep_recognition), factors_(size_t(n), 1) {}

  // Leaves the plan run with the factors found.
  void search() {
    if (!least_) return run(factors_);
    run(std::vector<float>(factors_.size(), 0));
    plain_ = finish_.get("embedding").to_vector<float>();
    run(factors_);
    std::vector<float> low(factors_.size(), 0), high = factors_;
    bool open = false;
    for (size_t i = 0; i < low.size(); ++i)
      if (holds(i))
        low[i] = 1;
      else
        open = true;
    for (int halving = 0; open && halving < kHalvings; ++halving) {
      std::vector<float> middle;
      for (size_t i = 0; i < low.size(); ++i) middle.push_back((low[i] + high[i]) / 2);
      run(middle);
      for (size_t i = 0; i < low.size(); ++i) (holds(i) ? low : high)[i] = middle[i];
    }
    factors_ = low;
    if (open) run(factors_);
  }
  std::vector<double> factors() const { return {factors_.begin(), factors_.end()}; }
  double recognition(size_t i) const {
    if (!least_) return 0;
    const size_t d = plain_.size() / factors_.size();
    return cosine(std::span(plain_).subspan(i * d, d), std::span(now_).subspan(i * d, d));
  }

 private:
  bool holds(size_t i) const { return recognition(i) >= *least_; }
  void run(const std::vector<float>& factors) {
    finish_.set("factor", Tensor::from(factors, finish_.input_shape("factor")));
    finish_.run();
    if (least_) now_ = finish_.get("embedding").to_vector<float>();
  }

  NamedPlan& finish_;
  std::optional<double> least_;
  std::vector<float> factors_, plain_, now_;  // embeddings without noise, and as last run
};

}  // namespace

Protector::Protector(const ProtectModels& models, const ProtectSettings& settings, std::function<bool()> stop)
    : models_(models), settings_(settings), stop_(std::move(stop)) {
  settings.check_valid();
  models_.check_fit(settings);
  for (Decoder* shadow : models_.shadows) {
    shadow->train(false);
    if (settings.epsilon > 0) shadow->check_sees();
  }
}
Protector::~Protector() = default;

AscentPlans& Protector::plans_for(int64_t batch) {
  std::unique_ptr<AscentPlans>& slot = plans_[batch];
  if (!slot) slot = std::make_unique<AscentPlans>(models_, settings_, batch);
  return *slot;
}

int64_t Protector::largest_batch() {
  if (largest_batch_ > 0) return largest_batch_;
  const bool host = current_backend().is_host();
  largest_batch_ = host || depends_on_batch() ? kLargestBatch : kLargestDeviceBatch;
  const bool small = !models_.recogniser && models_.info().spec.feature.rank() == 1;
  if (host && !small && !depends_on_batch()) {
    const int64_t one = std::max<int64_t>(plans_for(1).step.plan().stats().arena_bytes, 1);
    largest_batch_ = std::clamp<int64_t>(
        int64_t(std::bit_floor(uint64_t(std::max<int64_t>(kArenaBytes / one, 1)))), 1, kLargestBatch);
  }
  return largest_batch_;
}

int64_t Protector::next_batch(int64_t rest) {
  const int64_t largest = largest_batch();
  // Statistics of a batch need company: the last block takes what would be left over.
  if (depends_on_batch()) return rest < 2 * largest ? rest : largest;
  return std::min<int64_t>(int64_t(std::bit_floor(uint64_t(rest))), largest);
}

Protector::Batch Protector::prepare(const Tensor& rows, const Tensor& photographs,
                                    std::span<const int64_t> records) const {
  Batch b;
  b.records = records;
  b.features = rows.to(current_backend());
  b.start = random_start(space_of(models_, settings_), rows.shape(), records, settings_.seed);
  if (photographs.defined()) {
    b.photographs = photographs.to(current_backend());
    const int64_t size = models_.info().spec.image_size;
    if (photographs.dim(2) != size || photographs.dim(3) != size)
      b.photographs = resize2d(b.photographs, {.size = {size, size}});
  }
  return b;
}

// Only enqueues, where the backend is a device; but a bound on recognition looks at embeddings as it goes.
void Protector::launch(Batch& b) {
  AscentPlans& plans = plans_for(b.features.dim(0));
  NamedPlan &prepare = plans.prepare, &step = plans.step, &finish = plans.finish;
  prepare.set("z", b.features);
  prepare.set("start", b.start);
  if (b.photographs.defined()) prepare.set("photograph", b.photographs);
  prepare.run();

  step.set("z", b.features);
  finish.set("z", b.features);
  for (const std::string& name : prepare.outputs()) {  // the point, and the targets
    const Tensor value = prepare.get(name);
    step.set(name, value);
    if (name.starts_with("target.")) finish.set(name, value);
  }
  for (size_t i = 0; i < plans.first.names().size(); ++i)
    step.set(plans.first.names()[i], plans.first.tensors()[i]);
  for (int done = 0; done < settings_.effective_steps(); done += kStepsAtOnce) {
    if (stop_ && stop_()) throw Interrupted();
    step.run(std::min(kStepsAtOnce, settings_.effective_steps() - done));
  }
  b.trace = step.get("trace");

  finish.set("u", step.get("u"));
  BackOff back_off(finish, settings_, b.features.dim(0));
  back_off.search();
  b.adversarial = finish.get("z_adv");
  b.after = finish.get("losses");
  b.kept = back_off.factors();
  for (size_t i = 0; i < b.records.size(); ++i) b.recognition.push_back(back_off.recognition(i));
}

void Protector::read(Batch& b) {
  b.trace_values = b.trace.to_vector<float>();
  b.after_values = b.after.to_vector<float>();
  b.z = b.features.to_vector<float>();
  b.adv = b.adversarial.to_vector<float>();
}

void Protector::report(const Batch& b, std::vector<ProtectReport>& reports) const {
  const size_t n = b.records.size(), d = b.z.size() / n, steps = b.trace_values.size() / n;
  for (size_t i = 0; i < n; ++i) {
    ProtectReport report = report_of(b.records[i], &b.z[i * d], &b.adv[i * d], int64_t(d));
    const auto trace = b.trace_values.begin() + std::ptrdiff_t(i * steps);
    report.losses.assign(trace, trace + std::ptrdiff_t(steps));
    report.losses.push_back(b.after_values[i]);
    report.loss_before = double(report.losses.front());
    report.loss_after = double(report.losses.back());
    report.kept = b.kept[i];
    report.recognition = b.recognition[i];
    check_ascent(report, settings_, norm({&b.z[i * d], d}));
    reports.push_back(report);
  }
}

// Halves the largest batch for good. False where that would change the result or nothing is left to halve.
bool Protector::ask_for_less(int64_t batch) {
  if (batch == 1 || depends_on_batch()) return false;
  largest_batch_ = int64_t(std::bit_floor(uint64_t(batch))) / 2;
  plans_.erase(plans_.upper_bound(largest_batch_), plans_.end());
  return true;
}

// While a device works on one batch, the host makes the next one's start, sends both ahead, and writes the
// last one's report.
Protected Protector::protect(const Tensor& features, std::span<const int64_t> records,
                             const Tensor& photographs) {
  const int64_t n = features.dim(0), row = features.shape().numel(1, features.shape().rank());
  check(int64_t(records.size()) == n, "protect: ", n, " features with ", records.size(), " numbers");
  const bool original = settings_.objective == Objective::original;
  check(original == photographs.defined() && (!original || photographs.dim(0) == n),
        "protect: the objective original, and no other, takes one photograph for each feature");
  check(!depends_on_batch() || n != 1,
        "batch norm by the batch's statistics needs two records or more at a time, not 1");
  const Tensor host = features.on_host();
  check_records(host, records, models_.info().domain);
  const NoTapeScope off;
  Protected result;
  result.reports.reserve(size_t(n));
  std::vector<float> values;
  values.reserve(size_t(n * row));
  std::optional<Batch> running;
  const auto collect = [&] {
    if (!running) return;
    report(*running, result.reports);
    values.insert(values.end(), running->adv.begin(), running->adv.end());
  };
  for (int64_t begin = 0; begin < n;) {
    const int64_t batch = next_batch(n - begin), end = begin + batch;
    Batch next =
        prepare(host.slice_batch(begin, end), original ? photographs.slice_batch(begin, end) : Tensor(),
                records.subspan(size_t(begin), size_t(batch)));
    if (running && running->z.empty()) read(*running);
    try {
      launch(next);
    } catch (const OutOfMemory&) {
      if (!ask_for_less(batch)) throw;
      continue;
    }
    collect();
    running = std::move(next);
    begin = end;
  }
  if (running) read(*running);
  collect();
  const BackendScope on_host(host_backend());
  result.features = Tensor::from(values, features.shape());
  return result;
}

Protected Protector::protect(const Tensor& features, int64_t first_record, const Tensor& photographs) {
  std::vector<int64_t> records(size_t(features.dim(0)));
  std::iota(records.begin(), records.end(), first_record);
  return protect(features, records, photographs);
}

Protected protect(const ProtectModels& models, const Tensor& features, int64_t first_record,
                  const ProtectSettings& settings, const Tensor& photographs) {
  return Protector(models, settings).protect(features, first_record, photographs);
}

void recalibrate(Decoder& decoder, int64_t rows,
                 const std::function<Tensor(int64_t begin, int64_t end)>& read) {
  check(rows >= 2, "recalibrating batch norm needs two records or more, not ", rows);
  // A last, smaller block would count as much as a full one, so it is left out.
  const int64_t block = std::min(rows, kCalibrationBatch), blocks = rows / block;
  recalibrate_batch_norm(decoder, blocks, [&](int64_t i) { return read(i * block, (i + 1) * block); });
}

}  // namespace advf
