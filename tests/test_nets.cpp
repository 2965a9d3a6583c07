// Whole networks against PyTorch, and what PyTorch cannot tell: names, seeds, weight files, specs, errors.
#define BOOST_TEST_MODULE nets
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>

#include "nn/layers.h"
#include "nn/loss.h"
#include "nn/nets/decoders.h"
#include "nn/nets/recognisers.h"
#include "nn/optim.h"
#include "nn/schedule.h"
#include "nn_oracle.h"
#include "tensor/ops.h"

using namespace advf;
using namespace advf::test;

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
    for (const int size : {64, 112})
      // A vector, maps of real recognisers, one larger than the image, one with an odd side.
      for (const Shape& feature : {Shape{512}, Shape{64, 38, 38}, Shape{64, 56, 56}, Shape{256, 17, 17},
                                   Shape{896, 8, 8}, Shape{16, 160, 160}, Shape{12, 7, 5}}) {
        if (name == "unet" && feature.rank() == 1) continue;
        Shape batch{5};
        for (int64_t d : feature) batch.push_back(d);
        const auto net = make_decoder(name, feature, size, 1);
        BOOST_TEST(net->forward(Tensor::meta(batch)).shape() == Shape({5, 3, size, size}));
      }
  for (const std::string& name : recogniser_names())
    for (const int size : {48, 64, 112}) {
      const auto net = make_recogniser({.name = name, .image_size = size}, 1);
      BOOST_TEST(net->forward(Tensor::meta({5, 3, size, size})).shape() == Shape({5, 128}));
    }
  const auto net = make_recogniser({.name = "mobilefacenet"}, 1);
  BOOST_TEST(contains(error_of([&] { net->forward(Tensor::meta({5, 3, 128, 128})); }), "another image size"));
}

namespace {
// Multiply-adds of all products on a tape, in millions.
double million_macs(Module& net, const Tensor& x) {
  net.train(false);
  Tape tape(Tape::Keep::everything);
  {
    TapeScope scope(tape);
    net.forward(x);
  }
  int64_t macs = 0;
  for (const Record& r : tape.records()) {
    if (r.op == &op_conv2d) macs += r.out[0].numel() * r.in[1].shape().numel(1, 4);
    if (r.op == &op_conv_transpose2d) macs += r.in[0].numel() * r.in[1].shape().numel(1, 4);
    if (r.op == &op_matmul) macs += r.out[0].numel() * r.in[0].dim(1);
  }
  return double(macs) / 1e6;
}
}  // namespace

// The costs that the headers state.
BOOST_AUTO_TEST_CASE(costs_are_as_documented) {
  const MetaScope meta;
  auto near = [](double got, double want) {
    BOOST_TEST(std::abs(got - want) < 0.06 * want, got << ", not " << want);
  };
  auto check_net = [&](Module& net, const Tensor& x, double macs, double parameters) {
    near(million_macs(net, x), macs);
    near(double(count_elements(net.parameters())) / 1e6, parameters);
  };
  check_net(*make_decoder("deconv", {512}, 64, 1), Tensor::meta({1, 512}), 38, 2.8);
  check_net(*make_decoder("resup", {512}, 64, 1), Tensor::meta({1, 512}), 119, 2.7);
  const Tensor map = Tensor::meta({1, 64, 38, 38});
  check_net(*make_decoder("deconv", {64, 38, 38}, 64, 1), map, 124, 0.11);
  check_net(*make_decoder("resup", {64, 38, 38}, 64, 1), map, 206, 0.1);
  check_net(*make_decoder("unet", {64, 38, 38}, 64, 1), map, 414, 1);
  check_net(*make_recogniser({.name = "mobilefacenet"}, 1), Tensor::meta({1, 3, 112, 112}), 221, 1.0);
  check_net(*make_recogniser({.name = "cnn_small", .image_size = 64}, 1), Tensor::meta({1, 3, 64, 64}), 14,
            0.3);
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
  BOOST_TEST(contains(error_of([] { make_decoder("deconv", {64, 56}, 64, 1); }), "[64,56]"));
  BOOST_TEST(contains(error_of([] { make_decoder("deconv", {64, 56, 1}, 64, 1); }), "[64,56,1]"));
  BOOST_TEST(contains(error_of([] { make_decoder("unet", {512}, 64, 1); }), "[512]"));
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
  small.add<Linear>(5, 5);
  large.add<Linear>(5, 5);
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
