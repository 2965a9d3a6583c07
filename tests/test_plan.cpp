// Plans: where values live, and that a plan gives what eager execution gives.
#define BOOST_TEST_MODULE plan
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>
#include <thread>

#include "autograd/memory_plan.h"
#include "autograd/plan.h"
#include "plan_test_util.h"
#include "tensor/cpu/kernels.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

// Every allocation of the program is counted. Not inlined: GCC 12 would take malloc and free for a mismatch.
namespace {
std::atomic<int64_t> allocations{0};
}
[[gnu::noinline]] void* operator new(size_t bytes) {
  ++allocations;
  if (void* p = std::malloc(bytes ? bytes : 1)) return p;
  throw std::bad_alloc();
}
// std::stable_sort asks for this one.
[[gnu::noinline]] void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(bytes ? bytes : 1);
}
[[gnu::noinline]] void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace {

// Another host backend, counting what is asked of it.
class CountingBackend : public Backend {
 public:
  explicit CountingBackend(const char* counted) : counted_(backend(counted)) {}
  const char* name() const override { return "counting"; }
  bool is_host() const override { return true; }
  std::byte* alloc(size_t bytes) override {
    ++allocs;
    return counted_.alloc(bytes);
  }
  void free(std::byte* data, size_t bytes) override { counted_.free(data, bytes); }
  void copy_in(void* device, const void* host, size_t bytes) override { std::memcpy(device, host, bytes); }
  void copy_out(void* host, const void* device, size_t bytes) override { std::memcpy(host, device, bytes); }
  void sync() override {}
  std::unique_ptr<BoundOp> bind(const OpCall& call, std::span<const View> constants) override {
    return counted_.bind(call, constants);
  }
  int64_t allocs = 0;

 private:
  Backend& counted_;
};

int64_t count(const Plan& plan, const OpDef& op) {
  const auto calls = plan.calls();
  return std::count_if(calls.begin(), calls.end(), [&](const OpCall& c) { return c.op == &op; });
}

// One step of projected gradient ascent on |S(norm(z + d)) - base|^2, as protect() takes it.
struct Step {
  Tensor z, delta, base, distances, loss, grad, next;
};
Step pgd(Module& net, const Tensor& z, const Tensor& delta, const Tensor& base, Tape& tape, bool retain) {
  Step s{z, delta, base, {}, {}, {}, {}};
  const Tensor image = net.forward(l2_normalise(add(z, delta)));
  s.distances = reduce_sum(power(sub(image, base), 2), {1, 2, 3}, false);
  s.loss = sum_all(s.distances);
  s.grad = backward(tape, s.loss, {delta}, retain)[0];
  s.next = pgd_step(delta, s.grad, 0.01, 0.02);
  return s;
}

struct Compiled {
  std::shared_ptr<const Plan> plan;
  Tape tape;
};
Compiled compile_pgd(Module& net, int64_t batch, Backend& device = backend("cpu")) {
  Step s;
  Compiled c;
  c.tape = trace([&](Tape& tape) {
    s = pgd(net, Tensor::meta({batch, 24}), Tensor::meta({batch, 24}), Tensor::meta({batch, 3, 32, 32}), tape,
            true);
  });
  const Tensor in[] = {s.z, s.delta, s.base}, out[] = {s.distances, s.loss, s.grad, s.next};
  const Carry carry{s.delta, s.next};
  c.plan = compile(c.tape, in, out, std::span(&carry, 1), device);
  return c;
}

struct Problem {
  Tensor z, delta, base;
  Problem(Module& net, int64_t batch)
      : z(l2_normalise(randn({batch, 24}, 7, DType::f32))),
        delta(affine(tanh(randn({batch, 24}, 8, DType::f32)), 0.02, 0)),
        base(net.forward(z)) {}
  void give(PlanState& state) const {
    state.set(0, z);
    state.set(1, delta);
    state.set(2, base);
  }
};

}  // namespace

