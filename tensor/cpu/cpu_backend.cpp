#include "tensor/cpu/cpu_backend.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "tensor/reference/reference_backend.h"

namespace advf {
namespace {

class CpuBackend : public Backend {
 public:
  const char* name() const override { return "cpu"; }
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

Backend& cpu_backend() {
  static CpuBackend& instance = *new CpuBackend;
  return instance;
}

std::vector<const OpDef*> cpu_fast_ops() { return {}; }

}  // namespace advf
