// How an op of the table becomes a BoundOp of this backend: one bind function per op, which throws where the
// device has no kernel for the call. There is no way back to the host.
#pragma once
#include <cuda_runtime.h>

#include <memory>
#include <utility>

#include "tensor/backend.h"

namespace advf::cuda {

struct BindArgs {
  const OpCall& call;
  std::span<const View>
      constants;  // empty, or one per input: data (on the device) where the value never changes

  bool bf16 = false;  // a plan in bf16: products with a constant weight round their operands (cuda/layouts.h)

  const void* constant(size_t i) const { return i < constants.size() ? constants[i].data : nullptr; }
  const ValueInfo& in(size_t i) const { return call.in[i]; }
  const ValueInfo& out(size_t i = 0) const { return call.out[i]; }
  template <class A>
  const A& attr() const {
    return call.attr<A>();
  }
};

// What a run sees.
struct Run {
  std::span<const View> in, out;
  std::byte* scratch;
  cudaStream_t stream;
  const float* f32(size_t i) const { return in[i].as<const float>(); }
  const int32_t* i32(size_t i) const { return in[i].as<const int32_t>(); }
  float* to_f32(size_t o = 0) const { return out[o].as<float>(); }
};

// Wraps body(const Run&), which only enqueues.
class CudaOp : public BoundOp {
 public:
  explicit CudaOp(size_t scratch) : scratch_(scratch) {}
  size_t scratch_bytes() const override { return scratch_; }
  void run(std::span<const View> in, std::span<const View> out, void* scratch) const final;

 protected:
  virtual void issue(const Run& run) const = 0;

 private:
  size_t scratch_;
};

template <class Body>
std::unique_ptr<BoundOp> bound(Body body, size_t scratch = 0) {
  struct Op final : CudaOp {
    Op(Body b, size_t s) : CudaOp(s), body(std::move(b)) {}
    void issue(const Run& run) const override { body(run); }
    Body body;
  };
  return std::make_unique<Op>(std::move(body), scratch);
}

// Device memory that a bound op keeps, filled from the host when it is bound.
class DeviceBytes {
 public:
  DeviceBytes() = default;
  explicit DeviceBytes(size_t bytes);
  DeviceBytes(const void* host, size_t bytes);
  ~DeviceBytes();
  DeviceBytes(DeviceBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  DeviceBytes& operator=(DeviceBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  template <class T = std::byte>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

#define ADVF_OP(name) std::unique_ptr<BoundOp> bind_##name(const BindArgs& args);
#include "tensor/op_list.h"
#undef ADVF_OP

}  // namespace advf::cuda