BOOST_AUTO_TEST_CASE(memory_of_random_lifetimes) {
  double worst = 1;
  for (uint64_t round = 0; round < 200; ++round) {
    const Philox rng{round, 4};
    uint64_t draw = 0;
    const auto below = [&](uint64_t n) { return int64_t(rng.below(draw++, n)); };
    std::vector<Lifetime> values;
    const int64_t count = 1 + below(60);
    for (int64_t i = 0; i < count; ++i) {
      const int first = int(i) - 1;
      values.push_back({below(5000), first, first + int(below(12)), -1, {}});
      if (i > 0 && below(4) == 0) values.back().view_of = int(below(uint64_t(i)));
    }
    const MemoryPlan plan = plan_memory(values);
    // A view keeps its source alive.
    auto life = values;
    for (size_t i = life.size(); i-- > 0;)
      if (life[i].view_of >= 0) {
        Lifetime& source = life[size_t(life[i].view_of)];
        source.last = std::max(source.last, life[i].last);
        source.bytes = std::max(source.bytes, life[i].bytes);
        BOOST_TEST(plan.offset[i] == plan.offset[size_t(life[i].view_of)]);
      }
    for (size_t i = 0; i < life.size(); ++i) {
      BOOST_TEST(plan.offset[i] % kArenaAlignment == 0);
      BOOST_TEST(plan.offset[i] + life[i].bytes <= plan.bytes);
      for (size_t k = 0; k < i; ++k) {
        if (life[i].view_of >= 0 || life[k].view_of >= 0 || life[i].bytes == 0 || life[k].bytes == 0)
          continue;
        const bool together = life[i].first <= life[k].last && life[k].first <= life[i].last;
        const bool apart = plan.offset[i] + life[i].bytes <= plan.offset[k] ||
                           plan.offset[k] + life[k].bytes <= plan.offset[i];
        BOOST_REQUIRE((!together || apart));
      }
    }
    const int64_t bound = most_bytes_alive(values);
    BOOST_TEST(plan.bytes >= bound);
    if (bound > 0) worst = std::max(worst, double(plan.bytes) / double(bound));
  }
  BOOST_TEST_MESSAGE("worst arena over its lower bound: " << worst);
  BOOST_TEST(worst < 1.4);
}

BOOST_AUTO_TEST_CASE(memory_in_place) {
  // a chain x -> y -> w of equal sizes needs one block where each may overwrite the last
  const MemoryPlan chain =
      plan_memory(std::vector<Lifetime>{{640, 0, 1, -1, {}}, {640, 1, 2, -1, {0}}, {640, 2, 3, -1, {1}}});
  BOOST_TEST(chain.bytes == 640);
  BOOST_TEST(chain.in_place == 2);
  // not where the older value is read later, through a view, or has another size
  const MemoryPlan later = plan_memory(std::vector<Lifetime>{{640, 0, 2, -1, {}}, {640, 1, 2, -1, {0}}});
  BOOST_TEST(later.bytes == 1280);
  const MemoryPlan view =
      plan_memory(std::vector<Lifetime>{{640, 0, 1, -1, {}}, {640, 0, 3, 0, {}}, {640, 1, 2, -1, {0}}});
  BOOST_TEST(view.bytes == 1280);
  const MemoryPlan other = plan_memory(std::vector<Lifetime>{{640, 0, 1, -1, {}}, {320, 1, 2, -1, {0}}});
  BOOST_TEST(other.in_place == 0);
}

// What the op table promises: writing over an input changes no bit of the output.
BOOST_AUTO_TEST_CASE(ops_that_may_overwrite_an_input) {
  int seen = 0;
  const auto overwrite = [&](const OpDef& op, size_t output, size_t i, const char* device) {
    const BackendScope scope(backend(device));
    for (size_t s = 0; s < op.samples.size(); ++s) {
      auto in = to_dtype(sample_inputs(op.samples[s], 3 + s), DType::f32);
      for (Tensor& t : in) t = t.defined() ? t.to(backend(device)) : t;
      const std::vector<Tensor> expected = apply(op, op.samples[s].attrs, in);
      if (output >= expected.size() || !in[i].defined() || in[i].shape() != expected[output].shape())
        continue;
      std::vector<Tensor> out;
      for (const Tensor& t : expected) out.push_back(Tensor::zeros(t.shape(), t.dtype()));
      out[output] = in[i];
      apply_into(op, op.samples[s].attrs, in, out);
      for (size_t o = 0; o < out.size(); ++o)
        BOOST_TEST(same_bits(out[o], expected[o]), where(op, s) << ", output " << o << ", with " << output
                                                                << " over input " << i << " on " << device);
      ++seen;
    }
  };
  for (const OpDef* op : all_ops())
    for (const char* device : {"reference", "cpu"})
      for (size_t i = 0; i < 32; ++i) {
        if (op->in_place >> i & 1u) overwrite(*op, 0, i, device);
        for (size_t o = 0; o < op->in_place_others.size(); ++o)
          if (op->in_place_others[o] >> i & 1u) overwrite(*op, o + 1, i, device);
      }
  BOOST_TEST(seen > 50);
}

