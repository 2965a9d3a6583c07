// The product of matrices, as the library computes it: gemm.cu calls cuBLAS, emulator/gemm.cpp the cpu
// backend.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <memory>

namespace advf::cuda {

enum class Element { f32, bf16 };

// out (M,N) = op(a) op(b), row-major, `batch` times in a row; a is (M,K) or (K,M), b (K,N) or (N,K). Sums in
// f32.
struct GemmProblem {
  int64_t m, n, k, batch = 1;
  bool transpose_a = false, transpose_b = false;
  Element operands = Element::f32, result = Element::f32;
};

class Gemm {
 public:
  virtual ~Gemm() = default;
  virtual void run(const void* a, const void* b, void* out, cudaStream_t stream) const = 0;
};
std::unique_ptr<Gemm> make_gemm(const GemmProblem& problem);

}  // namespace advf::cuda
