#include "tensor/ops/epilogue.h"

namespace advf {
namespace {

bool is_gradient(Activation a) { return a == Activation::relu_grad || a == Activation::leaky_relu_grad; }

}  // namespace

void infer_fused(OpCall& call, const Epilogue& e, InferFn plain) {
  check_inputs(call, 5);
  OpCall base = call;
  base.in.resize(3);
  plain(base);
  const Shape& y = base.out[0].shape;
  const char* name = call.op->name;
  const ValueInfo &residual = call.in[3], &extra = call.in[4];
  check(!residual.defined || residual.shape == y, name, ": a residual of shape ", residual.shape, ", not ",
        y);
  if (e.activation == Activation::prelu)
    check(y.rank() == 4 && extra.defined && (extra.shape == Shape{y[1]} || extra.shape == Shape{1}), name,
          ": slopes of shape ", extra.shape, " for an output of shape ", y);
  else if (is_gradient(e.activation))
    check(extra.defined && extra.shape == y, name, ": a kept tensor of shape ", extra.shape, ", not ", y);
  else
    check(!extra.defined, name, ": an input that the activation does not read");
  call.out = std::move(base.out);
}

Sample fused_sample(const Sample& plain, const Attrs& attrs, const Shape& out, const Epilogue& e,
                    bool residual) {
  const SampleInput absent{{}, Domain::normal, 0, false};
  Sample s{plain.in, attrs};
  s.in.push_back(residual ? SampleInput{out} : absent);
  if (e.activation == Activation::prelu)
    s.in.push_back({{out[1]}});
  else
    s.in.push_back(is_gradient(e.activation) ? SampleInput{out} : absent);
  return s;
}

}  // namespace advf
