// Whether what a graph makes of two images is what it makes of each alone.
#pragma once
#include "tensor/tensor.h"

namespace advf::onnx {

// How a value of two images relates to those of the first and of the second alone.
struct RowsApart {
  bool apart = false;  // the same numbers, up to rounding; or one constant for all three
  int axis = -1;       // the dimension that counts images; -1: the value does not depend on them
};

// Tensors of one type, on any backend. The images may be counted by any dimension, and each may have several
// of its steps (heads of an attention, tokens), those of the first image first. Numbers that are not finite
// are equal to themselves.
RowsApart compare_rows(const Tensor& both, const Tensor& first, const Tensor& second);

}  // namespace advf::onnx
