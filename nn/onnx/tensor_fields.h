// A tensor of an ONNX file: an initialiser, or the value of an attribute.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nn/onnx/external.h"
#include "nn/onnx/graph.h"

namespace advf::onnx {

// The fields of a TensorProto before they are judged; `raw` is a view of the bytes that they were read from.
struct TensorFields {
  std::string name;
  std::vector<int64_t> dims, ints32, ints64;
  int64_t type = 0;
  bool external = false, segmented = false, has_raw = false;
  std::string location, offset = "0", length = "0";  // of the data in another file
  std::string_view raw;
  std::vector<float> floats;
  std::vector<double> doubles;
};

// What stands in the bytes. Throws Error, or protozero::exception, where they are no TensorProto.
TensorFields read_tensor_fields(std::string_view bytes);
// The tensor that the fields mean, which it takes out of them; its data may lie in another file. Throws Error
// where the tensor contradicts itself or is of a kind that is not read; its text goes on from the tensor's
// name.
Constant judge_tensor(TensorFields& t, ExternalData& external);

}  // namespace advf::onnx
