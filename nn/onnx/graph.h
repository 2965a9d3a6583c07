// An ONNX file as plain structs, read through protozero by field number (onnx.proto of the ONNX project,
// IR 3..10). The reader trusts nothing: every length is checked against bytes that exist before memory is
// taken, messages nest to a fixed depth (there are no subgraphs here), nodes come out in an order in which
// they can run.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nn/onnx/external.h"
#include "nn/onnx/problems.h"
#include "tensor/shape.h"

namespace advf::onnx {

// A constant of the file. Exactly one of the vectors is filled: floats for float16, bfloat16, float and
// double (all widened or narrowed to float), ints for bool, int32 and int64.
struct Constant {
  std::string name;
  Shape shape;
  bool is_float = true;
  std::vector<float> floats;
  std::vector<int64_t> ints;
};

struct Attribute {
  enum class Kind { none, real, integer, text, tensor, reals, integers, other };
  std::string name;
  Kind kind = Kind::none;
  float real = 0;
  int64_t integer = 0;
  std::string text;
  Constant tensor;
  std::vector<float> reals;
  std::vector<int64_t> integers;
};

struct Node {
  std::string name, op_type, domain;
  std::vector<std::string> inputs, outputs;  // "" = an optional one that is absent
  std::vector<Attribute> attributes;
  bool damaged = false;  // an attribute is missing, for a problem that is listed

  // "Conv 'layer1/conv'" for messages; unnamed nodes are told by their first output.
  std::string str() const;
};

// A declared input or output: one entry per dimension, -1 where it is not fixed.
struct Declared {
  std::string name;
  bool has_shape = false;
  std::vector<int64_t> dims;
};

struct Graph {
  int64_t opset = 0;  // of the default domain
  std::string producer;
  std::map<std::string, std::string> metadata;
  std::vector<Node> nodes;  // in an order in which they can run
  std::vector<Constant> constants;
  std::vector<Declared> inputs;  // without those that only name a constant
  std::vector<Declared> outputs;
};

// Throws Error naming `source` where the bytes are no ONNX model at all; what is wrong inside a readable one
// (bad tensors, unknown inputs, cycles, duplicate names) is added to `problems`.
Graph parse_model(std::string_view bytes, const std::string& source, ExternalData& external,
                  Problems& problems);

}  // namespace advf::onnx
