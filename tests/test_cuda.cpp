// Whole computations on the CUDA backend, on a device or emulated, against the cpu backend: the PGD plan, its
// replay as a graph, protection, training steps; and what an error says. cuda_ops has the single ops.
#define BOOST_TEST_MODULE cuda
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>

#include "advface/core/recogniser.h"
#include "advface/networks/decoder.h"
#include "advface/protections/ascent/ascent.h"
#include "autograd/plan.h"
#include "devices.h"
#include "nn/freeze.h"
#include "nn/loss.h"
#include "nn/nets/decoders.h"
#include "nn/nets/recognisers.h"
#include "nn/onnx/export.h"
#include "nn/optim.h"
#include "nn/state_dict.h"
#include "protection_test_util.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int64_t kDim = 24, kSize = 32;
constexpr int kWidth = 128;

bool usable() { return !devices_under_test().empty(); }
Backend& cuda() { return backend("cuda"); }

// A decoder whose batch norms have seen something; its weights on the current backend.
std::unique_ptr<Module> decoder(const std::string& name) {
  TensorMap state;
  {
    const BackendScope host(host_backend());
    const auto net = make_decoder(DecoderSpec{name, {kDim}, int(kSize), kWidth}, 3);
    for (uint64_t i = 0; i < 3; ++i) net->forward(l2_normalise(randn({8, kDim}, 90 + i, DType::f32)));
    state = state_dict(*net);
    // Some layers start at zero, which would hide what comes before them.
    for (auto& [key, t] : state)
      if (key.ends_with("weight")) t = add(t, affine(randn(t.shape(), 60, DType::f32), 0.02, 0));
  }
  auto net = make_decoder(DecoderSpec{name, {kDim}, int(kSize), kWidth}, 3);
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
  info.spec = {name, {kDim}, int(kSize), kWidth};
  info.cut = "embedding";
  info.recogniser = "0123456789abcdef";
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
    for (size_t i = 0; i < 2; ++i) {
      BOOST_TEST(relative_error(state.get(i).to(host_backend()), expected[i]) < 2e-5,
                 name << " output " << i);
      for (const float v : expected[i].to_vector<float>()) BOOST_TEST(v != 0);
    }
  }
}

