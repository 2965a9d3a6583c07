// Whole plans in bf16 on the CPU: the step of the protection, recognisers, and what the protection reaches.
// The accuracies are those of docs/cpu-engine.md.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>

#include "advface/core/recogniser.h"
#include "advface/networks/decoder.h"
#include "advface/protections/ascent/ascent.h"
#include "autograd/plan.h"
#include "bf16_test_util.h"
#include "cpu_test_util.h"
#include "nn/freeze.h"
#include "nn/nets/decoders.h"
#include "nn/nets/recognisers.h"
#include "nn/onnx/export.h"
#include "nn/state_dict.h"
#include "protection_test_util.h"
#include "tensor/ops.h"

using namespace advf;
using namespace advf::test;

namespace {

constexpr int64_t kDim = 24, kSize = 32;

// Moves weights that begin at zero and shows the batch norms something, so that every layer tells.
TensorMap lively_weights(Module& net) {
  TensorMap weights = state_dict(net);
  for (auto& [key, t] : weights)
    if (key.ends_with("weight") && t.shape().rank() > 1)
      t = add(t, affine(randn(t.shape(), 61, DType::f32), 0.1, 0));
  load_state_dict(net, weights, "test");
  net.train(true);
  for (uint64_t i = 0; i < 20; ++i) net.forward(l2_normalise(randn({32, kDim}, 90 + i, DType::f32)));
  net.train(false);
  return state_dict(net);
}

// Distances, gradient in the noise and next noise of a step, as the protection takes it.
std::vector<Tensor> pgd_step_of(Module& net, int64_t batch, Backend& where) {
  const BackendScope scope(where);
  Tape tape(Tape::Keep::everything);
  const Tensor z = Tensor::meta({batch, kDim}), delta = Tensor::meta({batch, kDim}),
               base = Tensor::meta({batch, 3, kSize, kSize});
  std::vector<Tensor> out;
  {
    const MetaScope meta;
    const TapeScope record(tape);
    const Tensor image = net.forward(l2_normalise(add(z, delta)));
    tape = fold_batch_norm(tape, std::span(&image, 1));
    out.push_back(reduce_sum(power(sub(image, base), 2), {1, 2, 3}, false));
    out.push_back(backward(tape, sum_all(out[0]), {delta}, true)[0]);
    out.push_back(pgd_step(delta, out[1], 0.01, 0.02));
  }
  const Tensor in[] = {z, delta, base};
  PlanState state(compile(tape, in, out));
  state.set(0, l2_normalise(randn({8, kDim}, 7, DType::f32)).slice_batch(0, batch));
  state.set(1, affine(tanh(randn({8, kDim}, 8, DType::f32)), 0.02, 0).slice_batch(0, batch));
  state.set(2, sigmoid(randn({8, 3, kSize, kSize}, 9, DType::f32)).slice_batch(0, batch));
  state.run();
  return {state.get(0), state.get(1), state.get(2)};
}

bool same_rows(const Tensor& a, const Tensor& b) {  // the first rows of b
  return std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

double least_cosine(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<float>(), y = b.to_vector<float>();
  const size_t n = size_t(a.dim(1));
  double least = 1;
  for (size_t row = 0; row < x.size(); row += n) {
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = row; i < row + n; ++i)
      xy += double(x[i]) * y[i], xx += double(x[i]) * x[i], yy += double(y[i]) * y[i];
    least = std::min(least, xy / std::sqrt(xx * yy));
  }
  return least;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_step_of_the_protection_is_close) {
  if (!has_bf16()) return;
  for (const char* name : {"deconv", "resup"}) {
    const auto net = make_decoder(DecoderSpec{name, {kDim}, int(kSize), 128}, 3);
    lively_weights(*net);
    const auto want = pgd_step_of(*net, 8, cpu_backend()), got = pgd_step_of(*net, 8, backend("cpu-bf16"));
    const double loss = relative_error(got[0], want[0]), gradient = relative_error(got[1], want[1]);
    BOOST_TEST_MESSAGE(name << ": error of the loss " << loss << ", of the gradient " << gradient);
    BOOST_TEST(loss < 1e-2);
    BOOST_TEST(gradient < 0.25);
    BOOST_TEST(gradient > 1e-4, "not computed in bf16");
    // The same bits at any number of threads, and whatever rows are beside one.
    for (const int64_t batch : {8, 3, 1})
      for (const int threads : {1, 2}) {
        ThreadsScope scope(threads);
        const auto again = pgd_step_of(*net, batch, backend("cpu-bf16"));
        for (size_t i = 0; i < again.size(); ++i)
          BOOST_TEST(same_rows(again[i], got[i]), name << " output " << i << ", " << batch << " rows");
      }
  }
}

// Networks go through ONNX, as recognisers do, and are frozen into plans.
BOOST_AUTO_TEST_CASE(embeddings_are_close) {
  if (!has_bf16()) return;
  for (const auto& [name, size] : {std::pair{"cnn_small", 48}, std::pair{"mobilefacenet", 112}}) {
    const RecogniserSpec spec{.name = name, .image_size = size};
    const auto net = make_recogniser(spec, 1);
    for (uint64_t i = 0; i < 2; ++i) net->forward(randn({4, 3, size, size}, 70 + i, DType::f32));
    net->train(false);
    Tape tape(Tape::Keep::everything);
    const Tensor x = Tensor::zeros({1, 3, size, size});
    Tensor y;
    {
      const TapeScope scope(tape);
      y = net->forward(x);
    }
    RecogniserCard card;
    card.path = card.model = name;
    card.metric = "cosine";
    card.input = {"input", size, size, "RGB", all_channels(127.5), all_channels(1 / 127.5)};
    card.embedding = {"embedding", spec.embedding, false, true};
    card.default_cut = "embedding";
    const Recogniser recogniser =
        Recogniser::from_bytes(card, to_onnx(name, tape, x, "input", {{y, "embedding"}}));
    const Tensor images = recogniser.preprocess(sigmoid(randn({6, 3, size, size}, 80, DType::f32)));
    const Tensor want = recogniser.embed(images);
    const BackendScope scope(backend("cpu-bf16"));
    const Tensor got = recogniser.embed(images);
    const double error = relative_error(got, want), cosine = least_cosine(got, want);
    BOOST_TEST_MESSAGE(name << ": error of embeddings " << error << ", least cosine " << cosine);
    BOOST_TEST(error < 1e-2);
    BOOST_TEST(error > 1e-4, "not computed in bf16");
    BOOST_TEST(cosine >= 0.9999);
    for (int64_t i = 0; i < images.dim(0); ++i)
      BOOST_TEST(same_rows(recogniser.embed(images.slice_batch(i, i + 1)), got.slice_batch(i, i + 1)),
                 name << ", image " << i);
  }
}

// What it means in the end: the noise found in bf16, judged by the shadow in f32.
BOOST_AUTO_TEST_CASE(protection_is_as_strong) {
  if (!has_bf16()) return;
  AscentSettings settings;
  settings.epsilon = 0.05;
  settings.steps = 10;
  const int64_t n = 48;
  for (const char* name : {"deconv", "resup"}) {
    const Tensor features = l2_normalise(randn({n, kDim}, 5, DType::f32));
    DecoderInfo info;
    info.spec = {name, {kDim}, int(kSize), 128};
    info.cut = "embedding";
    info.recogniser = "0123456789abcdef";
    info.domain = FeatureDomain::sphere;
    Decoder shadow(info, 2);
    lively_weights(shadow);
    const ProtectedRows f32 = protect(shadow, features, 0, settings);
    const ProtectedRows half = [&] {
      const BackendScope scope(backend("cpu-bf16"));
      return protect(shadow, features, 0, settings);
    }();
    BOOST_TEST(!same_rows(half.features, f32.features), "not computed in bf16");
    const auto loss = [&](const Tensor& adversarial) {
      const Tensor difference = sub(shadow.reconstruct(adversarial), shadow.reconstruct(features));
      return mean_all(power(difference, 2)).item();
    };
    const double exact = loss(f32.features), rounded = loss(half.features);
    BOOST_TEST_MESSAGE(name << ": loss after protection in f32 " << exact << ", in bf16 " << rounded / exact
                            << " of that");
    BOOST_TEST(rounded > 0.98 * exact);
    BOOST_TEST(rounded < 1.02 * exact);
  }
}
