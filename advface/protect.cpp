#include "advface/protect.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>

#include "advface/generator.h"
#include "advface/noise.h"
#include "autograd/plan.h"
#include "nn/freeze.h"
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
constexpr double kLeastDeviation = 1e-12;  // of a channel that is always zero: no noise to speak of

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

double cosine(const float* a, const float* b, int64_t n) {
  double dot = 0, aa = 0, bb = 0;
  for (int64_t k = 0; k < n; ++k) {
    const double x = double(a[k]), y = double(b[k]);
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa > 0 && bb > 0 ? dot / std::sqrt(aa * bb) : 0;
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
  report.cosine = cosine(z, adv, d);
  return report;
}

Shape with_rows(int64_t rows, const Shape& row) {
  Shape shape{rows};
  for (int64_t d : row) shape.push_back(d);
  return shape;
}

NoiseSpace space_of(const ProtectModels& models, const ProtectSettings& settings) {
  if (models.generator) return models.generator->space();
  const Shape& feature = models.info().spec.feature;
  NoiseSpace space{models.info().domain, settings.norm, settings.radius(feature), {}};
  if (feature.rank() == 3) {
    std::vector<float> deviations = models.shadows[0]->statistics().feature_std.to_vector<float>();
    for (float& v : deviations) v = std::max(v, float(kLeastDeviation));
    space.scale = Tensor::from(deviations, {1, feature[0], 1, 1});
  }
  return space;
}

// Evaluation mode, or training mode for as long as a plan is traced.
class TracingMode {
 public:
  TracingMode(const ProtectModels& models, BatchNormMode mode) : models_(models) {
    for (Decoder* shadow : models_.shadows) shadow->train(mode == BatchNormMode::batch);
  }
  ~TracingMode() {
    for (Decoder* shadow : models_.shadows) shadow->train(false);
  }
  TracingMode(const TracingMode&) = delete;

 private:
  const ProtectModels& models_;
};

}  // namespace

// Of one batch size.
struct Protector::Plans {
  PlanState prepare;  // z, start, photograph -> the point inside the ball; the targets
  PlanState step;    // z, targets, point, memory, trace, its position -> the next u, the trace of losses. All
                     // but z and the targets go round. A generator's only step goes to its noise, wherever u
                     // is
  PlanState finish;  // z, targets, u, factors -> z_adv, losses, the embedding

  Plans(const ProtectModels& models, const ProtectSettings& settings, int64_t batch)
      : Plans(Tracer{models, settings, batch}) {}

  size_t first_of_step() const { return 1 + target_count; }  // input number of the point, and of u

  size_t point_size;          // tensors: u; with a fused step also x = P(z + d)
  size_t target_count;        // tensors
  std::vector<Tensor> first;  // values of the memory, the trace, its position

 private:
  using Targets = std::vector<ObjectiveFunction::Target>;
  struct Tracer {
    const ProtectModels& models;
    const ProtectSettings& settings;
    int64_t batch;
    NoiseSpace space = space_of(models, settings);
    ObjectiveFunction objective{models, settings};
    UpdateRule rule{settings, models.info().spec.feature};
    Shape features = with_rows(batch, models.info().spec.feature);
    TracingMode mode{models, settings.batch_norm};
    // On a device a step, its projection and the way to the next feature are one launch.
    bool fused = !current_backend().is_host() && !models.generator && rule.has_fused_step() &&
                 objective.anchored_at_z();

    // As plan inputs and outputs. The anchor is left out where it is z.
    std::vector<Tensor> flat(const Targets& targets) const {
      std::vector<Tensor> list;
      for (const auto& t : targets) {
        if (!objective.anchored_at_z()) list.push_back(t.anchor);
        list.push_back(t.reference);
      }
      return list;
    }
    // Fresh inputs that stand for targets of these shapes.
    Targets inputs(const Targets& like, const Tensor& z) const {
      Targets list;
      for (const auto& t : like)
        list.push_back({objective.anchored_at_z() ? z : Tensor::meta(t.anchor.shape()),
                        Tensor::meta(t.reference.shape())});
      return list;
    }
    // What goes round beside the point.
    std::vector<Tensor> first_values() const {
      std::vector<Tensor> list = rule.memory(features);
      list.push_back(Tensor::zeros({batch, settings.effective_steps()}));
      list.push_back(Tensor::zeros({batch}));
      return list;
    }
    Targets target_shapes = {};
    std::shared_ptr<const Plan> prepare();
    std::shared_ptr<const Plan> step() const;
    std::shared_ptr<const Plan> finish() const;
  };
  explicit Plans(Tracer tracer)
      : prepare(tracer.prepare()),
        step(tracer.step()),
        finish(tracer.finish()),
        point_size(tracer.fused ? 2 : 1),
        target_count(tracer.flat(tracer.target_shapes).size()),
        first(tracer.first_values()) {}
};

std::shared_ptr<const Plan> Protector::Plans::Tracer::prepare() {
  Tape tape(Tape::Keep::everything);
  const int64_t size = models.info().spec.image_size;
  const Tensor z = Tensor::meta(features), start = Tensor::meta(features),
               photograph = Tensor::meta({batch, 3, size, size});
  std::vector<Tensor> out;
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    out.push_back(project(space, z, start));
    if (fused) out.push_back(objective.feature(z, in_feature_units(space, out[0])));
    target_shapes = objective.targets(z, photograph);
  }
  for (const Tensor& t : flat(target_shapes)) out.push_back(t);
  const Tensor in[] = {z, start, photograph};
  return compile(fold_batch_norm(tape, out), in, out);
}

