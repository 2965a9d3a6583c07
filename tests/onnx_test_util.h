// Writes small ONNX files for tests, also ones that no exporter would write.
#pragma once
#include <protozero/pbf_writer.hpp>
#include <string>
#include <vector>

namespace advf::test {

class OnnxBuilder {
 public:
  explicit OnnxBuilder(int64_t opset = 13) : opset_(opset) {}

  OnnxBuilder& node(const std::string& op, const std::vector<std::string>& in,
                    const std::vector<std::string>& out,
                    const std::vector<std::pair<std::string, std::vector<int64_t>>>& lists = {},
                    const std::vector<std::pair<std::string, int64_t>>& numbers = {}) {
    protozero::pbf_writer graph(graph_), n(graph, 1);
    for (const auto& name : in) n.add_string(1, name);
    for (const auto& name : out) n.add_string(2, name);
    n.add_string(3, out.empty() ? op : out[0]);
    n.add_string(4, op);
    for (const auto& [name, values] : lists) {
      protozero::pbf_writer a(n, 5);
      a.add_string(1, name);
      for (const int64_t v : values) a.add_int64(8, v);
      a.add_int32(20, 7);
    }
    for (const auto& [name, value] : numbers) {
      protozero::pbf_writer a(n, 5);
      a.add_string(1, name);
      a.add_int64(3, value);
      a.add_int32(20, 2);
    }
    return *this;
  }
  // float (1) or int64 (7); the data need not fit the dims.
  OnnxBuilder& floats(const std::string& name, const std::vector<int64_t>& dims,
                      const std::vector<float>& values) {
    return constant(name, dims, 1, values.data(), values.size() * sizeof(float));
  }
  OnnxBuilder& ints(const std::string& name, const std::vector<int64_t>& values) {
    return constant(name, {int64_t(values.size())}, 7, values.data(), values.size() * sizeof(int64_t));
  }
  OnnxBuilder& constant(const std::string& name, const std::vector<int64_t>& dims, int32_t type,
                        const void* data, size_t bytes) {
    protozero::pbf_writer graph(graph_), t(graph, 5);
    for (const int64_t d : dims) t.add_int64(1, d);
    t.add_int32(2, type);
    t.add_string(8, name);
    t.add_bytes(9, static_cast<const char*>(data), bytes);
    return *this;
  }
  OnnxBuilder& external(const std::string& name) {
    protozero::pbf_writer graph(graph_), t(graph, 5);
    t.add_int64(1, 4);
    t.add_int32(2, 1);
    t.add_string(8, name);
    t.add_int32(14, 1);
    return *this;
  }
  // Floats in another file, from this byte on.
  OnnxBuilder& external(const std::string& name, const std::vector<int64_t>& dims,
                        const std::string& location, const std::string& offset, const std::string& length) {
    protozero::pbf_writer graph(graph_), t(graph, 5);
    for (const int64_t d : dims) t.add_int64(1, d);
    t.add_int32(2, 1);
    t.add_string(8, name);
    for (const auto& [key, value] :
         {std::pair("location", location), {"offset", offset}, {"length", length}}) {
      protozero::pbf_writer entry(t, 13);
      entry.add_string(1, key);
      entry.add_string(2, value);
    }
    t.add_int32(14, 1);
    return *this;
  }
  OnnxBuilder& input(const std::string& name, const std::vector<int64_t>& dims) {
    return declare(11, name, dims);
  }
  OnnxBuilder& output(const std::string& name) { return declare(12, name, {}); }

  std::string bytes() const {
    std::string model;
    protozero::pbf_writer m(model);
    m.add_int64(1, 7);
    m.add_message(7, graph_);
    protozero::pbf_writer o(m, 8);
    o.add_int64(2, opset_);
    return model;
  }

 private:
  OnnxBuilder& declare(uint32_t field, const std::string& name, const std::vector<int64_t>& dims) {
    protozero::pbf_writer graph(graph_), info(graph, field);
    info.add_string(1, name);
    if (dims.empty()) return *this;
    protozero::pbf_writer type(info, 2), tensor(type, 1);
    tensor.add_int32(1, 1);
    protozero::pbf_writer shape(tensor, 2);
    for (const int64_t d : dims) {
      protozero::pbf_writer dim(shape, 1);
      dim.add_int64(1, d);
    }
    return *this;
  }

  int64_t opset_;
  std::string graph_;
};

}  // namespace advf::test
