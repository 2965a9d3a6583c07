#include "autograd/plan.h"

#include <algorithm>
#include <chrono>
#include <unordered_map>

#include "autograd/memory_plan.h"
#include "autograd/passes.h"
#include "tensor/ops.h"

namespace advf {

// The state of one compilation: values by id, and what becomes of them.
class PlanCompiler {
 public:
  PlanCompiler(const Tape& tape, std::span<const Tensor> inputs, std::span<const Tensor> outputs,
               std::span<const Carry> carries, Backend& backend)
      : inputs_(inputs.begin(), inputs.end()),
        outputs_(outputs.begin(), outputs.end()),
        carries_(carries.begin(), carries.end()),
        plan_(new Plan(backend)) {
    plan_->stats_.records = tape.records().size();
    std::vector<Tensor> wanted = outputs_;
    for (const Carry& c : carries_) {
      check(c.input.shape() == c.output.shape() && c.input.dtype() == c.output.dtype(),
            "a carried output of shape ", c.output.shape(), " for an input of shape ", c.input.shape());
      wanted.push_back(c.output);
    }
    tape_ = fuse_epilogue(remove_dead_code(simplify(tape, inputs_, wanted), wanted), wanted);
    if (!backend.is_host()) tape_ = fuse_image_loss(tape_, wanted);
  }

  std::shared_ptr<const Plan> run() {
    for (const Tensor& t : inputs_) {
      check(t.defined() && !index_.contains(t.id()), "compile: an input of shape ", t.shape(),
            " is given twice");
      add_value(t, -1);
    }
    for (const Record& r : tape_.records()) add_record(r);
    for (const Carry& c : carries_) add_carry(c);
    finish_lifetimes();
    choose_layouts();
    const MemoryPlan memory = plan_memory(lifetimes_);
    Plan::Stats& stats = plan_->stats_;
    stats.arena_bytes = memory.bytes;
    stats.arena_bound = most_bytes_alive(lifetimes_);
    stats.in_place = memory.in_place;
    stats.steps = steps_.size();
    for (const Record& r : steps_) bind(r, memory);
    for (const Tensor& t : inputs_) {
      plan_->input_places_.push_back(place_of(t, memory));
      plan_->inputs_.push_back(plan_->input_places_.back().info);
    }
    for (const Tensor& t : outputs_) {
      plan_->output_places_.push_back(place_of(t, memory));
      plan_->outputs_.push_back(plan_->output_places_.back().info);
    }
    return std::move(plan_);
  }

 private:
  static ValueInfo info_of(const Tensor& t) { return {t.shape(), t.dtype(), t.defined()}; }
  int step() const { return int(steps_.size()); }
  bool is_arena(const Tensor& t) const { return t.defined() && index_.contains(t.id()); }
  int index(const Tensor& t) const { return index_.at(t.id()); }

  int add_value(const Tensor& t, int first) {
    const int i = int(lifetimes_.size());
    index_[t.id()] = i;
    lifetimes_.push_back({int64_t(t.bytes()), first, first, -1, {}});
    values_.push_back(info_of(t));
    return i;
  }

  void use(const Tensor& t, const OpDef& op) {
    if (!t.defined()) return;
    if (is_arena(t)) {
      Lifetime& l = lifetimes_[size_t(index(t))];
      l.last = std::max(l.last, step());
      return;
    }
    check(t.has_storage(), "compile: ", op.name, " reads a value of shape ", t.shape(),
          " that is neither an input nor a constant nor computed on this tape");
    check(t.is_on(plan_->backend_), "compile: ", op.name, " reads a constant on ", t.backend().name(),
          ", but the plan is for ", plan_->backend_.name());
  }

