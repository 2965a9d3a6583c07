#include "tensor/reference/reference_backend.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

namespace advf {
namespace {

class ReferenceOp : public BoundOp {
 public:
  ReferenceOp(const OpCall& call, KernelFn kernel) : call_(call), kernel_(kernel) {}
  size_t scratch_bytes() const override {
    const auto scratch = call_.op->reference.scratch;
    return scratch ? scratch(call_) : 0;
  }
  void run(std::span<const View> in, std::span<const View> out, void* scratch) const override {
    kernel_(KernelArgs{call_, in, out, scratch});
  }

 private:
  OpCall call_;
  KernelFn kernel_;
};

class ReferenceBackend : public Backend {
 public:
  const char* name() const override { return "reference"; }
  bool is_host() const override { return true; }
  std::byte* alloc(size_t bytes) override {
    void* p = std::aligned_alloc(64, (bytes + 63) / 64 * 64 + 64);
    if (!p) throw std::bad_alloc();
    return static_cast<std::byte*>(p);
  }
  void free(std::byte* data, size_t) override { std::free(data); }
  void copy_in(void* device, const void* host, size_t bytes) override { std::memcpy(device, host, bytes); }
  void copy_out(void* host, const void* device, size_t bytes) override { std::memcpy(host, device, bytes); }
  void sync() override {}
  std::unique_ptr<BoundOp> bind(const OpCall& call, std::span<const View>) override {
    return bind_reference(call);
  }
};

}  // namespace

std::unique_ptr<BoundOp> bind_reference(const OpCall& call) {
  // The first defined input or output in floating point decides.
  DType type = DType::f32;
  for (const auto* list : {&call.out, &call.in})
    for (const ValueInfo& v : *list)
      if (v.defined && v.dtype == DType::f64) type = DType::f64;
  const KernelFn kernel = type == DType::f64 ? call.op->reference.f64 : call.op->reference.f32;
  check(kernel != nullptr, call.op->name, ": there is no kernel for ", name_of(type));
  return std::make_unique<ReferenceOp>(call, kernel);
}

Backend& reference_backend() {
  // Never destroyed: tensors in static storage may outlive any order of destruction.
  static ReferenceBackend& instance = *new ReferenceBackend;
  return instance;
}

}  // namespace advf
