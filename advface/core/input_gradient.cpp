#include "advface/core/input_gradient.h"

#include "nn/freeze.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {
namespace {

NamedPlan backward_plan(const Encoder& encoder, const Shape& images, Shape& output) {
  Tape tape(Tape::Keep::everything);
  NamedTensors in, out;
  const Tensor x = Tensor::meta(images);
  in.add("images", x);
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    const Tensor z = encoder(x);
    output = z.shape();
    const Tensor v = Tensor::meta(output);
    in.add("directions", v);
    const Tensor along = sum_all(mul(z, v));
    tape = fold_batch_norm(tape, std::span(&along, 1));
    out.add("gradient", backward(tape, along, {x}, true)[0]);
  }
  return NamedPlan(tape, in, out);
}

}  // namespace

InputGradient::InputGradient(const Encoder& encoder, const Shape& images)
    : plan_(backward_plan(encoder, images, output_)) {}

void InputGradient::set_images(const Tensor& images) { plan_.set("images", images.to(current_backend())); }

Tensor InputGradient::along(const Tensor& v) {
  plan_.set("directions", v.to(current_backend()));
  plan_.run();
  return plan_.get("gradient").on_host();
}

}  // namespace advf
