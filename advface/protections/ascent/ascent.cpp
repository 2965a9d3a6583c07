#include "advface/protections/ascent/ascent.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>

#include "advface/protections/ascent/ascent_plans.h"
#include "advface/protections/recognition_bound.h"
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
// Rows that statistics of batch norm are averaged over.
constexpr int64_t kCalibrationBatch = 64;

// An ascent whose loss is no number, or the same at every step, has found nothing: the noise would be the
// random start, and the record would count as protected.
void check_ascent(const RecordReport& report, const AscentSettings& settings,
                  std::span<const float> feature) {
  for (const float loss : report.losses)
    check(std::isfinite(loss), "record ", report.record, ": the loss is ", loss,
          "; a network that protects is broken: train it again");
  if (settings.epsilon == 0) return;
  const auto [least, most] = std::minmax_element(report.losses.begin(), report.losses.end());
  check(*most != 0 && *least != *most, "record ", report.record, ": the loss is ", *most,
        " at every step, so the noise protects nothing; either the shadow makes the same "
        "of everything and must be trained again, or epsilon ",
        settings.epsilon, " (or the step size) is too small");
  check_moved(report, feature,
              settings.keep_recognition ? "the bound on recognition leaves no room: lower it"
                                        : "epsilon is too small");
}

}  // namespace

// A batch on its way: what the backend needs, what it will leave there, and, once read, the numbers of the
// report.
struct Ascent::Batch {
  std::span<const int64_t> records;
  Tensor features, start, photographs;
  Tensor trace, after, adversarial;
  std::vector<double> kept, recognition;
  std::vector<float> trace_values, after_values, z, adv;
};

Ascent::Ascent(const AscentNetworks& networks, const AscentSettings& settings)
    : networks_(networks), settings_(settings) {
  settings.check_valid();
  networks_.check_fit(settings);
  for (const Decoder* shadow : networks_.shadows)
    if (settings.epsilon > 0) shadow->check_sees();
}
Ascent::~Ascent() = default;

AscentPlans& Ascent::plans_for(int64_t batch) {
  std::unique_ptr<AscentPlans>& slot = plans_[batch];
  if (!slot) slot = std::make_unique<AscentPlans>(networks_, settings_, batch);
  return *slot;
}

int64_t Ascent::largest_batch() {
  if (largest_batch_ > 0) return largest_batch_;
  const bool host = current_backend().is_host();
  largest_batch_ = host || depends_on_batch() ? kLargestBatch : kLargestDeviceBatch;
  const bool small = !networks_.recogniser && networks_.feature().rank() == 1;
  if (host && !small && !depends_on_batch()) {
    const int64_t one = std::max<int64_t>(plans_for(1).step.plan().stats().arena_bytes, 1);
    largest_batch_ = std::clamp<int64_t>(
        int64_t(std::bit_floor(uint64_t(std::max<int64_t>(kArenaBytes / one, 1)))), 1, kLargestBatch);
  }
  return largest_batch_;
}

int64_t Ascent::next_batch(int64_t rest) {
  const int64_t largest = largest_batch();
  // Statistics of a batch need company: the last block takes what would be left over.
  if (depends_on_batch()) return rest < 2 * largest ? rest : largest;
  return std::min<int64_t>(int64_t(std::bit_floor(uint64_t(rest))), largest);
}

Ascent::Batch Ascent::prepare(const Tensor& rows, const Tensor& photographs,
                              std::span<const int64_t> records) const {
  Batch b;
  b.records = records;
  b.features = rows.to(current_backend());
  b.start = random_start(space_of(networks_, settings_), rows.shape(), records, settings_.seed);
  if (photographs.defined()) {
    b.photographs = photographs.to(current_backend());
    const int64_t size = networks_.image_size();
    if (photographs.dim(2) != size || photographs.dim(3) != size)
      b.photographs = resize2d(b.photographs, {.size = {size, size}});
  }
  return b;
}

