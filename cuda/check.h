// Errors of the CUDA runtime and its libraries become Error with one clear message; handles close themselves.
#pragma once
#include <cuda_runtime.h>

#include <memory>
#include <type_traits>
#include <utility>

#include "tensor/check.h"

namespace advf::cuda {

// Names what was being done. After a kernel's error every call fails: the message says so once, at the first.
[[noreturn]] void fail_cuda(cudaError_t error, const char* what);
inline void check_cuda(cudaError_t error, const char* what) {
  if (error != cudaSuccess) fail_cuda(error, what);
}

// A handle that `destroy` closes: Handle<cudaEvent_t, cudaEventDestroy>.
template <class T, auto destroy>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T handle) : handle_(handle) {}
  Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, T{})) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Handle() {
    if (handle_) destroy(handle_);
  }
  T get() const { return handle_; }
  T* put() { return &handle_; }  // for the call that creates it

 private:
  T handle_{};
};

}  // namespace advf::cuda
