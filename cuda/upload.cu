#include "cuda/upload.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "cuda/bind.h"
#include "cuda/context.h"

namespace advf::cuda {
namespace {

class Uploader {
 public:
  Uploader() {
    check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), kWhat);
    for (Slot& s : slots_) {
      void* p = nullptr;
      check_cuda(cudaHostAlloc(&p, kSlotBytes, 0), kWhat);
      s.host = static_cast<std::byte*>(p);
      s.device = DeviceBytes(kSlotBytes);
      check_cuda(cudaEventCreateWithFlags(&s.sent, cudaEventDisableTiming), kWhat);
      check_cuda(cudaEventCreateWithFlags(&s.used, cudaEventDisableTiming), kWhat);
    }
    // The staging memory comes from the stream that computes.
    check_cuda(cudaStreamSynchronize(context().stream), kWhat);
  }

  void upload(std::byte* device, const std::byte* host, size_t bytes) {
    const cudaStream_t compute = context().stream;
    for (size_t done = 0; done < bytes; done += kSlotBytes) {
      const size_t part = std::min(kSlotBytes, bytes - done);
      Slot& s = slots_[next_];
      next_ = (next_ + 1) % slots_.size();
      check_cuda(cudaEventSynchronize(s.sent), kWhat);  // its page-locked half is free again
      std::memcpy(s.host, host + done, part);
      check_cuda(cudaStreamWaitEvent(stream_, s.used, 0), kWhat);  // and its half on the device
      check_cuda(cudaMemcpyAsync(s.device.as(), s.host, part, cudaMemcpyHostToDevice, stream_), kWhat);
      check_cuda(cudaEventRecord(s.sent, stream_), kWhat);
      check_cuda(cudaStreamWaitEvent(compute, s.sent, 0), kWhat);
      check_cuda(cudaMemcpyAsync(device + done, s.device.as(), part, cudaMemcpyDeviceToDevice, compute),
                 kWhat);
      check_cuda(cudaEventRecord(s.used, compute), kWhat);
    }
  }

 private:
  static constexpr size_t kSlotBytes = size_t(4) << 20;
  static constexpr const char* kWhat = "copying to the device";
  struct Slot {
    std::byte* host = nullptr;
    DeviceBytes device;
    cudaEvent_t sent{}, used{};
  };
  cudaStream_t stream_{};
  std::array<Slot, 4> slots_;
  size_t next_ = 0;
};

}  // namespace

void upload(void* device, const void* host, size_t bytes) {
  const std::lock_guard lock(context().mutex);
  static Uploader& uploader = *new Uploader;  // outlives whatever order of destruction
  uploader.upload(static_cast<std::byte*>(device), static_cast<const std::byte*>(host), bytes);
}

}  // namespace advf::cuda
