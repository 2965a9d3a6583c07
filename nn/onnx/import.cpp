#include "nn/onnx/import.h"

#include <algorithm>
#include <cmath>

#include "nn/onnx/host_numbers.h"
#include "tensor/backend.h"

namespace advf::onnx {

const Attribute* NodeReader::find(const char* name, Attribute::Kind kind) {
  for (const Attribute& a : node_.attributes) {
    if (a.name != name) continue;
    read_.insert(name);
    if (kind == Attribute::Kind::none || a.kind == kind) return &a;
    problem("attribute '", name, "' has the wrong type");
  }
  return nullptr;
}

int64_t NodeReader::integer(const char* name, int64_t fallback, int64_t low, int64_t high) {
  const Attribute* a = find(name, Attribute::Kind::integer);
  if (!a) return fallback;
  if (a->integer >= low && a->integer <= high) return a->integer;
  problem("attribute '", name, "' = ", a->integer, " is out of range");
  return fallback;
}

double NodeReader::real(const char* name, double fallback) {
  const Attribute* a = find(name, Attribute::Kind::real);
  if (!a) return fallback;
  if (std::isfinite(a->real)) return double(a->real);
  problem("attribute '", name, "' is not a finite number");
  return fallback;
}

std::string NodeReader::text(const char* name, const std::string& fallback) {
  const Attribute* a = find(name, Attribute::Kind::text);
  return a ? a->text : fallback;
}

std::vector<int64_t> NodeReader::integers(const char* name, const std::vector<int64_t>& fallback, int64_t low,
                                          int64_t high) {
  const Attribute* a = find(name, Attribute::Kind::integers);
  if (!a) return fallback;
  for (const int64_t v : a->integers)
    if (v < low || v > high) {
      problem("attribute '", name, "' holds ", v, ", which is out of range");
      return fallback;
    }
  return a->integers;
}

std::vector<float> NodeReader::reals(const char* name) {
  const Attribute* a = find(name, Attribute::Kind::reals);
  return a ? a->reals : std::vector<float>();
}

const Constant* NodeReader::tensor(const char* name) {
  const Attribute* a = find(name, Attribute::Kind::tensor);
  return a ? &a->tensor : nullptr;
}

void NodeReader::report_unread() {
  for (const Attribute& a : node_.attributes)
    if (!read_.contains(a.name)) problem("attribute '", a.name, "' is not supported");
}

const OpRow* find_row(const std::string& op_type) {
  for (const std::span<const OpRow> rows :
       {layer_rows(), elementwise_rows(), reduce_rows(), shape_rows(), index_rows()})
    for (const OpRow& row : rows)
      if (op_type == row.op_type) return &row;
  return nullptr;
}

Emit compile_node(const Node& node, int64_t opset, DType dtype, Problems& problems) {
  const OpRow* row = node.domain.empty() || node.domain == "ai.onnx" ? find_row(node.op_type) : nullptr;
  if (!row || node.damaged) return {};
  NodeReader reader(node, opset, dtype, problems);
  if (node.inputs.size() < row->min_inputs || node.inputs.size() > row->max_inputs)
    reader.problem("has ", node.inputs.size(), " inputs");
  for (size_t i = 0; i < row->min_inputs && i < node.inputs.size(); ++i)
    if (node.inputs[i].empty()) reader.problem("input ", i, " is missing");
  reader.require(reader.has_output(0), "has no output");
  for (size_t i = row->max_outputs; i < node.outputs.size(); ++i)
    if (reader.has_output(i)) reader.problem("output ", i, " ('", node.outputs[i], "') is not supported");
  Emit emit = row->compile(reader);
  reader.report_unread();
  if (row->host == OpRow::Host::never || !emit) return emit;
  return on_host_numbers(std::move(emit), row->data_inputs, row->host == OpRow::Host::only, dtype);
}

void check_weight(const Node& node, size_t i, const Value& weight, Problems& problems) {
  if (!weight.tensor.has_storage()) return;
  const auto report = [&](bool bad, const std::string& what) {
    if (bad)
      problems.add_of(node.str() + ": its input '" + node.inputs[i] + "'",
                      what + "; export the network again");
  };
  if (count_not_finite(weight.tensor) > 0) return report(true, "holds values that are not finite");
  if (node.op_type != "BatchNormalization" || i != 4) return;
  float epsilon = 1e-5f;
  for (const Attribute& a : node.attributes)
    if (a.name == "epsilon") epsilon = a.real;
  const auto values = weight.tensor.on_host().to(DType::f64).to_vector<double>();
  report(std::any_of(values.begin(), values.end(), [&](double v) { return v + double(epsilon) <= 0; }),
         "holds variances that are negative or, with its epsilon, 0");
}

int checked_axis(int64_t axis, int rank) {
  check(axis >= -rank && axis < rank, "axis ", axis, " of a tensor with ", rank, " dimensions");
  return int(axis < 0 ? axis + rank : axis);
}

std::vector<int> Axes::resolve(const Inputs& in, int rank) const {
  std::vector<int> out;
  for (const int64_t a : from_input&& in.has(1) ? in.ints(1) : fixed) out.push_back(checked_axis(a, rank));
  std::sort(out.begin(), out.end());
  check(std::adjacent_find(out.begin(), out.end()) == out.end(), "names an axis twice");
  return out;
}

Axes read_axes(NodeReader& node, int64_t since_opset) {
  Axes axes;
  if (node.opset() >= since_opset) {
    axes.from_input = axes.given = node.has_input(1);
  } else {
    node.require(!node.has_input(1), "takes its axes from an attribute in this opset, not from an input");
    axes.given = node.has("axes");
    axes.fixed = node.integers("axes", {});
  }
  return axes;
}

constexpr size_t kShort = 64;

void note_host(Value& value) {
  if (!value.tensor.defined() || size_t(value.tensor.numel()) > kShort) return;
  if (value.tensor.dtype() == DType::f32) {
    value.host = value.tensor.to_vector<float>();
  } else {
    const auto wide = value.tensor.to_vector<double>();
    value.host = std::vector<float>(wide.begin(), wide.end());
  }
}

Value to_value(const Constant& constant, DType dtype) {
  const MetaScope real(false);  // a constant has bytes, also one that is computed while shapes are traced
  Value v;
  v.batched = false;
  if (!constant.is_float) {
    v.ints = constant.ints;
    v.int_shape = constant.shape;
    return v;
  }
  if (dtype == DType::f32)
    v.tensor = Tensor::from(constant.floats, constant.shape);
  else
    v.tensor =
        Tensor::from(std::vector<double>(constant.floats.begin(), constant.floats.end()), constant.shape);
  if (constant.floats.size() <= kShort) v.host = constant.floats;
  return v;
}

}  // namespace advf::onnx
