#include "tools/bench/bench_pgd.h"

#include "nn/freeze.h"
#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tools/bench/bench_shapes.h"

namespace advf::tools {

Cost cost_of(const std::function<void(Tape&)>& body) {
  Tape tape;
  {
    const TapeScope scope(tape);
    body(tape);
  }
  Cost cost;
  for (const Record& r : tape.records()) {
    OpCall call{r.op, r.attrs, {}, {}};
    for (const Tensor& t : r.in) call.in.push_back({t.shape(), t.dtype(), t.defined()});
    for (const Tensor& t : r.out) call.out.push_back({t.shape(), t.dtype()});
    const double flops = flops_of(call);
    cost.flops += flops;
    if (flops == 0) continue;
    for (const auto* list : {&call.in, &call.out})
      for (const ValueInfo& v : *list)
        if (v.defined) cost.bytes += double(v.shape.numel()) * double(size_of(v.dtype));
  }
  return cost;
}

Pgd::Pgd(std::shared_ptr<Module> net, const Tensor& z, FeatureDomain domain)
    : net_(std::move(net)), domain_(domain), z_(z) {
  net_->train(false);
  base_ = net_->forward(z_);
  delta_ = affine(z_, 0.01, 0);
}

Tensor Pgd::feature(const Tensor& z, const Tensor& delta) const {
  const Tensor u = add(z, delta);
  return domain_ == FeatureDomain::sphere ? l2_normalise(u) : u;
}
Tensor Pgd::forward(const Tensor& z, const Tensor& delta) const { return net_->forward(feature(z, delta)); }

Tensor Pgd::step(const Tensor& z, const Tensor& delta, const Tensor& base, Tape& tape, bool frozen) const {
  const Tensor image = forward(z, delta);
  if (frozen) tape = fold_batch_norm(tape, std::span(&image, 1));
  const Tensor loss = sum_all(power(sub(image, base), 2));
  return pgd_step(delta, backward(tape, loss, {delta}, frozen)[0], kAlpha, kEpsilon);
}

void Pgd::eager() {
  Tape tape;
  const TapeScope scope(tape);
  delta_ = step(z_, delta_, base_, tape, false);
}

std::shared_ptr<PlanState> Pgd::plan() const {
  Tape tape(Tape::Keep::everything);
  const Tensor z = Tensor::meta(z_.shape()), delta = Tensor::meta(z_.shape()),
               base = Tensor::meta(base_.shape()), x = Tensor::meta(z_.shape());
  std::vector<Tensor> in{z, delta, base};
  std::vector<Carry> round;
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    if (current_backend().is_host()) {
      round.push_back({delta, step(z, delta, base, tape, true)});
    } else {  // as Ascent has it there: from one feature to the next in one launch
      const Tensor image = net_->forward(x);
      tape = fold_batch_norm(tape, std::span(&image, 1));
      const Tensor loss = sum_all(power(sub(image, base), 2));
      const AscentStep next = ascent_step(z, delta, backward(tape, loss, {x}, true)[0], {}, {},
                                          {.length = kAlpha,
                                           .radius = kEpsilon,
                                           .at_feature = true,
                                           .sphere = domain_ == FeatureDomain::sphere});
      in.push_back(x);
      round = {{delta, next.u}, {x, next.x}};
    }
  }
  const auto state = std::make_shared<PlanState>(compile(tape, in, std::span(&round[0].output, 1), round));
  state->set(0, z_);
  state->set(1, delta_);
  state->set(2, base_);
  if (in.size() > 3) state->set(3, feature(z_, delta_));
  return state;
}

std::shared_ptr<PlanState> frozen(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  Tape tape(Tape::Keep::everything);
  const Tensor in = Tensor::meta(x.shape());
  Tensor out;
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    out = f(in);
  }
  const auto state = std::make_shared<PlanState>(
      compile(fold_batch_norm(tape, std::span(&out, 1)), std::span(&in, 1), std::span(&out, 1)));
  state->set(0, x);
  return state;
}

std::shared_ptr<PlanState> Pgd::image_plan() const {
  return frozen([this](const Tensor& z) { return net_->forward(z); }, z_);
}

Cost Pgd::cost() const {
  return cost_of([&](Tape& tape) {
    const Tensor image = forward(z_, delta_);
    backward(tape, sum_all(power(sub(image, base_), 2)), {delta_}, true);
  });
}

}  // namespace advf::tools