// sigmoid, difference, squares, sum, scale and the sigmoid's gradient are one step.
BOOST_AUTO_TEST_CASE(the_loss_is_fused_into_the_last_layers_backward) {
  if (!usable()) return;
  const BackendScope device(cuda());
  const auto net = decoder("deconv");
  int fused = 0, left = 0;
  for (const OpCall& c : pgd_plan(*net, 4)->calls()) {
    fused += c.op == &op_image_loss;
    left += c.op == &op_sigmoid || c.op == &op_sigmoid_grad || c.op == &op_sub || c.op == &op_power ||
            c.op == &op_reduce_sum || c.op == &op_affine;
  }
  BOOST_TEST(fused == 1);
  BOOST_TEST(left == 0);
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
  AscentSettings settings;
  settings.epsilon = 0.05;
  settings.steps = 4;
  const int64_t n = 11;
  Tensor features;
  ProtectedRows expected;
  {
    const BackendScope host(host_backend());
    features = l2_normalise(randn({n, kDim}, 5, DType::f32));
    Decoder shadow(info_of("deconv"), 2);
    expected = protect(shadow, features, 0, settings);
  }
  const BackendScope device(cuda());
  Decoder shadow(info_of("deconv"), 2);
  Ascent protector(shadow, settings);
  const ProtectedRows result = protector.protect(features.to(cuda()), 0);
  const auto z = features.to_vector<float>(), adv = result.features.to_vector<float>();
  BOOST_REQUIRE_EQUAL(result.reports.size(), size_t(n));
  for (size_t i = 0; i < size_t(n); ++i) {
    const RecordReport &a = result.reports[i], &b = expected.reports[i];
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

// The network goes through ONNX, as recognisers do, and is frozen into plans.
BOOST_AUTO_TEST_CASE(a_recogniser_agrees_with_the_cpu) {
  if (!usable()) return;
  note_sample("recogniser");
  const RecogniserSpec spec{.name = "cnn_small", .image_size = 48};
  std::string onnx;
  Tensor images;
  {
    const auto net = make_recogniser(spec, 1);
    for (uint64_t i = 0; i < 2; ++i) net->forward(randn({4, 3, 48, 48}, 70 + i, DType::f32));
    net->train(false);
    Tape tape(Tape::Keep::everything);
    const Tensor x = Tensor::zeros({1, 3, 48, 48});
    Tensor y;
    {
      const TapeScope scope(tape);
      y = net->forward(x);
    }
    onnx = to_onnx("cnn_small", tape, x, "input", {{y, "embedding"}});
    images = sigmoid(randn({5, 3, 48, 48}, 80, DType::f32));
  }
  const auto embeddings = [&](Backend& where) {
    const BackendScope scope(where);
    RecogniserCard card;
    card.path = card.model = "cnn_small";
    card.metric = "cosine";
    card.input = {"input", 48, 48, "RGB", all_channels(127.5), all_channels(1 / 127.5)};
    card.embedding = {"embedding", spec.embedding, false, true};
    card.default_cut = "embedding";
    const Recogniser recogniser = Recogniser::from_bytes(card, onnx);
    return recogniser.embed(recogniser.preprocess(images.to(where))).to(host_backend());
  };
  const Tensor expected = embeddings(host_backend());
  BOOST_TEST(relative_error(embeddings(cuda()), expected) < 1e-5);
  const double rounded = relative_error(embeddings(backend("cuda-bf16")), expected);
  BOOST_TEST_MESSAGE("error of embeddings in bf16: " << rounded);
  BOOST_TEST(rounded < 5e-2);
  BOOST_TEST(rounded > 1e-4);
}

// ---- bf16

namespace {

// out = f(x) as a plan on a backend; f's weights are made on it.
Tensor run_plan(Backend& where, const Tensor& x, const std::function<Tensor(const Tensor&)>& f,
                int* layouts = nullptr) {
  const BackendScope scope(where);
  Tape tape(Tape::Keep::everything);
  const Tensor in = Tensor::meta(x.shape());
  Tensor out;
  {
    const MetaScope meta;
    const TapeScope record(tape);
    out = f(in);
  }
  PlanState state(compile(tape, std::span(&in, 1), std::span(&out, 1)));
  if (layouts)
    for (const OpCall& c : state.plan().calls())
      for (const ValueInfo& v : c.out) *layouts += v.layout != 0;
  state.set(0, x);
  state.run(2);  // step by step, then recorded
  return state.get(0).to(host_backend());
}

// The same constant on any backend.
Tensor constant(const Shape& shape, uint64_t seed, bool whole = false) {
  const MetaScope real(false);
  std::vector<float> v;
  {
    const BackendScope host(host_backend());
    v = randn(shape, seed, DType::f32).to_vector<float>();
  }
  for (float& x : v) x = whole ? std::clamp(std::round(x), -1.0f, 1.0f) : 0.2f * x;
  return Tensor::from(v, shape);
}

using Middle = std::function<Tensor(const Tensor&)>;
// Two convolutions around something of 16 channels.
Tensor sandwich(const Tensor& x, const Middle& middle) {
  const Tensor inner =
      middle(conv2d(x, constant({16, x.dim(1), 3, 3}, 1), constant({16}, 2), {.pad = {1, 1, 1, 1}}));
  return conv2d(inner, constant({5, 16, 3, 3}, 3), {}, {.pad = {1, 1, 1, 1}});
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_step_of_a_plan_in_bf16_is_close) {
  if (!usable()) return;
  const std::pair<const char*, Middle> middles[] = {
      {"nothing", [](const Tensor& x) { return x; }},
      {"relu", [](const Tensor& x) { return relu(x); }},
      {"leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.2); }},
      {"prelu", [](const Tensor& x) { return prelu(x, constant({16}, 4)); }},
      {"sigmoid", [](const Tensor& x) { return sigmoid(x); }},
      {"tanh of a sum", [](const Tensor& x) { return tanh(affine(x, 0.5, 0.1)); }},
      {"residual",
       [](const Tensor& x) {
         return relu(add(conv2d(x, constant({16, 16, 1, 1}, 5), {}, {}), x));
       }},
      {"product", [](const Tensor& x) { return mul(sigmoid(x), x); }},
      {"batch norm",
       [](const Tensor& x) {
         return batch_norm_eval(relu(x), constant({16}, 6), constant({16}, 7), constant({16}, 8),
                                affine(abs(constant({16}, 9)), 1, 0.5), 1e-5);
       }},
      {"transposed",
       [](const Tensor& x) {
         return conv_transpose2d(
             x, constant({16, 16, 4, 4}, 10), constant({16}, 11),
             {.stride = {2, 2}, .pad = {1, 1, 1, 1}, .size = {2 * x.dim(2), 2 * x.dim(3)}});
       }},
      {"uneven border",
       [](const Tensor& x) {
         return conv2d(x, constant({16, 16, 2, 2}, 12), {}, {.pad = {0, 1, 1, 0}});
       }},
      {"groups",
       [](const Tensor& x) {
         return conv2d(x, constant({16, 8, 1, 1}, 13), {}, {.groups = 2});
       }},
      {"depthwise",
       [](const Tensor& x) {
         return conv2d(x, constant({16, 1, 3, 3}, 14), {}, {.pad = {1, 1, 1, 1}, .groups = 16});
       }},
      {"resize",
       [](const Tensor& x) {
         return resize2d(x, {.size = {9, 11}});
       }},
      {"five channels",
       [](const Tensor& x) {
         return conv2d(conv2d(x, constant({5, 16, 1, 1}, 15), {}, {}), constant({16, 5, 1, 1}, 16), {}, {});
       }},
  };
  const Tensor x = randn({2, 3, 7, 9}, 20, DType::f32);
  for (const auto& [name, middle] : middles) {
    note_sample(std::string("bf16 ") + name);
    const auto f = [&middle = middle](const Tensor& t) { return sandwich(t, middle); };
    const Tensor exact = run_plan(host_backend(), x, f);
    const double error = relative_error(run_plan(backend("cuda-bf16"), x, f), exact);
    BOOST_TEST(error < 1.2e-2, name << ": " << error);
    BOOST_TEST(error > 1e-5, name << " was not computed in bf16");
    BOOST_TEST(relative_error(run_plan(cuda(), x, f), exact) < 2e-6, name << " in f32");
  }
}

// Whole numbers up to 256 are exact in bf16.
BOOST_AUTO_TEST_CASE(bf16_is_exact_on_small_whole_numbers) {
  if (!usable()) return;
  note_sample("bf16 whole numbers");
  const Tensor x = constant({2, 11, 6, 5}, 21, true).to(host_backend());
  const auto f = [](const Tensor& t) {
    return relu(conv2d(t, constant({8, 11, 3, 3}, 1, true), constant({8}, 2, true), {.pad = {1, 1, 1, 1}}));
  };
  const auto same = [&](const std::function<Tensor(const Tensor&)>& g) {
    return run_plan(backend("cuda-bf16"), x, g).to_vector<float>() ==
           run_plan(host_backend(), x, g).to_vector<float>();
  };
  BOOST_TEST(same(f));
  const Tensor rows = reshape(x, {2, 330});
  const auto linear_of = [](const Tensor& t) {
    return linear(t, constant({7, 330}, 5, true), constant({7}, 6, true));
  };
  BOOST_TEST((run_plan(backend("cuda-bf16"), rows, linear_of).to_vector<float>() ==
              run_plan(host_backend(), rows, linear_of).to_vector<float>()));
}

BOOST_AUTO_TEST_CASE(the_pgd_plan_in_bf16_is_close) {
  if (!usable()) return;
  for (const char* name : {"deconv", "resup"}) {
    note_sample(std::string("pgd plan bf16 ") + name);
    const Problem problem(4);
    const auto run = [&](Backend& where) {
      const BackendScope scope(where);
      const auto net = decoder(name);
      const auto plan = pgd_plan(*net, 4);
      PlanState state(plan);
      problem.set(state);
      state.run();
      int layouts = 0;
      for (const OpCall& c : plan->calls()) layouts += c.out[0].layout != 0;
      return std::pair{state.get(1).to(host_backend()), layouts};
    };
    const auto [expected, none] = run(host_backend());
    const auto [grad, layouts] = run(backend("cuda-bf16"));
    const double error = relative_error(grad, expected);
    BOOST_TEST_MESSAGE(name << ": error of the gradient " << error << ", " << layouts << " values in bf16");
    BOOST_TEST(none == 0);
    BOOST_TEST(layouts > 5, layouts << " values stand in bf16");
    BOOST_TEST(error < 0.15);
    BOOST_TEST(error > 1e-4, "not computed in bf16");
  }
}

// What it means in the end, which docs/cuda.md states: the noise found in bf16, judged by the shadow in f32.
BOOST_AUTO_TEST_CASE(protection_in_bf16_is_as_strong) {
  if (!usable()) return;
  note_sample("protect bf16");
  AscentSettings settings;
  settings.epsilon = 0.05;
  settings.steps = 5;
  const int64_t n = 16;
  const Tensor features = l2_normalise(randn({n, kDim}, 5, DType::f32));
  Decoder judge(info_of("deconv"), 2);
  // First values leave the image almost as it is whatever the feature: these do not.
  TensorMap weights = state_dict(judge);
  for (auto& [key, t] : weights)
    if (key.ends_with("weight") && t.shape().rank() > 1)
      t = add(t, affine(randn(t.shape(), 61, DType::f32), 0.1, 0));
  load_state_dict(judge, weights, "test");
  judge.train();
  for (uint64_t i = 0; i < 20; ++i) judge.forward(l2_normalise(randn({32, kDim}, 90 + i, DType::f32)));
  judge.train(false);
  weights = state_dict(judge);
  const ProtectedRows f32 = protect(judge, features, 0, settings);
  ProtectedRows half;
  {
    const BackendScope device(backend("cuda-bf16"));
    Decoder shadow(info_of("deconv"), 2);
    load_state_dict(shadow, weights, "test");
    half = protect(shadow, features, 0, settings);
  }
  const auto loss = [&](const Tensor& adversarial) {
    const Tensor difference = sub(judge.reconstruct(adversarial), judge.reconstruct(features));
    return mean_all(power(difference, 2)).item();
  };
  const double exact = loss(f32.features), rounded = loss(half.features.to(host_backend()));
  BOOST_TEST_MESSAGE("loss after protection: f32 " << exact << ", bf16 " << rounded);
  BOOST_TEST(rounded > 0.97 * exact);
  BOOST_TEST(rounded < 1.03 * exact);
}
