// Linked where the build has no CUDA.
#include "cuda/cuda_backend.h"
#include "cuda/nccl.h"
#include "tensor/backend.h"

namespace advf {

std::string cuda_unusable() { return "this build has no CUDA; use --device cpu"; }

void take_cuda_device(int) {}
std::array<char, 16> cuda_device_uuid() { fail(cuda_unusable()); }

std::string nccl_version(const std::string&) { fail(cuda_unusable()); }
NcclId new_nccl_id(const std::string&) { fail(cuda_unusable()); }
std::unique_ptr<DeviceLink> nccl_link(const std::string&, const NcclId&, int, int) { fail(cuda_unusable()); }

void register_cuda_backend() {
  for (const char* name : {"cuda", "cuda-bf16"})
    register_backend(name, []() -> Backend& { fail(cuda_unusable()); });
}

}  // namespace advf
