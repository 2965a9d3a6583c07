// How a product's op (conv2d, conv_transpose2d, matmul, fused or not) says what happens to its values on
// their way to memory, and how a kernel is told.
#pragma once
#include <span>

#include "tensor/backend.h"
#include "tensor/cpu/kernels.h"

namespace advf::cpu {

class StoreEpilogue {
 public:
  // Inputs of every product: two operands, bias, and of a fused one residual and slopes or the kept tensor.
  explicit StoreEpilogue(const OpCall& call) {
    const Epilogue* e = nullptr;
    if (const auto* conv = std::get_if<ConvAttrs>(&call.attrs)) e = &conv->epilogue;
    if (const auto* matmul = std::get_if<MatmulAttrs>(&call.attrs)) e = &matmul->epilogue;
    if (!e) return;
    activation_ = e->activation;
    slope_ = float(e->slope);
    shared_slope_ = call.in.size() > 4 && call.in[4].shape.numel() == 1;
  }

  // Sets destination and epilogue for rows that start at element `at` of the output; row r is channel
  // `channel` + r.
  void point(StoreArgs& s, std::span<const View> in, std::span<const View> out, int64_t at,
             int64_t channel) const {
    s.dst = out[0].as<float>() + at;
    s.row_bias = in.size() > 2 && in[2] ? in[2].as<const float>() + channel : nullptr;
    point_at(s, in, at);
    if (activation_ == Activation::prelu) {
      s.row_slope = in[4].as<const float>() + (shared_slope_ ? 0 : channel);
      s.row_slope_step = shared_slope_ ? 0 : 1;
    }
  }
  // The same where channels are columns, from column `column` on; no prelu.
  void point_columns(StoreArgs& s, std::span<const View> in, std::span<const View> out, int64_t at,
                     int64_t column) const {
    s.dst = out[0].as<float>() + at;
    s.col_bias = in.size() > 2 && in[2] ? in[2].as<const float>() + column : nullptr;
    point_at(s, in, at);
  }

 private:
  void point_at(StoreArgs& s, std::span<const View> in, int64_t at) const {
    s.activation = activation_;
    s.slope = slope_;
    s.residual = in.size() > 3 && in[3] ? in[3].as<const float>() + at : nullptr;
    const bool gradient = activation_ == Activation::relu_grad || activation_ == Activation::leaky_relu_grad;
    s.kept = gradient ? in[4].as<const float>() + at : nullptr;
  }

  Activation activation_ = Activation::none;
  float slope_ = 0;
  bool shared_slope_ = false;
};

}  // namespace advf::cpu
