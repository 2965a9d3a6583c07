// cuDNN's plain convolution calls, which its headers mark as deprecated: they need no graph, and everything
// that knows of them is in this file. f32 runs without TF32, and without Winograd and FFT, whose rounding is
// not that of a sum of products; bf16 has its channels last, on tensor cores, with sums in f32.
#include "cuda/conv.h"

#include <cudnn.h>

#include <array>
#include <initializer_list>

#include "cuda/context.h"

namespace advf::cuda {
namespace {

void check_cudnn(cudnnStatus_t status, const char* what) {
  check(status == CUDNN_STATUS_SUCCESS, "cuda: ", what, ": cuDNN says ", cudnnGetErrorString(status));
}

cudnnHandle_t library() {
  static const cudnnHandle_t handle = [] {
    cudnnHandle_t h{};
    check_cudnn(cudnnCreate(&h), "starting cuDNN");
    check_cudnn(cudnnSetStream(h, context().stream), "starting cuDNN");
    return h;
  }();
  return handle;
}

constexpr const char* kWhat = "a convolution";
constexpr size_t kMostScratch = size_t(1) << 30;

// The first algorithm of the library's ranking that is among `wanted`, repeatable and modest in memory.
template <class Perf, class Get, class Algo>
Perf choose(const Get& get, std::initializer_list<Algo> wanted) {
  std::array<Perf, 16> ranking{};
  int count = 0;
  check_cudnn(get(int(ranking.size()), &count, ranking.data()), kWhat);
  for (int i = 0; i < count; ++i) {
    const Perf& p = ranking[size_t(i)];
    if (p.status != CUDNN_STATUS_SUCCESS || p.determinism != CUDNN_DETERMINISTIC || p.memory > kMostScratch)
      continue;
    for (Algo a : wanted)
      if (p.algo == a) return p;
  }
  fail("cuda: cuDNN has no repeatable algorithm for this convolution");
}

class CudnnConvolution : public Convolution {
 public:
  CudnnConvolution(const ConvProblem& p, ConvPass pass) : pass_(pass) {
    const bool half = p.element == Element::bf16;
    const auto type = half ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    const auto format = half ? CUDNN_TENSOR_NHWC : CUDNN_TENSOR_NCHW;
    check_cudnn(cudnnCreateTensorDescriptor(x_.put()), kWhat);
    check_cudnn(cudnnCreateTensorDescriptor(y_.put()), kWhat);
    check_cudnn(cudnnCreateFilterDescriptor(w_.put()), kWhat);
    check_cudnn(cudnnCreateConvolutionDescriptor(conv_.put()), kWhat);
    check_cudnn(cudnnSetTensor4dDescriptor(x_.get(), format, type, p.n, p.c, p.h, p.w), kWhat);
    check_cudnn(cudnnSetTensor4dDescriptor(y_.get(), format, type, p.n, p.o, p.oh, p.ow), kWhat);
    check_cudnn(cudnnSetFilter4dDescriptor(w_.get(), type, format, p.o, p.c / p.groups, p.kh, p.kw), kWhat);
    check_cudnn(cudnnSetConvolution2dDescriptor(conv_.get(), p.pad[0], p.pad[1], p.stride[0], p.stride[1],
                                                p.dilation[0], p.dilation[1], CUDNN_CROSS_CORRELATION,
                                                CUDNN_DATA_FLOAT),
                kWhat);
    check_cudnn(cudnnSetConvolutionGroupCount(conv_.get(), p.groups), kWhat);
    check_cudnn(cudnnSetConvolutionMathType(conv_.get(), half ? CUDNN_TENSOR_OP_MATH : CUDNN_FMA_MATH),
                kWhat);
    choose_algorithm();
  }

  size_t scratch_bytes() const override { return scratch_; }

