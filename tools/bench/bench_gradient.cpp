#include "tools/bench/bench_gradient.h"

#include <memory>

#include "advface/core/feature_rows.h"
#include "advface/networks/decoder_loss.h"
#include "autograd/plan.h"
#include "nn/freeze.h"
#include "nn/loss.h"
#include "nn/nets/decoders.h"
#include "nn/optim.h"
#include "tensor/backend.h"
#include "tensor/ops.h"
#include "tools/bench/bench_pgd.h"

namespace advf::tools {
namespace {

// Images that climb towards embeddings; carries them, and the moments of Adam, from run to run.
class ImageAscent {
 public:
  ImageAscent(Recogniser network, int64_t batch)
      : network_(std::move(network)),
        target_(random_features(batch, network_.card().embedding.dimension)),
        image_(uniform({batch, 3, network_.card().input.height, network_.card().input.width}, 6)),
        m_(Tensor::zeros(image_.shape())),
        v_(Tensor::zeros(image_.shape())),
        hyper_(Tensor::from(std::vector<float>{0.01f, 0.9f, 0.999f, 1e-8f, 0, 0, 0.1f, 0.001f}, {8})) {}

  void eager() {
    Tape tape;
    std::vector<Tensor> next;
    {
      const TapeScope scope(tape);
      next = step(image_, m_, v_, target_, hyper_, tape, false);
    }
    image_ = next[0], m_ = next[1], v_ = next[2];
  }

  std::shared_ptr<PlanState> plan() const {
    Tape tape(Tape::Keep::everything);
    const auto like = [](const Tensor& t) { return Tensor::meta(t.shape()); };
    const std::vector<Tensor> in{like(image_), like(m_), like(v_), like(target_), like(hyper_)};
    std::vector<Carry> round;
    {
      const MetaScope meta;
      const TapeScope scope(tape);
      const std::vector<Tensor> next = step(in[0], in[1], in[2], in[3], in[4], tape, true);
      for (size_t i = 0; i < next.size(); ++i) round.push_back({in[i], next[i]});
    }
    const auto state = std::make_shared<PlanState>(compile(tape, in, std::span(&round[0].output, 1), round));
    const Tensor* values[] = {&image_, &m_, &v_, &target_, &hyper_};
    for (size_t i = 0; i < std::size(values); ++i) state->set(i, *values[i]);
    return state;
  }

  Cost cost() const {
    return cost_of([&](Tape& tape) { backward(tape, loss(image_, target_), {image_}, true); });
  }

 private:
  Tensor loss(const Tensor& image, const Tensor& target) const {
    const Tensor found = network_.embed(network_.preprocess(image));
    return affine(sum_all(mul(found, target)), -1, 0);
  }
  std::vector<Tensor> step(const Tensor& image, const Tensor& m, const Tensor& v, const Tensor& target,
                           const Tensor& hyper, Tape& tape, bool frozen) const {
    const Tensor value = loss(image, target);
    if (frozen) tape = fold_batch_norm(tape, std::span(&value, 1));
    const Tensor gradient = backward(tape, value, {image}, frozen)[0];
    return apply(op_adam_step, {}, {image, gradient, m, v, hyper});
  }

  Recogniser network_;
  Tensor target_, image_, m_, v_, hyper_;
};

class IdentityTraining {
 public:
  IdentityTraining(Recogniser network, int64_t batch)
      : network_(std::move(network)),
        z_(random_features(batch, network_.card().embedding.dimension)),
        faces_(uniform({batch, 3, 64, 64}, 8)),
        rows_(size_t(batch), 0) {
    net_ = make_decoder({"deconv", {network_.card().embedding.dimension}, 64, 256}, 1);
    adam_ = std::make_unique<Adam>(net_->parameters());
    for (size_t i = 0; i < rows_.size(); ++i) rows_[i] = int64_t(i);
    DecoderLossSpec spec({"identity"}, {{"identity_weight", "0.5"}});
    spec.open(network_);
    loss_ = spec.make({&network_, network_.card().embedding.name, FeatureRows(z_)});
  }

  void step() {
    Tape tape;
    Tensor loss;
    {
      const TapeScope scope(tape);
      loss = loss_->loss(net_->forward(z_), faces_, rows_);
    }
    adam_->step(backward(tape, loss, values(net_->parameters())), 1e-3);
  }

  // Of the same sum, written on one tape.
  Cost cost() const {
    return cost_of([&](Tape& tape) {
      const Tensor images = net_->forward(z_);
      const Tensor found = network_.embed(network_.preprocess(images));
      const Tensor sum = add(l1_loss(images, faces_), affine(mean_all(mul(found, z_)), -0.5, 0.5));
      backward(tape, sum, values(net_->parameters()), true);
    });
  }

 private:
  Recogniser network_;
  Tensor z_, faces_;
  std::vector<int64_t> rows_;
  std::unique_ptr<Module> net_;
  std::unique_ptr<Adam> adam_;
  std::unique_ptr<DecoderLoss> loss_;
};

}  // namespace

Built image_gradient(Recogniser network, int64_t batch) {
  const auto ascent = std::make_shared<ImageAscent>(std::move(network), batch);
  const auto state = ascent->plan();
  return {ascent->cost(),
          {{"eager", [ascent] { ascent->eager(); }},
           {"plan", [state] { state->run(); }, [state] { return state; }}}};
}

Built identity_training(Recogniser network, int64_t batch) {
  const auto training = std::make_shared<IdentityTraining>(std::move(network), batch);
  return {training->cost(), {{"eager", [training] { training->step(); }}}};
}

}  // namespace advf::tools
