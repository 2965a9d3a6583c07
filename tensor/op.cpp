// The op table, and apply(): infer -> cached bind -> run -> record. What cuts across all ops hooks in here.
#include "tensor/op.h"

#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>

#include "tensor/backend.h"

namespace advf {

std::span<const OpDef* const> all_ops() {
  static const OpDef* const table[] = {
#define ADVF_OP(name) &op_##name,
#include "tensor/op_list.h"
#undef ADVF_OP
  };
  return table;
}

const OpDef* find_op(std::string_view name) {
  for (const OpDef* op : all_ops())
    if (op->name == name) return op;
  return nullptr;
}

void infer_same_as_first(OpCall& call) { call.out = {call.in[0]}; }

namespace {

thread_local Recorder* recorder = nullptr;

// Bound ops of one thread by (backend, op, shapes, attributes). Eager binding never looks at values, so an
// entry stays right for ever; the cache is emptied when it grows past a bound, which training never reaches.
class BindCache {
 public:
  const BoundOp& get(Backend& backend, const OpCall& call) {
    auto& bucket = entries_[hash(backend, call)];
    for (const Entry& e : bucket)
      if (e.backend == &backend && e.call.op == call.op && e.call.in == call.in && e.call.out == call.out &&
          e.call.attrs == call.attrs)
        return *e.bound;
    if (size_ >= kMaxEntries) {
      entries_.clear();
      size_ = 0;
      return get(backend, call);
    }
    auto bound = backend.bind(call, {});
    ++size_;
    bucket.push_back({&backend, call, std::move(bound)});
    return *bucket.back().bound;
  }

  void* scratch(Backend& backend, size_t bytes) {
    if (bytes == 0) return nullptr;
    std::unique_ptr<Storage>& block = scratch_[&backend];
    if (!block || block->bytes() < bytes) {
      block.reset();
      block = std::make_unique<Storage>(backend, bytes);
    }
    return block->data();
  }

 private:
  static constexpr size_t kMaxEntries = 4096;
  struct Entry {
    Backend* backend;
    OpCall call;
    std::unique_ptr<BoundOp> bound;
  };

  static size_t hash(const Backend& backend, const OpCall& call) {
    size_t h = reinterpret_cast<size_t>(&backend) ^ reinterpret_cast<size_t>(call.op);
    auto mix = [&h](size_t v) { h = (h ^ v) * 0x9E3779B97F4A7C15u; };
    for (const auto* list : {&call.in, &call.out})
      for (const ValueInfo& v : *list) {
        mix(size_t(v.dtype) * 8 + size_t(v.shape.rank()));
        for (int64_t d : v.shape) mix(size_t(d));
      }
    return h;
  }

  std::unordered_map<size_t, std::vector<Entry>> entries_;
  size_t size_ = 0;
  std::unordered_map<Backend*, std::unique_ptr<Storage>> scratch_;
};

BindCache& bind_cache() {
  thread_local BindCache cache;
  return cache;
}

OpCall infer(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in) {
  OpCall call = call_of(op, attrs, in, {});
  op.infer(call);
  return call;
}

void run(const OpCall& call, const std::vector<Tensor>& in, const std::vector<Tensor>& out) {
  Backend& backend = current_backend();
  std::vector<View> in_views, out_views;
  in_views.reserve(in.size());
  for (const Tensor& t : in) {
    check(!t.defined() || (t.has_storage() && t.is_on(backend)), call.op->name, ": an input of shape ",
          t.shape(), t.has_storage() ? " lives on another backend than " : " has no storage on ",
          backend.name());
    in_views.emplace_back(t);
  }
  for (const Tensor& t : out) out_views.emplace_back(t);
  BindCache& cache = bind_cache();
  const BoundOp& bound = cache.get(backend, call);
  bound.run(in_views, out_views, cache.scratch(backend, bound.scratch_bytes()));
}

}  // namespace

OpCall call_of(const OpDef& op, const Attrs& attrs, std::span<const Tensor> in, std::span<const Tensor> out) {
  OpCall call{&op, attrs, {}, {}};
  call.in.reserve(in.size());
  call.out.reserve(out.size());
  for (const Tensor& t : in) call.in.push_back({t.shape(), t.dtype(), t.defined()});
  for (const Tensor& t : out) call.out.push_back({t.shape(), t.dtype(), t.defined()});
  return call;
}

int64_t saturating_product(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

Recorder* current_recorder() { return recorder; }
Recorder* set_recorder(Recorder* r) { return std::exchange(recorder, r); }

std::vector<Tensor> apply(const OpDef& op, const Attrs& attrs, std::vector<Tensor> in) {
  const OpCall call = infer(op, attrs, in);
  std::vector<Tensor> out;
  out.reserve(call.out.size());
  if (op.is_view) {
    out.push_back(in[0].view(call.out[0].shape));
  } else {
    for (const ValueInfo& v : call.out) out.push_back(Tensor::empty(v.shape, v.dtype));
    if (!MetaScope::active()) run(call, in, out);
  }
  if (recorder) recorder->record(op, attrs, in, out);
  return out;
}

void apply_into(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in,
                const std::vector<Tensor>& out) {
  const OpCall call = infer(op, attrs, in);
  check(call.out.size() == out.size(), op.name, ": ", call.out.size(), " outputs into ", out.size(),
        " tensors");
  for (size_t i = 0; i < out.size(); ++i)
    check(out[i].shape() == call.out[i].shape && out[i].dtype() == call.out[i].dtype, op.name,
          ": output of shape ", call.out[i].shape, " into a tensor of shape ", out[i].shape());
  run(call, in, out);
}

}  // namespace advf
