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
  const KernelTable* bf16 = nullptr;  // of a plan that computes in bf16: for products with a constant operand

  // With the kernels of a product over `depth` numbers (of a convolution: channels), whose second operand is
  // the input that may be constant. Of three numbers, an image's colours, bf16 is no faster: a quarter of the
  // words would be empty, and what is rounded first is met by every layer.
  BindArgs for_product(int64_t depth) const {
    return {call, constants, bf16 && constant(1) && depth > 3 ? *bf16 : kernels};
  }
  // The bytes of input i if they are constant, else null.
  const float* constant(size_t i) const {
    return i < constants.size() ? constants[i].as<const float>() : nullptr;
  }
};
using BindFn = std::unique_ptr<BoundOp> (*)(const BindArgs& args);

// Every op with a fast kernel: the backend's table and these declarations come from this one list.
#define ADVF_CPU_FAST_OPS(op)                                                                                \
  op(conv2d) op(conv_transpose2d) op(conv2d_grad_weight) op(matmul) op(conv2d_fused)                         \
      op(conv_transpose2d_fused) op(matmul_fused) op(add) op(sub) op(mul) op(div) op(affine) op(power)       \
          op(exp) op(log) op(abs) op(sign) op(clamp) op(clamp_grad) op(relu) op(relu_grad) op(leaky_relu)    \
              op(leaky_relu_grad) op(sigmoid) op(sigmoid_grad) op(tanh) op(tanh_grad) op(prelu)              \
                  op(prelu_grad) op(sgd_step) op(adam_step) op(pgd_step) op(reduce_sum) op(batch_norm_train) \
                      op(batch_norm_train_grad) op(batch_norm_eval) op(l2_normalise) op(l2_normalise_grad)   \
                          op(max_pool2d) op(max_pool2d_grad) op(avg_pool2d) op(avg_pool2d_grad) op(resize2d) \
                              op(resize2d_grad) op(concat) op(slice) op(pad) op(permute) op(broadcast_to)    \
                                  op(erf) op(softmax) op(batch_matmul) op(softmax_cross_entropy)             \
                                      op(softmax_cross_entropy_grad) op(arcface_margin)                      \
                                          op(arcface_margin_grad)

#define ADVF_DECLARE_BIND(name) std::unique_ptr<BoundOp> bind_##name(const BindArgs& args);
ADVF_CPU_FAST_OPS(ADVF_DECLARE_BIND)
#undef ADVF_DECLARE_BIND

}  // namespace advf::cpu
