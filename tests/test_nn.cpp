// Layers, losses, optimisers and schedules against PyTorch, on the f64 reference and the f32 cpu backend.
#define BOOST_TEST_MODULE nn
#include <boost/test/unit_test.hpp>

#include "nn/layers.h"
#include "nn/loss.h"
#include "nn/optim.h"
#include "nn/schedule.h"
#include "nn_oracle.h"
#include "tensor/ops.h"

using namespace advf;
using namespace advf::test;

namespace {

// A layer whose parameters stand in the oracle under the case's own name.
template <class Make>
void check_layer(const std::string& c, Make make) {
  for (const Setting& s : kSettings) {
    const BackendScope scope(backend(s.device));
    auto layer = make();
    layer->to(s.dtype);
    TensorMap weights;
    for (const Named& n : layer->state()) weights[n.name] = find(layer_oracles(), c + "." + n.name);
    load_state_dict(*layer, weights, c);
    check_module(*layer, layer_oracles(), c, s);
  }
}

// f of the named inputs, each differentiated where the oracle has a gradient.
template <class F>
void check_function(const std::string& c, const std::vector<std::string>& inputs, F f) {
  for (const Setting& s : kSettings) {
    const BackendScope scope(backend(s.device));
    std::vector<Tensor> in;
    for (const std::string& name : inputs) in.push_back(get(layer_oracles(), c + "." + name, s.dtype));
    Tape tape;
    Tensor y;
    {
      TapeScope record(tape);
      y = f(in);
    }
    check_close(y, find(layer_oracles(), c + ".y"), s.bound, c + " y on " + s.device);
    const Tensor gy = get(layer_oracles(), c + ".gy", s.dtype);
    const auto grads = backward(tape, std::span(&y, 1), std::span(&gy, 1), in);
    int compared = 0;
    for (size_t i = 0; i < in.size(); ++i) {
      const auto want = layer_oracles().find(c + ".g" + inputs[i]);
      if (want == layer_oracles().end()) continue;  // a constant of the oracle
      check_close(grads[i], want->second, s.bound, c + " g" + inputs[i] + " on " + s.device);
      ++compared;
    }
    BOOST_TEST(compared > 0, c << ": no gradient in the oracle");
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(layers)

BOOST_AUTO_TEST_CASE(convolutions) {
  const ConvOptions cases[] = {{.kernel = 3, .pad = 1},
                               {.kernel = 3, .stride = 2, .pad = 1},
                               {.kernel = 2, .stride = 2, .groups = 2},
                               {.kernel = 3, .pad = 2, .dilation = 2},
                               {.kernel = 3, .stride = 3, .pad = 4, .dilation = 2, .groups = 4},
                               {.kernel = 1}};
  for (size_t i = 0; i < std::size(cases); ++i)
    check_layer("conv" + std::to_string(i), [&] { return std::make_unique<Conv2d>(4, 8, cases[i]); });
}

BOOST_AUTO_TEST_CASE(transposed_convolutions) {
  const ConvOptions cases[] = {{.kernel = 4, .stride = 2, .pad = 1},
                               {.kernel = 3, .stride = 2, .pad = 1, .output_pad = 1},
                               {.kernel = 2, .stride = 3, .groups = 2, .output_pad = 2},
                               {.kernel = 3, .stride = 1, .pad = 2, .dilation = 2, .groups = 4},
                               {.kernel = 3, .stride = 3, .pad = 2, .dilation = 2, .output_pad = 1}};
  for (size_t i = 0; i < std::size(cases); ++i)
    check_layer("transpose" + std::to_string(i),
                [&] { return std::make_unique<ConvTranspose2d>(4, 8, cases[i]); });
}

BOOST_AUTO_TEST_CASE(linear_and_prelu) {
  check_layer("linear", [] { return std::make_unique<Linear>(7, 3); });
  check_layer("prelu", [] { return std::make_unique<PReLU>(3); });
}

BOOST_AUTO_TEST_CASE(batch_norm_and_its_running_statistics) {
  for (const std::string name : {"bn2d", "bn1d"})
    for (const Setting& s : kSettings) {
      const BackendScope scope(backend(s.device));
      BatchNorm bn(4);
      bn.to(s.dtype);
      load_state_dict(bn, with_prefix(layer_oracles(), name + "_before."), name);
      for (const std::string mode : {"_eval", "_train", "_train2"}) {
        bn.train(mode != "_eval");
        check_module(bn, layer_oracles(), name + mode, s);
      }
      const TensorMap after = with_prefix(layer_oracles(), name + "_after."), got = state_dict(bn);
      BOOST_TEST(got.size() == 5u);
      for (const auto& [key, want] : after) {
        if (want.dtype() == DType::i64)
          BOOST_TEST(got.at(key).to_vector<int64_t>() == want.to_vector<int64_t>());
        else
          check_close(got.at(key), want, s.bound, name + " " + key);
      }
    }
}

BOOST_AUTO_TEST_CASE(batch_norm_refuses_one_value_and_tracks_on_request) {
  BatchNorm bn(3);
  BOOST_TEST(contains(error_of([&] { bn.forward(randn({1, 3}, 1, DType::f32)); }), "more than one value"));
  bn.track(false);
  bn.forward(randn({8, 3}, 1, DType::f32));
  for (const auto& [name, t] : state_dict(bn))
    if (name == "num_batches_tracked") BOOST_TEST(t.to_vector<int64_t>()[0] == 0);
  BOOST_TEST(bits(state_dict(bn).at("running_mean")) == std::vector<float>(3, 0.0f));
}

// The average over two batches of one size has the mean of the whole, and eval mode after it is a plain batch
// norm.
BOOST_AUTO_TEST_CASE(recalibration_averages_over_batches) {
  Sequential net;
  net.add<Linear>(5, 3);
  net.add<BatchNorm>(3);
  net.initialise(1);
  net.forward(affine(randn({16, 5}, 9, DType::f32), 3, 1));  // leaves traces that recalibration must remove
  const Tensor all = randn({12, 5}, 2, DType::f32);
  recalibrate_batch_norm(net, {all.slice_batch(0, 6), all.slice_batch(6, 12)});
  BOOST_TEST(!net.training());
  const TensorMap state = state_dict(net);
  const Tensor y = linear(all, state.at("0.weight"), state.at("0.bias"));
  check_close(state.at("1.running_mean"), mean(y, {0}, false), 1e-6, "recalibrated mean");
  BOOST_TEST(state.at("1.num_batches_tracked").to_vector<int64_t>()[0] == 2);
}

BOOST_AUTO_TEST_CASE(resizing) {
  const std::pair<const char*, std::array<int64_t, 2>> sizes[] = {
      {"up", {7, 11}}, {"down", {4, 5}}, {"twice", {6, 8}}};
  for (const auto& [name, size] : sizes) {
    const std::string c = std::string("resize_") + name;
    auto with = [size = size](ResizeMode mode, ResizeCoordinates coordinates) {
      return [=](const std::vector<Tensor>& in) { return resize2d(in[0], {size, mode, coordinates}); };
    };
    check_function(c + "_nearest", {"x"}, with(ResizeMode::nearest, ResizeCoordinates::asymmetric));
    check_function(c + "_bilinear", {"x"}, with(ResizeMode::bilinear, ResizeCoordinates::half_pixel));
    check_function(c + "_bilinear_aligned", {"x"},
                   with(ResizeMode::bilinear, ResizeCoordinates::align_corners));
  }
}

BOOST_AUTO_TEST_CASE(pooling) {
  struct Case {
    int kernel, stride, pad;
    bool ceil;
  };
  const Case cases[] = {
      {3, 2, 0, false}, {3, 2, 1, false}, {3, 2, 1, true}, {2, 2, 0, true}, {3, 3, 1, true}};
  for (size_t i = 0; i < std::size(cases); ++i) {
    const auto [k, s, p, ceil] = cases[i];
    const std::string n = std::to_string(i);
    const PoolAttrs attrs{.kernel = {k, k}, .stride = {s, s}, .pad = {p, p, p, p}, .ceil_mode = ceil};
    PoolAttrs padded = attrs;
    padded.count_include_pad = true;
    check_function("max_pool" + n, {"x"}, [&](const auto& in) { return max_pool2d(in[0], attrs); });
    check_function("avg_pool" + n, {"x"}, [&](const auto& in) { return avg_pool2d(in[0], attrs); });
    check_function("avg_pool_padded" + n, {"x"}, [&](const auto& in) { return avg_pool2d(in[0], padded); });
  }
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(losses)

BOOST_AUTO_TEST_CASE(against_pytorch) {
  check_function("l1", {"input", "target"}, [](const auto& in) { return l1_loss(in[0], in[1]); });
  check_function("mse", {"input", "target"}, [](const auto& in) { return mse_loss(in[0], in[1]); });
  check_function("cross_entropy", {"x"}, [](const auto& in) {
    return softmax_cross_entropy(in[0], get(layer_oracles(), "cross_entropy.labels", DType::i32));
  });
}

BOOST_AUTO_TEST_CASE(arcface_head) {
  for (const Setting& s : kSettings) {
    const BackendScope scope(backend(s.device));
    ArcFaceHead head(4, 7, 32, 0.5);
    head.to(s.dtype);
    load_state_dict(head, {{"weight", find(layer_oracles(), "arcface.weight")}}, "arcface");
    const Tensor x = get(layer_oracles(), "arcface.x", s.dtype);
    Tape tape;
    Tensor loss;
    {
      TapeScope record(tape);
      loss = head.loss(x, get(layer_oracles(), "arcface.labels", s.dtype));
    }
    check_close(loss, find(layer_oracles(), "arcface.y"), s.bound, "arcface loss");
    const Tensor gy = get(layer_oracles(), "arcface.gy", s.dtype);
    const auto grads =
        backward(tape, std::span(&loss, 1), std::span(&gy, 1), {x, *head.parameters()[0].tensor});
    check_close(grads[0], find(layer_oracles(), "arcface.gx"), s.bound, "arcface gx");
    check_close(grads[1], find(layer_oracles(), "arcface.gweight"), s.bound, "arcface gweight");
  }
}

BOOST_AUTO_TEST_CASE(ssim_against_the_formula) {
  check_function("ssim", {"a", "b"}, [](const auto& in) { return ssim(in[0], in[1]); });
  const Tensor a = affine(sigmoid(randn({2, 3, 16, 16}, 4)), 1, 0);
  BOOST_TEST(ssim_loss(a, a).item() < 1e-12);
  BOOST_TEST(contains(error_of([] {
                        ssim(randn({1, 3, 10, 16}, 1), randn({1, 3, 10, 16}, 1));
                      }),
                      "11 pixels"));
  BOOST_TEST(contains(error_of([] {
                        ssim(randn({1, 3, 16, 16}, 1), randn({2, 3, 16, 16}, 1));
                      }),
                      "[2,3,16,16]"));
}

BOOST_AUTO_TEST_CASE(psnr_per_image) {
  const Tensor a = Tensor::zeros({3, 1, 4, 4});
  std::vector<float> v(48, 0.1f);
  std::fill(v.begin() + 16, v.begin() + 32, 0.0f);
  std::fill(v.begin() + 32, v.end(), NAN);
  const auto db = psnr(a, Tensor::from(v, {3, 1, 4, 4}));
  BOOST_TEST(std::abs(db[0] - 20) < 1e-5);
  BOOST_TEST(db[1] == kMaxPsnr);
  BOOST_TEST(std::isnan(db[2]));  // not a perfect image
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(optimisers)

namespace {
struct Two {  // the oracle's two parameters
  Tensor p0, p1;
  std::vector<Named> named() { return {{"p0", &p0}, {"p1", &p1}}; }
};
// A copy, as steps write in place.
Tensor start_value(const std::string& name, DType dtype) {
  return affine(get(layer_oracles(), "optim." + name, dtype), 1, 0);
}
std::vector<Tensor> gradients_at(int t, DType dtype) {
  const std::string g = "optim.g" + std::to_string(t);
  return {get(layer_oracles(), g + "_0", dtype), get(layer_oracles(), g + "_1", dtype)};
}
template <class Make>
void check_trajectory(const std::string& name, double rate, Make make) {
  for (const Setting& s : kSettings) {
    const BackendScope scope(backend(s.device));
    Two p{start_value("p0", s.dtype), start_value("p1", s.dtype)};
    const auto optimiser = make(p.named());
    for (int t = 0; t < 5; ++t, rate *= 0.9) {
      optimiser->step(gradients_at(t, s.dtype), rate);
      const std::string at = name + ".p" + std::to_string(t);
      check_close(p.p0, find(layer_oracles(), at + "_0"), s.bound, at);
      check_close(p.p1, find(layer_oracles(), at + "_1"), s.bound, at);
    }
    rate /= std::pow(0.9, 5);
  }
}
}  // namespace

BOOST_AUTO_TEST_CASE(five_steps_as_pytorch) {
  using P = std::vector<Named>;
  check_trajectory("sgd", 0.1, [](P p) { return std::make_unique<Sgd>(p, SgdOptions{}); });
  check_trajectory("sgd_momentum", 0.1, [](P p) {
    return std::make_unique<Sgd>(p, SgdOptions{.momentum = 0.9, .weight_decay = 0.01});
  });
  check_trajectory("sgd_nesterov", 0.1, [](P p) {
    return std::make_unique<Sgd>(p, SgdOptions{.momentum = 0.8, .weight_decay = 0.01, .nesterov = true});
  });
  check_trajectory("adam", 0.05, [](P p) { return std::make_unique<Adam>(p); });
  check_trajectory("adam_decay", 0.05, [](P p) {
    return std::make_unique<Adam>(p, AdamOptions{.beta1 = 0.5, .beta2 = 0.99, .weight_decay = 0.1});
  });
  check_trajectory("adamw", 0.05, [](P p) {
    return std::make_unique<Adam>(p, AdamOptions{.weight_decay = 0.1, .decoupled = true});
  });
}

BOOST_AUTO_TEST_CASE(gradient_clipping) {
  const BackendScope scope(backend("reference"));
  auto g = gradients_at(0, DType::f64);
  const double norm = clip_gradients(g, 1.5);
  BOOST_TEST(std::abs(norm - find(layer_oracles(), "clip.norm").item()) < 1e-12);
  check_close(g[0], find(layer_oracles(), "clip.g0"), 1e-5, "clipped");  // PyTorch adds 1e-6 to the norm
  check_close(g[1], find(layer_oracles(), "clip.g1"), 1e-5, "clipped");
  const auto before = g[0].to_vector<double>();
  clip_gradients(g, 100);
  BOOST_TEST(g[0].to_vector<double>() == before);
  g[1] = Tensor::full({2}, NAN, DType::f64);
  BOOST_TEST(contains(error_of([&] { clip_gradients(g, 1); }), "not finite"));
}

// Three steps, state through a file's tensors, two more: the same bits as five in one go.
BOOST_AUTO_TEST_CASE(resuming_changes_nothing) {
  auto run = [](bool interrupted) {
    Two p{start_value("p0", DType::f32), start_value("p1", DType::f32)};
    auto optimiser = std::make_unique<Adam>(p.named());
    for (int t = 0; t < 5; ++t) {
      if (interrupted && t == 3) {
        auto fresh = std::make_unique<Adam>(p.named());
        fresh->load_state(optimiser->state(), "memory");
        optimiser = std::move(fresh);
      }
      optimiser->step(gradients_at(t, DType::f32), 0.05);
    }
    BOOST_TEST(optimiser->steps() == 5);
    auto v = bits(p.p0);
    for (const float x : bits(p.p1)) v.push_back(x);
    return v;
  };
  BOOST_TEST(run(true) == run(false));
  Two p{start_value("p0", DType::f32), start_value("p1", DType::f32)};
  Adam adam(p.named());
  TensorMap state = adam.state();
  state.erase("m.p0");
  BOOST_TEST(contains(error_of([&] { adam.load_state(state, "resume.safetensors"); }), "missing: m.p0"));
}

BOOST_AUTO_TEST_CASE(wrong_steps_are_refused) {
  Two p{start_value("p0", DType::f32), start_value("p1", DType::f32)};
  Adam adam(p.named());
  auto g = gradients_at(0, DType::f32);
  BOOST_TEST(contains(error_of([&] { adam.step({g[0]}, 0.1); }), "1 gradients for 2"));
  BOOST_TEST(contains(error_of([&] { adam.step({g[1], g[0]}, 0.1); }), "p0"));
  BOOST_TEST(contains(error_of([&] { adam.step(g, NAN); }), "learning rate"));
}

BOOST_AUTO_TEST_CASE(schedules_as_pytorch) {
  auto check = [](const std::string& name, auto schedule) {
    const auto want = find(layer_oracles(), "schedule." + name).to_vector<double>();
    for (size_t i = 0; i < want.size(); ++i)
      BOOST_TEST(std::abs(schedule.at(int64_t(i)) - want[i]) < 1e-13,
                 name << " at " << i << ": " << schedule.at(int64_t(i)) << ", not " << want[i]);
  };
  check("one_cycle", OneCycle{.peak = 0.3, .steps = 41});
  check("one_cycle_late",
        OneCycle{.peak = 0.3, .steps = 21, .warm_fraction = 0.5, .start_divisor = 10, .end_divisor = 100});
  check("cosine", CosineWarmup{.peak = 0.3, .steps = 30, .floor = 0.003});
  check("warm", CosineWarmup{.peak = 0.3, .steps = 30, .warmup = 5, .floor = 0.003});
  BOOST_TEST(ConstantRate{0.2}.at(7) == 0.2);
  for (const int64_t steps : {1, 2, 3})
    for (const double warm : {0.0, 0.3, 1.0})
      BOOST_TEST(std::isfinite(OneCycle{.steps = steps, .warm_fraction = warm}.at(0)));
}

BOOST_AUTO_TEST_SUITE_END()
