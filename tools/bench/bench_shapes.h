// The rows of advface-bench: op, attributes and input shapes.
#pragma once
#include <string>
#include <vector>

#include "tensor/op.h"

namespace advf::tools {

inline const Shape kAbsent{0};  // an input that is not given

struct BenchCase {
  const char* group;
  std::string name;
  const OpDef* op;
  Attrs attrs;
  std::vector<Shape> in;
  bool counts = false;           // in the geometric mean over convolutions
  bool constant_weight = false;  // input 1 is bound as a constant, as in a frozen recogniser
  bool labels = false;           // input 1 is i32: the class of each row
};

const std::vector<BenchCase>& bench_cases();

// Multiplications and additions of a convolution or matrix product (padding counted as if it were data), else
// 0.
double flops_of(const OpCall& call);

}  // namespace advf::tools
