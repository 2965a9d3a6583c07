// The fast CPU backend: chooses the instruction set, binds fast ops, and keeps freed memory for the next
// tensor.
#include "tensor/cpu/cpu_backend.h"

#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <string>

#include "tensor/cpu/bind.h"
#include "tensor/reference/reference_backend.h"

namespace advf {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCacheMemory = false;  // a block that is handed out again hides its errors
#elif defined(__has_feature)
constexpr bool kCacheMemory = !__has_feature(address_sanitizer);
#else
constexpr bool kCacheMemory = true;
#endif

// Blocks of a few sizes per power of two, kept in lists when freed: a training step asks for the same sizes
// as the one before it, and fresh pages from the system cost more than most element-wise ops.
class BlockCache {
 public:
  std::byte* alloc(size_t bytes) {
    const size_t size = rounded(bytes);
    if (kCacheMemory) {
      std::lock_guard lock(mutex_);
      auto& list = free_[class_of(size)];
      if (!list.empty()) {
        std::byte* p = list.back();
        list.pop_back();
        cached_ -= size;
        return p;
      }
    }
    void* p = std::aligned_alloc(64, size);
    if (!p) {
      drop();
      p = std::aligned_alloc(64, size);
    }
    if (!p) throw std::bad_alloc();
    return static_cast<std::byte*>(p);
  }

  void free(std::byte* data, size_t bytes) {
    const size_t size = rounded(bytes);
    if (kCacheMemory && data && size <= kMaxCached / 4) {
      std::lock_guard lock(mutex_);
      if (cached_ + size <= kMaxCached) {
        free_[class_of(size)].push_back(data);
        cached_ += size;
        return;
      }
    }
    std::free(data);
  }

 private:
  static constexpr size_t kMaxCached = size_t(1) << 30;

  // 64 bytes of slack (a vector may be read past the end), then up to the next of eight steps per power of
  // two.
  static size_t rounded(size_t bytes) {
    if (bytes > SIZE_MAX / 2) throw std::bad_alloc();
    const size_t size = bytes + 64;
    const size_t step = std::max<size_t>(64, std::bit_floor(size) / 8);
    return (size + step - 1) / step * step;
  }
  static size_t class_of(size_t size) {
    const size_t power = size_t(std::bit_width(size));
    return power * 8 + size / std::max<size_t>(1, std::bit_floor(size) / 8) % 8;
  }
  void drop() {
    std::lock_guard lock(mutex_);
    for (auto& list : free_) {
      for (std::byte* p : list) std::free(p);
      list.clear();
    }
    cached_ = 0;
  }

  std::mutex mutex_;
  std::array<std::vector<std::byte*>, 66 * 8> free_;
  size_t cached_ = 0;
};

const std::map<const OpDef*, cpu::BindFn>& fast_ops() {
  static const std::map<const OpDef*, cpu::BindFn> table = {
#define ADVF_TABLE_ENTRY(name) {&op_##name, cpu::bind_##name},
      ADVF_CPU_FAST_OPS(ADVF_TABLE_ENTRY)
#undef ADVF_TABLE_ENTRY
  };
  return table;
}

// Whether the floating point tensors of the call are f32 (places and labels are i32).
bool is_f32(const OpCall& call) {
  for (const auto* list : {&call.in, &call.out})
    for (const ValueInfo& v : *list)
      if (v.defined && v.dtype != DType::f32 && v.dtype != DType::i32) return false;
  return true;
}

// One of them owns the memory; the other's plans compute in bf16.
class CpuBackend : public Backend {
 public:
  const char* name() const override { return "cpu"; }
  bool is_host() const override { return true; }
  std::byte* alloc(size_t bytes) override { return cache_.alloc(bytes); }
  void free(std::byte* data, size_t bytes) override { cache_.free(data, bytes); }
  void copy_in(void* device, const void* host, size_t bytes) override { std::memcpy(device, host, bytes); }
  void copy_out(void* host, const void* device, size_t bytes) override { std::memcpy(host, device, bytes); }
  void sync() override {}
  std::unique_ptr<BoundOp> bind(const OpCall& call, std::span<const View> constants) override {
    if (const cpu::KernelTable* kernels = cpu::kernels(); kernels && is_f32(call)) {
      const auto found = fast_ops().find(call.op);
      if (found != fast_ops().end())
        if (auto bound = found->second({call, constants, *kernels, bf16_for(constants)})) return bound;
    }
    return bind_reference(call);
  }

