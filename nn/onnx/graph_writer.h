// An ONNX graph in the making, written through protozero by field number (onnx.proto of the ONNX project):
// its nodes, the constants that they read, its inputs and outputs, and the model around it.
#pragma once
#include <cstdint>
#include <map>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tensor/tensor.h"

namespace advf::onnx {

// A NodeProto in the making; field numbers as in graph.cpp. Inputs and outputs count in the order in which
// they are added, and an input "" is absent; the output also names the node.
class NodeWriter {
 public:
  explicit NodeWriter(const char* op_type) : pbf_(bytes_) { pbf_.add_string(4, op_type); }
  NodeWriter(const NodeWriter&) = delete;

  NodeWriter& input(const std::string& name) { return pbf_.add_string(1, name), *this; }
  NodeWriter& output(const std::string& name) {
    return pbf_.add_string(2, name), pbf_.add_string(3, name), *this;
  }
  // Attributes.
  NodeWriter& ints(const char* name, const std::vector<int64_t>& values);
  NodeWriter& integer(const char* name, int64_t value);
  NodeWriter& real(const char* name, double value);  // stored as a float
  NodeWriter& text(const char* name, const std::string& value);
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  protozero::pbf_writer pbf_;
};

// The graph as far as it is written: names of values, constants, which of their dimensions are open: 0 where
// it counts images, and others where the picture's size is left open.
class GraphWriter {
 public:
  // weight_names: tensor id -> name, for the constants that have one; it must outlive this. Throws Error
  // where a name is empty or used twice.
  explicit GraphWriter(const std::map<uint64_t, std::string>& weight_names);

  // Keeps a name from being given to anything else. Throws Error where it is empty or taken.
  void reserve(const std::string& name);
  // What a value is called from now on, and its open dimensions, one bit each.
  void name(const Tensor& t, const std::string& name, uint32_t open) {
    names_[t.id()] = name;
    if (open) open_[t.id()] = open;
  }
  bool knows(const Tensor& t) const { return names_.contains(t.id()); }
  uint32_t open(const Tensor& t) const {
    const auto found = open_.find(t.id());
    return found == open_.end() ? 0 : found->second;
  }
  bool batched(const Tensor& t) const { return open(t) & 1u; }

  // The name of a value; a tensor that nothing has made becomes an initialiser, as float32. "" for an
  // undefined one.
  std::string operator()(const Tensor& t);
  // The name of a new initialiser: numbers in one dimension, as int64 or float32, or one number in none, as
  // float32.
  std::string constant(const std::vector<int64_t>& values);
  std::string constant(const std::vector<float>& values);
  std::string scalar(double value);
  // A name that nothing has: the stem with a number.
  std::string fresh(const std::string& stem);
  void add(const NodeWriter& node) { pbf_.add_message(1, node.bytes()); }
  // Makes a value that has a name an input (field 11) or an output (field 12) of the graph, as float32.
  void declare(uint32_t field, const Tensor& t);
  // The bytes of the whole file; nothing can be added after that.
  std::string finish(const std::string& graph_name);

 private:
  template <class T>
  std::string constant(int32_t type, const std::vector<T>& values);
  template <class T>
  void add_constant(const std::string& name, const Shape& shape, int32_t type, const std::vector<T>& values);

  const std::map<uint64_t, std::string>& weight_names_;
  std::unordered_map<uint64_t, std::string> names_;
  std::unordered_set<std::string> taken_;
  std::unordered_map<uint64_t, uint32_t> open_;
  uint64_t counter_ = 0;
  std::string bytes_;
  protozero::pbf_writer pbf_;
};

}  // namespace advf::onnx