  void add_record(const Record& r) {
    if (r.op->is_view) {
      const Tensor &from = r.in[0], &to = r.out[0];
      if (is_arena(from)) {
        // A view begins when its source does: it adds readers, not a value.
        lifetimes_[size_t(add_value(to, lifetimes_[size_t(index(from))].first))].view_of = index(from);
      } else {
        use(from, *r.op);
        constant_views_.insert_or_assign(to.id(), from.view(to.shape()));
      }
      return;
    }
    Record kept = r;
    for (Tensor& t : kept.in)
      if (const auto c = constant_views_.find(t.id()); c != constant_views_.end()) t = c->second;
    for (const Tensor& t : kept.in) use(t, *r.op);
    for (size_t o = 0; o < kept.out.size(); ++o) {
      const int i = add_value(kept.out[o], step());
      lifetimes_[size_t(i)].overwrite = overwritable(kept, o);
    }
    steps_.push_back(std::move(kept));
  }

  int root(int value) const {
    while (lifetimes_[size_t(value)].view_of >= 0) value = lifetimes_[size_t(value)].view_of;
    return value;
  }
  // How many inputs of the record lie in the bytes of this value.
  int count_uses(const Record& r, int value) const {
    return int(std::count_if(r.in.begin(), r.in.end(),
                             [&](const Tensor& t) { return is_arena(t) && root(index(t)) == root(value); }));
  }

  std::vector<int> overwritable(const Record& r, size_t output) const {
    const auto& others = r.op->in_place_others;
    const uint32_t may = output == 0 ? r.op->in_place : output <= others.size() ? others[output - 1] : 0;
    std::vector<int> list;
    for (size_t i = 0; i < r.in.size() && i < 32; ++i)
      if (may >> i & 1u && is_arena(r.in[i]) && r.in[i].bytes() == r.out[output].bytes() &&
          count_uses(r, index(r.in[i])) == 1)
        list.push_back(index(r.in[i]));
    return list;
  }

  // The output takes the input's place if the step that computes it may write there; else it is copied.
  void add_carry(const Carry& c) {
    check(is_arena(c.input) && index(c.input) < int(inputs_.size()),
          "compile: a carried value is not an input");
    check(is_arena(c.output) && root(index(c.output)) >= int(inputs_.size()),
          "compile: a carried output is an input or a constant");
    const int in = index(c.input), out = index(c.output);
    int last = -1;
    for (size_t i = 0; i < lifetimes_.size(); ++i)
      if (root(int(i)) == in) last = std::max(last, lifetimes_[i].last);
    Lifetime& l = lifetimes_[size_t(out)];
    const bool plain = l.view_of < 0;
    if (plain && in < out && !carried_twice(c)) {
      const std::vector<int>& over = l.overwrite;
      if (last < l.first || (last == l.first && std::find(over.begin(), over.end(), in) != over.end())) {
        l.view_of = in;
        return;
      }
    }
    const Tensor copy = Tensor::meta(c.output.shape(), c.output.dtype());
    add_record({&op_slice, SliceAttrs{{}, c.output.shape()}, {c.output}, {copy}});
    lifetimes_.back().view_of = in;
  }
  bool carried_twice(const Carry& c) const {
    return std::count_if(carries_.begin(), carries_.end(),
                         [&](const Carry& d) { return d.output.id() == c.output.id(); }) > 1;
  }

  // Inputs keep their values and outputs theirs until the caller has read them.
  void finish_lifetimes() {
    for (const Tensor& t : inputs_) lifetimes_[size_t(index(t))].last = step();
    for (const Tensor& t : outputs_) {
      check(is_arena(t) || constant_views_.contains(t.id()) || t.has_storage(),
            "compile: the output of shape ", t.shape(),
            " is neither computed on this tape nor an input nor a constant");
      if (is_arena(t)) lifetimes_[size_t(index(t))].last = step();
    }
  }

