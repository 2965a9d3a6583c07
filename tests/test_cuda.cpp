// Whole computations on the CUDA backend, on a device or emulated, against the cpu backend: the PGD plan, its
// replay as a graph, protection, training steps; and what an error says. cuda_ops has the single ops.
#define BOOST_TEST_MODULE cuda
#include <boost/test/unit_test.hpp>
#include <cstring>

#include "advface/decoder.h"
#include "advface/protect.h"
#include "autograd/plan.h"
#include "devices.h"
#include "nn/freeze.h"
#include "nn/loss.h"
#include "nn/nets/decoders.h"
#include "nn/optim.h"
#include "nn/state_dict.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int64_t kDim = 24, kSize = 32;

bool usable() { return !devices_under_test().empty(); }
Backend& cuda() { return backend("cuda"); }

// A decoder whose batch norms have seen something; its weights on the current backend.
std::unique_ptr<Module> decoder(const std::string& name) {
  TensorMap state;
  {
    const BackendScope host(host_backend());
    const auto net = make_decoder(DecoderSpec{name, {kDim}, int(kSize), 16}, 3);
    for (uint64_t i = 0; i < 3; ++i) net->forward(l2_normalise(randn({8, kDim}, 90 + i, DType::f32)));
    state = state_dict(*net);
  }
  auto net = make_decoder(DecoderSpec{name, {kDim}, int(kSize), 16}, 3);
  load_state_dict(*net, state, "test");
  net->train(false);
  return net;
}

// One step of the protection as a plan: z, delta, base -> distances, gradient, next delta, which goes round.
std::shared_ptr<const Plan> pgd_plan(Module& net, int64_t batch) {
  Tape tape(Tape::Keep::everything);
  const Tensor z = Tensor::meta({batch, kDim}), delta = Tensor::meta({batch, kDim});
  Tensor base, distances, grad, next;
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    const Tensor image = net.forward(l2_normalise(add(z, delta)));
    tape = fold_batch_norm(tape, std::span(&image, 1));
    base = Tensor::meta(image.shape());
    distances = reduce_sum(power(sub(image, base), 2), {1, 2, 3}, false);
    grad = backward(tape, sum_all(distances), {delta}, true)[0];
    next = pgd_step(delta, grad, 0.01, 0.02);
  }
  const Tensor in[] = {z, delta, base}, out[] = {distances, grad, next};
  const Carry round{delta, next};
  return compile(tape, in, out, std::span(&round, 1));
}

struct Problem {
  Tensor z, delta, base;
  explicit Problem(int64_t batch) {
    const BackendScope host(host_backend());
    z = l2_normalise(randn({batch, kDim}, 7, DType::f32));
    delta = affine(tanh(randn({batch, kDim}, 8, DType::f32)), 0.02, 0);
    base = randn({batch, 3, kSize, kSize}, 9, DType::f32);
  }
  void set(PlanState& state) const {
    state.set(0, z);
    state.set(1, delta);
    state.set(2, base);
  }
};

DecoderInfo info_of(const std::string& name) {
  DecoderInfo info;
  info.spec = {name, {kDim}, int(kSize), 16};
  info.cut = "embedding";
  info.recogniser = "0123456789abcdef";
  info.trained_on = "raw";
  info.domain = FeatureDomain::sphere;
  return info;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_pgd_plan_agrees_with_the_cpu) {
  if (!usable()) return;
  for (const char* name : {"deconv", "resup"}) {
    note_sample(std::string("pgd plan ") + name);
    const Problem problem(4);
    std::vector<Tensor> expected;
    {
      const BackendScope host(host_backend());
      const auto net = decoder(name);
      PlanState state(pgd_plan(*net, 4));
      problem.set(state);
      state.run();
      for (size_t i = 0; i < 2; ++i) expected.push_back(state.get(i));
    }
    const BackendScope device(cuda());
    const auto net = decoder(name);
    PlanState state(pgd_plan(*net, 4));
    problem.set(state);
    state.run();
    for (size_t i = 0; i < 2; ++i)
      BOOST_TEST(relative_error(state.get(i).to(host_backend()), expected[i]) < 2e-5,
                 name << " output " << i);
  }
}

// Step by step, or as a graph launched many times: the same bits.
BOOST_AUTO_TEST_CASE(a_replayed_plan_has_the_bits_of_its_steps) {
  if (!usable()) return;
  note_sample("replay");
  const BackendScope device(cuda());
  const auto net = decoder("deconv");
  const auto plan = pgd_plan(*net, 3);
  const Problem problem(3);
  PlanState steps(plan), graph(plan), again(plan);
  problem.set(steps);
  for (int i = 0; i < 6; ++i) steps.profile();
  problem.set(graph);
  graph.run(6);
  problem.set(again);
  for (int i = 0; i < 3; ++i) again.run(2);
  for (size_t i = 0; i < 3; ++i) {
    const auto bits = steps.get(i).to_vector<float>();
    BOOST_TEST((graph.get(i).to_vector<float>() == bits));
    BOOST_TEST((again.get(i).to_vector<float>() == bits));
  }
}

