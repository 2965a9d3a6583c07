#include "advface/protections/ascent/ascent_plans.h"

#include <algorithm>

#include "advface/protections/ascent/objective.h"
#include "nn/freeze.h"
#include "nn/layers.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr double kLeastDeviation = 1e-12;  // of a channel that is always zero: no noise to speak of

}  // namespace

NoiseSpace space_of(const AscentNetworks& networks, const AscentSettings& settings) {
  const Shape& feature = networks.feature();
  NoiseSpace space{networks.info().domain, settings.norm, settings.radius(feature), {}};
  if (feature.rank() == 3) {
    std::vector<float> deviations = networks.deviation().to_vector<float>();
    for (float& v : deviations) v = std::max(v, float(kLeastDeviation));
    space.scale = Tensor::from(deviations, {1, feature[0], 1, 1});
  }
  return space;
}

struct AscentPlans::Tracer {
  using Targets = std::vector<ObjectiveFunction::Target>;
  const AscentNetworks& networks;
  const AscentSettings& settings;
  int64_t batch;
  NoiseSpace space = space_of(networks, settings);
  ObjectiveFunction objective{networks, settings};
  UpdateRule rule{settings, networks.feature()};
  Shape features = with_rows(batch, networks.feature());
  std::unique_ptr<BatchStatisticsScope> by_the_batch{
      settings.batch_norm == BatchNormMode::batch ? new BatchStatisticsScope : nullptr};
  // On a device a step, its projection and the way to the next feature are one launch.
  bool fused = !current_backend().is_host() && rule.has_fused_step() && objective.anchored_at_z();

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
  NamedTensors first_values() const {
    NamedTensors list;
    list.add_all("memory", rule.memory(features));
    list.add("trace", Tensor::zeros({batch, settings.effective_steps()}));
    list.add("position", Tensor::zeros({batch}));
    return list;
  }
  Targets target_shapes = {};
  NamedPlan prepare();
  NamedPlan step() const;
  NamedPlan finish() const;
};

NamedPlan AscentPlans::Tracer::prepare() {
  Tape tape(Tape::Keep::everything);
  const int64_t size = networks.image_size();
  const Tensor z = Tensor::meta(features), start = Tensor::meta(features),
               photograph = Tensor::meta({batch, 3, size, size});
  NamedTensors in, out;
  in.add("z", z);
  in.add("start", start);
  in.add("photograph", photograph);
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    const Tensor u = project(space, z, start);
    out.add("u", u);
    if (fused) out.add("x", objective.feature(z, in_feature_units(space, u)));
    target_shapes = objective.targets(z, photograph);
  }
  out.add_all("target", flat(target_shapes));
  return {fold_batch_norm(tape, out.tensors()), in, out};
}

NamedPlan AscentPlans::Tracer::step() const {
  Tape tape(Tape::Keep::everything);
  const Tensor z = Tensor::meta(features), u = Tensor::meta(features), x = Tensor::meta(features);
  const Targets targets = inputs(target_shapes, z);
  std::vector<Tensor> memory;
  for (const Tensor& t : rule.memory(features)) memory.push_back(Tensor::meta(t.shape()));
  const Tensor trace = Tensor::meta({batch, settings.effective_steps()}), position = Tensor::meta({batch});
  NamedTensors in, out;
  in.add("z", z);
  in.add_all("target", flat(targets));
  in.add("u", u);
  if (fused) in.add("x", x);
  in.add_all("memory", memory);
  in.add("trace", trace);
  in.add("position", position);
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
    if (fused) {
      UpdateRule::FusedStep step = rule.fused_step(space, z, u, gradient(x), memory);
      round.push_back({x, step.x});
      next = {step.u, std::move(step.memory)};
    } else {
      next = rule.step(space, z, u, gradient(u), memory);
    }
    round.push_back({u, next.u});
    for (size_t m = 0; m < memory.size(); ++m) round.push_back({memory[m], next.memory[m]});
    const TraceStep noted = trace_step(trace, position, losses);
    round.push_back({trace, noted.trace});
    round.push_back({position, noted.position});
    out.add("u", next.u);
    out.add("trace", noted.trace);
  }
  return {tape, in, out, round};
}

NamedPlan AscentPlans::Tracer::finish() const {
  Tape tape(Tape::Keep::everything);
  Shape factors = features;
  for (int a = 1; a < factors.rank(); ++a) factors.set(a, 1);
  const Tensor z = Tensor::meta(features), u = Tensor::meta(features), factor = Tensor::meta(factors);
  const Targets targets = inputs(target_shapes, z);
  NamedTensors in, out;
  in.add("z", z);
  in.add_all("target", flat(targets));
  in.add("u", u);
  in.add("factor", factor);
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    const Tensor d = in_feature_units(space, mul(u, factor)),
                 adversarial = into_domain(space.domain, add(z, d));
    out.add("z_adv", adversarial);
    out.add("losses", objective.loss(targets, d));
    if (settings.keep_recognition) out.add("embedding", objective.embedding(adversarial));
  }
  return {fold_batch_norm(tape, out.tensors()), in, out};
}

AscentPlans::AscentPlans(const AscentNetworks& networks, const AscentSettings& settings, int64_t batch)
    : AscentPlans(Tracer{networks, settings, batch}) {}

AscentPlans::AscentPlans(Tracer tracer)
    : prepare(tracer.prepare()), step(tracer.step()), finish(tracer.finish()), first(tracer.first_values()) {}

}  // namespace advf
