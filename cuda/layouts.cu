#include "cuda/layouts.h"

#include <algorithm>
#include <array>

#include "cuda/kernels/element.h"

namespace advf::cuda {
namespace {

bool is_convolution(const OpDef* op) {
  return op == &op_conv2d || op == &op_conv2d_fused || op == &op_conv_transpose2d ||
         op == &op_conv_transpose2d_fused;
}
bool is_product(const OpDef* op) { return op == &op_matmul || op == &op_matmul_fused; }

// Ops that work element by element, or channel by channel, on values of one shape.
bool is_elementwise(const OpCall& call) {
  static const std::array ops = {&op_add,
                                 &op_sub,
                                 &op_mul,
                                 &op_affine,
                                 &op_abs,
                                 &op_clamp,
                                 &op_clamp_grad,
                                 &op_relu,
                                 &op_relu_grad,
                                 &op_leaky_relu,
                                 &op_leaky_relu_grad,
                                 &op_sigmoid,
                                 &op_sigmoid_grad,
                                 &op_tanh,
                                 &op_tanh_grad,
                                 &op_prelu,
                                 &op_batch_norm_eval};
  if (std::find(ops.begin(), ops.end(), call.op) == ops.end()) return false;
  const bool per_channel = call.op == &op_prelu || call.op == &op_batch_norm_eval;
  return std::all_of(call.in.begin(), call.in.begin() + (per_channel ? 1 : std::ptrdiff_t(call.in.size())),
                     [&](const ValueInfo& v) { return v.shape == call.out[0].shape; });
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
  if (is_convolution(call.op) && runs_in_bf16(call, s.constant[1])) {
    d.alike.push_back(s.out[0]);
    for (size_t i = 3; i < s.in.size(); ++i) {  // a residual and what a mask keeps stand as the output does
      const bool slopes = call.attr<ConvAttrs>().epilogue.activation == Activation::prelu && i == 4;
      if (call.in[i].defined && !slopes) d.alike.push_back(s.in[i]);  // -1 where it is a constant: plain
    }
  } else if (is_elementwise(call)) {
    const bool per_channel = call.op == &op_prelu || call.op == &op_batch_norm_eval;
    d.alike.assign(s.in.begin(), s.in.begin() + (per_channel ? 1 : std::ptrdiff_t(s.in.size())));
    d.alike.push_back(s.out[0]);
    if (per_channel) sort({s.in.begin() + 1, s.in.end()}, d.plain);
  } else {
    sort(s.in, d.plain);
    sort(s.out, d.plain);
  }
  return d;
}

}  // namespace

bool runs_in_bf16(const OpCall& call, bool constant_weight) {
  if (!constant_weight) return false;
  if (is_product(call.op)) return true;
  if (!is_convolution(call.op)) return false;
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