BOOST_AUTO_TEST_CASE(protection_agrees_with_the_cpu) {
  if (!usable()) return;
  note_sample("protect");
  ProtectSettings settings;
  settings.epsilon = 0.05;
  settings.steps = 4;
  const int64_t n = 11;
  Tensor features;
  Protected expected;
  {
    const BackendScope host(host_backend());
    features = l2_normalise(randn({n, kDim}, 5, DType::f32));
    Decoder shadow(info_of("deconv"), 2);
    expected = protect(shadow, features, 0, settings);
  }
  const BackendScope device(cuda());
  Decoder shadow(info_of("deconv"), 2);
  Protector protector(shadow, settings);
  const Protected result = protector.protect(features.to(cuda()), 0);
  const auto z = features.to_vector<float>(), adv = result.features.to_vector<float>();
  BOOST_REQUIRE_EQUAL(result.reports.size(), size_t(n));
  for (size_t i = 0; i < size_t(n); ++i) {
    const ProtectReport &a = result.reports[i], &b = expected.reports[i];
    BOOST_TEST(a.record == b.record);
    BOOST_TEST(a.loss_before == b.loss_before, boost::test_tools::tolerance(1e-3));
    // A sign step turns a rounding error into two steps, so the ends differ a little.
    BOOST_TEST(a.loss_after == b.loss_after, boost::test_tools::tolerance(0.1));
    BOOST_TEST(a.loss_after > a.loss_before);
    BOOST_TEST(a.cosine == b.cosine, boost::test_tools::tolerance(0.01));
  }
  // However the set is cut into calls.
  for (int64_t begin : {0, 4, 9}) {
    const int64_t end = begin == 0 ? 4 : begin == 4 ? 9 : n;
    const auto part = protector.protect(features.slice_batch(begin, end), begin).features.to_vector<float>();
    BOOST_TEST(std::equal(part.begin(), part.end(), adv.begin() + begin * kDim));
  }
}

BOOST_AUTO_TEST_CASE(training_steps_agree_with_the_cpu) {
  if (!usable()) return;
  note_sample("training");
  const auto losses = [](Backend& where) {
    const Tensor z = l2_normalise(randn({8, kDim}, 5, DType::f32)).to(where);
    const Tensor target = sigmoid(randn({8, 3, kSize, kSize}, 6, DType::f32)).to(where);
    const BackendScope scope(where);
    const auto net = make_decoder(DecoderSpec{"deconv", {kDim}, int(kSize), 16}, 3);
    Adam adam(net->parameters());
    std::vector<double> list;
    for (int i = 0; i < 5; ++i) {
      Tape tape;
      Tensor loss;
      {
        const TapeScope record(tape);
        loss = l1_loss(net->forward(z), target);
      }
      adam.step(backward(tape, loss, values(net->parameters())), 1e-3);
      list.push_back(loss.item());
    }
    return list;
  };
  const auto expected = losses(host_backend()), here = losses(cuda());
  for (size_t i = 0; i < expected.size(); ++i)
    BOOST_TEST(here[i] == expected[i], boost::test_tools::tolerance(i == 0 ? 1e-5 : 1e-2));
  BOOST_TEST(here.back() < here.front());
}

BOOST_AUTO_TEST_CASE(what_the_device_cannot_do_is_said) {
  if (!usable()) return;
  const BackendScope device(cuda());
  const auto says = [](const std::string& text) {
    return [text](const Error& e) { return std::string(e.what()).find(text) != std::string::npos; };
  };
  BOOST_CHECK_EXCEPTION(relu(randn({3}, 1).to(cuda())), Error, says("relu: no kernel for f64 on cuda"));
  const Tensor logits = Tensor::zeros({2, 3});
  const Tensor labels = Tensor::from(std::vector<int32_t>{1, 7}, {2});
  BOOST_CHECK_EXCEPTION(softmax_cross_entropy(logits, labels).item(), Error, says("label 7 of 3 classes"));
  // The next computation is none the worse for it.
  const Tensor good = Tensor::from(std::vector<int32_t>{1, 2}, {2});
  BOOST_TEST(softmax_cross_entropy(logits, good).item() == std::log(3.0), boost::test_tools::tolerance(1e-6));
  BOOST_CHECK_THROW(logits.data<float>(), Error);  // never read by the CPU in silence
  const Tensor there = Tensor::zeros({2}), here = Tensor::zeros({2}).to(host_backend());
  BOOST_CHECK_THROW(add(there, here), Error);
}
