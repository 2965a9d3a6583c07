#include "advface/networks/opponent.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "advface/networks/trainer.h"
#include "autograd/tape.h"
#include "nn/layers.h"
#include "nn/loss.h"
#include "nn/nets/decoders.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr const char *kDecoder = "decoder.", *kOptimizer = "optimizer.";

}  // namespace

void OpponentSettings::check_valid() const {
  if (decoder.empty()) return;
  check(std::isfinite(weight) && weight > 0 && weight <= 1000,
        "the weight of the decoder that is trained against must lie above 0 and not above 1000, not ",
        weight);
  check(steps >= 1 && steps <= 100, "the decoder that is trained against must take 1 to 100 steps, not ",
        steps);
  check(std::isfinite(learning_rate) && learning_rate > 0,
        "the rate of the decoder that is trained against must be positive, not ", learning_rate);
}

std::string OpponentSettings::describe() const {
  std::ostringstream out;
  out << decoder << " of " << image_size << " pixels, weight " << weight << ", " << steps
      << (steps == 1 ? " step" : " steps") << ", rate " << learning_rate;
  return out.str();
}

Opponent::Opponent(const OpponentSettings& settings, int64_t embedding, const Tensor& mean_face,
                   uint64_t seed)
    : settings_(settings),
      decoder_(make_decoder(settings_.decoder, {embedding}, settings_.image_size, seed)),
      mean_face_(resized(reshape(mean_face, {1, 3, mean_face.dim(1), mean_face.dim(2)}))),
      optimizer_(decoder_->parameters()) {
  settings.check_valid();
}

Tensor Opponent::resized(const Tensor& faces) const {
  const int64_t size = settings_.image_size;
  return faces.dim(2) == size ? faces : resize2d(faces, {.size = {size, size}});
}

void Opponent::learn(const Tensor& embeddings, const Tensor& faces) {
  decoder_->train(true);
  Tape tape;
  Tensor value;
  {
    const TapeScope scope(tape);
    value = l1_loss(decoder_->forward(embeddings), resized(faces));
  }
  check(std::isfinite(value.item()), "training diverged: the loss of the decoder that is trained against is ",
        value.item(), "; use a smaller --against-lr");
  const NoTapeScope off;
  optimizer_.step(backward(tape, value, values(optimizer_.parameters())), settings_.learning_rate);
  decoder_->train(false);
}

Opponent::Differences Opponent::differences(const Tensor& embeddings, const Tensor& faces) const {
  const Tensor wanted = resized(faces);
  const auto off = [&](const Tensor& images) { return mean(abs(sub(images, wanted)), {1, 2, 3}, false); };
  return {off(decoder_->forward(embeddings)), off(mean_face_)};
}

Tensor Opponent::share(const Tensor& embeddings, const Tensor& faces) const {
  const BatchStatisticsScope by_the_batch;
  const Differences d = differences(embeddings, faces);
  const double whole = sum_all(d.mean_face).item();
  const Tensor least = sub(d.decoder, relu(sub(d.decoder, d.mean_face)));
  return affine(sum_all(least), 1 / std::max(whole, 1e-12), 0);
}

Opponent::Wrong Opponent::wrong(const Tensor& embeddings, const Tensor& faces) const {
  const NoTapeScope off;
  const Differences d = differences(embeddings, faces);
  return {sum_all(d.decoder).item(), sum_all(d.mean_face).item()};
}

TensorMap Opponent::state() {
  TensorMap all;
  for (const auto& [name, tensor] : state_dict(*decoder_)) all[kDecoder + name] = tensor;
  for (const auto& [name, tensor] : optimizer_.state()) all[kOptimizer + name] = tensor;
  return all;
}

void Opponent::load_state(TensorMap tensors, const std::string& source) {
  const TensorMap optimizer = taken_out(tensors, kOptimizer), decoder = taken_out(tensors, kDecoder);
  load_state_dict(*decoder_, decoder, source);
  optimizer_.load_state(optimizer, source);
}

}  // namespace advf
