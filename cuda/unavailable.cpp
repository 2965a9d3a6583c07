// Linked where the build has no CUDA.
#include "cuda/cuda_backend.h"
#include "tensor/backend.h"

namespace advf {

void register_cuda_backend() {
  register_backend("cuda", []() -> Backend& { fail("this build has no CUDA; use --device cpu"); });
}

}  // namespace advf
