#include "autograd/tape.h"

#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {

void Tape::record(const OpDef& op, const Attrs& attrs, std::span<const Tensor> in,
                  std::span<const Tensor> out) {
  Record r{&op, attrs, {in.begin(), in.end()}, {out.begin(), out.end()}};
  if (keep_ == Keep::needed_by_gradients) {
    for (size_t i = 0; i < r.in.size(); ++i)
      if (!(op.uses.in >> i & 1u)) r.in[i] = r.in[i].dropped();
    for (size_t i = 0; i < r.out.size(); ++i)
      if (!(op.uses.out >> i & 1u)) r.out[i] = r.out[i].dropped();
  }
  records_.push_back(std::move(r));
}

std::vector<Tensor> backward(Tape& tape, std::span<const Tensor> outputs, std::span<const Tensor> cotangents,
                             const std::vector<Tensor>& wrt, bool retain) {
  check(outputs.size() == cotangents.size(), "backward: ", outputs.size(), " outputs, ", cotangents.size(),
        " cotangents");
  // What depends on `wrt`.
  std::unordered_set<uint64_t> on_path;
  for (const Tensor& t : wrt) on_path.insert(t.id());
  for (const Record& r : tape.records_)
    for (const Tensor& t : r.in)
      if (t.defined() && on_path.contains(t.id())) {
        for (const Tensor& o : r.out) on_path.insert(o.id());
        break;
      }

  std::unordered_map<uint64_t, Tensor> cotangent;
  auto accumulate = [&](const Tensor& value, const Tensor& g) {
    check(g.shape() == value.shape(), "backward: a cotangent of shape ", g.shape(), " for a value of shape ",
          value.shape());
    auto [slot, fresh] = cotangent.try_emplace(value.id(), g);
    if (!fresh) slot->second = add(slot->second, g);
  };
  for (size_t i = 0; i < outputs.size(); ++i) accumulate(outputs[i], cotangents[i]);
  std::unordered_set<uint64_t> wanted;
  for (const Tensor& t : wrt) wanted.insert(t.id());

  // A recorder may be appending to this very tape: walk the records that exist now, by index.
  const size_t walked = tape.records_.size();
  for (size_t i = walked; i-- > 0;) {
    // By value: the tape's vector may grow while the rule runs. Released at the end of the turn.
    const Record r = retain ? tape.records_[i] : std::exchange(tape.records_[i], {});
    std::vector<Tensor> gout(r.out.size());
    bool any = false;
    for (size_t o = 0; o < r.out.size(); ++o) {
      const auto found = cotangent.find(r.out[o].id());
      if (found == cotangent.end()) continue;
      check(r.op->carries_gradient >> o & 1u, "backward: ", r.op->name,
            " passes no gradient through its output ", o);
      gout[o] = found->second;
      any = true;
      if (!wanted.contains(r.out[o].id())) cotangent.erase(found);
    }
    if (!any) continue;
    std::vector<bool> needs(r.in.size());
    bool wants = false;
    for (size_t k = 0; k < r.in.size(); ++k) {
      if (!r.in[k].defined() || !on_path.contains(r.in[k].id())) continue;
      check(r.op->vjp != nullptr, "backward: ", r.op->name, " has no gradient rule",
            r.op->no_vjp ? std::string(" (") + r.op->no_vjp + ")" : std::string());
      check(r.op->differentiable >> k & 1u, "backward: ", r.op->name, " has no gradient for its input ", k);
      needs[k] = wants = true;
    }
    if (!wants) continue;
    const Grads grads = r.op->vjp(VjpArgs(r.attrs, r.in, r.out, gout, needs));
    for (size_t k = 0; k < grads.size() && k < r.in.size(); ++k)
      if (needs[k] && grads[k].defined()) accumulate(r.in[k], grads[k]);
  }
  if (!retain) tape.records_.erase(tape.records_.begin(), tape.records_.begin() + std::ptrdiff_t(walked));

  const MetaScope real(false);  // a traced gradient needs its constants
  std::vector<Tensor> result;
  for (const Tensor& t : wrt) {
    const auto found = cotangent.find(t.id());
    result.push_back(found != cotangent.end() ? found->second : Tensor::zeros(t.shape(), t.dtype()));
  }
  return result;
}

std::vector<Tensor> backward(Tape& tape, const Tensor& loss, const std::vector<Tensor>& wrt, bool retain) {
  check(loss.numel() == 1, "backward: the loss must be one number, not of shape ", loss.shape());
  Tensor one;
  {
    const MetaScope real(false);
    one = Tensor::full(loss.shape(), 1.0, loss.dtype());
  }
  return backward(tape, std::span(&loss, 1), std::span(&one, 1), wrt, retain);
}

}  // namespace advf
