// The CUDA backend: memory of the driver's stream-ordered pool, copies in stream order, and the table of bind
// functions. One device, one stream.
#include "tensor/backend.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "cuda/bind.h"
#include "cuda/context.h"
#include "cuda/cuda_backend.h"
#include "cuda/launch.h"
#include "cuda/layouts.h"
#include "cuda/replay.h"
#include "cuda/upload.h"

namespace advf {
namespace cuda {
namespace {

int wanted_device = 0;  // modulo how many there are

std::string version(int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); }

// Why there is nothing to compute on; empty where there is.
std::string why_unusable() {
  int driver = 0, runtime = 0, devices = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  const cudaError_t error = cudaGetDeviceCount(&devices);
  cudaGetLastError();
  if (driver == 0) return "no NVIDIA driver on this machine; use --device cpu";
  if (error == cudaErrorInsufficientDriver)
    return "the driver supports CUDA " + version(driver) + ", but this build needs " + version(runtime) +
           "; update the driver, or use --device cpu";
  if (error == cudaErrorNoDevice || (error == cudaSuccess && devices == 0))
    return "no CUDA device on this machine; use --device cpu";
  if (error != cudaSuccess) return std::string("cannot start: ") + cudaGetErrorString(error);
  return {};
}

Context* open_context() {
  const std::string why = why_unusable();
  check(why.empty(), "cuda: ", why);
  auto context = std::make_unique<Context>();
  int devices = 1;
  check_cuda(cudaGetDeviceCount(&devices), "counting the devices");
  context->number = wanted_device % devices;
  check_cuda(cudaSetDevice(context->number), "opening the device");
  check_cuda(cudaGetDeviceProperties(&context->device, context->number), "reading the device's properties");
  check(context->device.major >= 8, "cuda: ", context->device.name, " has compute capability ",
        context->device.major, ".", context->device.minor, "; 8.0 is needed; use --device cpu");
  check_cuda(cudaStreamCreateWithFlags(&context->stream, cudaStreamNonBlocking), "creating a stream");
  void* fault = nullptr;
  check_cuda(cudaHostAlloc(&fault, sizeof(Fault), cudaHostAllocMapped), "allocating host memory");
  context->fault = new (fault) Fault;
  cudaMemPool_t pool{};
  check_cuda(cudaDeviceGetDefaultMemPool(&pool, context->number), "opening the memory pool");
  uint64_t keep = UINT64_MAX;  // freed memory stays with the process
  check_cuda(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep),
             "opening the memory pool");
  return context.release();
}

std::string mib(size_t bytes) { return std::to_string((bytes + (size_t(1) << 20) - 1) >> 20) + " MiB"; }

std::byte* allocate(size_t bytes) {
  Context& c = context();
  const std::lock_guard lock(c.mutex);
  bytes = std::max<size_t>(bytes, 1);  // a tensor without elements is still there
  void* p = nullptr;
  cudaError_t error = cudaMallocAsync(&p, bytes, c.stream);
  if (error == cudaErrorMemoryAllocation) {  // what was freed may still lie in the pool, in pieces
    cudaGetLastError();
    check_cuda(cudaStreamSynchronize(c.stream), "waiting for the device");
    cudaMemPool_t pool{};
    if (cudaDeviceGetDefaultMemPool(&pool, c.number) == cudaSuccess) cudaMemPoolTrimTo(pool, 0);
    error = cudaMallocAsync(&p, bytes, c.stream);
  }
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    size_t free = 0, total = 0;
    cudaMemGetInfo(&free, &total);
    throw OutOfMemory("cuda: out of memory: " + mib(bytes) + " were asked for, " + mib(free) +
                      " of the device's " + mib(total) + " are free; a smaller --batch needs less");
  }
  check_cuda(error, "allocating device memory");
  return static_cast<std::byte*>(p);
}

void release(std::byte* data) {
  if (!data) return;
  Context& c = context();
  const std::lock_guard lock(c.mutex);
  // When the process ends or after a kernel's error there is nothing to give back, and nobody to tell.
  cudaFreeAsync(data, c.stream);
}

using BindFn = std::unique_ptr<BoundOp> (*)(const BindArgs& args);
const std::map<const OpDef*, BindFn>& bind_table() {
  static const std::map<const OpDef*, BindFn> table = {
#define ADVF_OP(name) {&op_##name, bind_##name},
#include "tensor/op_list.h"
#undef ADVF_OP
  };
  return table;
}

// Two of them share the device: f32 throughout, and one whose plans compute in bf16.
class CudaBackend : public Backend {
 public:
  explicit CudaBackend(bool bf16) : bf16_(bf16) {}
  const char* name() const override { return bf16_ ? "cuda-bf16" : "cuda"; }
  bool is_host() const override { return false; }
  std::byte* alloc(size_t bytes) override { return allocate(bytes); }
  void free(std::byte* data, size_t) override { release(data); }

