// Who runs an op. A backend owns memory and binds ops: bind() may allocate, choose algorithms, state its
// scratch size and (for a Plan, which marks inputs as constant) pack weights; BoundOp::run() may do none of
// it.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/op.h"
#include "tensor/tensor.h"

namespace advf {

// Bytes with a shape: what a kernel sees of a tensor. data is null for an absent optional input.
struct View {
  void* data = nullptr;
  Shape shape;
  DType dtype = DType::f32;

  View() = default;
  View(void* d, const Shape& s, DType t) : data(d), shape(s), dtype(t) {}
  explicit View(const Tensor& t) : data(t.raw()), shape(t.shape()), dtype(t.dtype()) {}
  explicit operator bool() const { return data != nullptr; }
  int64_t numel() const { return shape.numel(); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

class BoundOp {
 public:
  virtual ~BoundOp() = default;
  virtual size_t scratch_bytes() const { return 0; }
  // `scratch` holds scratch_bytes() bytes, 64-byte aligned, and belongs to the caller, so a bound op can run
  // on several threads at once. Throws only on a device error.
  virtual void run(std::span<const View> in, std::span<const View> out, void* scratch) const = 0;
};

// A sequence of runs that a backend recorded, to be repeated at less cost than running it step by step.
class Replay {
 public:
  virtual ~Replay() = default;
  virtual void run(int times) = 0;
};

// A step of a plan before it is bound: which of the plan's values it reads and writes (-1: a constant, or
// absent).
struct PlannedStep {
  const OpCall* call = nullptr;
  std::vector<int> in, out;
  std::vector<bool> constant;  // one per input
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const char* name() const = 0;
  virtual bool is_host() const = 0;  // whether the CPU can read its memory
  // The backend whose memory this one uses, and whose its tensors are: itself, or another.
  virtual Backend& memory() { return *this; }
  virtual std::byte* alloc(size_t bytes) = 0;  // 64-byte aligned
  virtual void free(std::byte* data, size_t bytes) = 0;
  // From host memory, or from this backend's own. The source may change when the call returns.
  virtual void copy_in(void* device, const void* from, size_t bytes) = 0;
  virtual void copy_out(void* host, const void* device, size_t bytes) = 0;
  virtual void sync() = 0;
  // `constants` is empty (eager) or holds one View per input, with data only where the value never changes.
  virtual std::unique_ptr<BoundOp> bind(const OpCall& call, std::span<const View> constants) = 0;
  // Records what `once` runs (and has run before) without running it. Null: this backend gains nothing by it.
  virtual std::unique_ptr<Replay> record(const std::function<void()>& once);
  // For a plan: puts values into layouts of this backend's own, with the bytes that they then have. Those
  // that are `fixed` (the plan's inputs, outputs and views) stay as they are.
  virtual void choose_layouts(std::span<const PlannedStep> steps, std::span<const uint8_t> fixed,
                              std::span<ValueInfo> values, std::span<int64_t> bytes);
};

// By name: "reference", "cpu", "cpu-bf16" (whose plans compute in bf16; throws where the machine cannot), and
// whatever register_backend added. Unknown names throw, listing the known.
Backend& backend(std::string_view name);
void register_backend(std::string name, std::function<Backend&()> get);
// Memory that the CPU reads and writes: for tensors that code fills, before they go to the current backend.
Backend& host_backend();

// The backend that new tensors and apply() use on this thread; "cpu" unless a scope says otherwise.
Backend& current_backend();
class BackendScope {
 public:
  explicit BackendScope(Backend& b);
  ~BackendScope();
  BackendScope(const BackendScope&) = delete;

 private:
  Backend* previous_;
};

// Shapes only: inside the scope apply() infers and records but neither allocates nor runs. MetaScope(false)
// suspends it, for the constants that a trace needs.
class MetaScope {
 public:
  explicit MetaScope(bool on = true);
  ~MetaScope();
  MetaScope(const MetaScope&) = delete;
  static bool active();

 private:
  bool previous_;
};

}  // namespace advf
