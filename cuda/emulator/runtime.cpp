// The runtime's calls on the CPU. A stream is a queue; nothing runs before the host waits, and then the
// streams take turns at random as far as events allow, so that a missing event shows. Device memory is
// malloc'd to the byte and poisoned with NaN: the sanitizer sees what lies outside, and a result shows what
// was never written. Errors are sticky.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "cuda/emulator/emulator.h"
#include "cuda/launch.h"
#include "tensor/rng.h"

namespace advf::cuda::emulator {

struct Event {
  int recorded = 0, reached = 0;  // versions: enqueued, passed
};
struct Item {
  std::function<void()> work;
  Event* record = nullptr;
  Event* wait = nullptr;
  int version = 0;
};
struct Graph {
  std::vector<std::function<void()>> work;
};
struct Stream {
  std::deque<Item> queue;
  Graph* capture = nullptr;
};

namespace {

struct Runtime {
  std::recursive_mutex mutex;
  Machine machine;
  std::set<Stream*> streams;
  std::map<const std::byte*, size_t> device;  // allocations
  std::map<const std::byte*, size_t> pinned;
  size_t in_use = 0;
  std::atomic<int64_t> allocations{0}, waits{0}, copies{0}, graphs{0};
  cudaError_t last = cudaSuccess, sticky = cudaSuccess;
  uint64_t seed = 1, drawn = 0;
  std::map<std::string, int64_t> launches;
  std::string label = "-";
  std::set<std::pair<std::string, std::string>> covered;

  uint64_t draw(uint64_t n) { return Philox{seed, 1}.below(drawn++, n); }
};
void write_coverage();
// Never destroyed: tensors in static storage may outlive any order of destruction.
Runtime& runtime() {
  static Runtime& instance = *[] {
    std::atexit(write_coverage);
    auto* made = new Runtime;
    if (const char* devices = std::getenv("ADVF_EMULATOR_DEVICES"))
      made->machine.devices = std::atoi(devices);
    return made;
  }();
  return instance;
}

void write_coverage() {
  const char* path = std::getenv("ADVF_EMULATOR_COVERAGE");
  const auto& covered = runtime().covered;
  std::FILE* file = path && !covered.empty() ? std::fopen(path, "a") : nullptr;
  if (!file) return;
  for (const auto& [kernel, where] : covered) std::fprintf(file, "%s\t%s\n", kernel.c_str(), where.c_str());
  std::fclose(file);
}

cudaError_t result(cudaError_t error) {
  Runtime& r = runtime();
  if (r.sticky != cudaSuccess) error = r.sticky;
  if (error != cudaSuccess) r.last = error;
  return error;
}

bool runnable(const Stream& s) {
  return !s.queue.empty() &&
         (!s.queue.front().wait || s.queue.front().wait->reached >= s.queue.front().version);
}

void run_one(Stream& s) {
  const Item item = std::move(s.queue.front());
  s.queue.pop_front();
  if (item.record) item.record->reached = std::max(item.record->reached, item.version);
  if (item.work && runtime().sticky == cudaSuccess) item.work();
}

// Runs whatever may run, in a random order of streams, until `done`.
template <class Done>
cudaError_t drain(Done done) {
  Runtime& r = runtime();
  while (!done()) {
    std::vector<Stream*> able;
    for (Stream* s : r.streams)
      if (runnable(*s)) able.push_back(s);
    if (able.empty()) {
      std::fputs("cuda emulator: streams wait for events that are never recorded\n", stderr);
      return result(r.sticky = cudaErrorLaunchFailure);
    }
    run_one(*able[r.draw(able.size())]);
  }
  return result(cudaSuccess);
}

using Blocks = std::map<const std::byte*, size_t>;
bool lies_in(const Blocks& blocks, const void* p) {
  auto after = blocks.upper_bound(static_cast<const std::byte*>(p));
  if (after == blocks.begin()) return false;
  --after;
  return p < after->first + after->second;
}

thread_local int this_threads_device = 0;

using Lock = std::lock_guard<std::recursive_mutex>;

}  // namespace

void enqueue(Stream* stream, std::function<void()> work) {
  const Lock lock(runtime().mutex);
  if (stream->capture)
    stream->capture->work.push_back(std::move(work));
  else
    stream->queue.push_back({std::move(work)});
}

int enqueue_kernel(Stream* stream, dim3 grid, dim3 block, std::function<void()> body) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  const std::string name = advf::cuda::launching ? advf::cuda::launching : "?";
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x * block.y * block.z > 1024 || grid.y > 65535 ||
      grid.z > 65535)
    return result(cudaErrorInvalidConfiguration);
  enqueue(stream, [&r, name, grid, block, body = std::move(body)] {
    ++r.launches[name];
    r.covered.emplace(name, r.label);
    const std::string error = run_grid(name.c_str(), grid, block, body, r.seed + ++r.drawn);
    if (error.empty()) return;
    std::fprintf(stderr, "cuda emulator: %s\n", error.c_str());
    r.sticky = r.last = cudaErrorLaunchFailure;
  });
  return result(cudaSuccess);
}

void set_seed(uint64_t seed) {
  runtime().seed = seed;
  runtime().drawn = 0;
}
const std::map<std::string, int64_t>& launches() { return runtime().launches; }
void label_launches(const std::string& label) { runtime().label = label; }
Machine& machine() { return runtime().machine; }
size_t memory_in_use() { return runtime().in_use; }
int64_t allocations() { return runtime().allocations; }
int64_t host_waits() { return runtime().waits; }
int64_t host_copies() { return runtime().copies; }
int64_t graph_launches() { return runtime().graphs; }

}  // namespace advf::cuda::emulator

