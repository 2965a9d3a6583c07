// matmul, batch_matmul and the convolutions: the library's product (gemm.h, conv.h), then what follows it in
// one pass. A border that is not the same on both sides is copied around the image first. Depthwise:
// kernels/depthwise.cu.
#include "cuda/conv.h"
#include "cuda/gemm.h"
#include "cuda/kernels/conv_geometry.h"
#include "cuda/kernels/depthwise.h"
#include "cuda/kernels/epilogue.h"
#include "cuda/kernels/shape_ops.h"
#include "cuda/kernels/tensor_core.h"

namespace advf::cuda {
namespace {

// What stands between the image and the library: the image with its border, where the library cannot add it.
struct Border {
  bool needed = false;
  Shape image, padded;
  std::array<int64_t, 4> before{};

  Border(const Shape& x, const ConvAttrs& a)
      : needed(a.pad[0] != a.pad[2] || a.pad[1] != a.pad[3]), image(x), padded(x) {
    if (!needed) return;
    padded.set(2, x[2] + a.pad[0] + a.pad[2]);
    padded.set(3, x[3] + a.pad[1] + a.pad[3]);
    before = {0, 0, a.pad[0], a.pad[1]};
  }
  size_t bytes() const { return needed ? (size_t(padded.numel()) * sizeof(float) + 255) / 256 * 256 : 0; }
};

ConvProblem problem_of(const char* op, const Border& border, const Shape& w, const Shape& y,
                       const ConvAttrs& a) {
  ConvProblem p = conv_problem(op, border.padded, w, y, a);
  if (border.needed) p.pad[0] = p.pad[1] = 0;
  return p;
}

bool is_depthwise(const Shape& w, const ConvAttrs& a, int64_t channels) {
  return w[1] == 1 && a.groups == channels && a.groups > 1;
}

std::unique_ptr<BoundOp> bind_forward(const BindArgs& args) {
  if (args.bf16)
    if (auto op = bind_bf16_convolution(args, false)) return op;
  const Shape &x = args.in(0).shape, &w = args.in(1).shape, &y = args.out().shape;
  const auto& a = args.attr<ConvAttrs>();
  const EpilogueCall finish(args, a.epilogue);
  if (is_depthwise(w, a, x[1])) return bind_depthwise_forward(DepthwiseBox(x, w, y, a), finish);
  const Border border(x, a);
  const PadBox pad(args.call.op->name, x, border.padded, border.before, 0);
  std::shared_ptr<const Convolution> conv =
      make_convolution(problem_of(args.call.op->name, border, w, y, a), ConvPass::forward);
  return bound(
      [=](const Run& r) {
        const float* image = r.f32(0);
        if (border.needed) {
          launch_pad(image, reinterpret_cast<float*>(r.scratch), pad, r.stream);
          image = reinterpret_cast<float*>(r.scratch);
        }
        auto* product =
            finish.product_in_scratch() ? reinterpret_cast<float*>(r.scratch + border.bytes()) : r.to_f32();
        conv->run(image, r.f32(1), product, r.scratch + border.bytes() + finish.product_bytes<float>(y),
                  r.stream);
        finish.launch_from<float>(product, r);
      },
      border.bytes() + finish.product_bytes<float>(y) + conv->scratch_bytes());
}

// in: y, w; out: x
std::unique_ptr<BoundOp> bind_transposed(const BindArgs& args) {
  if (args.bf16)
    if (auto op = bind_bf16_convolution(args, true)) return op;
  const Shape &y = args.in(0).shape, &w = args.in(1).shape, &x = args.out().shape;
  const auto& a = args.attr<ConvAttrs>();
  const EpilogueCall finish(args, a.epilogue);
  if (is_depthwise(w, a, x[1])) return bind_depthwise_transposed(DepthwiseBox(x, w, y, a), finish);
  const Border border(x, a);
  const Strides<2> cut = slice_strides(args.call.op->name, x, border.padded, border.before);
  std::shared_ptr<const Convolution> conv =
      make_convolution(problem_of(args.call.op->name, border, w, y, a), ConvPass::input_gradient);
  return bound(
      [=](const Run& r) {
        auto* product =
            finish.product_in_scratch() ? reinterpret_cast<float*>(r.scratch + border.bytes()) : r.to_f32();
        float* image = border.needed ? reinterpret_cast<float*>(r.scratch) : product;
        conv->run(r.f32(0), r.f32(1), image, r.scratch + border.bytes() + finish.product_bytes<float>(x),
                  r.stream);
        if (border.needed) launch_copy(image, product, cut, r.stream);
        finish.launch_from<float>(product, r);
      },
      border.bytes() + finish.product_bytes<float>(x) + conv->scratch_bytes());
}

std::unique_ptr<BoundOp> bind_product(const BindArgs& args) {
  if (args.bf16)
    if (auto op = bind_bf16_product(args)) return op;
  const auto& t = args.attr<MatmulAttrs>();
  const Shape &a = args.in(0).shape, &y = args.out().shape;
  const EpilogueCall finish(args, t.epilogue);
  std::shared_ptr<const Gemm> gemm =
      make_gemm({y[0], y[1], a[t.transpose_a ? 0 : 1], 1, t.transpose_a, t.transpose_b});
  return bound(
      [=](const Run& r) {
        auto* product = finish.product_in_scratch() ? reinterpret_cast<float*>(r.scratch) : r.to_f32();
        gemm->run(r.f32(0), r.f32(1), product, r.stream);
        finish.launch_from<float>(product, r);
      },
      finish.product_bytes<float>(y));
}

}  // namespace

std::unique_ptr<BoundOp> bind_conv2d(const BindArgs& args) { return bind_forward(args); }
std::unique_ptr<BoundOp> bind_conv2d_fused(const BindArgs& args) { return bind_forward(args); }
std::unique_ptr<BoundOp> bind_conv_transpose2d(const BindArgs& args) { return bind_transposed(args); }
std::unique_ptr<BoundOp> bind_conv_transpose2d_fused(const BindArgs& args) { return bind_transposed(args); }

std::unique_ptr<BoundOp> bind_conv2d_grad_weight(const BindArgs& args) {  // x, y -> w
  const Shape &x = args.in(0).shape, &y = args.in(1).shape, &w = args.out().shape;
  const auto& a = args.attr<ConvAttrs>();
  if (is_depthwise(w, a, x[1])) return bind_depthwise_grad_weight(DepthwiseBox(x, w, y, a));
  const Border border(x, a);
  const PadBox pad("conv2d_grad_weight", x, border.padded, border.before, 0);
  std::shared_ptr<const Convolution> conv =
      make_convolution(problem_of("conv2d_grad_weight", border, w, y, a), ConvPass::weight_gradient);
  return bound(
      [=](const Run& r) {
        const float* image = r.f32(0);
        if (border.needed) {
          launch_pad(image, reinterpret_cast<float*>(r.scratch), pad, r.stream);
          image = reinterpret_cast<float*>(r.scratch);
        }
        conv->run(image, r.f32(1), r.to_f32(), r.scratch + border.bytes(), r.stream);
      },
      border.bytes() + conv->scratch_bytes());
}

std::unique_ptr<BoundOp> bind_matmul(const BindArgs& args) { return bind_product(args); }
std::unique_ptr<BoundOp> bind_matmul_fused(const BindArgs& args) { return bind_product(args); }

std::unique_ptr<BoundOp> bind_batch_matmul(const BindArgs& args) {
  const auto& t = args.attr<MatmulAttrs>();
  const Shape &a = args.in(0).shape, &y = args.out().shape;
  std::shared_ptr<const Gemm> gemm =
      make_gemm({y[1], y[2], a[t.transpose_a ? 1 : 2], y[0], t.transpose_a, t.transpose_b});
  return bound([=](const Run& r) { gemm->run(r.f32(0), r.f32(1), r.to_f32(), r.stream); });
}

}  // namespace advf::cuda
