// Layers, losses, optimisers, schedules and networks against PyTorch (tests/oracles/nn_oracles.py): the f64
// reference to rounding, the f32 cpu backend to single precision. Then what PyTorch cannot tell: names,
// files, errors, seeds.
#define BOOST_TEST_MODULE nn
#include <unistd.h>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <numeric>

#include "autograd/tape.h"
#include "nn/layers.h"
#include "nn/loss.h"
#include "nn/nets/decoders.h"
#include "nn/nets/recognisers.h"
#include "nn/optim.h"
#include "nn/schedule.h"
#include "nn/state_dict.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

struct Setting {
  const char* device;
  DType dtype;
  double bound;  // relative error in norm
};
const Setting kSettings[] = {{"reference", DType::f64, 1e-11}, {"cpu", DType::f32, 2e-5}};

// The oracle's tensors, in the file's types, on the reference backend.
const TensorMap& oracles(const char* file) {
  static std::map<std::string, TensorMap> files;
  auto [slot, fresh] = files.try_emplace(file);
  if (fresh) {
    const BackendScope scope(backend("reference"));
    slot->second = load_safetensors(std::string(ADVF_TEST_DATA) + "/" + file).tensors;
  }
  return slot->second;
}
const TensorMap& layer_oracles() { return oracles("nn_layers.safetensors"); }
const TensorMap& net_oracles() { return oracles("nn_nets.safetensors"); }

const Tensor& find(const TensorMap& file, const std::string& name) {
  const auto found = file.find(name);
  BOOST_REQUIRE_MESSAGE(found != file.end(), "no oracle named " << name);
  return found->second;
}
// On the current backend, floating point values as `dtype`.
Tensor get(const TensorMap& file, const std::string& name, DType dtype) {
  const Tensor& t = find(file, name);
  const bool is_float = t.dtype() == DType::f32 || t.dtype() == DType::f64;
  return (is_float ? t.to(dtype) : t).to(current_backend());
}
// The tensors named "<prefix><rest>", as rest -> tensor.
TensorMap with_prefix(const TensorMap& file, const std::string& prefix) {
  TensorMap out;
  for (const auto& [name, t] : file)
    if (name.starts_with(prefix)) out[name.substr(prefix.size())] = t;
  return out;
}

void check_close(const Tensor& got, const Tensor& want, double bound, const std::string& what) {
  BOOST_TEST(got.shape() == want.shape(), what << ": shape " << got.shape() << ", not " << want.shape());
  const double error = relative_error(got, want);
  BOOST_TEST(error <= bound, what << ": error " << error);
}

// Forward and the gradients of x and of every parameter; oracles <c>.x, .y, .gy, .gx and
// <c>.<grad><parameter>.
void check_module(Module& module, const TensorMap& file, const std::string& c, const Setting& s,
                  const std::string& grad = "g") {
  const Tensor x = get(file, c + ".x", s.dtype);
  Tape tape;
  Tensor y;
  {
    TapeScope scope(tape);
    y = module.forward(x);
  }
  check_close(y, find(file, c + ".y"), s.bound, c + " y on " + s.device);
  const auto parameters = module.parameters();
  std::vector<Tensor> wrt = values(parameters);
  wrt.push_back(x);
  const Tensor gy = get(file, c + ".gy", s.dtype);
  const auto grads = backward(tape, std::span(&y, 1), std::span(&gy, 1), wrt);
  check_close(grads.back(), find(file, c + ".gx"), s.bound, c + " gx on " + s.device);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string name = c + "." + grad + parameters[i].name;
    check_close(grads[i], find(file, name), s.bound, name + " on " + s.device);
  }
}

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

// f of the named inputs, each differentiated.
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
    for (size_t i = 0; i < in.size(); ++i)
      if (layer_oracles().contains(c + ".g" + inputs[i]))
        check_close(grads[i], find(layer_oracles(), c + ".g" + inputs[i]), s.bound,
                    c + " g" + inputs[i] + " on " + s.device);
  }
}

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<float> bits(const Tensor& t) { return t.to(DType::f32).to_vector<float>(); }

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

