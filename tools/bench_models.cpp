#include "tools/bench_models.h"

#include <memory>

#include "advface/recogniser.h"
#include "autograd/tape.h"
#include "nn/loss.h"
#include "nn/nets/decoders.h"
#include "nn/nets/recognisers.h"
#include "nn/optim.h"
#include "tensor/rng.h"
#include "tools/bench_shapes.h"

namespace advf::tools {
namespace {

using Work = ModelCase::Work;

// Adds up the FLOPs of what apply() runs.
class FlopCounter : public Recorder {
 public:
  FlopCounter() : previous_(set_recorder(this)) {}
  ~FlopCounter() override { set_recorder(previous_); }
  FlopCounter(const FlopCounter&) = delete;
  void record(const OpDef& op, const Attrs& attrs, std::span<const Tensor> in,
              std::span<const Tensor> out) override {
    OpCall call{&op, attrs, {}, {}};
    for (const Tensor& t : in) call.in.push_back({t.shape(), t.dtype(), t.defined()});
    for (const Tensor& t : out) call.out.push_back({t.shape(), t.dtype()});
    flops += flops_of(call);
  }
  double flops = 0;

 private:
  Recorder* previous_;
};

template <class F>
double count_flops(const F& f) {
  const FlopCounter counter;
  f();
  return counter.flops;
}

Tensor uniform(const Shape& shape, uint64_t seed) {
  std::vector<float> v(static_cast<size_t>(shape.numel()));
  const Philox rng{seed, 2};
  for (size_t i = 0; i < v.size(); ++i) v[i] = float(rng.uniform(i, 0.0, 1.0));
  return Tensor::from(v, shape);
}

// One step of a decoder's training: forward, L1 loss, backward, Adam.
struct DecoderTraining {
  static constexpr int64_t kFeature = 512;
  std::unique_ptr<Module> net = make_decoder({"deconv", {kFeature}, 112, 512}, 1);
  Adam adam{net->parameters()};
  Tensor z, target;

  explicit DecoderTraining(int batch)
      : z(uniform({batch, kFeature}, 1)), target(uniform({batch, 3, 112, 112}, 2)) {}
  void step() {
    Tape tape;
    Tensor loss;
    {
      TapeScope scope(tape);
      loss = l1_loss(net->forward(z), target);
    }
    adam.step(backward(tape, loss, values(net->parameters())), 1e-3);
  }
  // Both gradients cost what the forward pass costs, except that nobody asks for that of z.
  double flops() const {
    const double first = 2.0 * double(z.dim(0)) * kFeature * 512 * 7 * 7;
    return 3 * count_flops([&] { net->forward(z); }) - first;
  }
};

ModelCase decoder_training(int batch) {
  return {"W1 decoder 512 -> 3x112x112, training step, batch " + std::to_string(batch), batch, "",
          [batch](const std::string&) {
            const auto training = std::make_shared<DecoderTraining>(batch);
            return Work{[training] { training->step(); }, training->flops()};
          }};
}

ModelCase facenet(int batch) {
  return {"W3 FaceNet forward, batch " + std::to_string(batch), batch, "facenet_casia_160.json",
          [batch](const std::string& path) {
            const auto net = std::make_shared<Recogniser>(Recogniser::load(path));
            const auto& input = net->card().input;
            const Tensor x = net->preprocess(uniform({batch, 3, input.height, input.width}, 3));
            return Work{[net, x] { net->embed(x); }, count_flops([&] { net->embed(x); })};
          }};
}

ModelCase mobilefacenet(int batch) {
  return {"W4 MobileFaceNet forward, batch " + std::to_string(batch), batch, "", [batch](const std::string&) {
            const std::shared_ptr<Module> net = make_recogniser({.name = "mobilefacenet"}, 1);
            net->train(false);
            const Tensor x = uniform({batch, 3, 112, 112}, 4);
            return Work{[net, x] { net->forward(x); }, count_flops([&] { net->forward(x); })};
          }};
}

}  // namespace

const std::vector<ModelCase>& model_cases() {
  static const std::vector<ModelCase> list = {decoder_training(32), facenet(16), facenet(1),
                                              mobilefacenet(16)};
  return list;
}

}  // namespace advf::tools
