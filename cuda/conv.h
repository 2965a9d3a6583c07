// Convolution, as the library computes it: conv.cu calls cuDNN, emulator/conv.cpp the cpu backend.
#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "cuda/gemm.h"

namespace advf::cuda {

enum class ConvPass { forward, input_gradient, weight_gradient };

// x (N,C,H,W), w (O,C/groups,kh,kw), y (N,O,oh,ow) in f32; bf16 has channels last: x (N,H,W,C), w
// (O,kh,kw,C/groups), y (N,oh,ow,O). The same zeros above as below, left as right. No bias.
struct ConvProblem {
  int n, c, h, w, o, oh, ow, kh, kw;
  int stride[2], pad[2], dilation[2];
  int groups;
  Element element = Element::f32;
};

class Convolution {
 public:
  virtual ~Convolution() = default;
  virtual size_t scratch_bytes() const = 0;
  // forward: (x, w) -> y; input_gradient: (y, w) -> x; weight_gradient: (x, y) -> w
  virtual void run(const void* first, const void* second, void* out, void* scratch,
                   cudaStream_t stream) const = 0;
};
// Chooses an algorithm that gives the same bits in every run; throws where the library has none.
std::unique_ptr<Convolution> make_convolution(const ConvProblem& problem, ConvPass pass);

}  // namespace advf::cuda
