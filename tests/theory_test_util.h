// For the tests of what is proved: the oracle's figures, and rows of tensors.
#pragma once
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "file_test_util.h"
#include "tensor/tensor.h"

namespace advf::test {

// tests/oracles/theory_oracle.py
inline const nlohmann::json& theory_oracle() {
  static const nlohmann::json o =
      nlohmann::json::parse(read_bytes(std::string(ADVF_TEST_DATA) + "/theory.json"));
  return o;
}

inline std::span<const float> row(const Tensor& rows, int64_t i) {
  const size_t d = size_t(rows.numel() / rows.dim(0));
  return {rows.data<float>() + size_t(i) * d, d};
}

}  // namespace advf::test
