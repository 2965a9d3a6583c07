#include "autograd/passes.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "tensor/backend.h"

namespace advf {
namespace {

using Ids = std::unordered_set<uint64_t>;

Ids ids_of(std::span<const Tensor> tensors) {
  Ids ids;
  for (const Tensor& t : tensors) ids.insert(t.id());
  return ids;
}

class Simplifier {
 public:
  Simplifier(std::span<const Tensor> inputs, std::span<const Tensor> outputs)
      : inputs_(ids_of(inputs)), outputs_(ids_of(outputs)) {}

  Tape run(const Tape& tape) {
    for (const Record& r : tape.records())
      for (const Tensor& t : r.out) produced_.insert(t.id());
    for (const Record& r : tape.records()) visit(r);
    return std::move(result_);
  }

 private:
  void visit(const Record& r) {
    std::vector<Tensor> in = r.in;
    bool constant = true;
    for (Tensor& t : in) {
      if (const auto known = constants_.find(t.id()); known != constants_.end()) t = known->second;
      constant = constant && (!t.defined() || is_constant(t));
    }
    if (const auto value = uniform_result(r, in)) uniform_[r.out[0].id()] = *value;
    if (constant && fold(r, in)) return;
    if (const auto same = unchanged(r, in))
      emit_view(*same, r.out[0]);
    else if (!scale(r, in))
      result_.record(*r.op, r.attrs, in, r.out);
  }

  bool is_constant(const Tensor& t) const {
    return t.has_storage() && !inputs_.contains(t.id()) &&
           (!produced_.contains(t.id()) || constants_.contains(t.id()));
  }

  // Tensors of one number, and what repeats it.
  std::optional<double> uniform(const Tensor& t) const {
    if (const auto found = uniform_.find(t.id()); found != uniform_.end()) return found->second;
    if (t.defined() && is_constant(t) && t.numel() == 1 &&
        (t.dtype() == DType::f32 || t.dtype() == DType::f64))
      return t.item();
    return {};
  }
  std::optional<double> uniform_result(const Record& r, const std::vector<Tensor>& in) const {
    if (r.op == &op_broadcast_to || r.op == &op_reshape) return uniform(in[0]);
    return {};
  }

  // Evaluates the record. Its outputs become constants under their old ids.
  bool fold(const Record& r, const std::vector<Tensor>& in) {
    constexpr size_t kSmall = 64 * 1024;
    size_t in_bytes = 0, out_bytes = 0;
    for (const Tensor& t : in) in_bytes += t.defined() ? t.bytes() : 0;
    for (const Tensor& t : r.out) {
      out_bytes += t.bytes();
      if (outputs_.contains(t.id())) return false;
    }
    if (out_bytes > std::max(in_bytes, kSmall)) return false;
    const std::vector<Tensor> values = apply(*r.op, r.attrs, in);
    for (size_t i = 0; i < values.size(); ++i) {
      constants_[r.out[i].id()] = values[i];
      constants_[values[i].id()] = values[i];
      if (const auto u = uniform_.find(r.out[i].id()); u != uniform_.end())
        uniform_[values[i].id()] = u->second;
    }
    // The divisor of a mean comes to its gradient as a scaled one.
    if (r.op == &op_affine && values[0].numel() > 0 && uniform(in[0]))
      uniform_[r.out[0].id()] = uniform_[values[0].id()] = first_of(values[0]);
    return true;
  }
  static double first_of(const Tensor& t) { return t.view({t.numel()}).slice_batch(0, 1).item(); }

  // The input that output 0 equals bit for bit, if the record says so.
  std::optional<Tensor> unchanged(const Record& r, const std::vector<Tensor>& in) const {
    const ScalarAttrs* s = std::get_if<ScalarAttrs>(&r.attrs);
    if (r.op == &op_power && s->a == 1) return in[0];
    if (r.op == &op_affine && s->a == 1 && s->b == 0) return in[0];
    if (r.op == &op_mul)
      for (size_t i = 0; i < 2; ++i)
        if (uniform(in[1 - i]) == 1.0 && in[i].shape() == r.out[0].shape()) return in[i];
    return {};
  }

  bool scale(const Record& r, const std::vector<Tensor>& in) {
    if (r.op != &op_mul) return false;
    for (size_t i = 0; i < 2; ++i) {
      const auto u = uniform(in[1 - i]);
      if (!u || in[i].shape() != r.out[0].shape()) continue;
      result_.record(op_affine, ScalarAttrs{*u, 0}, std::span(&in[i], 1), r.out);
      return true;
    }
    return false;
  }

  void emit_view(const Tensor& of, const Tensor& out) {
    result_.record(op_reshape, ShapeAttrs{out.shape()}, std::span(&of, 1), std::span(&out, 1));
  }

  Ids inputs_, outputs_, produced_;
  std::unordered_map<uint64_t, Tensor> constants_;  // evaluated here, by the old id and by the new
  std::unordered_map<uint64_t, double> uniform_;
  Tape result_{Tape::Keep::everything};
};

}  // namespace

Tape remove_dead_code(const Tape& tape, std::span<const Tensor> outputs) {
  const std::vector<Record>& records = tape.records();
  Ids wanted = ids_of(outputs);
  std::vector<bool> alive(records.size());
  for (size_t i = records.size(); i-- > 0;) {
    for (const Tensor& t : records[i].out) alive[i] = alive[i] || wanted.contains(t.id());
    if (!alive[i]) continue;
    for (const Tensor& t : records[i].in)
      if (t.defined()) wanted.insert(t.id());
  }
  Tape result(Tape::Keep::everything);
  for (size_t i = 0; i < records.size(); ++i)
    if (alive[i]) result.record(*records[i].op, records[i].attrs, records[i].in, records[i].out);
  return result;
}

Tape simplify(const Tape& tape, std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
  const NoTapeScope off;
  const MetaScope real(false);
  return Simplifier(inputs, outputs).run(tape);
}

}  // namespace advf