  void run(const void* first, const void* second, void* out, void* scratch, cudaStream_t) const override {
    const float one = 1, zero = 0;
    switch (pass_) {
      case ConvPass::forward:
        return check_cudnn(
            cudnnConvolutionForward(library(), &one, x_.get(), first, w_.get(), second, conv_.get(), forward_,
                                    scratch, scratch_, &zero, y_.get(), out),
            kWhat);
      case ConvPass::input_gradient:
        return check_cudnn(
            cudnnConvolutionBackwardData(library(), &one, w_.get(), second, y_.get(), first, conv_.get(),
                                         input_, scratch, scratch_, &zero, x_.get(), out),
            kWhat);
      case ConvPass::weight_gradient:
        return check_cudnn(
            cudnnConvolutionBackwardFilter(library(), &one, x_.get(), first, y_.get(), second, conv_.get(),
                                           weight_, scratch, scratch_, &zero, w_.get(), out),
            kWhat);
    }
  }

 private:
  void choose_algorithm() {
    const cudnnHandle_t h = library();
    switch (pass_) {
      case ConvPass::forward: {
        const auto get = [&](int wanted, int* count, cudnnConvolutionFwdAlgoPerf_t* list) {
          return cudnnGetConvolutionForwardAlgorithm_v7(h, x_.get(), w_.get(), conv_.get(), y_.get(), wanted,
                                                        count, list);
        };
        const auto p = choose<cudnnConvolutionFwdAlgoPerf_t>(
            get, {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM,
                  CUDNN_CONVOLUTION_FWD_ALGO_GEMM});
        forward_ = p.algo;
        check_cudnn(cudnnGetConvolutionForwardWorkspaceSize(h, x_.get(), w_.get(), conv_.get(), y_.get(),
                                                            forward_, &scratch_),
                    kWhat);
        break;
      }
      case ConvPass::input_gradient: {
        const auto get = [&](int wanted, int* count, cudnnConvolutionBwdDataAlgoPerf_t* list) {
          return cudnnGetConvolutionBackwardDataAlgorithm_v7(h, w_.get(), y_.get(), conv_.get(), x_.get(),
                                                             wanted, count, list);
        };
        const auto p = choose<cudnnConvolutionBwdDataAlgoPerf_t>(get, {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1});
        input_ = p.algo;
        check_cudnn(cudnnGetConvolutionBackwardDataWorkspaceSize(h, w_.get(), y_.get(), conv_.get(), x_.get(),
                                                                 input_, &scratch_),
                    kWhat);
        break;
      }
      case ConvPass::weight_gradient: {
        const auto get = [&](int wanted, int* count, cudnnConvolutionBwdFilterAlgoPerf_t* list) {
          return cudnnGetConvolutionBackwardFilterAlgorithm_v7(h, x_.get(), y_.get(), conv_.get(), w_.get(),
                                                               wanted, count, list);
        };
        const auto p =
            choose<cudnnConvolutionBwdFilterAlgoPerf_t>(get, {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1});
        weight_ = p.algo;
        check_cudnn(cudnnGetConvolutionBackwardFilterWorkspaceSize(h, x_.get(), y_.get(), conv_.get(),
                                                                   w_.get(), weight_, &scratch_),
                    kWhat);
        break;
      }
    }
  }

  ConvPass pass_;
  Handle<cudnnTensorDescriptor_t, cudnnDestroyTensorDescriptor> x_, y_;
  Handle<cudnnFilterDescriptor_t, cudnnDestroyFilterDescriptor> w_;
  Handle<cudnnConvolutionDescriptor_t, cudnnDestroyConvolutionDescriptor> conv_;
  cudnnConvolutionFwdAlgo_t forward_{};
  cudnnConvolutionBwdDataAlgo_t input_{};
  cudnnConvolutionBwdFilterAlgo_t weight_{};
  size_t scratch_ = 0;
};

}  // namespace

std::unique_ptr<Convolution> make_convolution(const ConvProblem& problem, ConvPass pass) {
  return std::make_unique<CudnnConvolution>(problem, pass);
}

}  // namespace advf::cuda