  void copy_in(void* device, const void* from, size_t bytes) override {
    if (!on_device(from)) return upload(device, from, bytes);
    Context& c = context();
    const std::lock_guard lock(c.mutex);
    check_cuda(cudaMemcpyAsync(device, from, bytes, cudaMemcpyDeviceToDevice, c.stream),
               "copying on the device");
  }
  void copy_out(void* host, const void* device, size_t bytes) override {
    Context& c = context();
    const std::lock_guard lock(c.mutex);
    check_cuda(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, c.stream),
               "copying from the device");
    synchronise();
  }
  void sync() override { synchronise(); }

  std::unique_ptr<BoundOp> bind(const OpCall& call, std::span<const View> constants) override {
    for (const auto* list : {&call.in, &call.out})
      for (const ValueInfo& v : *list)
        check(!v.defined || v.dtype == DType::f32 || v.dtype == DType::i32, call.op->name, ": no kernel for ",
              name_of(v.dtype), " on cuda");
    const auto found = bind_table().find(call.op);
    check(found != bind_table().end(), call.op->name, ": no kernel on cuda");
    return found->second({call, constants, bf16_ && !constants.empty()});
  }

  std::unique_ptr<Replay> record(const std::function<void()>& once) override { return record_graph(once); }

  void choose_layouts(std::span<const PlannedStep> steps, std::span<const uint8_t> fixed,
                      std::span<ValueInfo> values, std::span<int64_t> bytes) override {
    if (bf16_) choose_channels_last(steps, fixed, values, bytes);
  }

 private:
  static bool on_device(const void* p) {
    cudaPointerAttributes attributes{};
    const bool known = cudaPointerGetAttributes(&attributes, p) == cudaSuccess;
    if (!known) cudaGetLastError();
    return known && attributes.type == cudaMemoryTypeDevice;
  }

  bool bf16_;
};

}  // namespace

void fail_cuda(cudaError_t error, const char* what) {
  const std::string last =
      launching ? std::string(" (the last kernel was ") + launching + ")" : std::string();
  cudaGetLastError();
  fail("cuda: ", what, ": ", cudaGetErrorString(error), last);
}

Context& context() {
  static Context& instance = *open_context();
  // The runtime has a current device for each thread.
  static thread_local const int here =
      (check_cuda(cudaSetDevice(instance.number), "opening the device"), instance.number);
  static_cast<void>(here);
  return instance;
}

int64_t most_blocks() {
  // Eight blocks of 256 threads fill a multiprocessor; twice that evens out their ends.
  static const int64_t blocks = int64_t(context().device.multiProcessorCount) * 16;
  return blocks;
}

void synchronise() {
  Context& c = context();
  check_cuda(cudaStreamSynchronize(c.stream), "waiting for the device");
  if (c.fault->code == 0) return;
  const Fault fault = std::exchange(*c.fault, Fault{});
  fail("softmax_cross_entropy: label ", fault.value, " of ", fault.limit, " classes");
}

void CudaOp::run(std::span<const View> in, std::span<const View> out, void* scratch) const {
  Context& c = context();
  const std::lock_guard lock(c.mutex);
  issue({in, out, static_cast<std::byte*>(scratch), c.stream});
}

DeviceBytes::DeviceBytes(size_t bytes) : data_(allocate(bytes)), bytes_(bytes) {}
DeviceBytes::DeviceBytes(const void* host, size_t bytes) : DeviceBytes(bytes) {
  Context& c = context();
  const std::lock_guard lock(c.mutex);
  check_cuda(cudaMemcpyAsync(data_, host, bytes, cudaMemcpyHostToDevice, c.stream), "copying to the device");
  check_cuda(cudaStreamSynchronize(c.stream), "copying to the device");
}
DeviceBytes::~DeviceBytes() { release(data_); }

std::unique_ptr<BoundOp> bind_reshape(const BindArgs& args) {
  fail(args.call.op->name, ": a view has no kernel");
}

}  // namespace cuda

void take_cuda_device(int rank) { cuda::wanted_device = rank; }
std::array<char, 16> cuda_device_uuid() {
  std::array<char, 16> uuid;
  std::copy_n(cuda::context().device.uuid.bytes, uuid.size(), uuid.begin());
  return uuid;
}

std::string cuda_unusable() { return cuda::why_unusable(); }

void register_cuda_backend() {
  register_backend("cuda", []() -> Backend& {
    cuda::context();
    static cuda::CudaBackend& instance = *new cuda::CudaBackend(false);
    return instance;
  });
  register_backend("cuda-bf16", []() -> Backend& {
    cuda::context();
    static cuda::CudaBackend& instance = *new cuda::CudaBackend(true);
    return instance;
  });
}

}  // namespace advf
