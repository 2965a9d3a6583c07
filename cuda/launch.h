// The one place where kernels start. A kernel's loop strides over the grid, so any grid serves any size; a
// size of zero starts nothing.
#pragma once
#include <algorithm>
#include <cstdint>

#include "cuda/check.h"

namespace advf::cuda {

struct Grid {
  int64_t blocks = 0;  // 0: nothing to do
  int threads = 256;
};

// Enough blocks to keep the device busy; kernels loop over what is more.
int64_t most_blocks();
inline Grid grid_for(int64_t n, int threads = 256) {
  return {std::min((n + threads - 1) / threads, most_blocks()), threads};
}
// One block per item (a row), looping where there are more items than blocks.
inline Grid grid_of_blocks(int64_t items, int threads = 256) {
  return {std::min(items, most_blocks()), threads};
}

// The kernel that this thread launched last: for messages, and for the emulator's coverage.
inline thread_local const char* launching = nullptr;

// `name` is the kernel's own.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), Grid grid, cudaStream_t stream, const A&... args) {
  if (grid.blocks == 0) return;
  launching = name;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(unsigned(grid.blocks));
  config.blockDim = dim3(unsigned(grid.threads));
  config.stream = stream;
  check_cuda(cudaLaunchKernelEx(&config, kernel, P(args)...), name);
  check_cuda(cudaGetLastError(), name);
}

}  // namespace advf::cuda