std::shared_ptr<const Plan> Protector::Plans::Tracer::step() const {
  Tape tape(Tape::Keep::everything);
  const Tensor z = Tensor::meta(features), u = Tensor::meta(features), x = Tensor::meta(features);
  const Targets targets = inputs(target_shapes, z);
  std::vector<Tensor> kept;
  for (const Tensor& t : first_values()) kept.push_back(Tensor::meta(t.shape()));
  const Tensor position = kept.back(), trace = kept[kept.size() - 2];
  kept.resize(kept.size() - 2);  // the memory
  std::vector<Tensor> in{z}, out;
  std::vector<Carry> round;
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    const Tensor losses =
        fused ? objective.loss_at(targets, x) : objective.loss(targets, in_feature_units(space, u));
    tape = fold_batch_norm(tape, std::span(&losses, 1));
    // A sum, not a mean: a record's noise must not depend on its neighbours.
    const auto gradient = [&](const Tensor& at) { return backward(tape, sum_all(losses), {at}, true)[0]; };
    UpdateRule::Step next;
    if (models.generator) {
      next.u = models.generator->forward(z);
    } else if (fused) {
      UpdateRule::FusedStep step = rule.fused_step(space, z, u, gradient(x), kept);
      round.push_back({x, step.x});
      next = {step.u, std::move(step.memory)};
    } else {
      next = rule.step(space, z, u, gradient(u), kept);
    }
    round.push_back({u, next.u});
    for (size_t m = 0; m < kept.size(); ++m) round.push_back({kept[m], next.memory[m]});
    const TraceStep noted = trace_step(trace, position, losses);
    round.push_back({trace, noted.trace});
    round.push_back({position, noted.position});
    out = {next.u, noted.trace};
  }
  for (const Tensor& t : flat(targets)) in.push_back(t);
  in.push_back(u);
  if (fused) in.push_back(x);
  in.insert(in.end(), kept.begin(), kept.end());
  in.push_back(trace);
  in.push_back(position);
  return compile(tape, in, out, round);
}

std::shared_ptr<const Plan> Protector::Plans::Tracer::finish() const {
  Tape tape(Tape::Keep::everything);
  Shape factors = features;
  for (int a = 1; a < factors.rank(); ++a) factors.set(a, 1);
  const Tensor z = Tensor::meta(features), u = Tensor::meta(features), factor = Tensor::meta(factors);
  const Targets targets = inputs(target_shapes, z);
  std::vector<Tensor> in{z}, out;
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    const Tensor d = in_feature_units(space, mul(u, factor));
    out = {into_domain(space.domain, add(z, d)), objective.loss(targets, d)};
    if (settings.keep_recognition) out.push_back(objective.embedding(out[0]));
  }
  for (const Tensor& t : flat(targets)) in.push_back(t);
  in.push_back(u);
  in.push_back(factor);
  return compile(fold_batch_norm(tape, out), in, out);
}

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
  BackOff(PlanState& finish, size_t factor_input, const ProtectSettings& settings, int64_t n)
      : finish_(finish), input_(factor_input), least_(settings.keep_recognition), factors_(size_t(n), 1) {}

  // Leaves the plan run with the factors found.
  void search() {
    if (!least_) return run(factors_);
    run(std::vector<float>(factors_.size(), 0));
    plain_ = finish_.get(2).to_vector<float>();
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
    const int64_t d = int64_t(plain_.size() / factors_.size());
    return cosine(plain_.data() + int64_t(i) * d, now_.data() + int64_t(i) * d, d);
  }

 private:
  bool holds(size_t i) const { return recognition(i) >= *least_; }
  void run(const std::vector<float>& factors) {
    Shape shape = finish_.plan().inputs()[input_].shape;
    finish_.set(input_, Tensor::from(factors, shape));
    finish_.run();
    if (least_) now_ = finish_.get(2).to_vector<float>();
  }

  PlanState& finish_;
  size_t input_;
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

Protector::Plans& Protector::plans_for(int64_t batch) {
  std::unique_ptr<Plans>& slot = plans_[batch];
  if (!slot) slot = std::make_unique<Plans>(models_, settings_, batch);
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
  Plans& plans = plans_for(b.features.dim(0));
  PlanState &prepare = plans.prepare, &step = plans.step, &finish = plans.finish;
  prepare.set(0, b.features);
  prepare.set(1, b.start);
  if (b.photographs.defined()) prepare.set(2, b.photographs);
  prepare.run();

  for (PlanState* state : {&step, &finish}) {
    state->set(0, b.features);
    for (size_t t = 0; t < plans.target_count; ++t) state->set(1 + t, prepare.get(plans.point_size + t));
  }
  const size_t noise = plans.first_of_step();
  for (size_t p = 0; p < plans.point_size; ++p) step.set(noise + p, prepare.get(p));
  for (size_t f = 0; f < plans.first.size(); ++f) step.set(noise + plans.point_size + f, plans.first[f]);
  for (int done = 0; done < settings_.effective_steps(); done += kStepsAtOnce) {
    if (stop_ && stop_()) throw Interrupted();
    step.run(std::min(kStepsAtOnce, settings_.effective_steps() - done));
  }
  b.trace = step.get(1);

  finish.set(noise, step.get(0));
  BackOff back_off(finish, noise + 1, settings_, b.features.dim(0));
  back_off.search();
  b.adversarial = finish.get(0);
  b.after = finish.get(1);
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
