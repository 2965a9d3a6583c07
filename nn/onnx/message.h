// The wire format of protobuf, read one field at a time through protozero. Which number means what is the
// business of who reads: onnx.proto of the ONNX project has them.
#pragma once
#include <cstdint>
#include <protozero/pbf_reader.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/check.h"

namespace advf::onnx {

// A protobuf message whose fields are read only as what the wire says they are: anything else throws Error
// with the field's number, and bytes that are no protobuf throw protozero::exception. After next() the field
// must be read or skipped. The bytes must outlive this and every view that it gives out.
class Message {
 public:
  explicit Message(std::string_view bytes) : reader_(bytes.data(), bytes.size()) {}

  bool next() { return reader_.next(); }
  uint32_t field() const { return reader_.tag(); }
  void skip() { reader_.skip(); }

  int64_t integer() {
    expect(protozero::pbf_wire_type::varint);
    return reader_.get_int64();
  }
  float real() {
    expect(protozero::pbf_wire_type::fixed32);
    return reader_.get_float();
  }
  std::string_view bytes() {
    expect(protozero::pbf_wire_type::length_delimited);
    const auto view = reader_.get_view();
    return {view.data(), view.size()};
  }
  std::string text() { return std::string(bytes()); }

  // Repeated numbers, packed or one by one.
  void append(std::vector<int64_t>& to) {
    if (reader_.wire_type() == protozero::pbf_wire_type::varint) return to.push_back(reader_.get_int64());
    expect(protozero::pbf_wire_type::length_delimited);
    for (const int64_t v : reader_.get_packed_int64()) to.push_back(v);
  }
  void append(std::vector<float>& to) {
    if (reader_.wire_type() == protozero::pbf_wire_type::fixed32) return to.push_back(reader_.get_float());
    expect(protozero::pbf_wire_type::length_delimited);
    for (const float v : reader_.get_packed_float()) to.push_back(v);
  }
  void append(std::vector<double>& to) {
    if (reader_.wire_type() == protozero::pbf_wire_type::fixed64) return to.push_back(reader_.get_double());
    expect(protozero::pbf_wire_type::length_delimited);
    for (const double v : reader_.get_packed_double()) to.push_back(v);
  }

 private:
  void expect(protozero::pbf_wire_type type) const {
    check(reader_.wire_type() == type, "field ", reader_.tag(), " has an impossible type");
  }
  protozero::pbf_reader reader_;
};

// StringStringEntryProto{key=1, value=2}: a key with what it stands for. Throws as Message does.
inline std::pair<std::string, std::string> read_entry(std::string_view bytes) {
  std::pair<std::string, std::string> entry;
  for (Message m(bytes); m.next();) switch (m.field()) {
      case 1:
        entry.first = m.text();
        break;
      case 2:
        entry.second = m.text();
        break;
      default:
        m.skip();
    }
  return entry;
}

}  // namespace advf::onnx