using namespace advf::cuda::emulator;

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorCudartUnloading:
      return "driver shutting down";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
    case cudaErrorLaunchFailure:
      return "unspecified launch failure";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
  }
  return "unknown error";
}
cudaError_t cudaGetLastError() {
  const Lock lock(runtime().mutex);
  const cudaError_t error = runtime().last;
  runtime().last = runtime().sticky;
  return error;
}

cudaError_t cudaGetDeviceCount(int* count) {
  const Machine& m = runtime().machine;
  *count = 0;
  if (m.driver_version < m.runtime_version) return cudaErrorInsufficientDriver;
  if (m.devices == 0) return cudaErrorNoDevice;
  *count = m.devices;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device >= runtime().machine.devices) return result(cudaErrorNoDevice);
  this_threads_device = device;
  return result(cudaSuccess);
}
cudaError_t cudaGetDevice(int* device) {
  *device = this_threads_device;
  return result(cudaSuccess);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  *p = {};
  p->uuid.bytes[0] = char(device);
  std::snprintf(p->name, sizeof p->name, "CUDA on the CPU (emulated)");
  p->major = 8;
  p->multiProcessorCount = 1;  // few, so that grids loop
  p->totalGlobalMem = runtime().machine.memory;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = runtime().machine.driver_version;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = runtime().machine.runtime_version;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const Lock lock(runtime().mutex);
  *total = runtime().machine.memory;
  *free = *total - std::min(*total, runtime().in_use);
  return cudaSuccess;
}
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  *pool = nullptr;
  return cudaSuccess;
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }

cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t stream) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  *p = nullptr;
  if (stream->capture) return result(cudaErrorStreamCaptureUnsupported);
  if (r.in_use + bytes > r.machine.memory || posix_memalign(p, 256, bytes) != 0)
    return result(cudaErrorMemoryAllocation);
  std::memset(*p, 0xFF, bytes);
  r.device[static_cast<const std::byte*>(*p)] = bytes;
  r.in_use += bytes;
  ++r.allocations;
  return result(cudaSuccess);
}
cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  if (stream->capture) return result(cudaErrorStreamCaptureUnsupported);
  enqueue(stream, [p] {
    Runtime& r = runtime();
    const auto found = r.device.find(static_cast<const std::byte*>(p));
    if (found == r.device.end()) {
      r.sticky = r.last = cudaErrorInvalidValue;
      return;
    }
    r.in_use -= found->second;
    r.device.erase(found);
    std::free(p);
  });
  return result(cudaSuccess);
}
cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  const Lock lock(runtime().mutex);
  *p = nullptr;
  if (posix_memalign(p, 256, bytes) != 0) return result(cudaErrorMemoryAllocation);
  runtime().pinned[static_cast<const std::byte*>(*p)] = bytes;
  return result(cudaSuccess);
}
cudaError_t cudaFreeHost(void* p) {
  const Lock lock(runtime().mutex);
  runtime().pinned.erase(static_cast<const std::byte*>(p));
  std::free(p);
  return result(cudaSuccess);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  Runtime& r = runtime();
  const Lock lock(r.mutex);
  if (bytes == 0) return result(cudaSuccess);
  if (kind != cudaMemcpyDeviceToDevice) ++r.copies;
  const void* host = kind == cudaMemcpyHostToDevice ? from : kind == cudaMemcpyDeviceToHost ? to : nullptr;
  const bool pageable = host && !lies_in(r.pinned, host);
  if (stream->capture && pageable) return result(cudaErrorStreamCaptureUnsupported);
  if (pageable && kind == cudaMemcpyHostToDevice) {  // taken before the call returns
    std::vector<std::byte> staged(static_cast<const std::byte*>(from),
                                  static_cast<const std::byte*>(from) + bytes);
    enqueue(stream, [to, staged = std::move(staged)] { std::memcpy(to, staged.data(), staged.size()); });
    return result(cudaSuccess);
  }
  enqueue(stream, [=] { std::memmove(to, from, bytes); });
  return pageable ? drain([&] { return stream->queue.empty(); }) : result(cudaSuccess);
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p) {
  const Lock lock(runtime().mutex);
  attributes->type = lies_in(runtime().device, p)   ? cudaMemoryTypeDevice
                     : lies_in(runtime().pinned, p) ? cudaMemoryTypeHost
                                                    : cudaMemoryTypeUnregistered;
  return result(cudaSuccess);
}
cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t stream) {
  enqueue(stream, [=] { std::memset(p, value, bytes); });
  return result(cudaSuccess);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const Lock lock(runtime().mutex);
  *stream = new Stream;
  runtime().streams.insert(*stream);
  return result(cudaSuccess);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  const cudaError_t error = drain([&] { return stream->queue.empty(); });
  runtime().streams.erase(stream);
  delete stream;
  return error;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  if (stream->capture) return result(cudaErrorStreamCaptureUnsupported);
  ++runtime().waits;
  return drain([&] { return stream->queue.empty(); });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new Event;
  return result(cudaSuccess);
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return result(cudaSuccess);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  stream->queue.push_back({nullptr, event, nullptr, ++event->recorded});
  return result(cudaSuccess);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const Lock lock(runtime().mutex);
  stream->queue.push_back({nullptr, nullptr, event, event->recorded});
  return result(cudaSuccess);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Lock lock(runtime().mutex);
  ++runtime().waits;
  return drain([event, wanted = event->recorded] { return event->reached >= wanted; });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  stream->capture = new Graph;
  return result(cudaSuccess);
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = std::exchange(stream->capture, nullptr);
  return result(cudaSuccess);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new Graph(*graph);
  return result(cudaSuccess);
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  const Lock lock(runtime().mutex);
  ++runtime().graphs;
  for (const auto& work : exec->work) enqueue(stream, work);
  return result(cudaSuccess);
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return result(cudaSuccess);
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return result(cudaSuccess);
}
