// Linked where the build has no CUDA.
#include "cuda/cuda_backend.h"
#include "tensor/backend.h"

namespace advf {

std::string cuda_unusable() { return "this build has no CUDA; use --device cpu"; }

void register_cuda_backend() {
  for (const char* name : {"cuda", "cuda-bf16"})
    register_backend(name, []() -> Backend& { fail(cuda_unusable()); });
}

}  // namespace advf