BOOST_AUTO_TEST_SUITE(networks)

BOOST_AUTO_TEST_CASE(decoders_as_pytorch) {
  for (const std::string name : {"deconv", "resup"})
    for (const Setting& s : kSettings) {
      const BackendScope scope(backend(s.device));
      const auto net = make_decoder({.name = name, .feature = {10}, .image_size = 32, .width = 16}, 1);
      net->to(s.dtype);
      load_state_dict(*net, with_prefix(net_oracles(), name + "_weights."), name);
      // Thin nets and two images make batch statistics touchy: single precision shows.
      const Setting wide{s.device, s.dtype, s.dtype == DType::f64 ? 1e-10 : 2e-4};
      for (const std::string mode : {"_eval", "_train"}) {
        net->train(mode == "_train");
        check_module(*net, net_oracles(), name + mode, wide, "g_");
      }
      const TensorMap state = state_dict(*net);
      for (const auto& [key, want] : with_prefix(net_oracles(), name + "_after."))
        check_close(state.at(key).to(DType::f64), want.to(DType::f64), s.bound, name + " " + key);
    }
}

// The weights are a formula on both sides (nn_oracles.py: patterned).
BOOST_AUTO_TEST_CASE(recognisers_as_pytorch) {
  const BackendScope scope(backend("reference"));
  for (const std::string name : {"mobilefacenet", "cnn_small"}) {
    const int percent = name == "cnn_small" ? 50 : 25;
    const auto net =
        make_recogniser({.name = name, .image_size = 32, .embedding = 8, .width_percent = percent}, 1);
    net->to(DType::f64);
    for (const Named& n : net->state()) {
      if (n.tensor->dtype() != DType::f64) continue;
      const Shape shape = n.tensor->shape();
      std::vector<double> v(size_t(shape.numel()));
      const double fan = shape.rank() > 1 ? double(fan_in(shape)) : 4.0;
      for (size_t i = 0; i < v.size(); ++i) {
        const double wave = std::sin(1.3 * double(i) * double(i) + 0.7 * double(n.name.size()) + 0.1);
        v[i] = n.name.ends_with("running_var") ? 1 + 0.5 * wave : wave * std::sqrt(2 / fan);
      }
      *n.tensor = Tensor::from(v, shape);
    }
    net->train(false);
    const Tensor x = get(net_oracles(), name + ".x", DType::f64),
                 gy = get(net_oracles(), name + ".gy", DType::f64);
    Tape tape;
    Tensor y;
    {
      TapeScope record(tape);
      y = net->forward(x);
    }
    check_close(y, find(net_oracles(), name + ".y"), 1e-9, name);
    std::vector<Tensor> wrt = values(net->parameters());
    BOOST_TEST(int64_t(wrt.size()) == find(net_oracles(), name + ".count").to_vector<int64_t>()[0]);
    wrt.push_back(x);
    auto grads = backward(tape, std::span(&y, 1), std::span(&gy, 1), wrt);
    check_close(grads.back(), find(net_oracles(), name + ".gx"), 1e-9, name + " gx");
    grads.pop_back();
    const auto norms = find(net_oracles(), name + ".norms").to_vector<double>();
    for (size_t i = 0; i < grads.size(); ++i) {
      const double norm = std::sqrt(sum_all(mul(grads[i], grads[i])).item());
      BOOST_TEST(std::abs(norm - norms[i]) <= 1e-9 * norms[i], name << " gradient " << i << ": " << norm);
    }
  }
}

