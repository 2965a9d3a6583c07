// What the kernels and the host code of cuda/ use of the CUDA runtime, with a meaning on the CPU. It stands
// on the include path in NVIDIA's place when ADVF_CUDA=EMULATED. A kernel's threads are fibers of one CPU
// thread, its blocks run one after another; streams are queues that run when the host waits for them, in any
// order that events allow (cuda/emulator/runtime.cpp). `__shared__` is static memory, so the sanitizer guards
// its ends.
#pragma once
#include <math.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

// Of the fiber that runs.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

void __syncthreads();
void __syncwarp(unsigned mask = 0xFFFFFFFFu);

namespace advf::cuda::emulator {

// Meets the other lanes of `mask`, hands `size` bytes over and takes those of lane `source`.
void exchange(unsigned mask, const void* mine, void* theirs, size_t size, int source);
int lane();

// Enqueues work on a stream, or records it where the stream is being captured.
void enqueue(struct Stream* stream, std::function<void()> work);
// Enqueues one kernel: `body` is what a thread of it does.
int enqueue_kernel(struct Stream* stream, dim3 grid, dim3 block, std::function<void()> body);

struct Stream;
struct Event;
struct Graph;

}  // namespace advf::cuda::emulator

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize) {
  const int base = advf::cuda::emulator::lane() / width * width;
  T out;
  advf::cuda::emulator::exchange(mask, &value, &out, sizeof(T), base + (source % width + width) % width);
  return out;
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int flip, int width = warpSize) {
  const int lane = advf::cuda::emulator::lane(), source = lane ^ flip;
  T out;
  advf::cuda::emulator::exchange(mask, &value, &out, sizeof(T),
                                 source / width > lane / width ? lane : source);
  return out;
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize) {
  const int lane = advf::cuda::emulator::lane(), source = lane + int(delta);
  T out;
  advf::cuda::emulator::exchange(mask, &value, &out, sizeof(T),
                                 source / width == lane / width ? source : lane);
  return out;
}

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorCudartUnloading = 4,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900,
};
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();

using cudaStream_t = advf::cuda::emulator::Stream*;
using cudaEvent_t = advf::cuda::emulator::Event*;
using cudaGraph_t = advf::cuda::emulator::Graph*;
using cudaGraphExec_t = advf::cuda::emulator::Graph*;
using cudaMemPool_t = void*;

enum { cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2 };
enum { cudaHostAllocMapped = 2 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal };
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold = 4 };

struct cudaUUID_t {
  char bytes[16];
};
struct cudaDeviceProp {
  char name[256];
  cudaUUID_t uuid;
  int major, minor, multiProcessorCount;
  size_t totalGlobalMem;
};

// Libraries that a program loads, such as a stand-in of NCCL, see these where it exports them.
#pragma GCC visibility push(default)
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device);
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value);
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep);

cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t stream);
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream);
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* p);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
enum cudaMemoryType { cudaMemoryTypeUnregistered, cudaMemoryTypeHost, cudaMemoryTypeDevice };
struct cudaPointerAttributes {
  cudaMemoryType type;
};
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p);
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);
#pragma GCC visibility pop

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};
template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... args) {
  // Arguments are copied at the call, as on a device.
  auto body = [kernel, ... copies = std::decay_t<P>(std::forward<A>(args))] { kernel(copies...); };
  return cudaError_t(advf::cuda::emulator::enqueue_kernel(config->stream, config->gridDim, config->blockDim,
                                                          std::move(body)));
}
