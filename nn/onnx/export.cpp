// One function per op writes the node (or the few nodes) that mean the same; the table at the end maps op to
// writer.
#include "nn/onnx/export.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "nn/onnx/graph_writer.h"
#include "nn/onnx/problems.h"
#include "tensor/io/atomic_file.h"

namespace advf {
namespace {

using onnx::GraphWriter;
using onnx::NodeWriter;
using Ints = std::vector<int64_t>;

Ints as_ints(std::span<const int> values) { return {values.begin(), values.end()}; }

template <class A>
const A& attr(const Record& r) {
  return std::get<A>(r.attrs);
}

// Writes one record. The name of its output is out.
using WriteFn = void (*)(GraphWriter& g, const Record& r, const std::string& out);

// A node whose inputs are the record's and which has no attributes.
#define ADVF_PLAIN(function, op_type)                                      \
  void function(GraphWriter& g, const Record& r, const std::string& out) { \
    NodeWriter node(op_type);                                              \
    for (const Tensor& t : r.in) node.input(g(t));                         \
    g.add(node.output(out));                                               \
  }
ADVF_PLAIN(write_add, "Add")
ADVF_PLAIN(write_sub, "Sub")
ADVF_PLAIN(write_mul, "Mul")
ADVF_PLAIN(write_div, "Div")
ADVF_PLAIN(write_abs, "Abs")
ADVF_PLAIN(write_erf, "Erf")
ADVF_PLAIN(write_exp, "Exp")
ADVF_PLAIN(write_log, "Log")
ADVF_PLAIN(write_relu, "Relu")
ADVF_PLAIN(write_sigmoid, "Sigmoid")
ADVF_PLAIN(write_tanh, "Tanh")
#undef ADVF_PLAIN

void write_affine(GraphWriter& g, const Record& r, const std::string& out) {
  const auto [scale, shift] = attr<ScalarAttrs>(r);
  const std::string scaled = shift == 0 ? out : g.fresh("scaled");
  g.add(NodeWriter("Mul").input(g(r.in[0])).input(g.scalar(scale)).output(scaled));
  if (shift != 0) g.add(NodeWriter("Add").input(scaled).input(g.scalar(shift)).output(out));
}

void write_power(GraphWriter& g, const Record& r, const std::string& out) {
  const double exponent = attr<ScalarAttrs>(r).a;
  g.add(NodeWriter("Pow").input(g(r.in[0])).input(g.scalar(exponent)).output(out));
}

void write_clamp(GraphWriter& g, const Record& r, const std::string& out) {
  const auto [low, high] = attr<ScalarAttrs>(r);
  NodeWriter node("Clip");
  node.input(g(r.in[0])).input(std::isinf(low) ? "" : g.scalar(low));
  if (!std::isinf(high)) node.input(g.scalar(high));
  g.add(node.output(out));
}

void write_leaky_relu(GraphWriter& g, const Record& r, const std::string& out) {
  g.add(NodeWriter("LeakyRelu").input(g(r.in[0])).real("alpha", attr<ScalarAttrs>(r).a).output(out));
}

// ONNX broadcasts the slope from the right: (C) becomes (C,1,1) for images.
void write_prelu(GraphWriter& g, const Record& r, const std::string& out) {
  std::string slope = g(r.in[1]);
  if (r.in[1].numel() > 1 && r.in[0].shape().rank() > 2) {
    Ints dims(size_t(r.in[0].shape().rank() - 1), 1);
    dims[0] = r.in[1].numel();
    const std::string shaped = g.fresh("slope");
    g.add(NodeWriter("Reshape").input(slope).input(g.constant(dims)).output(shaped));
    slope = shaped;
  }
  g.add(NodeWriter("PRelu").input(g(r.in[0])).input(slope).output(out));
}

// The dimension in which a reshape puts the two open ones, which follow each other and no others change.
size_t folded_dimension(const Record& r, uint32_t open) {
  const Shape &from = r.in[0].shape(), &to = r.out[0].shape();
  const int first = std::countr_zero(open & ~1u);
  bool fold = (open & ~1u) == 3u << first && to.rank() + 1 == from.rank();
  for (int i = 0; fold && i < to.rank(); ++i)
    fold = to[i] == (i < first ? from[i] : i == first ? from[i] * from[i + 1] : from[i + 1]);
  check(fold, "reshape from ", from, " to ", to, " means another thing for each size of picture");
  return size_t(first);
}

// The open dimensions of what a record makes, one bit each. Throws Error where it stands for one size alone.
uint32_t open_after(const GraphWriter& g, const Record& r) {
  uint32_t open = 0;
  for (const Tensor& t : r.in)
    if (t.defined()) open |= g.open(t);
  if (open <= 1) return open;
  if (r.op == &op_reshape) return 1u | 1u << folded_dimension(r, open);
  if (r.op == &op_permute) {
    const auto& order = attr<PermuteAttrs>(r).order;
    uint32_t moved = 0;
    for (int i = 0; i < r.out[0].shape().rank(); ++i)
      if (open >> order[size_t(i)] & 1u) moved |= 1u << i;
    return moved;
  }
  bool any_size = r.op == &op_conv2d || r.op->pointwise == Pointwise::channels;
  if (r.op->pointwise == Pointwise::elements) {
    any_size = true;
    for (const Tensor& t : r.in) any_size = any_size && (g.open(t) == open || t.numel() == 1);
  }
  check(any_size, "op ", r.op->name, " means another thing for each size of picture");
  return open;
}

// Of a value that carries the batch, dimension 0 is copied from the input, so that any batch runs.
void write_reshape(GraphWriter& g, const Record& r, const std::string& out) {
  const Shape &from = r.in[0].shape(), &to = r.out[0].shape();
  Ints dims(to.begin(), to.end());
  if (g.batched(r.in[0])) {
    check(to.rank() > 0 && to[0] == from[0], "reshape from ", from, " to ", to, " mixes images of a batch");
    dims[0] = 0;
    if (const uint32_t open = g.open(r.in[0]); open > 1) dims[folded_dimension(r, open)] = -1;
  }
  g.add(NodeWriter("Reshape").input(g(r.in[0])).input(g.constant(dims)).output(out));
}

// The batch, which is spread over nothing, is written as 1.
void write_broadcast_to(GraphWriter& g, const Record& r, const std::string& out) {
  const Shape &from = r.in[0].shape(), &to = r.out[0].shape();
  Ints dims(to.begin(), to.end());
  if (g.batched(r.in[0])) {
    check(from.rank() == to.rank() && from[0] == to[0], "broadcast_to from ", from, " to ", to,
          " moves the batch");
    dims[0] = 1;
  }
  g.add(NodeWriter("Expand").input(g(r.in[0])).input(g.constant(dims)).output(out));
}

void write_softmax(GraphWriter& g, const Record& r, const std::string& out) {
  g.add(NodeWriter("Softmax").input(g(r.in[0])).integer("axis", -1).output(out));
}

// ONNX has no transposed product of stacks: a node before it.
void write_batch_matmul(GraphWriter& g, const Record& r, const std::string& out) {
  const auto& a = attr<MatmulAttrs>(r);
  const auto operand = [&](const Tensor& t, bool transposed) {
    if (!transposed) return g(t);
    const std::string name = g.fresh("transposed");
    g.add(NodeWriter("Transpose").input(g(t)).ints("perm", {0, 2, 1}).output(name));
    return name;
  };
  const std::string first = operand(r.in[0], a.transpose_a), second = operand(r.in[1], a.transpose_b);
  g.add(NodeWriter("MatMul").input(first).input(second).output(out));
}

void write_concat(GraphWriter& g, const Record& r, const std::string& out) {
  const int axis = attr<AxisAttrs>(r).axis;
  NodeWriter node("Concat");
  for (const Tensor& t : r.in) {
    check(axis != 0 || !g.batched(t), "concat of several batches");
    check(g.batched(t) == g.batched(r.in[0]), "concat of a batch and a constant, which has so many images");
    node.input(g(t));
  }
  g.add(node.integer("axis", axis).output(out));
}

void write_slice(GraphWriter& g, const Record& r, const std::string& out) {
  const auto& a = attr<SliceAttrs>(r);
  Ints begin, end, axes;
  for (int i = 0; i < a.size.rank(); ++i) {
    const int64_t first = a.begin[size_t(i)];
    if (first == 0 && a.size[i] == r.in[0].dim(i)) continue;
    check(i > 0 || !g.batched(r.in[0]), "slice of a batch");
    begin.push_back(first);
    end.push_back(first + a.size[i]);
    axes.push_back(i);
  }
  if (axes.empty()) return g.add(NodeWriter("Identity").input(g(r.in[0])).output(out));
  NodeWriter node("Slice");
  node.input(g(r.in[0])).input(g.constant(begin)).input(g.constant(end)).input(g.constant(axes));
  g.add(node.output(out));
}

void write_pad(GraphWriter& g, const Record& r, const std::string& out) {
  const auto& a = attr<PadAttrs>(r);
  Ints pads;
  for (const auto* side : {&a.before, &a.after})
    for (int i = 0; i < r.in[0].shape().rank(); ++i) pads.push_back((*side)[size_t(i)]);
  g.add(NodeWriter("Pad").input(g(r.in[0])).input(g.constant(pads)).input(g.scalar(a.value)).output(out));
}

void write_permute(GraphWriter& g, const Record& r, const std::string& out) {
  const auto& order = attr<PermuteAttrs>(r).order;
  const Ints perm(order.begin(), order.begin() + r.in[0].shape().rank());
  check(perm.empty() || perm[0] == 0 || !g.batched(r.in[0]), "permute moves the batch");
  g.add(NodeWriter("Transpose").input(g(r.in[0])).ints("perm", perm).output(out));
}

void write_reduce_sum(GraphWriter& g, const Record& r, const std::string& out) {
  const auto& a = attr<AxesAttrs>(r);
  Ints axes;
  for (int i = 0; i < r.in[0].shape().rank(); ++i)
    if (a.axes >> i & 1u) axes.push_back(i);
  check(!(a.axes & 1u) || !g.batched(r.in[0]), "reduce_sum over a batch");
  if (axes.empty()) return g.add(NodeWriter("Identity").input(g(r.in[0])).output(out));
  NodeWriter node("ReduceSum");
  g.add(node.input(g(r.in[0])).input(g.constant(axes)).integer("keepdims", a.keep_dims).output(out));
}

void write_matmul(GraphWriter& g, const Record& r, const std::string& out) {
  const auto& a = attr<MatmulAttrs>(r);
  NodeWriter node("Gemm");
  node.input(g(r.in[0])).input(g(r.in[1]));
  if (r.in[2].defined()) node.input(g(r.in[2]));
  check(!(a.transpose_a && g.batched(r.in[0])) && !g.batched(r.in[1]), "matmul mixes images of a batch");
  g.add(node.integer("transA", a.transpose_a).integer("transB", a.transpose_b).output(out));
}

void add_window(NodeWriter& node, const ConvAttrs& a, const Tensor& weight) {
  node.ints("kernel_shape", {weight.dim(2), weight.dim(3)}).ints("strides", as_ints(a.stride));
  node.ints("pads", as_ints(a.pad)).ints("dilations", as_ints(a.dilation)).integer("group", a.groups);
}

void write_conv2d(GraphWriter& g, const Record& r, const std::string& out) {
  NodeWriter node("Conv");
  node.input(g(r.in[0])).input(g(r.in[1]));
  if (r.in[2].defined()) node.input(g(r.in[2]));
  add_window(node, attr<ConvAttrs>(r), r.in[1]);
  g.add(node.output(out));
}

void write_conv_transpose2d(GraphWriter& g, const Record& r, const std::string& out) {
  const auto& a = attr<ConvAttrs>(r);
  NodeWriter node("ConvTranspose");
  node.input(g(r.in[0])).input(g(r.in[1]));
  if (r.in[2].defined()) node.input(g(r.in[2]));
  add_window(node, a, r.in[1]);
  Ints extra;  // rows and columns that the smallest output of this input lacks
  for (int i = 0; i < 2; ++i) {
    const size_t k = size_t(i);
    extra.push_back(a.size[k] - (a.stride[k] * (r.in[0].dim(2 + i) - 1) +
                                 (r.in[1].dim(2 + i) - 1) * a.dilation[k] + 1 - a.pad[k] - a.pad[k + 2]));
  }
  g.add(node.ints("output_padding", extra).output(out));
}

void write_batch_norm_eval(GraphWriter& g, const Record& r, const std::string& out) {
  NodeWriter node("BatchNormalization");
  for (const Tensor& t : r.in) node.input(g(t));
  g.add(node.real("epsilon", attr<ScalarAttrs>(r).a).output(out));
}

// LpNormalization has no least norm of its own: one that is more than a guard against zero is written out.
void write_l2_normalise(GraphWriter& g, const Record& r, const std::string& out) {
  constexpr double kGuard = 1e-12;
  if (const double least = attr<ScalarAttrs>(r).a; least > kGuard) {
    const std::string norm = g.fresh("norm"), divisor = g.fresh("norm");
    g.add(NodeWriter("ReduceL2").input(g(r.in[0])).ints("axes", {1}).integer("keepdims", 1).output(norm));
    g.add(NodeWriter("Clip").input(norm).input(g.scalar(least)).output(divisor));
    return g.add(NodeWriter("Div").input(g(r.in[0])).input(divisor).output(out));
  }
  g.add(NodeWriter("LpNormalization").input(g(r.in[0])).integer("axis", 1).integer("p", 2).output(out));
}

NodeWriter& add_pool(NodeWriter& node, GraphWriter& g, const Record& r) {
  const auto& a = attr<PoolAttrs>(r);
  node.input(g(r.in[0])).ints("kernel_shape", as_ints(a.kernel)).ints("strides", as_ints(a.stride));
  return node.ints("pads", as_ints(a.pad)).integer("ceil_mode", a.ceil_mode);
}

void write_max_pool2d(GraphWriter& g, const Record& r, const std::string& out) {
  NodeWriter node("MaxPool");
  g.add(add_pool(node, g, r).output(out));
}

void write_avg_pool2d(GraphWriter& g, const Record& r, const std::string& out) {
  NodeWriter node("AveragePool");
  g.add(add_pool(node, g, r).integer("count_include_pad", attr<PoolAttrs>(r).count_include_pad).output(out));
}

// A factor in float whose product with the input's size does not fall below the output's.
float factor(int64_t in, int64_t out) {
  float f = float(double(out) / double(in));
  while (std::floor(f * float(in)) < float(out)) f = std::nextafter(f, INFINITY);
  return f;
}

// Sizes would have to name the batch; factors need not.
void write_resize2d(GraphWriter& g, const Record& r, const std::string& out) {
  const auto& a = attr<ResizeAttrs>(r);
  const Tensor& x = r.in[0];
  const bool nearest = a.mode == ResizeMode::nearest,
             asymmetric = a.coordinates == ResizeCoordinates::asymmetric;
  const char* coordinates = asymmetric                                          ? "asymmetric"
                            : a.coordinates == ResizeCoordinates::align_corners ? "align_corners"
                                                                                : "half_pixel";
  NodeWriter node("Resize");
  node.input(g(x)).input("");
  node.input(g.constant(std::vector<float>{1, 1, factor(x.dim(2), a.size[0]), factor(x.dim(3), a.size[1])}));
  node.text("mode", nearest ? "nearest" : "linear").text("coordinate_transformation_mode", coordinates);
  if (nearest) node.text("nearest_mode", asymmetric ? "floor" : "round_prefer_floor");
  g.add(node.output(out));
}

const std::unordered_map<const OpDef*, WriteFn>& table() {
  static const std::unordered_map<const OpDef*, WriteFn> writers = {
      {&op_add, write_add},
      {&op_sub, write_sub},
      {&op_mul, write_mul},
      {&op_div, write_div},
      {&op_affine, write_affine},
      {&op_power, write_power},
      {&op_exp, write_exp},
      {&op_log, write_log},
      {&op_abs, write_abs},
      {&op_erf, write_erf},
      {&op_clamp, write_clamp},
      {&op_relu, write_relu},
      {&op_leaky_relu, write_leaky_relu},
      {&op_sigmoid, write_sigmoid},
      {&op_tanh, write_tanh},
      {&op_prelu, write_prelu},
      {&op_reshape, write_reshape},
      {&op_concat, write_concat},
      {&op_slice, write_slice},
      {&op_pad, write_pad},
      {&op_permute, write_permute},
      {&op_broadcast_to, write_broadcast_to},
      {&op_reduce_sum, write_reduce_sum},
      {&op_matmul, write_matmul},
      {&op_batch_matmul, write_batch_matmul},
      {&op_softmax, write_softmax},
      {&op_conv2d, write_conv2d},
      {&op_conv_transpose2d, write_conv_transpose2d},
      {&op_batch_norm_eval, write_batch_norm_eval},
      {&op_l2_normalise, write_l2_normalise},
      {&op_max_pool2d, write_max_pool2d},
      {&op_avg_pool2d, write_avg_pool2d},
      {&op_resize2d, write_resize2d},
  };
  return writers;
}

// The records that `outputs` depend on, in order.
std::vector<const Record*> needed_records(const Tape& tape,
                                          const std::vector<std::pair<Tensor, std::string>>& outputs) {
  std::unordered_set<uint64_t> wanted;
  for (const auto& [t, unused] : outputs) wanted.insert(t.id());
  std::vector<const Record*> needed;
  for (size_t i = tape.records().size(); i-- > 0;) {
    const Record& r = tape.records()[i];
    const auto is_wanted = [&](const Tensor& t) { return wanted.contains(t.id()); };
    if (std::none_of(r.out.begin(), r.out.end(), is_wanted)) continue;
    needed.push_back(&r);
    for (const Tensor& t : r.in)
      if (t.defined()) wanted.insert(t.id());
  }
  std::reverse(needed.begin(), needed.end());
  return needed;
}

}  // namespace

bool has_onnx_form(const OpDef& op) { return table().contains(&op); }

std::string to_onnx(const std::string& source, const Tape& tape, const Tensor& input,
                    const std::string& input_name, const std::vector<std::pair<Tensor, std::string>>& outputs,
                    const std::map<uint64_t, std::string>& weight_names, OpenSizes open) {
  onnx::Problems problems;
  GraphWriter g(weight_names);
  g.reserve(input_name);
  g.name(input, input_name, open == OpenSizes::picture ? 0b1101u : 1u);
  std::unordered_map<uint64_t, std::string> output_names;
  for (const auto& [t, name] : outputs) {
    g.reserve(name);
    check(output_names.emplace(t.id(), name).second, "the output '", name, "' is an output already");
  }
  for (const Record* r : needed_records(tape, outputs)) {
    const auto writer = table().find(r->op);
    if (writer == table().end()) {
      problems.add("op ", r->op->name, " has no ONNX form here");
      continue;
    }
    const Tensor& made = r->out[0];
    const auto named = output_names.find(made.id());
    const std::string out = named != output_names.end() ? named->second : g.fresh(r->op->name);
    try {
      (*writer->second)(g, *r, out);
      g.name(made, out, open_after(g, *r));
    } catch (const Error& e) {
      problems.add(e.what());
    }
  }
  if (problems.empty())
    for (const auto& [t, name] : outputs)
      if (!g.knows(t)) problems.add("the output '", name, "' was not recorded on the tape");
  problems.throw_if_any(source, "this network cannot be written as ONNX");
  g.declare(11, input);
  for (const auto& [t, unused] : outputs) g.declare(12, t);
  return g.finish("network");
}

void export_onnx(const std::string& path, const Tape& tape, const Tensor& input,
                 const std::string& input_name, const std::vector<std::pair<Tensor, std::string>>& outputs,
                 const std::map<uint64_t, std::string>& weight_names, OpenSizes open) {
  const std::string bytes = to_onnx(path, tape, input, input_name, outputs, weight_names, open);
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace advf
