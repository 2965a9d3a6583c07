// The device of this process: its stream, and the word through which kernels report bad data. Opened at first
// use.
#pragma once
#include <mutex>

#include "cuda/check.h"

namespace advf::cuda {

// In host memory that the device can write. The host looks at it whenever it has waited for the device.
struct Fault {
  int code = 0;  // 0: none
  int64_t value = 0, limit = 0;
};
enum FaultCode : int { kBadLabel = 1 };

struct Context {
  int number = 0;                 // of the device, among those of the machine
  cudaStream_t stream = nullptr;  // all computing is on it, in order
  Fault* fault = nullptr;
  cudaDeviceProp device{};
  // Held while work is issued: a stream that is being captured takes the calls of one thread alone.
  std::recursive_mutex mutex;
};

// Throws Error with one clear message where there is no device or its driver is too old.
Context& context();
// Waits for the stream, then reports what kernels found wrong.
void synchronise();

}  // namespace advf::cuda
