#include "tools/bench_plan.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "advface/protect.h"
#include "autograd/plan.h"
#include "nn/freeze.h"
#include "nn/nets/decoders.h"
#include "tensor/ops.h"
#include "tools/bench_shapes.h"

namespace advf::tools {
namespace {

constexpr double kAlpha = 0.005, kEpsilon = 0.02;

Tensor unit_features(int64_t n) {
  std::vector<float> v(size_t(n * 512));
  const Philox rng{1, 7};
  for (size_t i = 0; i < v.size(); ++i) v[i] = float(rng.normal(i));
  return l2_normalise(Tensor::from(v, {n, 512}));
}

// One step of ascent on |S((z + d) / |z + d|) - base|^2.
Tensor pgd(Module& net, const Tensor& z, const Tensor& delta, const Tensor& base, Tape& tape, bool frozen) {
  const Tensor image = net.forward(l2_normalise(add(z, delta)));
  if (frozen) tape = fold_batch_norm(tape, std::span(&image, 1));
  const Tensor loss = sum_all(power(sub(image, base), 2));
  return pgd_step(delta, backward(tape, loss, {delta}, frozen)[0], kAlpha, kEpsilon);
}

std::shared_ptr<const Plan> compile_pgd(Module& net, const Tensor& like_z, const Tensor& like_base) {
  Tape tape(Tape::Keep::everything);
  const Tensor z = Tensor::meta(like_z.shape()), delta = Tensor::meta(like_z.shape()),
               base = Tensor::meta(like_base.shape());
  Tensor next;
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    next = pgd(net, z, delta, base, tape, true);
  }
  const Tensor in[] = {z, delta, base};
  const Carry round{delta, next};
  return compile(tape, in, std::span(&next, 1), std::span(&round, 1));
}

double median_of(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}
double seconds(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

struct Pair {
  double eager = 0, planned = 0, ratio = 0;  // medians, ratio of the turns
};
// One turn to warm up, then turns of one each, so that a neighbour on the machine slows both alike.
Pair in_turns(int repeat, const std::function<void()>& eager, const std::function<void()>& planned) {
  eager();
  planned();
  std::vector<double> e, p, ratio;
  for (int i = 0; i < repeat; ++i) {
    e.push_back(seconds(eager));
    p.push_back(seconds(planned));
    ratio.push_back(e.back() / p.back());
  }
  return {median_of(e), median_of(p), median_of(ratio)};
}

// The products of a plan: their operations, and the bytes of their operands if all else were free.
struct Work {
  double flops = 0, bytes = 0;
  explicit Work(const Plan& plan) {
    for (const OpCall& call : plan.calls()) {
      const double f = flops_of(call);
      flops += f;
      if (f == 0) continue;
      for (const auto* list : {&call.in, &call.out})
        for (const ValueInfo& v : *list)
          if (v.defined) bytes += double(v.shape.numel()) * double(size_of(v.dtype));
    }
  }
};

nlohmann::json pgd_row(const Machine& machine, int repeat) {
  const auto net = make_decoder(DecoderSpec{"deconv", {512}, 112, 512}, 1);
  net->train(false);
  constexpr int64_t kBatch = 32;
  const Tensor z = unit_features(kBatch), base = net->forward(z);
  const Tensor start = affine(z, 0.01, 0);
  PlanState state(compile_pgd(*net, z, base));
  state.set(0, z);
  state.set(1, start);
  state.set(2, base);
  Tensor delta = start;
  const Pair t = in_turns(
      repeat,
      [&] {
        Tape tape;
        const TapeScope scope(tape);
        delta = pgd(*net, z, delta, base, tape, false);
      },
      [&] { state.run(); });
  const Plan::Stats& stats = state.plan().stats();
  const Work work(state.plan());
  const double by_flops = work.flops / machine.peak_flops, by_bytes = work.bytes / machine.copy_bytes_per_s;
  std::printf(
      "PGD step, 112x112 deconv, batch %d: eager %.1f, planned %.1f image-iterations/s, planned/eager %.2f\n"
      "  floors: %.1f ms (%.1f GFLOP at the peak), %.1f ms (%.0f MB at copy speed); planned %.1f ms, eager "
      "%.1f ms\n"
      "  %zu steps (%d in place), arena %.1f MB (%.1f MB alive at most), constants %.1f MB\n",
      int(kBatch), kBatch / t.eager, kBatch / t.planned, t.ratio, by_flops * 1e3, work.flops / 1e9,
      by_bytes * 1e3, work.bytes / 1e6, t.planned * 1e3, t.eager * 1e3, stats.steps, stats.in_place,
      double(stats.arena_bytes) / 1e6, double(stats.arena_bound) / 1e6, double(stats.constant_bytes) / 1e6);
  return {{"workload", "pgd"},
          {"eager_per_s", kBatch / t.eager},
          {"planned_per_s", kBatch / t.planned},
          {"planned_over_eager", t.ratio},
          {"flops", work.flops},
          {"bytes", work.bytes},
          {"floor_flops_s", by_flops},
          {"floor_bytes_s", by_bytes},
          {"arena_bytes", stats.arena_bytes}};
}

// As protect() works, op by op.
void protect_eager(Decoder& shadow, const Tensor& z, int steps) {
  const Tensor base = shadow.forward(z);
  Tensor delta = affine(z, 0.01, 0);
  for (int i = 0; i < steps; ++i) {
    Tape tape;
    const TapeScope scope(tape);
    delta = pgd(shadow, z, delta, base, tape, false);
  }
  shadow.forward(l2_normalise(add(z, delta)));
}

nlohmann::json protect_row(int64_t batch, int repeat) {
  constexpr int kSteps = 20;
  DecoderInfo info;
  info.spec = {"deconv", {512}, 64, 256};
  info.domain = FeatureDomain::sphere;
  Decoder shadow(info, 1);
  shadow.train(false);
  Protector protector(shadow, {.epsilon = kEpsilon, .steps = kSteps});
  const Tensor z = unit_features(batch);
  const Pair t = in_turns(
      repeat, [&] { protect_eager(shadow, z, kSteps); }, [&] { protector.protect(z, 0); });
  std::printf(
      "protect, 64x64 deconv, %d steps, %d at a time: eager %.1f, planned %.1f features/s (%.2f ms a call), "
      "planned/eager %.2f\n",
      kSteps, int(batch), double(batch) / t.eager, double(batch) / t.planned, t.planned * 1e3, t.ratio);
  return {{"workload", "protect"},
          {"batch", batch},
          {"steps", kSteps},
          {"eager_per_s", double(batch) / t.eager},
          {"planned_per_s", double(batch) / t.planned},
          {"call_s", t.planned},
          {"planned_over_eager", t.ratio}};
}

}  // namespace

nlohmann::json bench_plans(const Machine& machine, const std::string& filter, int repeat) {
  nlohmann::json rows = nlohmann::json::array();
  const auto wanted = [&](const std::string& name) { return name.find(filter) != std::string::npos; };
  if (wanted("plan pgd")) rows.push_back(pgd_row(machine, repeat));
  for (int64_t batch : {256, 32, 1})
    if (wanted("plan protect " + std::to_string(batch))) rows.push_back(protect_row(batch, repeat));
  return rows;
}

}  // namespace advf::tools
