// CUDA, real or emulated. On a machine without a device the suite says that it is skipped.
#include "devices.h"

#include <cstdio>
#include <cstdlib>

#include "cuda/cuda_backend.h"
#include "cuda_coverage.h"

namespace advf::test {

std::vector<const char*> devices_under_test() {
  static const bool usable = [] {
    register_cuda_backend();
    const std::string why = cuda_unusable();
    if (!why.empty()) std::printf("SKIPPED: %s\n", why.c_str());
    return why.empty();
  }();
  return usable ? std::vector<const char*>{"cuda"} : std::vector<const char*>{};
}
void note_sample(const std::string& name) { label_launches(name); }

}  // namespace advf::test