 protected:
  virtual const cpu::KernelTable* bf16_for(std::span<const View>) const { return nullptr; }

 private:
  BlockCache cache_;
};

CpuBackend& cpu_instance() {
  static CpuBackend& instance = *new CpuBackend;
  return instance;
}

class CpuBf16Backend : public CpuBackend {
 public:
  const char* name() const override { return "cpu-bf16"; }
  Backend& memory() override { return cpu_instance(); }
  std::byte* alloc(size_t bytes) override { return memory().alloc(bytes); }
  void free(std::byte* data, size_t bytes) override { memory().free(data, bytes); }

 protected:
  // Only a plan names constants.
  const cpu::KernelTable* bf16_for(std::span<const View> constants) const override {
    return constants.empty() ? nullptr : cpu::bf16_kernels();
  }
};

}  // namespace

namespace cpu {
namespace {

const KernelTable* choose_kernels() {
  const char* wanted = std::getenv("ADVF_CPU_ISA");
  if (wanted && *wanted) {
    if (std::strcmp(wanted, "reference") == 0) return nullptr;
    const KernelTable* table = kernels_named(wanted);
    check(table != nullptr, "ADVF_CPU_ISA=", wanted, ": this machine can run ",
          kernels_named("avx512") ? "avx512, avx2 and "
          : kernels_named("avx2") ? "avx2 and "
                                  : "",
          "reference");
    return table;
  }
  for (const char* name : {"avx512", "avx2"})
    if (const KernelTable* table = kernels_named(name)) return table;
  std::fputs("advface: this machine lacks AVX2 and FMA; the slow reference kernels run\n", stderr);
  return nullptr;
}

const KernelTable*& chosen_kernels() {
  static const KernelTable* table = choose_kernels();
  return table;
}

}  // namespace

const KernelTable* kernels_named(const char* name) {
  const bool v3 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (std::strcmp(name, "avx2") == 0 && v3) return &kernels_avx2;
  if (std::strcmp(name, "avx512") == 0 && v3 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd"))
    return &kernels_avx512;
  return nullptr;
}

const KernelTable* kernels() { return chosen_kernels(); }
const KernelTable* bf16_kernels() {
  return kernels() == &kernels_avx512 && __builtin_cpu_supports("avx512bf16") ? &kernels_avx512_bf16
                                                                              : nullptr;
}
void set_kernels(const KernelTable* table) { chosen_kernels() = table; }

}  // namespace cpu

Backend& cpu_backend() { return cpu_instance(); }

Backend& cpu_bf16_backend() {
  if (!cpu::bf16_kernels()) {
    const char* isa = std::getenv("ADVF_CPU_ISA");
    fail("bf16 on the CPU needs AVX512_BF16, which ",
         __builtin_cpu_supports("avx512bf16") && isa && *isa
             ? "ADVF_CPU_ISA=" + std::string(isa) + " leaves unused"
             : "this processor lacks",
         "; use --precision f32");
  }
  static CpuBf16Backend& instance = *new CpuBf16Backend;
  return instance;
}

std::vector<const OpDef*> cpu_fast_ops() {
  std::vector<const OpDef*> ops;
  for (const OpDef* op : all_ops())
    if (fast_ops().contains(op)) ops.push_back(op);
  return ops;
}

}  // namespace advf
