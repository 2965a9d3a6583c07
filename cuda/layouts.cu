#include "cuda/layouts.h"

#include <algorithm>

#include "cuda/kernels/element.h"

namespace advf::cuda {
namespace {

// With an epilogue or without.
bool is_convolution(const OpCall& call) {
  return call.op->fused && std::holds_alternative<ConvAttrs>(call.attrs);
}
bool is_product(const OpCall& call) {
  return call.op->fused && std::holds_alternative<MatmulAttrs>(call.attrs);
}

// The inputs of an element-wise step that stand as its output does: the first of a step by channel, else all.
// None where they would have to be broadcast.
size_t inputs_alike(const OpCall& call) {
  if (call.op->pointwise == Pointwise::no) return 0;
  const size_t n = call.op->pointwise == Pointwise::channels ? 1 : call.in.size();
  const bool same = std::all_of(call.in.begin(), call.in.begin() + std::ptrdiff_t(n),
                                [&](const ValueInfo& v) { return v.shape == call.out[0].shape; });
  return same ? n : 0;
}

// The values of one step that must be in one layout; the others of the step must be plain, but for a
// convolution's operand, which may be either.
struct Demands {
  std::vector<int> alike, plain;
};
Demands demands_of(const PlannedStep& s) {
  const OpCall& call = *s.call;
  Demands d;
  const auto sort = [](const std::vector<int>& from, std::vector<int>& to) {
    for (int v : from)
      if (v >= 0) to.push_back(v);
  };
  if (is_convolution(call) && runs_in_bf16(call, s.constant[1])) {
    d.alike.push_back(s.out[0]);
    for (size_t i = 3; i < s.in.size(); ++i) {  // a residual and what a mask keeps stand as the output does
      const bool slopes = call.attr<ConvAttrs>().epilogue.activation == Activation::prelu && i == 4;
      if (call.in[i].defined && !slopes) d.alike.push_back(s.in[i]);  // -1 where it is a constant: plain
    }
  } else if (const auto alike = std::ptrdiff_t(inputs_alike(call)); alike > 0) {
    d.alike.assign(s.in.begin(), s.in.begin() + alike);
    d.alike.push_back(s.out[0]);
    sort({s.in.begin() + alike, s.in.end()}, d.plain);
  } else {
    sort(s.in, d.plain);
    sort(s.out, d.plain);
  }
  return d;
}

}  // namespace

bool runs_in_bf16(const OpCall& call, bool constant_weight) {
  if (!constant_weight) return false;
  if (is_product(call)) return true;
  if (!is_convolution(call)) return false;
  const auto& a = call.attr<ConvAttrs>();
  return a.groups == 1 && a.pad[0] == a.pad[2] && a.pad[1] == a.pad[3];
}

void choose_channels_last(std::span<const PlannedStep> steps, std::span<const uint8_t> fixed,
                          std::span<ValueInfo> values, std::span<int64_t> bytes) {
  std::vector<bool> last(values.size());
  for (size_t v = 0; v < values.size(); ++v)
    last[v] = !fixed[v] && values[v].dtype == DType::f32 && values[v].shape.rank() == 4 &&
              values[v].shape[1] % 8 == 0;
  std::vector<Demands> demands;
  for (const PlannedStep& s : steps) demands.push_back(demands_of(s));
  for (bool changed = true; changed;) {
    changed = false;
    const auto make_plain = [&](int v) {
      if (v < 0 || !last[size_t(v)]) return;
      last[size_t(v)] = false;
      changed = true;
    };
    for (const Demands& d : demands) {
      for (int v : d.plain) make_plain(v);
      if (std::any_of(d.alike.begin(), d.alike.end(), [&](int v) { return v < 0 || !last[size_t(v)]; }))
        for (int v : d.alike) make_plain(v);
    }
  }
  for (size_t v = 0; v < values.size(); ++v) {
    if (!last[v]) continue;
    values[v].layout = kChannelsLast;
    bytes[v] = values[v].shape.numel() * int64_t(sizeof(bf16));
  }
}

}  // namespace advf::cuda
