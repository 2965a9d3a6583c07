// What an op means: its shape rule, its reference kernel in f32 and f64, its gradient rule and sample inputs
// for the tests, in one OpDef that stands in one file (tensor/ops/<op>.cpp). apply() is the one way to run
// it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tensor/activation.h"
#include "tensor/attrs.h"
#include "tensor/tensor.h"

namespace advf {

struct OpDef;
struct View;

// Shape and type of one input or output; `defined` is false for an absent optional input.
struct ValueInfo {
  Shape shape;
  DType dtype = DType::f32;
  bool defined = true;
  int layout = 0;  // inside a plan a backend may have values stand in a way of its own; 0: as everywhere
  bool operator==(const ValueInfo&) const = default;
};

// An op with everything that is known before the values are: what a backend binds.
struct OpCall {
  const OpDef* op = nullptr;
  Attrs attrs;
  std::vector<ValueInfo> in, out;

  template <class A>
  const A& attr() const {
    return std::get<A>(attrs);
  }
};

// Fills call.out from call.in and call.attrs; throws Error naming the op and the shapes where they do not
// fit.
using InferFn = void (*)(OpCall& call);

struct KernelArgs {
  const OpCall& call;
  std::span<const View> in;
  std::span<const View> out;
  void* scratch = nullptr;  // what Reference::scratch asked for
  template <class A>
  const A& attr() const {
    return call.attr<A>();
  }
};
using KernelFn = void (*)(const KernelArgs& args);

using Grads = std::vector<Tensor>;  // one per input; undefined = zero, or not wanted

// What a gradient rule sees. Values that OpDef::uses does not name have a shape but no bytes.
class VjpArgs {
 public:
  VjpArgs(const Attrs& attrs, std::span<const Tensor> in, std::span<const Tensor> out,
          std::span<const Tensor> gout, const std::vector<bool>& needs)
      : attrs_(attrs), in_(in), out_(out), gout_(gout), needs_(needs) {}
  template <class A>
  const A& attr() const {
    return std::get<A>(attrs_);
  }
  const Tensor& in(int i) const { return in_[i]; }
  const Tensor& out(int i) const { return out_[i]; }
  const Tensor& gout(int i) const { return gout_[i]; }  // undefined where the output got no cotangent
  bool needs(int i) const { return needs_[i]; }         // whether input i's gradient is wanted
  int num_inputs() const { return int(in_.size()); }

 private:
  const Attrs& attrs_;
  std::span<const Tensor> in_, out_, gout_;
  const std::vector<bool>& needs_;
};
using VjpFn = Grads (*)(const VjpArgs& args);

// Which values the gradient rule reads, one bit per input and per output; the tape drops the bytes of the
// rest.
struct Uses {
  uint32_t in = 0, out = 0;
};

// How the tests fill an input.
enum class Domain {
  normal,         // N(0,1), nudged away from zero, where many functions have a kink
  positive,       // [0.2, 2]
  unit_interval,  // (0.05, 0.95)
  cosine,         // (-0.999, 0.999)
  index,          // i32 in [0, limit)
};
struct SampleInput {
  Shape shape;
  Domain domain = Domain::normal;
  int64_t limit = 0;
  bool defined = true;  // false: an absent optional input
};
struct Sample {
  std::vector<SampleInput> in;
  Attrs attrs = {};
};

struct Reference {
  KernelFn f32 = nullptr, f64 = nullptr;
  size_t (*scratch)(const OpCall& call) = nullptr;  // bytes that the kernels need beside inputs and outputs
};

// How an output hangs together with the inputs, for whoever stores values in another order.
enum class Pointwise {
  no,
  elements,  // where all inputs have the output's shape: out[i] = f(in0[i], in1[i], ...)
  channels,  // out[i] = f(in0[i], and of every other input what it has for i's channel, dimension 1)
};

struct OpDef {
  const char* name = "";
  InferFn infer = nullptr;
  Reference reference{};
  VjpFn vjp = nullptr;
  const char* no_vjp = nullptr;          // why there is no gradient rule, where there is none
  uint32_t differentiable = 0xFFFFFFFF;  // inputs that have a gradient, one bit each
  uint32_t carries_gradient = 0b1;       // outputs through which a gradient flows; others are by-products
  Uses uses{};
  std::vector<Sample> samples{};
  double bound = 2e-6;  // relative error in norm that an f32 kernel may have against the f64 reference
  bool exact_on_integers = false;  // bit-exact for small whole numbers (sums of products)
  bool is_view = false;            // output 0 is the bytes of input 0 (reshape); no kernel
  // Inputs, one bit each, whose bytes output 0 may overwrite where both have one size: every kernel reads an
  // element (or a row) of them before it writes the same one.
  uint32_t in_place = 0;
  std::vector<uint32_t> in_place_others{};  // the same for outputs 1, 2, ...
  Pointwise pointwise = Pointwise::no;
  // Of products: multiplications, each with its addition; INT64_MAX where there are more.
  int64_t (*macs)(const OpCall& call) = nullptr;
  // Of products that can do more to a value before they store it: the form with an epilogue, which may be the
  // op itself.
  const OpDef* fused = nullptr;
  // The activation as which such an epilogue does the work of this op.
  Activation epilogue = Activation::none;
};

// All ops, in the order of op_list.h. find_op returns null for an unknown name.
std::span<const OpDef* const> all_ops();
const OpDef* find_op(std::string_view name);

// infer -> bind (cached) -> run -> record. All inputs live on the current backend. Undefined inputs are
// absent.
std::vector<Tensor> apply(const OpDef& op, const Attrs& attrs, std::vector<Tensor> in);
inline Tensor apply1(const OpDef& op, const Attrs& attrs, std::vector<Tensor> in) {
  return std::move(apply(op, attrs, std::move(in))[0]);
}
// For optimiser steps: runs into tensors that exist (which may be inputs), never recorded.
void apply_into(const OpDef& op, const Attrs& attrs, const std::vector<Tensor>& in,
                const std::vector<Tensor>& out);

// Who wants to hear of every apply(): the tape. At most one per thread; set by TapeScope and NoTapeScope.
class Recorder {
 public:
  virtual ~Recorder() = default;
  virtual void record(const OpDef& op, const Attrs& attrs, std::span<const Tensor> in,
                      std::span<const Tensor> out) = 0;
};
Recorder* current_recorder();
Recorder* set_recorder(Recorder* recorder);  // returns the previous one

// The call that apply() would make: for whoever hears of it by a Recorder.
OpCall call_of(const OpDef& op, const Attrs& attrs, std::span<const Tensor> in, std::span<const Tensor> out);
// a * b >= 0; INT64_MAX where it is larger.
int64_t saturating_product(int64_t a, int64_t b);

// Shape rules that many ops share.
void infer_same_as_first(OpCall& call);

#define ADVF_OP(name) extern const OpDef op_##name;
#include "tensor/op_list.h"
#undef ADVF_OP

}  // namespace advf
