// For tests of ONNX: the models of the oracles (oracles/onnx_oracles.py, onnx_graph_oracles.py) with what
// goes in and comes out, and files that are built in memory.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "file_test_util.h"
#include "nn/onnx/model.h"
#include "onnx_test_util.h"
#include "tensor/io/safetensors.h"

namespace advf::test {

struct Case {
  std::string model;  // the file's bytes
  OnnxModel::Feeds in, out;
};

inline std::map<std::string, Case> cases() {
  std::map<std::string, Case> all;
  for (const char* file : {"/onnx_ops.safetensors", "/onnx_graphs.safetensors"})
    for (const auto& [key, tensor] : load_safetensors(ADVF_TEST_DATA + std::string(file)).tensors) {
      const size_t dot = key.find('.');
      Case& c = all[key.substr(0, dot)];
      const std::string rest = key.substr(dot + 1);
      if (rest == "model") {
        c.model.assign(reinterpret_cast<const char*>(tensor.raw()), tensor.bytes());
      } else {
        (rest[0] == 'i' ? c.in : c.out).emplace_back(rest.substr(rest.find('.') + 1), tensor);
      }
    }
  return all;
}

inline OnnxModel load(const std::string& bytes) { return OnnxModel::from_bytes(bytes, "test.onnx"); }

inline void refuse(const OnnxBuilder& file, std::vector<std::string> words) {
  words.push_back("test.onnx");
  refused([&] { load(file.bytes()); }, words);
}

}  // namespace advf::test
