// An AttributeProto is {name=1, type=20} and a value, in the field that graph.cpp reads it from.
#include "nn/onnx/graph_writer.h"

#include "tensor/check.h"
#include "tensor/shape.h"

namespace advf::onnx {

NodeWriter& NodeWriter::ints(const char* name, const std::vector<int64_t>& values) {
  protozero::pbf_writer a(pbf_, 5);
  a.add_string(1, name);
  a.add_int32(20, 7);
  for (const int64_t v : values) a.add_int64(8, v);
  return *this;
}

NodeWriter& NodeWriter::integer(const char* name, int64_t value) {
  protozero::pbf_writer a(pbf_, 5);
  a.add_string(1, name);
  a.add_int32(20, 2);
  a.add_int64(3, value);
  return *this;
}

NodeWriter& NodeWriter::real(const char* name, double value) {
  protozero::pbf_writer a(pbf_, 5);
  a.add_string(1, name);
  a.add_int32(20, 1);
  a.add_float(2, float(value));
  return *this;
}

NodeWriter& NodeWriter::text(const char* name, const std::string& value) {
  protozero::pbf_writer a(pbf_, 5);
  a.add_string(1, name);
  a.add_int32(20, 3);
  a.add_string(4, value);
  return *this;
}

GraphWriter::GraphWriter(const std::map<uint64_t, std::string>& weight_names)
    : weight_names_(weight_names), pbf_(bytes_) {
  for (const auto& [id, name] : weight_names) reserve(name);
}

// TensorProto {dims=1, data_type=2, name=8, raw_data=9}
template <class T>
void GraphWriter::add_constant(const std::string& name, const Shape& shape, int32_t type,
                               const std::vector<T>& values) {
  protozero::pbf_writer tensor(pbf_, 5);
  for (const int64_t d : shape) tensor.add_int64(1, d);
  tensor.add_int32(2, type);
  tensor.add_string(8, name);
  tensor.add_bytes(9, reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

template <class T>
std::string GraphWriter::constant(int32_t type, const std::vector<T>& values) {
  const std::string name = fresh("constant");
  add_constant(name, {int64_t(values.size())}, type, values);
  return name;
}

void GraphWriter::reserve(const std::string& name) {
  check(!name.empty() && taken_.insert(name).second, "the name '", name, "' is empty or used twice");
}

std::string GraphWriter::operator()(const Tensor& t) {
  if (!t.defined()) return "";
  if (const auto found = names_.find(t.id()); found != names_.end()) return found->second;
  const auto given = weight_names_.find(t.id());
  const std::string name = given != weight_names_.end() ? given->second : fresh("constant");
  names_[t.id()] = name;
  add_constant(name, t.shape(), 1, t.to(DType::f32).to_vector<float>());
  return name;
}

std::string GraphWriter::constant(const std::vector<int64_t>& values) { return constant(7, values); }
std::string GraphWriter::constant(const std::vector<float>& values) { return constant(1, values); }

std::string GraphWriter::scalar(double value) {
  const std::string name = fresh("constant");
  add_constant(name, {}, 1, std::vector<float>{float(value)});
  return name;
}

std::string GraphWriter::fresh(const std::string& stem) {
  std::string name;
  do name = stem + "_" + std::to_string(++counter_);
  while (!taken_.insert(name).second);
  return name;
}

// ValueInfoProto; the batch is the free dimension "N". Dimensions of one name have one size, so that those of
// outputs have each a name of its own.
void GraphWriter::declare(uint32_t field, const Tensor& t) {
  protozero::pbf_writer info(pbf_, field);
  info.add_string(1, names_.at(t.id()));
  protozero::pbf_writer type(info, 2), tensor(type, 1);
  tensor.add_int32(1, 1);
  protozero::pbf_writer shape(tensor, 2);
  for (int i = 0; i < t.shape().rank(); ++i) {
    protozero::pbf_writer dim(shape, 1);
    if (!(open(t) >> i & 1u))
      dim.add_int64(1, t.dim(i));
    else
      dim.add_string(2, i == 0 ? "N" : names_.at(t.id()) + "." + std::to_string(i));
  }
}

// ModelProto around the graph.
std::string GraphWriter::finish(const std::string& graph_name) {
  constexpr int64_t kIrVersion = 7, kOpset = 13;
  pbf_.add_string(2, graph_name);
  std::string model;
  protozero::pbf_writer pbf(model);
  pbf.add_int64(1, kIrVersion);
  pbf.add_string(2, "advface");
  pbf.add_message(7, bytes_);
  {
    protozero::pbf_writer opset(pbf, 8);
    opset.add_string(1, "");
    opset.add_int64(2, kOpset);
  }
  return model;
}

}  // namespace advf::onnx