// Only enqueues, where the backend is a device; but a bound on recognition looks at embeddings as it goes.
void Ascent::launch(Batch& b, const Context& context) {
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
    context.check_stop();
    step.run(std::min(kStepsAtOnce, settings_.effective_steps() - done));
  }
  b.trace = step.get("trace");

  finish.set("u", step.get("u"));
  RecognitionBound bound(finish, settings_.keep_recognition, b.features.dim(0));
  bound.search();
  b.adversarial = finish.get("z_adv");
  b.after = finish.get("losses");
  b.kept = bound.factors();
  for (size_t i = 0; i < b.records.size(); ++i) b.recognition.push_back(bound.recognition(i));
}

void Ascent::read(Batch& b) {
  b.trace_values = b.trace.to_vector<float>();
  b.after_values = b.after.to_vector<float>();
  b.z = b.features.to_vector<float>();
  b.adv = b.adversarial.to_vector<float>();
}

void Ascent::report(const Batch& b, std::vector<RecordReport>& reports) const {
  const size_t n = b.records.size(), d = b.z.size() / n, steps = b.trace_values.size() / n;
  for (size_t i = 0; i < n; ++i) {
    const std::span feature = std::span(b.z).subspan(i * d, d);
    RecordReport report = report_of(b.records[i], feature, std::span(b.adv).subspan(i * d, d));
    const auto trace = b.trace_values.begin() + std::ptrdiff_t(i * steps);
    report.losses.assign(trace, trace + std::ptrdiff_t(steps));
    report.losses.push_back(b.after_values[i]);
    report.loss_before = double(report.losses.front());
    report.loss_after = double(report.losses.back());
    report.kept = b.kept[i];
    report.recognition = b.recognition[i];
    check_ascent(report, settings_, feature);
    reports.push_back(report);
  }
}

// Halves the largest batch for good. False where that would change the result or nothing is left to halve.
bool Ascent::ask_for_less(int64_t batch) {
  if (batch == 1 || depends_on_batch()) return false;
  largest_batch_ = int64_t(std::bit_floor(uint64_t(batch))) / 2;
  plans_.erase(plans_.upper_bound(largest_batch_), plans_.end());
  return true;
}

// While a device works on one batch, the host makes the next one's start, sends both ahead, and writes the
// last one's report.
ProtectedRows Ascent::protect(const Tensor& features, std::span<const int64_t> records,
                              const Tensor& photographs, const Context& context) {
  const int64_t n = features.dim(0), row = features.shape().numel(1, features.shape().rank());
  check(int64_t(records.size()) == n, "protect: ", n, " features with ", records.size(), " numbers");
  const bool original = settings_.objective == Objective::original;
  check(original == photographs.defined() && (!original || photographs.dim(0) == n),
        "protect: the objective original, and no other, takes one photograph for each feature");
  check(!depends_on_batch() || n != 1,
        "batch norm by the batch's statistics needs two records or more at a time, not 1");
  const Tensor host = features.on_host();
  check_records(host, records, networks_.info().domain);
  const NoTapeScope off;
  ProtectedRows result;
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
      launch(next, context);
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

ProtectedRows Ascent::protect(const Tensor& features, int64_t first_record, const Tensor& photographs) {
  std::vector<int64_t> records(size_t(features.dim(0)));
  std::iota(records.begin(), records.end(), first_record);
  return protect(features, records, photographs);
}

void recalibrate(Decoder& decoder, int64_t rows, const ReadRows& read) {
  check(rows >= 2, "recalibrating batch norm needs two records or more, not ", rows);
  // A last, smaller block would count as much as a full one, so it is left out.
  const int64_t block = std::min(rows, kCalibrationBatch), blocks = rows / block;
  recalibrate_batch_norm(decoder, blocks, [&](int64_t i) { return read(i * block, (i + 1) * block); });
}

}  // namespace advf