  // What the caller sees, and what several values share as one block of bytes, stays plain.
  void choose_layouts() {
    std::vector<uint8_t> fixed(values_.size());
    std::vector<int64_t> bytes;
    for (size_t i = 0; i < values_.size(); ++i) {
      bytes.push_back(lifetimes_[i].bytes);
      if (lifetimes_[i].view_of >= 0) fixed[i] = fixed[size_t(lifetimes_[i].view_of)] = 1;
    }
    for (const auto* list : {&inputs_, &outputs_})
      for (const Tensor& t : *list)
        if (is_arena(t)) fixed[size_t(index(t))] = 1;
    std::vector<OpCall> calls;
    std::vector<PlannedStep> planned;
    calls.reserve(steps_.size());
    for (const Record& r : steps_) {
      calls.push_back({r.op, r.attrs, {}, {}});
      PlannedStep s{&calls.back(), {}, {}, {}};
      for (const Tensor& t : r.in) {
        calls.back().in.push_back(info_of(t));
        s.in.push_back(is_arena(t) ? index(t) : -1);
        s.constant.push_back(t.defined() && !is_arena(t));
      }
      for (const Tensor& t : r.out) {
        calls.back().out.push_back(info_of(t));
        s.out.push_back(index(t));
      }
      planned.push_back(std::move(s));
    }
    plan_->backend_.choose_layouts(planned, fixed, values_, bytes);
    for (size_t i = 0; i < values_.size(); ++i) lifetimes_[i].bytes = bytes[i];
  }

  Plan::Place place_of(const Tensor& given, const MemoryPlan& memory) {
    if (!given.defined()) return {Plan::Place::Kind::absent, 0, info_of(given)};
    if (is_arena(given)) {
      const size_t i = size_t(index(given));
      return {Plan::Place::Kind::arena, size_t(memory.offset[i]), values_[i]};
    }
    const auto view = constant_views_.find(given.id());
    const Tensor& t = view != constant_views_.end() ? view->second : given;
    const auto [slot, fresh] = constant_index_.try_emplace(t.id(), plan_->constants_.size());
    if (fresh) {
      plan_->constants_.push_back(t);
      plan_->stats_.constant_bytes += int64_t(t.bytes());
    }
    return {Plan::Place::Kind::constant, slot->second, info_of(t)};
  }

  void bind(const Record& r, const MemoryPlan& memory) {
    Plan::Step s{{r.op, r.attrs, {}, {}}, nullptr, {}, {}};
    std::vector<View> constants;
    for (const Tensor& t : r.in) {
      s.in.push_back(place_of(t, memory));
      s.call.in.push_back(s.in.back().info);
      const bool constant = s.in.back().kind == Plan::Place::Kind::constant;
      constants.emplace_back(constant ? plan_->constants_[s.in.back().at].raw() : nullptr, t.shape(),
                             t.dtype());
    }
    for (const Tensor& t : r.out) {
      s.out.push_back(place_of(t, memory));
      s.call.out.push_back(s.out.back().info);
    }
    s.bound = plan_->backend_.bind(s.call, constants);
    plan_->stats_.scratch_bytes = std::max(plan_->stats_.scratch_bytes, int64_t(s.bound->scratch_bytes()));
    plan_->steps_.push_back(std::move(s));
  }

