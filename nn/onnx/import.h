// The table op_type -> compile function. Compiling reads and judges a node's attributes once, at load; the
// emit function that comes out runs the node on the ops of tensor/ops.h. To add an op: one function, one
// table line.
#pragma once
#include <set>

#include "nn/onnx/value.h"

namespace advf::onnx {

// A node's attributes, with defaults. What is wrong goes to the list of problems, and a default is returned,
// so that one pass finds everything. Attributes that nobody asked for are problems too.
class NodeReader {
 public:
  NodeReader(const Node& node, int64_t opset, DType dtype, Problems& problems)
      : node_(node), opset_(opset), dtype_(dtype), problems_(problems) {}

  int64_t opset() const { return opset_; }
  DType dtype() const { return dtype_; }
  const Node& node() const { return node_; }
  bool has(const char* name) { return find(name) != nullptr; }
  bool has_input(size_t i) const { return i < node_.inputs.size() && !node_.inputs[i].empty(); }
  bool has_output(size_t i) const { return i < node_.outputs.size() && !node_.outputs[i].empty(); }

  int64_t integer(const char* name, int64_t fallback, int64_t low = INT64_MIN, int64_t high = INT64_MAX);
  bool flag(const char* name, bool fallback) { return integer(name, fallback, 0, 1) != 0; }
  double real(const char* name, double fallback);
  std::string text(const char* name, const std::string& fallback);
  std::vector<int64_t> integers(const char* name, const std::vector<int64_t>& fallback,
                                int64_t low = INT64_MIN, int64_t high = INT64_MAX);
  std::vector<float> reals(const char* name);
  const Constant* tensor(const char* name);

  template <class... Parts>
  void problem(const Parts&... parts) {
    problems_.add(node_.str(), ": ", parts...);
  }
  void require(bool ok, const char* what) {
    if (!ok) problem(what);
  }
  void report_unread();

 private:
  const Attribute* find(const char* name, Attribute::Kind kind = Attribute::Kind::none);
  const Node& node_;
  int64_t opset_;
  DType dtype_;
  Problems& problems_;
  std::set<std::string> read_;
};

constexpr size_t kAnyNumber = SIZE_MAX;
struct OpRow {
  // Whether it runs on whole numbers and short constants, which lie on the host: see host_numbers.h.
  enum class Host { never, also, only };
  // When no value that it makes is negative: never, or where none of its first input, or of all inputs, is.
  enum class Sign { any, never_negative, of_first, of_all };

  const char* op_type;
  size_t min_inputs, max_inputs;
  Emit (*compile)(NodeReader&);
  size_t max_outputs = 1;
  Host host = Host::never;
  size_t data_inputs = kAnyNumber;  // so many come as f64 there; the rest (axes, sizes) stay as they are
  bool weighted = false;            // its constants are multiplied and added: they must be finite
  Sign sign = Sign::any;
};
// The row of an op whose constants are weights.
constexpr OpRow weighted(OpRow row) {
  row.weighted = true;
  return row;
}
constexpr OpRow with_sign(OpRow::Sign sign, OpRow row) {
  row.sign = sign;
  return row;
}
constexpr OpRow never_negative(OpRow row) { return with_sign(OpRow::Sign::never_negative, row); }
constexpr OpRow sign_of_first(OpRow row) { return with_sign(OpRow::Sign::of_first, row); }
constexpr OpRow sign_of_all(OpRow row) { return with_sign(OpRow::Sign::of_all, row); }

// The oldest and the newest opset whose meaning of these ops is known here.
constexpr int64_t kOldestOpset = 7, kNewestOpset = 24;

// Null for an op that is not supported.
const OpRow* find_row(const std::string& op_type);
// The tables, by subject: import_<subject>.cpp.
std::span<const OpRow> layer_rows();
std::span<const OpRow> elementwise_rows();
std::span<const OpRow> reduce_rows();
std::span<const OpRow> shape_rows();
std::span<const OpRow> index_rows();

// Compiles one node; an unsupported op or a bad attribute is a problem, and the result then empty.
Emit compile_node(const Node& node, int64_t opset, DType dtype, Problems& problems);

// Where constant input i of a weighted op is not finite, or is a negative variance: a problem.
void check_weight(const Node& node, size_t i, const Value& weight, Problems& problems);

// One output.
inline std::vector<Value> one(Tensor t) {
  std::vector<Value> out;
  out.emplace_back(std::move(t));
  return out;
}
// Axis counted from the end where negative; throws where it does not exist.
int checked_axis(int64_t axis, int rank);

// The axes of a node: an input since some opset, an attribute before. Read at compile time or at run time.
struct Axes {
  bool given = false, from_input = false;
  std::vector<int64_t> fixed;

  std::vector<int> resolve(const Inputs& in, int rank) const;  // ascending, each once
};
Axes read_axes(NodeReader& node, int64_t since_opset);

}  // namespace advf::onnx