BOOST_AUTO_TEST_CASE(a_plan_equals_eager_execution) {
  for (const char* name : {"deconv", "resup"}) {
    const auto net = decoder(name);
    for (int64_t batch : {1, 3, 32}) {
      const Problem p(*net, batch);
      Tape tape;
      Step eager;
      {
        const TapeScope scope(tape);
        eager = pgd(*net, p.z, p.delta, p.base, tape, false);
      }
      PlanState state(compile_pgd(*net, batch).plan);
      p.give(state);
      state.run();
      const Tensor expected[] = {eager.distances, eager.loss, eager.grad, eager.next};
      for (size_t i = 0; i < 4; ++i)
        BOOST_TEST(same_bits(state.get(i), expected[i]), name << " batch " << batch << " output " << i << ": "
                                                              << relative_error(state.get(i), expected[i]));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_carried_value_goes_round) {
  const auto net = decoder("deconv");
  const Problem p(*net, 3);
  Tensor delta = p.delta;
  for (int i = 0; i < 5; ++i) {
    Tape tape;
    const TapeScope scope(tape);
    delta = pgd(*net, p.z, delta, p.base, tape, false).next;
  }
  PlanState state(compile_pgd(*net, 3).plan);
  p.give(state);
  state.run(5);
  BOOST_TEST(same_bits(state.get(3), delta));
  BOOST_TEST(state.input(1).data == state.output(3).data);
  p.give(state);  // a state can be used again
  state.run(2);
  const std::vector<double> seconds = state.profile();  // is a run like any other
  state.run(2);
  BOOST_TEST(same_bits(state.get(3), delta));
  BOOST_TEST(seconds.size() == state.plan().calls().size());
  BOOST_TEST(*std::min_element(seconds.begin(), seconds.end()) >= 0);
}

// The place of the input is not free when the output is written: copied at the end.
BOOST_AUTO_TEST_CASE(a_carry_that_cannot_be_in_place) {
  const Tensor a = Tensor::meta({2, 3}), b = Tensor::meta({2, 3});
  Tensor sum, product;
  const Tape tape = trace([&](Tape&) {
    sum = add(a, b);
    product = mul(sum, a);
  });
  const Tensor in[] = {a, b}, out[] = {sum, product};
  const Carry carries[] = {{a, sum}, {b, product}};
  PlanState state(compile(tape, in, out, carries));
  Tensor x = randn({2, 3}, 1, DType::f32), y = randn({2, 3}, 2, DType::f32);
  state.set(0, x);
  state.set(1, y);
  state.run(3);
  for (int i = 0; i < 3; ++i) {
    const Tensor s = add(x, y);
    y = mul(s, x);
    x = s;
  }
  BOOST_TEST(same_bits(state.get(0), x));
  BOOST_TEST(same_bits(state.get(1), y));
}

BOOST_AUTO_TEST_CASE(a_run_allocates_nothing) {
  // They outlive all tensors.
  static std::map<std::string, CountingBackend>& backends = *new std::map<std::string, CountingBackend>;
  const auto test = [](const char* name, const char* device) {
    CountingBackend& counting = backends.try_emplace(device, device).first->second;
    std::shared_ptr<const Plan> plan;
    {
      const BackendScope scope(counting);
      const auto net = decoder(name);
      plan = compile_pgd(*net, 4, counting).plan;
    }
    PlanState state(plan);
    for (size_t i = 0; i < 3; ++i)
      std::fill_n(state.input(i).as<float>(), state.input(i).numel(), 0.1f + float(i));
    state.run();
    const int64_t news = allocations, allocs = counting.allocs;
    state.run(5);
    BOOST_TEST(allocations == news, name << " on " << device);
    BOOST_TEST(counting.allocs == allocs, name << " on " << device);
  };
  for (const char* name : {"deconv", "resup"}) {
    test(name, "cpu");
    if (cpu::bf16_kernels()) test(name, "cpu-bf16");
  }
}

// Every op of the table that an eager call can run, on both backends: its samples as plans.
BOOST_AUTO_TEST_CASE(no_op_allocates_when_it_runs) {
  // They outlive all tensors.
  static CountingBackend& reference = *new CountingBackend("reference");
  static CountingBackend& cpu = *new CountingBackend("cpu");
  for (const auto& [device, counted] : {std::pair{"reference", &reference}, {"cpu", &cpu}}) {
    CountingBackend& counting = *counted;
    const BackendScope scope(counting);
    for (const OpDef* op : all_ops())
      for (size_t s = 0; s < op->samples.size(); ++s) {
        std::vector<Tensor> in, meta, out;
        for (const Tensor& t : to_dtype(sample_inputs(op->samples[s], 3 + s), DType::f32)) {
          in.push_back(t.defined() ? t.to(counting) : t);
          meta.push_back(t.defined() ? Tensor::meta(t.shape(), t.dtype()) : t);
        }
        const Tape tape = trace([&](Tape&) { out = apply(*op, op->samples[s].attrs, meta); });
        if (tape.records().empty()) continue;  // a view of itself, or never recorded
        std::vector<Tensor> defined;
        for (const Tensor& t : meta)
          if (t.defined()) defined.push_back(t);
        PlanState state(compile(tape, defined, out, {}, counting));
        size_t next = 0;
        for (const Tensor& t : in)
          if (t.defined()) state.set(next++, t);
        state.run();
        const int64_t news = allocations, allocs = counting.allocs;
        state.run(2);
        const int64_t new_ones = allocations - news, taken = counting.allocs - allocs;
        BOOST_TEST(new_ones == 0, where(*op, s) << " on " << device);
        BOOST_TEST(taken == 0, where(*op, s) << " on " << device);
      }
  }
}

BOOST_AUTO_TEST_CASE(a_plan_keeps_its_weights_alive) {
  std::shared_ptr<const Plan> plan;
  Tensor grad;
  {
    const auto net = decoder("deconv");
    plan = compile_pgd(*net, 2).plan;
    const Problem p(*net, 2);
    Tape tape;
    const TapeScope scope(tape);
    grad = pgd(*net, p.z, p.delta, p.base, tape, false).grad;
  }
  const auto net = decoder("deconv");
  PlanState state(plan);
  Problem(*net, 2).give(state);
  state.run();
  BOOST_TEST(same_bits(state.get(2), grad));
}

BOOST_AUTO_TEST_CASE(threads_share_a_plan) {
  const auto net = decoder("deconv");
  const Problem p(*net, 2);
  const auto plan = compile_pgd(*net, 2).plan;
  PlanState alone(plan);
  p.give(alone);
  alone.run(8);
  const Tensor expected = alone.get(3);
  std::atomic<int> equal{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      PlanState mine(plan);
      p.give(mine);
      mine.run(8);
      equal += same_bits(mine.get(3), expected);
    });
  for (std::thread& t : threads) t.join();
  BOOST_TEST(equal == 3);
}

BOOST_AUTO_TEST_CASE(what_a_plan_leaves_out) {
  const auto net = decoder("deconv");
  const Compiled c = compile_pgd(*net, 32);
  const Plan::Stats& stats = c.plan->stats();
  BOOST_TEST(count(*c.plan, op_conv2d_grad_weight) == 0);
  BOOST_TEST(count(*c.plan, op_broadcast_to) == 0);
  BOOST_TEST(count(*c.plan, op_reshape) == 0);
  BOOST_TEST(count(*c.plan, op_power) == 1);  // the square itself; its derivative reads x^1
  int64_t all = 0;
  for (const Record& r : c.tape.records())
    for (const Tensor& t : r.out) all += r.op->is_view ? 0 : int64_t(t.bytes());
  BOOST_TEST_MESSAGE("records " << stats.records << ", steps " << stats.steps << ", values " << all
                                << " bytes, arena " << stats.arena_bytes
                                << ", lower bound without overwriting " << stats.arena_bound << ", in place "
                                << stats.in_place);
  BOOST_TEST(stats.arena_bytes < all / 2);
  BOOST_TEST(double(stats.arena_bytes) < 1.1 * double(stats.arena_bound));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_compiled_is_named) {
  const Tensor x = Tensor::meta({2, 3}), unknown = Tensor::meta({2, 3});
  Tensor y;
  const Tape tape = trace([&](Tape&) { y = add(x, unknown); });
  BOOST_CHECK_EXCEPTION(compile(tape, std::span(&x, 1), std::span(&y, 1)), Error, [](const Error& e) {
    return std::string(e.what()).find("add reads a value of shape [2,3]") != std::string::npos;
  });
  BOOST_CHECK_THROW(compile(tape, std::span(&x, 1), std::span(&unknown, 1)), Error);
  const Tensor in[] = {x, unknown};
  const Carry to_itself{x, unknown};
  BOOST_CHECK_THROW(compile(tape, in, std::span(&y, 1), std::span(&to_itself, 1)), Error);
  PlanState state(compile(tape, in, std::span(&y, 1)));
  BOOST_CHECK_THROW(state.set(0, Tensor::zeros({3, 2})), Error);
  BOOST_CHECK_THROW(state.set(2, Tensor::zeros({2, 3})), Error);
  BOOST_CHECK_THROW(state.get(1), Error);
}
