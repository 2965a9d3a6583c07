// The fast ops of the CPU backend: one bind function per op. A function returns null for a call it does not
// serve (another element type, an empty shape); the reference then runs it.
#pragma once
#include <memory>

#include "tensor/backend.h"
#include "tensor/cpu/kernels.h"

namespace advf::cpu {

struct BindArgs {
  const OpCall& call;
  std::span<const View> constants;  // empty, or one per input: data where the value never changes
  const KernelTable& kernels;

  // The bytes of input i if they are constant, else null.
  const float* constant(size_t i) const { return i < constants.size() ? constants[i].as<const float>() : nullptr; }
};
using BindFn = std::unique_ptr<BoundOp> (*)(const BindArgs& args);

std::unique_ptr<BoundOp> bind_conv2d(const BindArgs& args);
std::unique_ptr<BoundOp> bind_conv_transpose2d(const BindArgs& args);
std::unique_ptr<BoundOp> bind_conv2d_grad_weight(const BindArgs& args);
std::unique_ptr<BoundOp> bind_matmul(const BindArgs& args);

}  // namespace advf::cpu
