// In the place of conv.cu: the cpu backend's convolution, run in stream order. bf16 tensors have their
// channels last; they are widened and turned for it, and the result is turned and rounded.
#include "cuda/conv.h"

#include "cuda/emulator/library.h"
#include "tensor/op.h"

namespace advf::cuda {
namespace {

class HostConvolution : public Convolution {
 public:
  HostConvolution(const ConvProblem& p, ConvPass pass) : element_(p.element) {
    const ValueInfo x{{p.n, p.c, p.h, p.w}}, w{{p.o, p.c / p.groups, p.kh, p.kw}}, y{{p.n, p.o, p.oh, p.ow}};
    const ValueInfo none{{}, DType::f32, false};
    ConvAttrs a{{p.stride[0], p.stride[1]},
                {p.pad[0], p.pad[1], p.pad[0], p.pad[1]},
                {p.dilation[0], p.dilation[1]},
                p.groups};
    switch (pass) {
      case ConvPass::forward:
        call_ = {&op_conv2d, a, {x, w, none}, {y}};
        break;
      case ConvPass::input_gradient:
        a.size = {p.h, p.w};
        call_ = {&op_conv_transpose2d, a, {y, w, none}, {x}};
        break;
      case ConvPass::weight_gradient:
        a.size = {p.kh, p.kw};
        call_ = {&op_conv2d_grad_weight, a, {x, y}, {w}};
        break;
    }
  }
  size_t scratch_bytes() const override { return 0; }
  void run(const void* first, const void* second, void* out, void*, cudaStream_t stream) const override {
    emulator::enqueue(stream, [call = call_, element = element_, first, second, out] {
      const Tensor a = emulator::read_image(first, call.in[0].shape, element);
      const Tensor b = emulator::read_image(second, call.in[1].shape, element);
      emulator::write_image(emulator::compute(call, {a, b}), out, element);
    });
  }

 private:
  Element element_;
  OpCall call_;
};

}  // namespace

std::unique_ptr<Convolution> make_convolution(const ConvProblem& problem, ConvPass pass) {
  return std::make_unique<HostConvolution>(problem, pass);
}

}  // namespace advf::cuda