  std::vector<Tensor> inputs_, outputs_;
  std::vector<Carry> carries_;
  Tape tape_;
  std::vector<Record> steps_;
  std::vector<Lifetime> lifetimes_;
  std::vector<ValueInfo> values_;            // one per lifetime
  std::unordered_map<uint64_t, int> index_;  // of values in the arena
  std::unordered_map<uint64_t, Tensor> constant_views_;
  std::unordered_map<uint64_t, size_t> constant_index_;
  std::shared_ptr<Plan> plan_;
};

std::shared_ptr<const Plan> compile(const Tape& tape, std::span<const Tensor> inputs,
                                    std::span<const Tensor> outputs, std::span<const Carry> carries,
                                    Backend& backend) {
  const BackendScope scope(backend);
  return PlanCompiler(tape, inputs, outputs, carries, backend).run();
}

std::vector<OpCall> Plan::calls() const {
  std::vector<OpCall> list;
  for (const Step& s : steps_) list.push_back(s.call);
  return list;
}

PlanState::PlanState(std::shared_ptr<const Plan> plan)
    : plan_(std::move(plan)),
      arena_(plan_->backend(), size_t(plan_->stats().arena_bytes)),
      scratch_(plan_->backend(), size_t(plan_->stats().scratch_bytes)) {
  size_t count = 0;
  for (const Plan::Step& s : plan_->steps_) count += s.in.size() + s.out.size();
  views_.reserve(count);  // spans point into it
  const auto views = [&](const std::vector<Plan::Place>& places) {
    const size_t begin = views_.size();
    for (const Plan::Place& p : places) views_.push_back(view_of(p));
    return std::span<const View>(views_.data() + begin, places.size());
  };
  for (const Plan::Step& s : plan_->steps_) {
    const auto in = views(s.in), out = views(s.out);
    steps_.push_back({s.bound.get(), in, out});
  }
  for (const Plan::Place& p : plan_->input_places_) inputs_.push_back(view_of(p));
  for (const Plan::Place& p : plan_->output_places_) outputs_.push_back(view_of(p));
}

View PlanState::view_of(const Plan::Place& place) const {
  using Kind = Plan::Place::Kind;
  void* data = place.kind == Kind::arena      ? arena_.data() + place.at
               : place.kind == Kind::constant ? plan_->constants_[place.at].raw()
                                              : nullptr;
  return View(data, place.info.shape, place.info.dtype);
}

void PlanState::set(size_t i, const Tensor& value) {
  check(i < inputs_.size(), "a plan with ", inputs_.size(), " inputs has no input ", i);
  const View& to = inputs_[i];
  check(value.shape() == to.shape && value.dtype() == to.dtype, "input ", i,
        " of a plan: ", name_of(value.dtype()), " of shape ", value.shape(), ", not ", name_of(to.dtype),
        " of shape ", to.shape);
  Backend& backend = plan_->backend();
  if (value.backend().is_host() || value.is_on(backend)) {
    backend.copy_in(to.data, value.raw(), value.bytes());
  } else {
    std::vector<std::byte> host(value.bytes());
    value.backend().copy_out(host.data(), value.raw(), value.bytes());
    backend.copy_in(to.data, host.data(), host.size());
  }
}

std::vector<double> PlanState::profile() const {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (const Step& s : steps_) {
    const auto begin = Clock::now();
    s.bound->run(s.in, s.out, scratch_.data());
    plan_->backend().sync();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return seconds;
}

void PlanState::run_steps() const {
  for (const Step& s : steps_) s.bound->run(s.in, s.out, scratch_.data());
}

void PlanState::run(int times) const {
  if (times > 0 && !warm_) {  // what libraries load at their first call is not part of a recording
    run_steps();
    warm_ = true;
    --times;
  }
  if (times <= 0) return;
  if (!recorded_) replay_ = plan_->backend().record([this] { run_steps(); });
  recorded_ = true;
  if (replay_) return replay_->run(times);
  for (int n = 0; n < times; ++n) run_steps();
}

Tensor PlanState::get(size_t i) const {
  check(i < outputs_.size(), "a plan with ", outputs_.size(), " outputs has no output ", i);
  const BackendScope scope(plan_->backend());
  Tensor out = Tensor::empty(outputs_[i].shape, outputs_[i].dtype);
  get(i, out);
  return out;
}

void PlanState::get(size_t i, Tensor& into) const {
  const View& from = outputs_[i];
  check(into.shape() == from.shape && into.dtype() == from.dtype && into.is_on(plan_->backend()), "output ",
        i, " of a plan, of shape ", from.shape, ", into a tensor of shape ", into.shape());
  plan_->backend().copy_in(into.raw(), from.data, into.bytes());
}

}  // namespace advf
