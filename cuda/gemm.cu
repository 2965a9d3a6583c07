// cuBLAS. Its matrices are column-major, so out^T = op(b)^T op(a)^T is computed: the same bytes.
#include "cuda/gemm.h"

#include <cublas_v2.h>

#include "cuda/bind.h"
#include "cuda/context.h"

namespace advf::cuda {
namespace {

void check_cublas(cublasStatus_t status, const char* what) {
  check(status == CUBLAS_STATUS_SUCCESS, "cuda: ", what, ": cuBLAS says ", cublasGetStatusString(status));
}

// With a workspace of its own the library allocates nothing, and gives the same bits in every run.
struct Library {
  static constexpr size_t kWorkspace = size_t(32) << 20;
  Handle<cublasHandle_t, cublasDestroy> handle;
  DeviceBytes workspace{kWorkspace};

  Library() {
    check_cublas(cublasCreate(handle.put()), "starting cuBLAS");
    check_cublas(cublasSetStream(handle.get(), context().stream), "starting cuBLAS");
    check_cublas(cublasSetWorkspace(handle.get(), workspace.as<void>(), kWorkspace), "starting cuBLAS");
    // f32 is f32: no TF32.
    check_cublas(cublasSetMathMode(handle.get(), CUBLAS_DEFAULT_MATH), "starting cuBLAS");
  }
};
Library& library() {
  static Library& instance = *new Library;  // outlives whatever order of destruction
  return instance;
}

class CublasGemm : public Gemm {
 public:
  explicit CublasGemm(const GemmProblem& p) : p_(p) {
    library();
    for (int64_t v : {p.m, p.n, p.k, p.batch})
      check(v <= INT32_MAX, "a product of size ", v, " is too large for cuda");
  }

  void run(const void* a, const void* b, void* out, cudaStream_t stream) const override {
    if (p_.m == 0 || p_.n == 0 || p_.batch == 0) return;
    const auto type = [](Element e) { return e == Element::bf16 ? CUDA_R_16BF : CUDA_R_32F; };
    const size_t size = p_.result == Element::bf16 ? 2 : 4;
    if (p_.k == 0) {  // an empty sum
      check_cuda(cudaMemsetAsync(out, 0, size_t(p_.m * p_.n * p_.batch) * size, stream),
                 "clearing a product");
      return;
    }
    const float one = 1, zero = 0;
    check_cublas(cublasGemmStridedBatchedEx(
                     library().handle.get(), p_.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                     p_.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, int(p_.n), int(p_.m), int(p_.k), &one, b,
                     type(p_.operands), int(p_.transpose_b ? p_.k : p_.n), p_.k * p_.n, a, type(p_.operands),
                     int(p_.transpose_a ? p_.m : p_.k), p_.m * p_.k, &zero, out, type(p_.result), int(p_.n),
                     p_.m * p_.n, int(p_.batch), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
                 "a product of matrices");
  }

 private:
  GemmProblem p_;
};

}  // namespace

std::unique_ptr<Gemm> make_gemm(const GemmProblem& problem) { return std::make_unique<CublasGemm>(problem); }

}  // namespace advf::cuda