// Every net at its real size under a MetaScope: shapes, and no work or memory.
BOOST_AUTO_TEST_CASE(shapes_at_full_size) {
  const MetaScope meta;
  for (const std::string& name : decoder_names())
    for (const int size : {64, 112}) {
      const auto net = make_decoder(name, {512}, size, 1);
      BOOST_TEST(net->forward(Tensor::meta({5, 512})).shape() == Shape({5, 3, size, size}));
    }
  for (const std::string& name : recogniser_names())
    for (const int size : {48, 64, 112}) {
      const auto net = make_recogniser({.name = name, .image_size = size}, 1);
      BOOST_TEST(net->forward(Tensor::meta({5, 3, size, size})).shape() == Shape({5, 128}));
    }
  const auto net = make_recogniser({.name = "mobilefacenet"}, 1);
  BOOST_TEST(count_elements(net->parameters()) > 900'000);
  BOOST_TEST(count_elements(net->parameters()) < 1'100'000);
  BOOST_TEST(contains(error_of([&] { net->forward(Tensor::meta({5, 3, 128, 128})); }), "another image size"));
}

BOOST_AUTO_TEST_CASE(specs_survive_metadata_and_bad_ones_are_refused) {
  const DecoderSpec decoder{.name = "resup", .feature = {64, 56, 56}, .image_size = 112, .width = 128};
  BOOST_TEST((DecoderSpec::from_metadata(decoder.to_metadata(), "f") == decoder));
  const RecogniserSpec recogniser{
      .name = "cnn_small", .image_size = 64, .embedding = 96, .width_percent = 50};
  BOOST_TEST((RecogniserSpec::from_metadata(recogniser.to_metadata(), "f") == recogniser));

  const std::string unknown = error_of([] { make_decoder("vae", {512}, 64, 1); });
  BOOST_TEST(contains(unknown, "\"vae\""));
  BOOST_TEST(contains(unknown, "deconv, resup"));
  BOOST_TEST(contains(error_of([] { make_recogniser({.name = "big"}, 1); }), "mobilefacenet, cnn_small"));
  BOOST_TEST(contains(error_of([] { make_decoder("deconv", {512}, 60, 1); }), "multiple of 16"));
  BOOST_TEST(contains(error_of([] { make_decoder("deconv", {64, 56, 56}, 64, 1); }), "[64,56,56]"));
  for (const char* bad : {"", "x", "5x", "x5", "-3", "5xx5", "1x1x1x1x1x1", "99999999999999999999", "512 "}) {
    Metadata m = decoder.to_metadata();
    m["decoder.feature"] = bad;
    BOOST_TEST(contains(error_of([&] { DecoderSpec::from_metadata(m, "shadow.safetensors"); }),
                        "shadow.safetensors"),
               "feature \"" << bad << "\" was taken");
  }
  Metadata m = decoder.to_metadata();
  m["decoder.width"] = "1000000";
  BOOST_TEST(contains(error_of([&] { DecoderSpec::from_metadata(m, "f"); }), "16 to 1024"));
  m.erase("decoder");
  BOOST_TEST(contains(error_of([&] { DecoderSpec::from_metadata(m, "f"); }), "\"decoder\""));
}

// A thin decoder tells four images apart after a few steps: forward, backward, clip, Adam and schedule
// together.
BOOST_AUTO_TEST_CASE(a_decoder_learns) {
  const auto net = make_decoder({.name = "resup", .feature = {8}, .image_size = 32, .width = 32}, 3);
  const Tensor z = randn({4, 8}, 1, DType::f32);
  const Tensor target = resize2d(sigmoid(affine(randn({4, 3, 4, 4}, 2, DType::f32), 2, 0)), {{32, 32}});
  Adam adam(net->parameters());
  const OneCycle schedule{.peak = 0.02, .steps = 120};
  double first = 0, last = 0;
  for (int64_t t = 0; t < schedule.steps; ++t) {
    Tape tape;
    Tensor loss;
    {
      TapeScope record(tape);
      loss = l1_loss(net->forward(z), target);
    }
    auto grads = backward(tape, loss, values(net->parameters()));
    clip_gradients(grads, 5);
    adam.step(grads, schedule.at(t));
    (t == 0 ? first : last) = loss.item();
  }
  const double mean_image = l1_loss(broadcast_to(mean(target, {0}), target.shape()), target).item();
  BOOST_TEST(last < 0.8 * mean_image,
             "loss from " << first << " to " << last << "; the mean image has " << mean_image);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(modules)

BOOST_AUTO_TEST_CASE(names_are_those_of_a_state_dict) {
  Sequential net;
  net.add<Conv2d>(3, 4, ConvOptions{.bias = false});
  net.add<BatchNorm>(4);
  auto& inner = net.add<Sequential>();
  inner.add<PReLU>(4);
  inner.add<Linear>(4, 2);
  std::vector<std::string> names, trainable;
  for (const Named& n : net.state()) names.push_back(n.name);
  for (const Named& n : net.parameters()) trainable.push_back(n.name);
  BOOST_TEST(
      names == (std::vector<std::string>{"0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var",
                                         "1.num_batches_tracked", "2.0.weight", "2.1.weight", "2.1.bias"}),
      boost::test_tools::per_element());
  BOOST_TEST(trainable == (std::vector<std::string>{"0.weight", "1.weight", "1.bias", "2.0.weight",
                                                    "2.1.weight", "2.1.bias"}),
             boost::test_tools::per_element());
  net.train(false);
  for (Module* m : net.modules()) BOOST_TEST(!m->training());
}

// The first values of a parameter depend on seed and name alone.
BOOST_AUTO_TEST_CASE(first_values_by_seed_and_name) {
  Sequential small, large;
  small.add<Linear>(6, 5);
  large.add<Linear>(6, 5);
  large.add<Linear>(5, 5);
  small.initialise(7);
  large.initialise(7);
  auto value = [](Module& m, const char* name) { return bits(state_dict(m).at(name)); };
  BOOST_TEST(value(small, "0.weight") == value(large, "0.weight"));
  BOOST_TEST(value(large, "0.bias") != value(large, "1.bias"));
  small.initialise(8);
  BOOST_TEST(value(small, "0.weight") != value(large, "0.weight"));
}

BOOST_AUTO_TEST_CASE(initial_weights_have_the_stated_spread) {
  const Shape shape{40, 30, 3, 3};  // fan-in 270, fan-out 360
  const std::pair<Init, double> rules[] = {{Init::pytorch, std::sqrt(1.0 / 810)},
                                           {Init::kaiming_uniform, std::sqrt(2.0 / 270)},
                                           {Init::kaiming_normal, std::sqrt(2.0 / 270)},
                                           {Init::xavier_uniform, std::sqrt(2.0 / 630)},
                                           {Init::xavier_normal, std::sqrt(2.0 / 630)}};
  for (const auto& [rule, deviation] : rules) {
    const auto v = bits(initial_weight(shape, rule, Philox{1, 2}));
    double sum = 0, squares = 0, largest = 0;
    for (const float x : v) {
      sum += double(x);
      squares += double(x) * double(x);
      largest = std::max(largest, std::abs(double(x)));
    }
    const double n = double(v.size()), spread = std::sqrt(squares / n);
    BOOST_TEST(std::abs(sum / n) < 0.05 * deviation);
    BOOST_TEST(std::abs(spread / deviation - 1) < 0.03,
               "rule " << int(rule) << ": " << spread << " " << deviation);
    const bool is_normal = rule == Init::kaiming_normal || rule == Init::xavier_normal;
    BOOST_TEST((largest > 1.8 * deviation) == is_normal);
  }
}

BOOST_AUTO_TEST_CASE(weights_through_a_file) {
  const auto path =
      (std::filesystem::temp_directory_path() / ("advf_nn_" + std::to_string(getpid()) + ".safetensors"))
          .string();
  const DecoderSpec spec{.name = "deconv", .feature = {12}, .image_size = 32, .width = 16};
  const auto a = make_decoder(spec, 1), b = make_decoder(spec, 2);
  a->forward(randn({3, 12}, 1, DType::f32));  // running statistics that are not the first ones
  save_weights(*a, path, spec.to_metadata());
  BOOST_TEST((DecoderSpec::from_metadata(load_weights(*b, path), path) == spec));
  a->train(false);
  b->train(false);
  const Tensor x = randn({2, 12}, 2, DType::f32);
  BOOST_TEST(bits(a->forward(x)) == bits(b->forward(x)));

  const auto other = make_decoder({.name = "deconv", .feature = {13}, .image_size = 32, .width = 16}, 1);
  BOOST_TEST(contains(error_of([&] { load_weights(*other, path); }), path));
  std::filesystem::remove(path);
}

BOOST_AUTO_TEST_CASE(loading_is_strict_and_all_or_nothing) {
  Sequential net;
  net.add<Linear>(3, 2);
  net.add<BatchNorm>(2);
  net.initialise(1);
  const auto before = bits(state_dict(net).at("0.weight"));
  TensorMap wrong = state_dict(net);
  wrong["0.weight"] = Tensor::zeros({2, 3});
  wrong["0.bias"] = Tensor::zeros({5});
  wrong.erase("1.running_var");
  wrong.erase("1.weight");
  wrong["1.gamma"] = Tensor::zeros({2});
  wrong["1.num_batches_tracked"] = Tensor::zeros({});
  const std::string error = error_of([&] { load_state_dict(net, wrong, "file.safetensors"); });
  for (const char* part :
       {"file.safetensors", "missing: 1.running_var", "missing: 1.weight", "unexpected: 1.gamma",
        "wrong shape: 0.bias is [5], the model needs [2]", "wrong type: 1.num_batches_tracked"})
    BOOST_TEST(contains(error, part), part << " is not in: " << error);
  BOOST_TEST(bits(state_dict(net).at("0.weight")) == before);
}

// Loading copies: a later step in place must not reach the tensors that were loaded.
BOOST_AUTO_TEST_CASE(loaded_values_are_copies) {
  Linear a(3, 2);
  const TensorMap source{{"weight", Tensor::full({2, 3}, 1)}, {"bias", Tensor::zeros({2})}};
  load_state_dict(a, source, "memory");
  Sgd sgd(a.parameters(), {});
  sgd.step({Tensor::full({2, 3}, 1), Tensor::full({2}, 1)}, 0.5);
  BOOST_TEST(bits(source.at("weight")) == std::vector<float>(6, 1.0f));
  BOOST_TEST(bits(state_dict(a).at("weight")) == std::vector<float>(6, 0.5f));
}

BOOST_AUTO_TEST_CASE(f32_and_f64_and_meta) {
  const auto net = make_recogniser({.name = "cnn_small", .image_size = 32}, 5);
  net->train(false);
  const Tensor x = randn({2, 3, 32, 32}, 1, DType::f32);
  const Tensor single = net->forward(x);
  net->to(DType::f64);
  const BackendScope scope(backend("reference"));
  net->to(backend("reference"));
  check_close(single, net->forward(x.to(DType::f64).to(backend("reference"))), 1e-5, "f32 against f64");
  for (const Named& n : net->state())
    if (n.name.ends_with("num_batches_tracked")) BOOST_TEST((n.tensor->dtype() == DType::i64));
  net->train();
  const MetaScope meta;
  const TensorMap before = state_dict(*net);
  BOOST_TEST(net->forward(Tensor::meta({2, 3, 32, 32}, DType::f64)).shape() == Shape({2, 128}));
  for (const auto& [name, t] : state_dict(*net)) BOOST_TEST(t.id() == before.at(name).id(), name);
}

BOOST_AUTO_TEST_SUITE_END()
